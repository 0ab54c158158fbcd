/** Portals of protected plans: what Bind makes and Execute runs. */
import { type Awaitable, inOrder, whenKnown } from '../../awaitable.js';
import type { LogicalTable } from '../../catalog/catalog.js';
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { arrayOf, readRowId, rowIdArray } from '../../wire/arrays.js';
import { MessageWriter } from '../../wire/message-writer.js';
import type {
  BoundParameters,
  DataRows,
  ExecuteOutcome,
  Execution,
  OutcomeListener,
  PortalPort,
  ProtectedPlan,
  RowSink,
  SessionPort,
} from '../plan.js';
import { physicalType } from '../write/insert.js';
import { hasSideTables } from '../write/modify.js';
import type { Answering, InsertBody, ReadBody, UpdateBody } from './bodies.js';
import { type CopyOutFormat, copyEpilogue, copyPrologue, copyRows } from './copy-out.js';
import { cannotBeRun, Given } from './given.js';
import { OpeningSink } from './opening.js';
import { physicalParameters, protectOperand } from './operands.js';
import { deleteSides, physicalOid, protectRows, writeSides } from './protecting.js';
import { WrittenValues } from './written.js';

/** What executions need beside the session. */
export interface ExecutionServices {
  context(session: SessionPort): EncodingContext;
  /** first of `count` consecutive row ids of a table, reserved durably */
  rowIds(table: number, count: number): Promise<number>;
}

/** A portal over protected tables, as the gateway runs it. */
export interface Portal {
  /** @param listener hears how it ended, where it is pipelined */
  execute(maxRows: number, listener: OutcomeListener): Awaitable<Execution>;
  close(): void;
  readonly copyOut?: CopyOutFormat;
}

/** A protected plan with what Bind brought. `portal` is the client's name for it, undefined where it has none. */
export interface Bound {
  readonly plan: ProtectedPlan;
  readonly bound: BoundParameters;
  readonly formats: readonly (0 | 1)[];
  readonly session: SessionPort;
  readonly context: EncodingContext;
  readonly portal: string | undefined;
}

/** One format a column of the answer, from what Bind said (none: text; one: for all). */
export function formatsOf(formats: readonly (0 | 1)[], columns: number): readonly (0 | 1)[] {
  if (formats.length > 1 && formats.length !== columns)
    throw new ClarusError(
      '08P01',
      `bind message has ${formats.length} result formats but query has ${columns} columns`,
    );
  if (formats.length > 1) return formats;
  const same = uniform[formats[0] ?? 0];
  same[columns] ??= new Array<0 | 1>(columns).fill(formats[0] ?? 0);
  return same[columns];
}

/** All text and all binary: the same array for the same number of columns. */
const uniform: readonly [(readonly (0 | 1)[])[], (readonly (0 | 1)[])[]] = [[], []];

/** What was asked last of an answer, and came to. */
const lastFormats = new WeakMap<
  Answering,
  { readonly asked: readonly (0 | 1)[]; readonly cloud: readonly (0 | 1)[] }
>();

/** Formats of the cloud's columns: what is opened comes in binary form, the rest as the client wants it. */
function cloudFormats(answering: Answering, asked: readonly (0 | 1)[]): readonly (0 | 1)[] {
  const last = lastFormats.get(answering);
  if (last?.asked === asked) return last.cloud;
  const { binary, width } = answering;
  const cloud = Array.from({ length: width }, (_, place) => (binary.has(place) ? 1 : (asked[place] ?? 0)));
  lastFormats.set(answering, { asked, cloud });
  return cloud;
}

const givenOf = ({ plan, bound, session, portal }: Bound): Given => new Given(plan, bound, session, portal);

/** Physical parameters by operand and part. */
type Operands = readonly (readonly (Uint8Array | null)[])[];

const bindOperands = (
  operands: ReadBody['operands'],
  given: Given,
  context: EncodingContext,
): Awaitable<Operands> => inOrder(operands, operand => protectOperand(operand, given, context));

/** SELECT, DELETE and UPDATE of unprotected columns: one statement, pipelined. */
export function bindRead(body: ReadBody, b: Bound, copy?: CopyOutFormat): Awaitable<Portal> {
  const given = givenOf(b);
  return whenKnown(bindOperands(body.operands, given, b.context), operands =>
    readPortal(body, b, given, operands, copy),
  );
}

