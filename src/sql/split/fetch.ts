/** Rows as the cloud gives them for one fetch, opened. */
import { plain } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { physical } from '../compilation.js';
import type { Answering, ReadBody } from '../execute/bodies.js';
import { OpeningSink } from '../execute/opening.js';
import { cloudFormats, formatsOf, named, type Portal } from '../execute/portal.js';
import { bindRead, bindReading } from '../execute/read-portal.js';
import type { BoundParameters, OutputColumn, PhysicalStatement, ProtectedPlan } from '../plan.js';
import type {
  ClientPort,
  DataRows,
  ExecuteOutcome,
  PortalPort,
  RowSink,
  SessionPort,
  StatementPort,
} from '../ports.js';
import type { Output } from '../read/targets.js';
import type { Delivery, FetchPlan } from './delivery.js';
import { mayRound, rounds } from './exact.js';
import { printingFetched } from './fetching.js';
import type { GivenColumns } from './given-columns.js';

/** Rows as they come from the cloud, opened. */
export interface Fetched {
  /** Writes at most `count` DataRow messages. */
  next(count: number, writer: MessageWriter): Promise<ExecuteOutcome>;
  close(): void;
}

/** Number of rows in the tag of a SELECT. */
export const rowsOf = (tag: string): number => Number(/\d+$/.exec(tag)?.[0] ?? 0);
const text = [0] as const;
/** Rows that are fetched at a time to be kept. */
export const keptBatch = 2_000;

/** Rows that were kept: all at once. */
export const kept = (bytes: Buffer): Fetched => ({
  async next(_count, writer) {
    writer.bytes(bytes);
    return { kind: 'complete', tag: 'SELECT 0' };
  },
  close: () => undefined,
});

