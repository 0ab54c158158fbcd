/** Rows of a cloud for the carriers of one statement. */
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { physical } from '../compilation.js';
import type { ReadBody } from '../execute/bodies.js';
import { formatsOf, named, type Portal } from '../execute/portal.js';
import { bindRead } from '../execute/read-portal.js';
import type {
  BoundParameters,
  ClientPort,
  DataRows,
  ExecuteOutcome,
  PhysicalStatement,
  SessionPort,
  StatementPort,
} from '../plan.js';
import type { RowCursor, RowSource } from '../residual.js';
import { readCarrierQuery } from './carrier-query.js';
import {
  type Delivery,
  deliveryOf,
  type FetchPlan,
  type Finish,
  type PlanStatement,
  type ShowsItself,
} from './delivery.js';
import { fetching } from './fetching.js';
import { TextColumns } from './text-columns.js';

/** What one statement may fetch. */
export interface SplitLimits {
  readonly rows_max: number;
  readonly bytes_max: number;
}

/** What fetching needs beside the session. */
export interface SplitServices {
  readonly limits: SplitLimits;
  readonly plan: PlanStatement;
  readonly context: EncodingContext;
}

/** Bytes of fetched rows that are kept for a table that is read again and again. */
const keptBytesMax = 32 * 1024 * 1024;

/** Fetches for one statement, and counts what it fetches. */
export class CloudRows implements RowSource {
  /** fetches made */
  fetches = 0;
  #rows = 0;
  #bytes = 0;
  /** rows of what a correlated subquery reads, by the statement that fetched them */
  readonly #kept = new Map<string, Buffer>();
  #kept_bytes = 0;

  constructor(
    private readonly session: SessionPort,
    private readonly services: SplitServices,
    private readonly statement: ShowsItself,
  ) {}

