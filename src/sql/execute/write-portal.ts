/** Portals that protect values: INSERT, and UPDATE of protected columns. */
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { arrayOf, readRowId, rowIdArray } from '../../wire/arrays.js';
import { type BrokenRow, firstBroken, timeOf } from '../checks/broken.js';
import { storedValues } from '../checks/stored.js';
import type { DataRows, ExecuteOutcome, PortalPort, RowSink } from '../ports.js';
import { mustBeWritable, saidOf } from '../split/write/read-only.js';
import { physicalType } from '../write/forms.js';
import { hasSideTables } from '../write/modify.js';
import type { CheckedUpdate, InsertBody, UpdateBody } from './bodies.js';
import { OpeningSink } from './opening.js';
import { physicalParameters } from './operands.js';
import {
  type Bound,
  bindOperands,
  cloudFormats,
  type ExecutionServices,
  Executions,
  givenOf,
  named,
  type Portal,
  pipelined,
  ROWS_MAX,
  Writing,
} from './portal.js';
import {
  deleteSides,
  newRowIds,
  physicalOid,
  protectRows,
  type SideWrites,
  writeSides,
} from './protecting.js';
import { WrittenValues } from './written.js';

/** INSERT ... VALUES: values are protected when it executes; one statement, pipelined unless side tables follow. */
export async function bindInsert(body: InsertBody, b: Bound, services: ExecutionServices): Promise<Portal> {
  const given = givenOf(b);
  const known = await WrittenValues.bind(body.written, given);
  let port: PortalPort | undefined;
  const sides = hasSideTables(body.table);
  const protect = async (): Promise<Ready> => {
    await mustBeWritable(b.plan.command, b.session);
    const columns = await known.decide();
    const broken = await firstBrokenOf(body, columns, b);
    const rows = await newRowIds(body.table, body.rows, services);
    const written = await protectRows(body.written, rows, columns, b.context, b.session);
    const sent = broken ? rows.with(broken.row, broken.rowId) : rows;
    const rowArray = rowIdArray(sent);
    const { values, formats } = physicalParameters(body.cloud.parameters, b.bound, (operand, part) => {
      const from = (-1 - part) * body.lot;
      const to = Math.min(from + body.lot, body.rows);
      if (operand === 0)
        return part < 0
          ? rowIdArray(sent.subarray(from, to))
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
    return { port, sides: written.sides, broken };
  };
  if (sides) {
    const writing = new Writing(b, body.answering, async sink => {
      const made = await protect();
      const outcome = made.port.execute(0, sink).catch(given.placing(body.cloud));
      b.session.cloud.flush();
      const count = countOf(await (made.broken?.refused(outcome) ?? outcome));
      await writeSides(made.sides, b.session, new Set(sink.writtenRows));
      return count;
    });
    return { execute: maxRows => writing.execute(maxRows), close: () => port?.close() };
  }
  const sink = new OpeningSink(body.answering, b.formats, b.session, b.context);
  const executions = new Executions(b, body.answering);
  return {
    async execute(maxRows, listener) {
      if (executions.over) return executions.again();
      executions.begin(maxRows);
      const placed = given.placed(listener, body.cloud);
      if (port) port.start(maxRows, sink.executes(), placed);
      else {
        const made = await protect();
        made.port.start(maxRows, sink.executes(), made.broken?.listening(placed) ?? placed);
      }
      return pipelined;
    },
    close: () => port?.close(),
  };
}

/** An INSERT that is bound in the cloud. */
interface Ready {
  readonly port: PortalPort;
  readonly sides: readonly SideWrites[];
  /** the first row that breaks a check */
  readonly broken: BrokenRow | undefined;
}

async function firstBrokenOf(
  { checks: of, written, rows }: InsertBody,
  values: readonly PlainColumn[],
  { session }: Bound,
): Promise<BrokenRow | undefined> {
  if (!of) return undefined;
  const byNumber = new Map(written.map(({ column }, i) => [column.number, values[i]!]));
  const time = await timeOf(of.checks, session);
  return firstBroken(of.checks, of, byNumber, rows, time, session);
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

/** UPDATE of protected columns: lock exactly the matching rows, then write them by row id. */
export async function bindUpdate(body: UpdateBody, b: Bound): Promise<Portal> {
  const given = givenOf(b);
  // No row may match, and then the cloud never sees what is assigned to unprotected columns.
  if (body.assignsOpen) await given.mustBind();
  const operands = await bindOperands(body.operands, given, b.context);
  const known = await WrittenValues.bind(body.written, given);
  const writing = new Writing(b, body.answering, async sink => {
    const lock = physicalParameters(
      body.lock.parameters,
      b.bound,
      (operand, part) => operands[operand]![part]!,
    );
    const found = new RowIdSink();
    const locking = b.session.cloud.bind(
      body.lock.statement,
      lock.values,
      { parameters: lock.formats, results: [1] },
      named,
    );
    let values: readonly PlainColumn[] | undefined;
    let count = 0;
    // what is written meanwhile is not of the portal's snapshot: it finds no row again
    for (let done = false; !done; ) {
      const locked = locking
        .execute(ROWS_MAX, found)
        .catch(error => Promise.reject(saidOf(b.plan.command, error)))
        .catch(given.placing(body.lock));
      b.session.cloud.flush();
      done = (await locked).kind === 'complete';
      const rows = Float64Array.from(found.ids.splice(0));
      if (rows.length === 0) break;
      values ??= await known.decide();
      const repeated = values.map(value => repeat(value, rows.length));
      if (body.checked) await mustKeep(body.checked, body.written, rows, repeated, b);
      const written = await protectRows(body.written, rows, repeated, b.context, b.session);
      const parameters = physicalParameters(body.cloud.parameters, b.bound, operand =>
        operand === 0 ? rowIdArray(rows) : arrayOf(written.columns.get(operand)!, elementOid(body, operand)),
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
    locking.close();
    return count;
  });
  return { execute: maxRows => writing.execute(maxRows), close: () => undefined };
}

/**
 * The same values go to all rows, so NOT NULL, which PostgreSQL looks at first, comes before any check.
 * @throws what PostgreSQL says of the first row that breaks a check
 */
async function mustKeep(
  { of, checks, others }: CheckedUpdate,
  written: UpdateBody['written'],
  rows: Float64Array,
  values: readonly PlainColumn[],
  { session, context }: Bound,
): Promise<void> {
  if (written.some(({ column }, i) => column.notNull && values[i]!.nulls?.[0])) return;
  const all = new Map(await storedValues(others, rows, session, context));
  for (const [i, { column }] of written.entries()) all.set(column.number, values[i]!);
  const time = await timeOf(checks, session);
  const broken = await firstBroken(checks, of, all, rows.length, time, session);
  if (broken) throw broken.failure;
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