function readPortal(
  body: ReadBody,
  b: Bound,
  given: Given,
  operands: Operands,
  copy: CopyOutFormat | undefined,
): Portal {
  const { values, formats } = physicalParameters(
    body.cloud.parameters,
    b.bound,
    (operand, part) => operands[operand]![part]!,
  );
  const port = b.session.cloud.bind(
    body.cloud.statement,
    values,
    { parameters: formats, results: cloudFormats(body.answering, b.formats) },
    b.portal,
  );
  const sink = new OpeningSink(
    body.answering,
    b.formats,
    b.session,
    b.context,
    copy ? copyRows(copy) : undefined,
  );
  const executions = new Executions(b, body.answering);
  return {
    ...(copy ? { copyOut: copy } : {}),
    execute(maxRows, listener) {
      if (executions.over) return executions.again();
      executions.begin(maxRows);
      if (copy) return copyOut(port, sink, copy, b.session);
      if (body.deletes) return deleteRows(port, sink, maxRows, body.deletes, given.placing(body.cloud), b);
      port.start(maxRows, sink, given.placed(listener, body.cloud));
      return pipelined;
    },
    close: () => port.close(),
  };
}

const pipelined: Execution = { kind: 'pipelined' };

/** Runs a DELETE, whose side tables follow. */
async function deleteRows(
  port: PortalPort,
  sink: OpeningSink,
  maxRows: number,
  deletes: LogicalTable,
  placing: (error: unknown) => never,
  { session }: Bound,
): Promise<ExecuteOutcome> {
  const outcome = port.execute(maxRows, sink).catch(placing);
  session.cloud.flush();
  const done = await outcome;
  await deleteSides(deletes, undefined, Float64Array.from(sink.writtenRows.splice(0)), session);
  return done;
}

/** Runs a read whose rows are CopyData: what comes before and after them is written here. */
async function copyOut(
  port: PortalPort,
  sink: OpeningSink,
  copy: CopyOutFormat,
  session: SessionPort,
): Promise<ExecuteOutcome> {
  const writer = new MessageWriter(256);
  copyPrologue(writer, copy);
  if (writer.length) await session.client.write(writer.take());
  const outcome = port.execute(0, sink);
  session.cloud.flush();
  await outcome;
  copyEpilogue(writer, copy);
  if (writer.length) await session.client.write(writer.take());
  return { kind: 'complete', tag: `COPY ${sink.rowsOpened}` };
}

/** INSERT ... VALUES: values are protected when it executes; one statement, pipelined unless side tables follow. */
export async function bindInsert(body: InsertBody, b: Bound, services: ExecutionServices): Promise<Portal> {
  const given = givenOf(b);
  const known = await WrittenValues.bind(body.written, given);
  let port: PortalPort | undefined;
  const sink = new OpeningSink(body.answering, b.formats, b.session, b.context);
  const executions = new Executions(b, body.answering);
  return {
    async execute(maxRows, listener) {
      if (executions.over) return executions.again();
      executions.begin(hasSideTables(body.table) ? 0 : maxRows);
      const placed = given.placed(listener, body.cloud);
      if (port) {
        port.start(maxRows, sink, placed);
        return pipelined;
      }
      const columns = await known.decide();
      const first = await services.rowIds(body.table.number, body.rows);
      const rows = Float64Array.from({ length: body.rows }, (_, i) => first + i);
      const written = await protectRows(body.written, rows, columns, b.context);
      const rowArray = rowIdArray(rows);
      const { values, formats } = physicalParameters(body.cloud.parameters, b.bound, (operand, part) => {
        const from = (-1 - part) * body.lot;
        const to = Math.min(from + body.lot, body.rows);
        if (operand === 0)
          return part < 0
            ? rowIdArray(rows.subarray(from, to))
            : rowArray.subarray(24 + 12 * part, 32 + 12 * part);
        const column = written.columns.get(operand)!;
        if (part < 0) return arrayOf(lotOf(column, from, to), elementOid(body, operand));
        return column.nulls?.[part]
          ? null
          : column.data.subarray(column.offsets[part]!, column.offsets[part + 1]!);
      });
      port = b.session.cloud.bind(
        body.cloud.statement,
        values,
        { parameters: formats, results: cloudFormats(body.answering, b.formats) },
        b.portal,
      );
      if (!hasSideTables(body.table)) {
        port.start(maxRows, sink, placed);
        return pipelined;
      }
      const outcome = port.execute(0, sink).catch(given.placing(body.cloud));
      b.session.cloud.flush();
      const done = await outcome;
      await writeSides(written.sides, b.session, new Set(sink.writtenRows));
      return done;
    },
    close: () => port?.close(),
  };
}

/** How often a portal was executed: what it has run to its end gives no more rows, and writes nothing again. */
class Executions {
  over = false;

