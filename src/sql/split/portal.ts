/** Portals of split statements: the trusted PostgreSQL runs them, and its carriers ask for rows meanwhile. */
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import type { SplitBody } from '../execute/bodies.js';
import { type CopyOutFormat, copyEpilogue, copyPrologue, copyRows } from '../execute/copy-out.js';
import { cannotBeRun, transactionTime } from '../execute/given.js';
import { HeldRows } from '../execute/held-rows.js';
import { OpeningSink } from '../execute/opening.js';
import { type Bound, named, type Portal } from '../execute/portal.js';
import type { DataRows, ExecuteOutcome, PortalPort, Residual, ResidualPort, RowSink } from '../plan.js';
import { CloudRows, type SplitServices } from './cloud-rows.js';

/** Bytes of rows that may be kept for a client that takes them in parts. */
const heldBytesMax = 64 * 1024 * 1024;

/**
 * @param residual of the session
 * @param copy COPY (SELECT ...) TO: the rows are its data
 */
export function bindSplit(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  copy?: CopyOutFormat,
): Portal {
  return new SplitPortal(body, bound, residual, services, copy);
}

class SplitPortal implements Portal {
  readonly copyOut?: CopyOutFormat;
  readonly #rows: CloudRows;
  #residual: Residual | undefined;
  #portal: PortalPort | undefined;
  #held: HeldRows | undefined;
  #over = false;

  constructor(
    private readonly body: SplitBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    copy: CopyOutFormat | undefined,
  ) {
    if (copy) this.copyOut = copy;
    this.#rows = new CloudRows(bound.session, services, { shown: body.shown, bound: bound.bound });
  }

  async execute(maxRows: number): Promise<ExecuteOutcome> {
    const { copyOut } = this;
    const { client } = this.bound.session;
    if (this.#over) {
      if (copyOut) throw new ClarusError('55000', cannotBeRun(this.bound.portal));
      return this.#held?.give(maxRows, client, 'SELECT') ?? { kind: 'complete', tag: 'SELECT 0' };
    }
    const residual = await this.residual.begin(this.#rows, this.body.tables);
    this.#residual = residual;
    // It is read to its end at once: what is done between two parts of it must not show.
    if (maxRows > 0) this.#held = new HeldRows(heldBytesMax, 'a query');
    try {
      this.#portal = await this.#bind(residual);
      const outcome = await (copyOut
        ? this.#copy(copyOut, residual, this.#portal)
        : run(residual, this.#portal, { rows: rows => this.#give(rows) }));
      if (!(await residual.isOneSnapshot(this.#rows.fetches))) throw changed();
      this.close();
      await residual.finish();
      return (await this.#held?.give(maxRows, client, 'SELECT')) ?? outcome;
    } catch (error) {
      this.close();
      throw residual.failure ?? error;
    }
  }

  /** Rows as they are. They are copied, because the client takes them in its time. */
  #give({ buffer, starts, count }: DataRows): void | Promise<void> {
    if (count === 0) return;
    const last = starts[count - 1]! - 4;
    const rows = buffer.subarray(starts[0]! - 5, last + buffer.readInt32BE(last));
    if (!this.#held) return this.bound.session.client.write(Buffer.from(rows));
    this.#held.writer.bytes(rows);
    this.#held.written();
  }

  /** Rows as data of COPY. */
  async #copy(copy: CopyOutFormat, residual: Residual, portal: PortalPort): Promise<ExecuteOutcome> {
    const { formats, session } = this.bound;
    const outputs = Array.from({ length: copy.columns }, (_, place) => ({ kind: 'open' as const, place }));
    const answering = { outputs, binary: new Set<number>(), width: copy.columns };
    const writer = new MessageWriter();
    const written = (): void | Promise<void> =>
      writer.length > 0 ? session.client.write(writer.take()) : undefined;
    const sink = new OpeningSink(answering, formats, session, this.services.context, copyRows(copy), {
      writer,
      written,
    });
    copyPrologue(writer, copy);
    await written();
    await run(residual, portal, sink);
    copyEpilogue(writer, copy);
    await written();
    return { kind: 'complete', tag: `COPY ${sink.rowsOpened}` };
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#portal?.close();
    this.#residual?.over();
  }

  async #bind({ port }: Residual): Promise<PortalPort> {
    const { bound, formats, session } = this.bound;
    const { statement, time } = this.body;
    const parameters = [...bound.formats, ...(time ? [1 as const] : [])];
    const values = [...bound.values, ...(time ? [await transactionTime(session)] : [])];
    return port.bind(statement, values, { parameters, results: formats }, named);
  }
}

async function run({ port }: Residual, portal: PortalPort, sink: RowSink): Promise<ExecuteOutcome> {
  const outcome = portal.execute(0, sink);
  port.flush();
  return outcome;
}

const changed = (): ClarusError =>
  new ClarusError('40001', 'the cloud changed while the statement read several times', {
    hint: 'Try again, or read in a transaction of ISOLATION LEVEL REPEATABLE READ.',
  });
