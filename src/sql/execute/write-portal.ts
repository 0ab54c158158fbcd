/** Portals that protect values: INSERT, and UPDATE of protected columns. */
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { arrayOf, readRowId, rowIdArray } from '../../wire/arrays.js';
import type { DataRows, ExecuteOutcome, PortalPort, RowSink } from '../plan.js';
import { physicalType } from '../write/insert.js';
import { hasSideTables } from '../write/modify.js';
import type { InsertBody, UpdateBody } from './bodies.js';
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
import { deleteSides, physicalOid, protectRows, type SideWrites, writeSides } from './protecting.js';
import { WrittenValues } from './written.js';

/** INSERT ... VALUES: values are protected when it executes; one statement, pipelined unless side tables follow. */
export async function bindInsert(body: InsertBody, b: Bound, services: ExecutionServices): Promise<Portal> {
  const given = givenOf(b);
  const known = await WrittenValues.bind(body.written, given);
  let port: PortalPort | undefined;
  const sides = hasSideTables(body.table);
  const protect = async (): Promise<{ readonly port: PortalPort; readonly sides: readonly SideWrites[] }> => {
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
    return { port, sides: written.sides };
  };
  if (sides) {
    const writing = new Writing(b, body.answering, async sink => {
      const made = await protect();
      const outcome = made.port.execute(0, sink).catch(given.placing(body.cloud));
      b.session.cloud.flush();
      const count = countOf(await outcome);
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
      const running = port ?? (await protect()).port;
      running.start(maxRows, sink, placed);
      return pipelined;
    },
    close: () => port?.close(),
  };
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
      const locked = locking.execute(ROWS_MAX, found).catch(given.placing(body.lock));
      b.session.cloud.flush();
      done = (await locked).kind === 'complete';
      const rows = Float64Array.from(found.ids.splice(0));
      if (rows.length === 0) break;
      values ??= await known.decide();
      const repeated = values.map(value => repeat(value, rows.length));
      const written = await protectRows(body.written, rows, repeated, b.context);
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