  constructor(
    private readonly bound: Bound,
    private readonly answering: Answering,
  ) {}

  /** @param maxRows 0: to the end; else the server's portal knows where it stands */
  begin(maxRows: number): void {
    this.over = maxRows === 0;
  }

  /** @throws ClarusError 55000 for a write that returns no rows */
  again(): ExecuteOutcome {
    const { plan, portal } = this.bound;
    const returnsRows = plan.command === 'SELECT' || (plan.command !== 'COPY' && this.answering.width > 0);
    if (!returnsRows) throw new ClarusError('55000', cannotBeRun(portal));
    const tag = `${plan.command}${plan.command === 'INSERT' ? ' 0' : ''} 0`;
    return { kind: 'complete', tag };
  }
}

/** Values `from` to `to` of a column, in place. */
const lotOf = ({ data, offsets, nulls }: ByteColumn, from: number, to: number): ByteColumn => ({
  length: to - from,
  data,
  offsets: offsets.subarray(from, to + 1),
  nulls: nulls?.subarray(from, to),
});

function elementOid(body: Pick<InsertBody, 'written'>, operand: number): number {
  for (const { forms } of body.written)
    for (const form of forms)
      for (const [role, own] of Object.entries(form.operands))
        if (own === operand) return physicalOid(physicalType(form, role));
  throw new Error(`no written column has operand ${operand}`);
}

/** Rows of one UPDATE by row id: bounds the size of a message. */
const UPDATE_ROWS_MAX = 10_000;

/** UPDATE of protected columns: lock exactly the matching rows, then write them by row id. */
export async function bindUpdate(body: UpdateBody, b: Bound): Promise<Portal> {
  const given = givenOf(b);
  // No row may match, and then the cloud never sees what is assigned to unprotected columns.
  if (body.assignsOpen) await given.mustBind();
  const operands = await bindOperands(body.operands, given, b.context);
  const known = await WrittenValues.bind(body.written, given);
  const sink = new OpeningSink(body.answering, b.formats, b.session, b.context);
  const executions = new Executions(b, body.answering);
  return {
    async execute() {
      if (executions.over) return executions.again();
      // all rows are given, whatever limit the client says
      executions.begin(0);
      const lock = physicalParameters(
        body.lock.parameters,
        b.bound,
        (operand, part) => operands[operand]![part]!,
      );
      const found = new RowIdSink();
      const locking = b.session.cloud.bind(body.lock.statement, lock.values, {
        parameters: lock.formats,
        results: [1],
      });
      const locked = locking.execute(0, found).catch(given.placing(body.lock));
      b.session.cloud.flush();
      await locked;
      const values = found.ids.length > 0 ? await known.decide() : [];
      let count = 0;
      for (let from = 0; from < found.ids.length; from += UPDATE_ROWS_MAX) {
        const rows = Float64Array.from(found.ids.slice(from, from + UPDATE_ROWS_MAX));
        const repeated = values.map(value => repeat(value, rows.length));
        const written = await protectRows(body.written, rows, repeated, b.context);
        const parameters = physicalParameters(body.cloud.parameters, b.bound, operand =>
          operand === 0
            ? rowIdArray(rows)
            : arrayOf(written.columns.get(operand)!, elementOid(body, operand)),
        );
        const port = b.session.cloud.bind(body.cloud.statement, parameters.values, {
          parameters: parameters.formats,
          results: cloudFormats(body.answering, b.formats),
        });
        const outcome = port.execute(0, sink);
        b.session.cloud.flush();
        count += countOf(await outcome);
        if (hasSideTables(body.table)) {
          await deleteSides(
            body.table,
            body.written.map(w => w.column),
            rows,
            b.session,
          );
          await writeSides(written.sides, b.session);
        }
      }
      return { kind: 'complete', tag: `UPDATE ${count}` };
    },
    close: () => undefined,
  };
}

class RowIdSink implements RowSink {
  readonly ids: number[] = [];
  rows({ buffer, starts, count }: DataRows): void {
    // one int8 column: field count, length, value
    for (let i = 0; i < count; i++) this.ids.push(readRowId(buffer, starts[i]! + 6));
  }
}

const countOf = (outcome: ExecuteOutcome): number =>
  outcome.kind === 'complete' ? Number(/(\d+)$/.exec(outcome.tag)?.[1] ?? 0) : 0;

const repeat = (value: PlainColumn, times: number): PlainColumn => {
  const one = valueAt(value, 0);
  return plain(columnOf(new Array<Uint8Array | null>(times).fill(one)));
};