  async open(sql: string, parameters: readonly (Uint8Array | null)[]): Promise<RowCursor> {
    const query = readCarrierQuery(sql);
    const { session, services } = this;
    const table = session.catalog().tables.get(query.table);
    if (!table || table.state === 'blocked') throw gone();
    const delivery = await deliveryOf(sql, query, table, session, services.plan, this.statement);
    const width = query.columns.length;
    const { finish } = delivery;
    if (!finish) return new FetchedRows(await this.#fetch(delivery), width);
    const fetched =
      this.#keptRows(delivery) ??
      (parameters.length > 0
        ? await this.#keep(delivery, await this.#fetch(delivery))
        : await this.#fetch(delivery));
    return new FinishedRows(fetched, finish, delivery.width, width, parameters, session.trusted);
  }

  async #fetch(delivery: Delivery): Promise<Fetched> {
    this.fetches++;
    const { session, services } = this;
    const fetched = await fetch(delivery, session, services.context);
    return {
      next: async (count, writer) => {
        let outcome: ExecuteOutcome = { kind: 'suspended' };
        for (let left = count; left > 0 && outcome.kind === 'suspended'; ) {
          const step = Math.min(left, this.#step());
          const before = writer.length;
          outcome = await fetched.next(step, writer);
          const rows = outcome.kind === 'suspended' ? step : rowsOf(outcome.tag);
          this.#count(rows, writer.length - before);
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

  /** Rows to ask for next: so few that their bytes are counted before they are many. */
  #step(): number {
    if (this.#rows === 0) return firstStep;
    return Math.max(1, Math.floor((stepBytes * this.#rows) / Math.max(1, this.#bytes)));
  }

  #count(rows: number, bytes: number): void {
    this.#rows += rows;
    this.#bytes += bytes;
    const { rows_max, bytes_max } = this.services.limits;
    if (this.#rows > rows_max || this.#bytes > bytes_max)
      throw new ClarusError(
        '54000',
        'the statement needs more rows of the cloud than one statement may fetch',
        {
          detail: `At most ${rows_max} rows and ${bytes_max} bytes are fetched (limits.split_rows_max, split_bytes_max).`,
          hint: 'EXPLAIN (CLARUS) shows what is fetched; a query kind on the column that it compares would let the cloud choose the rows.',
        },
      );
  }
}

/** Rows that are asked for first, and bytes that are asked for at a time. */
const firstStep = 64;
const stepBytes = 4 * 1024 * 1024;

/** Rows as they come from the cloud, opened. */
interface Fetched {
  /** Writes at most `count` DataRow messages. */
  next(count: number, writer: MessageWriter): Promise<ExecuteOutcome>;
  close(): void;
}

const rowsOf = (tag: string): number => Number(/\d+$/.exec(tag)?.[0] ?? 0);
const text = [0] as const;
/** Rows that are fetched at a time to be kept. */
const keptBatch = 2_000;

/** Rows that were kept: all at once. */
const kept = (bytes: Buffer): Fetched => ({
  async next(_count, writer) {
    writer.bytes(bytes);
    return { kind: 'complete', tag: 'SELECT 0' };
  },
  close: () => undefined,
});

/** Rows that were fetched already, then the rest. */
function afterwards(bytes: Buffer, rest: Fetched): Fetched {
  let first = true;
  return {
    async next(count, writer) {
      if (!first) return rest.next(count, writer);
      first = false;
      writer.bytes(bytes);
      return { kind: 'suspended' };
    },
    close: () => rest.close(),
  };
}

const nothing: BoundParameters = { values: [], formats: [] };

/** The values in the conditions of a fetch are constants, which become operands. */
const fetch = async (
  { fetch: plan }: Delivery,
  session: SessionPort,
  context: EncodingContext,
): Promise<Fetched> => (plan.kind === 'pass' ? passed(plan, session) : opened(plan, session, context));

const statements = new WeakMap<FetchPlan, PhysicalStatement>();

function passed(plan: Extract<FetchPlan, { kind: 'pass' }>, { cloud }: SessionPort): Fetched {
  const known = statements.get(plan) ?? physical(plan.sql, []);
  statements.set(plan, known);
  const portal = cloud.bind(known, [], { parameters: [], results: text }, named);
  return {
    async next(count, writer) {
      const outcome = portal.execute(count, { rows: batch => copyRows(batch, writer) });
      cloud.flush();
      return outcome;
    },
    close() {
      portal.close();
      cloud.flush();
    },
  };
}

async function opened(
  plan: Extract<FetchPlan, { kind: 'protected' }>,
  session: SessionPort,
  context: EncodingContext,
): Promise<Fetched> {
  const client = new WriterPort();
  const portal: Portal = await bindRead(plan.body as ReadBody, {
    plan,
    bound: nothing,
    formats: formatsOf(text, plan.shape.columns?.length ?? 0),
    session: fetching(session, client),
    context,
    portal: named,
  });
  return {
    next: (count, writer) =>
      new Promise((resolve, reject) => {
        client.current = writer;
        void portal.execute(count, { done: resolve, failed: reject });
        session.cloud.flush();
      }),
    close() {
      portal.close();
      session.cloud.flush();
    },
  };
}

/** Takes rows in place of the client. */
class WriterPort implements ClientPort {
  current: MessageWriter | undefined;

  get writer(): MessageWriter {
    return this.current!;
  }
  written(): void {}
  write(messages: Uint8Array): void {
    this.writer.bytes(messages);
  }
  notice(): void {}
}

/** Copies whole DataRow messages. */
export function copyRows({ buffer, starts, count }: DataRows, writer: MessageWriter): void {
  if (count === 0) return;
  const last = starts[count - 1]! - 4;
  writer.slice(buffer, starts[0]! - 5, last + buffer.readInt32BE(last));
}

/** Rows that are delivered as they are. */
class FetchedRows implements RowCursor {
  #over = false;

  constructor(
    private readonly fetched: Fetched,
    readonly width: number,
  ) {}

  async next(count: number, writer: MessageWriter): Promise<void> {
    if (this.#over) return;
    this.#over = (await this.fetched.next(count, writer)).kind === 'complete';
  }

  close(): void {
    this.fetched.close();
  }
}

/** Rows that the trusted PostgreSQL finishes, batch by batch: it evaluates what the cloud could not. */
class FinishedRows implements RowCursor {
  readonly #batch = new MessageWriter();
  #over = false;

  constructor(
    private readonly fetched: Fetched,
    private readonly finish: Finish,
    private readonly fetchedWidth: number,
    readonly width: number,
    private readonly parameters: readonly (Uint8Array | null)[],
    private readonly trusted: StatementPort,
  ) {}

  async next(count: number, writer: MessageWriter): Promise<void> {
    let left = count;
    while (left > 0 && !this.#over) {
      this.#batch.discard();
      if (this.finish.sorts) await this.#all();
      else this.#over = (await this.fetched.next(left, this.#batch)).kind === 'complete';
      left -= await this.#evaluate(writer);
    }
  }

  close(): void {
    this.fetched.close();
  }

  /** @throws ClarusError 54000 where they are too many to be sorted at once */
  async #all(): Promise<void> {
    while (!this.#over) {
      this.#over = (await this.fetched.next(keptBatch, this.#batch)).kind === 'complete';
      if (this.#batch.length > sortedBytesMax) throw tooMuchToSort();
    }
  }

  async #evaluate(writer: MessageWriter): Promise<number> {
    const columns = new TextColumns(this.#batch.take(), this.fetchedWidth);
    if (columns.rows === 0) return 0;
    const { finish } = this;
    const values = [
      ...columns.arrays(),
      ...finish.parameters.map(number => this.parameters[number - 1] ?? null),
    ];
    const formats = values.map((_, i) => (i < this.fetchedWidth ? 1 : 0));
    const portal = this.trusted.bind(finish.statement, values, { parameters: formats, results: text });
    const outcome = portal.execute(0, { rows: batch => copyRows(batch, writer) });
    this.trusted.flush();
    const done = await outcome;
    return done.kind === 'complete' ? rowsOf(done.tag) : 0;
  }
}

/** Bytes of rows that are sorted at once. */
const sortedBytesMax = 64 * 1024 * 1024;

const tooMuchToSort = (): ClarusError =>
  new ClarusError('54000', 'a table is too large to be delivered in the order that a statement asks for', {
    hint: "Leave ORDER BY out, or order by an expression such as (a || '').",
  });

const gone = (): ClarusError =>
  new ClarusError('40001', 'a table was changed while the statement read it', { hint: 'Try again.' });
