/** Portals of one statement whose rows are opened: SELECT, DELETE, UPDATE of unprotected columns, COPY TO. */
import { type Awaitable, whenKnown } from '../../awaitable.js';
import type { LogicalTable } from '../../catalog/catalog.js';
import { MessageWriter } from '../../wire/message-writer.js';
import type { ExecuteOutcome, PortalPort, SessionPort } from '../ports.js';
import { mayLackForms, mustSeeNow } from '../snapshots.js';
import type { ReadBody } from './bodies.js';
import { type CopyOutFormat, copyEpilogue, copyPrologue, copyRows } from './copy-out.js';
import type { Given } from './given.js';
import { OpeningSink } from './opening.js';
import { physicalParameters } from './operands.js';
import {
  type Bound,
  bindOperands,
  cloudFormats,
  Executions,
  givenOf,
  named,
  type Operands,
  type Portal,
  pipelined,
  ROWS_MAX,
  Writing,
} from './portal.js';
import { deleteSides } from './protecting.js';
import type { RowWriter } from './row-writer.js';

/** SELECT, DELETE and UPDATE of unprotected columns: one statement, pipelined. */
export function bindRead(body: ReadBody, b: Bound, copy?: CopyOutFormat): Awaitable<Portal> {
  return bindReading(body, b, copy && copyRows(copy), copy);
}

/**
 * The same, with rows written in another form.
 * @param write writes the rows; undefined: as DataRow messages
 */
export function bindReading(
  body: ReadBody,
  b: Bound,
  write: RowWriter | undefined,
  copy?: CopyOutFormat,
): Awaitable<Portal> {
  if (mayLackForms(body.cloud.statement.sql, b.session))
    return mustSeeNow(b.session).then(() => bindAsSeen(body, b, write, copy));
  return bindAsSeen(body, b, write, copy);
}

function bindAsSeen(
  body: ReadBody,
  b: Bound,
  write: RowWriter | undefined,
  copy: CopyOutFormat | undefined,
): Awaitable<Portal> {
  const given = givenOf(b);
  return whenKnown(bindOperands(body.operands, given, b.context), operands =>
    readPortal(body, b, given, operands, write, copy),
  );
}

function readPortal(
  body: ReadBody,
  b: Bound,
  given: Given,
  operands: Operands,
  write: RowWriter | undefined,
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
    body.deletes ? named : b.portal,
  );
  const sink = new OpeningSink(body.answering, b.formats, b.session, b.context, write);
  const executions = new Executions(b, body.answering);
  const { deletes } = body;
  const deleting =
    deletes &&
    new Writing(b, body.answering, answers =>
      deleteRows(port, answers, deletes, given.placing(body.cloud), b),
    );
  return {
    ...(copy ? { copyOut: copy } : {}),
    execute(maxRows, listener) {
      if (deleting) return deleting.execute(maxRows);
      if (executions.over) return executions.again();
      executions.begin(maxRows);
      if (copy) return copyOut(port, sink.executes(), copy, b.session);
      port.start(maxRows, sink.executes(), given.placed(listener, body.cloud));
      return pipelined;
    },
    close: () => port.close(),
  };
}

/** Runs a DELETE, whose side tables follow. @returns the number of rows */
async function deleteRows(
  port: PortalPort,
  sink: OpeningSink,
  deletes: LogicalTable,
  placing: (error: unknown) => never,
  { session }: Bound,
): Promise<number> {
  let count = 0;
  for (let done = false; !done; ) {
    const outcome = port.execute(ROWS_MAX, sink).catch(placing);
    session.cloud.flush();
    done = (await outcome).kind === 'complete';
    const rows = Float64Array.from(sink.writtenRows.splice(0));
    count += rows.length;
    await deleteSides(deletes, undefined, rows, session);
  }
  port.close();
  return count;
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
  copyEpilogue(writer, copy, sink.rowsOpened);
  if (writer.length) await session.client.write(writer.take());
  return { kind: 'complete', tag: `COPY ${sink.rowsOpened}` };
}