/** Rows that were fetched already, then the rest. */
export function afterwards(bytes: Buffer, rest: Fetched): Fetched {
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

/** No parameters. */
export const nothing: BoundParameters = { values: [], formats: [] };

/** The values in the conditions of a carrier's fetch are constants, which become operands. */
export const fetch = async (
  { fetch: plan }: Pick<Delivery, 'fetch'>,
  session: SessionPort,
  context: EncodingContext,
  bound: BoundParameters,
): Promise<Fetched> =>
  plan.kind === 'pass' ? passed(plan, session, context) : opened(plan, session, context, bound);

const statements = new WeakMap<FetchPlan, PhysicalStatement>();

function physicalOf(plan: Extract<FetchPlan, { kind: 'pass' }>): PhysicalStatement {
  const known = statements.get(plan) ?? physical(plan.sql, []);
  statements.set(plan, known);
  return known;
}

function passed(
  plan: Extract<FetchPlan, { kind: 'pass' }>,
  session: SessionPort,
  context: EncodingContext,
): Fetched {
  const { cloud } = session;
  const columns = plan.shape?.columns ?? [];
  const answering = exactAnswering(open(columns.length), columns, session);
  const formats = formatsOf(text, columns.length);
  const results = cloudFormats(answering, formats);
  const portal = cloud.bind(physicalOf(plan), [], { parameters: [], results }, named);
  const client = new WriterPort();
  const sink: RowSink =
    answering.binary.size === 0
      ? { rows: batch => copyRows(batch, client.writer) }
      : new OpeningSink(answering, formats, printingFetched(session, client), context);
  const rows = executing(portal, sink, cloud);
  return {
    next(count, writer) {
      client.current = writer;
      return rows.next(count);
    },
    close: rows.close,
  };
}

async function opened(
  plan: Extract<FetchPlan, { kind: 'protected' }>,
  session: SessionPort,
  context: EncodingContext,
  bound: BoundParameters,
): Promise<Fetched> {
  const client = new WriterPort();
  const portal: Portal = await bindRead(exactBody(plan, session), {
    plan,
    bound,
    formats: formatsOf(text, plan.shape.columns?.length ?? 0),
    session: printingFetched(session, client),
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

/** Columns of rows that are being fetched. */
export interface FetchedColumns {
  /** Takes at most so many rows. */
  next(count: number): Promise<ExecuteOutcome>;
  close(): void;
}

/**
 * Fetches rows by column.
 * @param formats of the columns
 * @param rows takes them
 * @param alone nothing else is fetched meanwhile, so that the portal needs no name and no Close
 * @param last they are asked for with a Sync, which may end the portal
 */
export async function fetchColumns(
  plan: FetchPlan,
  formats: readonly (0 | 1)[],
  rows: GivenColumns,
  session: SessionPort,
  context: EncodingContext,
  bound: BoundParameters,
  { alone, last }: { readonly alone: boolean; readonly last: boolean },
): Promise<FetchedColumns> {
  if (plan.kind === 'pass') return passedColumns(plan, formats, rows, session, context);
  const own = printingFetched(session, new WriterPort(new MessageWriter(64)));
  const portal: Portal = await bindReading(
    exactBody(plan, session),
    { plan, bound, formats, session: own, context, portal: alone ? undefined : named },
    rows.add,
  );
  let isLast = last;
  return {
    async next(count) {
      const outcome = new Promise<ExecuteOutcome>((resolve, reject) => {
        void portal.execute(count, { done: resolve, failed: reject });
      });
      if (!isLast) {
        session.cloud.flush();
        return outcome;
      }
      isLast = false;
      const [executed, synced] = await Promise.allSettled([outcome, session.cloud.flushLast()]);
      if (executed.status === 'rejected') throw executed.reason;
      if (synced.status === 'rejected') throw synced.reason;
      return executed.value;
    },
    close() {
      portal.close();
      if (!alone) session.cloud.flush();
    },
  };
}

function passedColumns(
  plan: Extract<FetchPlan, { kind: 'pass' }>,
  formats: readonly (0 | 1)[],
  rows: GivenColumns,
  session: SessionPort,
  context: EncodingContext,
): FetchedColumns {
  const { cloud } = session;
  const answering = exactAnswering(open(formats.length), plan.shape?.columns ?? [], session);
  const results = cloudFormats(answering, formats);
  const portal = cloud.bind(physicalOf(plan), [], { parameters: [], results }, named);
  const own = printingFetched(session, new WriterPort(new MessageWriter(64)));
  const sink = new OpeningSink(answering, formats, own, context, rows.add);
  return executing(portal, sink, cloud);
}

/** A portal of the cloud that gives its rows to a sink. */
const executing = (portal: PortalPort, sink: RowSink, cloud: StatementPort): FetchedColumns => ({
  next(count) {
    const outcome = portal.execute(count, sink);
    cloud.flush();
    return outcome;
  },
  close() {
    portal.close();
    cloud.flush();
  },
});

/** Columns as the cloud gives them. */
const open = (width: number): Answering => ({
  outputs: Array.from({ length: width }, (_, place) => ({ kind: 'open', place })),
  binary: new Set(),
  width,
});

const exactBody = ({ body, shape }: ProtectedPlan, session: SessionPort): ReadBody => {
  const read = body as ReadBody;
  const answering = exactAnswering(read.answering, shape.columns ?? [], session);
  return answering === read.answering ? read : { ...read, answering };
};

/** Where the cloud would print values of open columns rounded, they come in binary form and are printed here. */
function exactAnswering(
  answering: Answering,
  columns: readonly OutputColumn[],
  { settings }: SessionPort,
): Answering {
  if (!rounds(settings)) return answering;
  const binary = new Set(answering.binary);
  const outputs = answering.outputs.map((output, i): Output => {
    const column = columns[i];
    if (output.kind !== 'open' || !column || !mayRound(column.typeOid)) return output;
    const { typeOid: oid, typeModifier: modifier } = column;
    binary.add(output.place);
    return {
      kind: 'finish',
      place: output.place,
      finish: async values => plain(values),
      type: { oid, modifier },
    };
  });
  return { ...answering, outputs, binary };
}

/** Takes rows in place of the client. */
class WriterPort implements ClientPort {
  constructor(public current?: MessageWriter) {}

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
