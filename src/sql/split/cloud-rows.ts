/** Rows of a cloud for the carriers of one statement. */
import type { Awaitable } from '../../awaitable.js';
import type { LogicalTable } from '../../catalog/catalog.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import type { EncodingRegistry } from '../../encodings/registry.js';
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { allGeneratedOf, generatedTexts } from '../checks/generated.js';
import type { GeneratedExpression } from '../checks/table-checks.js';
import { generatedColumns } from '../defaults.js';
import type { ExecutionServices, Portal } from '../execute/portal.js';
import type { BoundParameters, ProtectedPlan } from '../plan.js';
import type { ClientPort, ExecuteOutcome, OneSnapshot, SessionPort } from '../ports.js';
import type { RowCursor, RowSource, RowsWritten } from '../residual.js';
import { refuseBeforePolicies } from '../row-security/before-policies.js';
import { type CarrierQuery, readCarrierQuery } from './carrier-query.js';
import { type Delivery, deliveryOf, type PlanStatement, type ShowsItself } from './delivery.js';
import { afterwards, type Fetched, fetch, kept, keptBatch, nothing, rowsOf } from './fetch.js';
import { FetchCount, type SplitLimits } from './fetch-count.js';
import type { GivenColumns, GivenFetch } from './given-columns.js';
import { DeliveredRows, FinishedRows } from './row-cursors.js';
import { castNames } from './typed-source.js';
import { allOf, beginWhole, readAll, type WholeTable } from './whole-table.js';
import { writeByCarrier } from './write/by-carrier.js';
import type { CloudWrites } from './write/cloud-writes.js';
import { IdentifiedRows } from './write/identified-rows.js';
import { checkWritten, type NameCheck, nameCheck } from './zone-names.js';

/** What fetching needs beside the session. */
export interface SplitServices {
  readonly limits: SplitLimits;
  readonly plan: PlanStatement;
  readonly context: EncodingContext;
  readonly registry: EncodingRegistry;
  readonly rowIds: ExecutionServices['rowIds'];
  /** of the residual engine */
  readonly readsZoneNames: boolean;
  /** binds a part of the statement, whose rows another takes than the client */
  readonly bind: (
    plan: ProtectedPlan,
    bound: BoundParameters,
    formats: readonly (0 | 1)[],
    client: ClientPort,
  ) => Awaitable<Portal>;
}

/** Fetches of one statement that are bound anew together where it has to begin anew. */
const boundAgainMax = 64;
/** Times that they are bound while the cloud changes between them: each takes less than a millisecond. */
const bindingsMax = 200;

/** A fetch that a carrier asked for. */
interface Fetch {
  readonly delivery: Delivery;
  readonly table: LogicalTable;
}

/** Bytes of fetched rows that are kept for a table that is read again and again. */
const keptBytesMax = 32 * 1024 * 1024;

/** Fetches for one statement, and counts what it fetches. */
export class CloudRows implements RowSource {
  /** fetches made that may be of several snapshots: what was bound together counts as one */
  fetches = 0;
  /** those of them that have been proven to be of one */
  #proven = 0;
  readonly #made: Fetch[] = [];
  /** fetches that were bound before they were asked for, by their SQL */
  readonly #bound = new Map<string, Fetched[]>();
  #count: FetchCount;
  /** rows of what a correlated subquery reads, by the statement that fetched them */
  readonly #kept = new Map<string, Buffer>();
  #kept_bytes = 0;
  #names: Promise<NameCheck | undefined> | undefined;
  /** names of generated columns, by the OID of their table */
  readonly #generated = new Map<number, Promise<ReadonlySet<string>>>();
  readonly #statement: ShowsItself;

  constructor(
    private readonly session: SessionPort,
    private readonly services: SplitServices,
    statement: ShowsItself,
    /** takes what the statement writes; undefined: it only reads */
    private readonly writes?: CloudWrites,
  ) {
    this.#statement = { seeds: new Map(), ...statement };
    this.#count = new FetchCount(services.limits);
  }

  /**
   * Binds what the statement fetched when it ran before, so that all is of one snapshot.
   * @param before its rows then
   * @returns false: the cloud changes too fast for that
   */
  async bindAgain(before: CloudRows, proof: OneSnapshot): Promise<boolean> {
    const made = before.#made.slice(0, boundAgainMax);
    this.#names ??= nameCheck(this.session, this.services.readsZoneNames);
    await this.#names;
    for (let i = 0; i < bindingsMax; i++) {
      const isOne = await proof.boundInOne(async () => {
        for (const { delivery, table } of made) {
          const fetched = await this.#begin(delivery, table);
          this.#bound.set(delivery.sql, [...(this.#bound.get(delivery.sql) ?? []), fetched]);
        }
      });
      this.fetches = 1;
      this.#proven = 1;
      if (isOne) return true;
      this.close();
    }
    return false;
  }

