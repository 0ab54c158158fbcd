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
import { type Delivery, type FetchPlan, type Finish, planDelivery, type PlanStatement } from './delivery.js';
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

/** Fetches for one statement, and counts what it fetches. */
export class CloudRows implements RowSource {
  /** queries made */
  queries = 0;
  #rows = 0;
  #bytes = 0;

  constructor(
    private readonly session: SessionPort,
    private readonly services: SplitServices,
  ) {}

  async open(sql: string, parameters: readonly (Uint8Array | null)[]): Promise<RowCursor> {
    this.queries++;
    const query = readCarrierQuery(sql);
    const table = this.session.catalog().tables.get(query.table);
    if (!table || table.state === 'blocked') throw gone();
    const delivery = await planDelivery(query, table, this.session, this.services.plan);
    const fetched = await fetch(delivery, parameters, this.session, this.services.context);
    const counted: Fetched = {
      next: async (count, writer) => {
        const before = writer.length;
        const outcome = await fetched.next(count, writer);
        this.#count(outcome.kind === 'suspended' ? count : rowsOf(outcome.tag), writer.length - before);
        return outcome;
      },
      close: () => fetched.close(),
    };
    const width = query.columns.length;
    return delivery.finish
      ? new FinishedRows(counted, delivery.finish, delivery.width, width, parameters, this.session.trusted)
      : new FetchedRows(counted, width);
  }

  #count(rows: number, bytes: number): void {
    this.#rows += rows;
    this.#bytes += bytes;
    const { rows_max, bytes_max } = this.services.limits;
    if (this.#rows > rows_max || this.#bytes > bytes_max)
      throw new ClarusError('54000', 'the statement needs more rows of the cloud than one statement may fetch', {
        detail: `At most ${rows_max} rows and ${bytes_max} bytes are fetched (limits.split_rows_max, split_bytes_max).`,
        hint: 'EXPLAIN (CLARUS) shows what is fetched; a query kind on the column that it compares would let the cloud choose the rows.',
      });
  }
}

/** Rows as they come from the cloud, opened. */
interface Fetched {
  /** Writes at most `count` DataRow messages. */
  next(count: number, writer: MessageWriter): Promise<ExecuteOutcome>;
  close(): void;
}

const rowsOf = (tag: string): number => Number(/\d+$/.exec(tag)?.[0] ?? 0);
const text = [0] as const;

async function fetch(
  { fetch: plan, parameters: numbers }: Delivery,
  given: readonly (Uint8Array | null)[],
  session: SessionPort,
  context: EncodingContext,
): Promise<Fetched> {
  const values = numbers.map(number => given[number - 1] ?? null);
  const bound: BoundParameters = { values, formats: values.map(() => 0) };
  return plan.kind === 'pass' ? passed(plan, bound, session) : opened(plan, bound, session, context);
}

const statements = new WeakMap<FetchPlan, PhysicalStatement>();

function passed(
  plan: Extract<FetchPlan, { kind: 'pass' }>,
  { values }: BoundParameters,
  { cloud }: SessionPort,
): Fetched {
  const known = statements.get(plan) ?? physical(plan.sql, []);
  statements.set(plan, known);
  const portal = cloud.bind(known, values, { parameters: text, results: text }, named);
  return {
    async next(count, writer) {
      const outcome = portal.execute(count, { rows: batch => copyRows(batch, writer) });
      cloud.flush();
      return outcome;
    },
    close: () => portal.close(),
  };
}

async function opened(
  plan: Extract<FetchPlan, { kind: 'protected' }>,
  bound: BoundParameters,
  session: SessionPort,
  context: EncodingContext,
): Promise<Fetched> {
  const client = new WriterPort();
  const portal: Portal = await bindRead(plan.body as ReadBody, {
    plan,
    bound,
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
    close: () => portal.close(),
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
      const all = this.finish.sorts ? 0 : left;
      this.#over = (await this.fetched.next(all, this.#batch)).kind === 'complete';
      left -= await this.#evaluate(writer);
    }
  }

  close(): void {
    this.fetched.close();
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

const gone = (): ClarusError =>
  new ClarusError('40001', 'a table was changed while the statement read it', { hint: 'Try again.' });