  /** Is all that was fetched by now of one snapshot? */
  async areOfOneSnapshot(proof: OneSnapshot): Promise<boolean> {
    const { fetches } = this;
    if (fetches === this.#proven) return true;
    const isOne = await proof.isOneSnapshot(fetches);
    if (isOne) this.#proven = fetches;
    return isOne;
  }

  /** Closes what was bound and not asked for. */
  close(): void {
    for (const fetched of this.#bound.values()) for (const one of fetched) one.close();
    this.#bound.clear();
  }

  async open(sql: string, parameters: readonly (Uint8Array | null)[]): Promise<RowCursor> {
    const query = readCarrierQuery(sql);
    if (!query.columns.includes('ctid')) return this.#open(sql, query, parameters);
    const { writes } = this;
    if (!writes) throw new Error('a carrier of a statement that reads is asked for ctid');
    const table = this.#table(query.table);
    const columns = identified(query, table, writes.returns);
    const rows = await this.#open(sql, { ...query, columns }, parameters);
    return new IdentifiedRows(
      rows,
      writes.fetched(table),
      columns.map(c => c ?? ''),
      query.columns.length,
    );
  }

  write(sql: string, parameters: readonly (Uint8Array | null)[]): Promise<RowsWritten> {
    const { writes } = this;
    if (!writes) throw new ClarusError('0A000', 'a statement that reads is asked to write');
    return writeByCarrier(sql, parameters, writes, {
      table: oid => this.#table(oid),
      castNames: columns => castNames(columns, this.session),
      computed: (table, written, returning) => this.#computed(table, written, returning),
      generated: async (expressions, table, names, rows) =>
        generatedTexts(expressions, await allGeneratedOf(table, this.session), names, rows, this.session),
      open: query => this.#open(sql, query, parameters),
    });
  }

  async #computed(
    table: LogicalTable,
    written: readonly string[],
    returning: readonly string[],
  ): Promise<readonly GeneratedExpression[]> {
    const names = this.#generated.get(table.oid) ?? generatedColumns(table, this.session);
    this.#generated.set(table.oid, names);
    return generatedReturned(await names, table, written, returning, this.session);
  }

  #table(oid: number): LogicalTable {
    const table = this.session.catalog().tables.get(oid);
    if (!table || table.state === 'blocked') throw gone();
    return table;
  }

  async #open(
    sql: string,
    query: CarrierQuery,
    parameters: readonly (Uint8Array | null)[],
  ): Promise<RowCursor> {
    const { session, services } = this;
    if (this.#statement.secured) refuseBeforePolicies(query);
    const table = this.#table(query.table);
    const delivery = await deliveryOf(sql, query, table, session, services.plan, this.#statement);
    const width = query.columns.length + (query.expressions?.length ?? 0);
    const { finish } = delivery;
    this.#names ??= nameCheck(session, services.readsZoneNames);
    const names = await this.#names;
    if (!finish) return new DeliveredRows(await this.#fetch(delivery, table), width);
    const fetched =
      this.#keptRows(delivery) ??
      (parameters.length > 0
        ? await this.#keep(delivery, await this.#fetch(delivery, table))
        : await this.#fetch(delivery, table));
    return new FinishedRows(
      fetched,
      finish,
      delivery.columns.length,
      width,
      parameters,
      session.trusted,
      names,
    );
  }

  /**
   * All rows of a table that a statement is given, of which nothing else is asked of the cloud.
   * @returns undefined: they are too many
   */
  async only(given: GivenFetch, bound: BoundParameters): Promise<GivenColumns | undefined> {
    const { session } = this;
    if (given.fetch.kind === 'pass' || !session.asksLast()) return this.whole(given, bound);
    const rows = await this.#whole(given, bound, true);
    // more than were asked for, and the portal is gone with its transaction
    return rows === 'begun' ? this.whole(given, bound) : rows;
  }

  /**
   * All rows of a table that a statement is given.
   * @returns undefined: they are too many
   */
  async whole(given: GivenFetch, bound: BoundParameters): Promise<GivenColumns | undefined> {
    const rows = await this.#whole(given, bound, false);
    return rows === 'begun' ? undefined : rows;
  }

  /**
   * All rows of several tables, of one snapshot.
   * @param bound parameters of each fetch
   * @returns undefined: they are too many
   * @throws ClarusError 40001 where the cloud changes too fast for that
   */
  async wholeOf(
    given: readonly GivenFetch[],
    bound: readonly BoundParameters[],
    proof: OneSnapshot,
  ): Promise<readonly GivenColumns[] | undefined> {
    for (let i = 0; i < bindingsMax; i++) {
      const tables: WholeTable[] = [];
      const bind = async (): Promise<void> => {
        for (const [at, fetch] of given.entries())
          tables.push(await this.#beginWhole(fetch, bound[at]!, { alone: false, last: false }));
      };
      try {
        if (i > 0) {
          if (await proof.boundInOne(bind)) return await readAll(tables);
          continue;
        }
        await bind();
        // it takes no round trip of its own
        const [rows, isOne] = await allOf([readAll(tables), proof.isOneSnapshot(given.length)]);
        if (isOne) return rows;
      } finally {
        for (const table of tables) table.close();
      }
      this.#count = new FetchCount(this.services.limits);
    }
    throw changed();
  }

  /** @param last nothing else is asked of the cloud. @returns 'begun': there are more than were asked for at first */
  async #whole(
    given: GivenFetch,
    bound: BoundParameters,
    last: boolean,
  ): Promise<GivenColumns | 'begun' | undefined> {
    this.fetches++;
    const table = await this.#beginWhole(given, bound, { alone: true, last });
    try {
      for (;;) {
        const state = await table.next();
        if (state === 'complete') return table.rows;
        if (last) return 'begun';
        if (state === 'large') return undefined;
      }
    } finally {
      table.close();
    }
  }

  async #beginWhole(
    given: GivenFetch,
    bound: BoundParameters,
    how: Parameters<typeof beginWhole>[4],
  ): Promise<WholeTable> {
    const { session, services } = this;
    this.#names ??= nameCheck(session, services.readsZoneNames);
    const take = { names: await this.#names, count: this.#count };
    return beginWhole(given, bound, session, services.context, how, take);
  }

  async #fetch(delivery: Delivery, table: LogicalTable): Promise<Fetched> {
    if (this.#made.length < boundAgainMax) this.#made.push({ delivery, table });
    const bound = this.#bound.get(delivery.sql)?.shift();
    if (bound) return bound;
    const fetched = await this.#begin(delivery, table);
    // what is not bound yet is not proven by what is asked meanwhile
    this.fetches++;
    return fetched;
  }

  async #begin(delivery: Delivery, table: LogicalTable): Promise<Fetched> {
    const { session, services } = this;
    const names = await this.#names;
    const fetched = await fetch(delivery, session, services.context, nothing);
    const columns = delivery.columns.filter(name => name !== undefined);
    session.fetched(table, columns, 0, 0);
    return {
      next: async (count, writer) => {
        let outcome: ExecuteOutcome = { kind: 'suspended' };
        for (let left = count; left > 0 && outcome.kind === 'suspended'; ) {
          const step = Math.min(left, this.#count.step(firstStep));
          const before = writer.length;
          outcome = await fetched.next(step, writer);
          checkWritten(names, writer, before);
          const rows = outcome.kind === 'suspended' ? step : rowsOf(outcome.tag);
          session.fetched(table, columns, rows, writer.length - before);
          this.#count.add(rows, writer.length - before);
          left -= rows;
        }
        return outcome;
      },
      close: () => fetched.close(),
    };
  }

  /** Reads on until it is over, or too much to be kept. */
  async #keep({ sql }: Delivery, fetched: Fetched): Promise<Fetched> {
    const rows = new MessageWriter(64 * 1024);
    let outcome: ExecuteOutcome;
    do outcome = await fetched.next(keptBatch, rows);
    while (outcome.kind === 'suspended' && this.#kept_bytes + rows.length <= keptBytesMax);
    const bytes = Buffer.from(rows.take());
    if (outcome.kind === 'suspended') return afterwards(bytes, fetched);
    fetched.close();
    this.#kept.set(sql, bytes);
    this.#kept_bytes += bytes.length;
    return kept(bytes);
  }

  #keptRows({ sql }: Delivery): Fetched | undefined {
    const bytes = this.#kept.get(sql);
    return bytes && kept(bytes);
  }
}

/**
 * Of the generated columns that a write returns, those that read a column which it writes.
 * @param names of all generated columns of the table
 */
export async function generatedReturned(
  names: ReadonlySet<string>,
  table: LogicalTable,
  written: readonly string[],
  returning: readonly string[],
  session: SessionPort,
): Promise<readonly GeneratedExpression[]> {
  const returned = returning.filter(name => names.has(name));
  if (returned.length === 0) return [];
  const { expressions } = await allGeneratedOf(table, session);
  return expressions.filter(
    ({ column, columns }) =>
      returned.includes(column.name) && columns.some(({ name }) => written.includes(name)),
  );
}

/**
 * Columns of a query whose rows are to be written or locked.
 * @param returns RETURNING may name columns that the statement itself does not read
 */
export const identified = (
  { columns }: CarrierQuery,
  table: LogicalTable,
  returns: boolean,
): CarrierQuery['columns'] => [
  ...columns,
  'xmin',
  ...(returns ? table.columns.map(c => c.name).filter(c => !columns.includes(c)) : []),
];

/** Rows that a carrier asks for first. */
const firstStep = 64;

const gone = (): ClarusError =>
  new ClarusError('40001', 'a table was changed while the statement read it', { hint: 'Try again.' });

/** The rows of a statement are of several snapshots. */
export const changed = (): ClarusError =>
  new ClarusError('40001', 'the cloud changed while the statement read several times', {
    hint: 'Try again, or read in a transaction of ISOLATION LEVEL REPEATABLE READ.',
  });
