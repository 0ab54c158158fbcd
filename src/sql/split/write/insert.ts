import { generates } from '../../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../../catalog/quote.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { MessageWriter } from '../../../wire/message-writer.js';
import { backendTypes } from '../../../wire/protocol.js';
import { nodesIn, readNodes } from '../../analysed/node.js';
import { checksOf, openInChecks } from '../../checks/table-checks.js';
import { countsAtRoot, defaultsOf } from '../../defaults.js';
import type { CopyInBody, InsertSelectBody, SplitBody } from '../../execute/bodies.js';
import { statement } from '../../execute/convert.js';
import type { CopyOutFormat } from '../../execute/copy-out.js';
import { cannotBeRun } from '../../execute/given.js';
import type { Bound, Portal } from '../../execute/portal.js';
import type { ProtectedPlan } from '../../plan.js';
import type { ClientPort, CopyInExecution, ResidualPort } from '../../ports.js';
import { deparse } from '../../raw/deparse.js';
import { child, list, type RawFields, type RawNode } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { touchOf } from '../../touch.js';
import { writtenTable } from '../../write/target.js';
import type { SplitServices } from '../cloud-rows.js';
import { printingExactly } from '../exact.js';
import { fetching } from '../fetching.js';
import { planSplit, type SplitPlanning } from '../plan.js';
import { bindSplit } from '../portal.js';
import { castNames, targetColumns, typedLiterals } from '../typed-source.js';
import { nameCheck } from '../zone-names.js';
import { refuseFlows, refuseLateSight, writesOf } from './flow.js';
import { writesInWith } from './given-rows.js';
import { mustBeWritable, saidOf } from './read-only.js';

/**
 * @param raw an InsertStmt whose source is not VALUES of constants
 * @throws cause for RETURNING, ON CONFLICT and OVERRIDING; ClarusError 0A000 where a protected value would flow to an
 *   unprotected column
 */
export async function planInsertSelect(raw: RawNode, planning: SplitPlanning): Promise<ProtectedPlan> {
  const { analysis, touch, homes, session, cause } = planning;
  const { shape, rewritten } = analysis;
  const table = writtenTable(touch.query!, session.catalog());
  if (table?.state !== 'protected' || table.partitioned || table.bounds === 'trusted') throw cause;
  const fields = raw.InsertStmt!;
  const select = child(fields, 'selectStmt')?.SelectStmt;
  const query = touch.query!;
  const isPlain =
    select !== undefined &&
    nodesIn(query, 'returningList').length === 0 &&
    !fields.onConflictClause &&
    !writesInWith(query) &&
    !hasDefaults(select) &&
    (fields.override === undefined || fields.override === 'OVERRIDING_NOT_SET');
  const checks = await checksOf(table, session);
  if (!isPlain || generates(table) || (checks && openInChecks(checks))) throw cause;
  const catalog = session.catalog();
  refuseLateSight(writesOf(query, catalog), touch);
  // views are expanded there
  for (const tree of rewritten.flatMap(readNodes)) refuseFlows(writesOf(tree, catalog), touch, catalog);
  const columns = targetColumns(list(fields, 'cols'), query, table, cause);
  if (countsAtRoot(table, await defaultsOf(table, session), column => columns.includes(column))) throw cause;
  const { withClause } = fields;
  if (withClause && select.withClause) throw cause;
  const given: RawFields = withClause ? { ...select, withClause } : select;
  const casts = await castNames(columns, session);
  const typed = typedLiterals(given, casts);
  const inner = deparse({ SelectStmt: typed });
  const names = columns.map((_, i) => `c${i}`);
  const targets = names.map((name, i) => `s.${name}::${casts[i]}`).join(', ');
  const sql = `SELECT ${targets} FROM (${inner}) AS s (${names.join(', ')})`;
  const again = await session.analyse(sql, shape.parameterTypes);
  const source = await planSplit(parseOne(sql), sql, {
    ...planning,
    analysis: again,
    touch: await touchOf(again, session, homes),
  });
  const into = `COPY ${quoteQualified(table.schema, table.name)} (${columns.map(c => quoteName(c.name)).join(', ')}) FROM STDIN`;
  const copy = await planning.plan(parseOne(into), into, []);
  if (copy.kind !== 'protected' || copy.body.kind !== 'copy-in') throw cause;
  const from = source.body as SplitBody;
  const types = columns.map(c => c.type.oid);
  const insert: InsertSelectBody = {
    kind: 'insert-select',
    source: { ...from, statement: printingExactly(from.statement, types, session.settings) },
    explain: statement(`EXPLAIN ${deparse(raw)}`, shape.parameterTypes),
    copy: copy.body as CopyInBody,
  };
  return {
    kind: 'protected',
    command: 'INSERT',
    shape: { parameterTypes: shape.parameterTypes, columns: undefined },
    split: true,
    body: insert,
  };
}

/** Do rows of VALUES leave a value to the table? */
const hasDefaults = (select: RawFields): boolean =>
  list(select, 'valuesLists').some(row =>
    list(row.List ?? {}, 'items').some(item => item.SetToDefault !== undefined),
  );

/** Bytes of rows that are kept between the query and the table. */
const keptBytesMax = 64 * 1024 * 1024;

/** Takes the data of COPY in place of the client. */
export class KeptData implements ClientPort {
  readonly writer = new MessageWriter();
  readonly chunks: Buffer[] = [];
  #bytes = 0;

  written(): void {}
  notice(): void {}
  write(messages: Uint8Array): void {
    const buffer = Buffer.from(messages.buffer, messages.byteOffset, messages.length);
    for (let at = 0; at < buffer.length; ) {
      const end = at + 1 + buffer.readInt32BE(at + 1);
      if (buffer[at] !== backendTypes.copyData) throw new Error('data of COPY are expected');
      this.chunks.push(buffer.subarray(at + 5, end));
      at = end;
    }
    this.#bytes += buffer.length;
    if (this.#bytes > keptBytesMax)
      throw new ClarusError('54000', 'too many rows are inserted by one statement', {
        detail: `What a query gives to INSERT may take ${keptBytesMax} bytes.`,
        hint: 'Insert the rows in several statements.',
      });
  }
}

/** @param copyIn begins the COPY into the table */
export function bindInsertSelect(
  body: InsertSelectBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  copyIn: (body: CopyInBody) => Promise<CopyInExecution>,
): Portal {
  let over = false;
  return {
    async execute() {
      if (over) throw new ClarusError('55000', cannotBeRun(bound.portal));
      over = true;
      await mustBeWritable('INSERT', bound.session);
      const kept = new KeptData();
      const { columns, options } = body.copy;
      const copy: CopyOutFormat = { format: 0, columns: columns.length, options, names: [] };
      const source: Bound = {
        ...bound,
        session: fetching(bound.session, kept),
        formats: columns.map(() => 0 as const),
      };
      const portal = bindSplit(body.source, source, residual, services, copy);
      await portal.execute(0, { done: () => undefined, failed: () => undefined });
      if (kept.chunks.length === 0) await mustBePlanned(body, bound, residual);
      const check = await nameCheck(bound.session, services.readsZoneNames);
      for (const chunk of kept.chunks) check?.(chunk);
      try {
        const into = await copyIn(body.copy);
        for (const chunk of kept.chunks) await into.write(chunk);
        const { tag } = await into.finish();
        return { kind: 'complete', tag: tag.replace('COPY', 'INSERT 0') };
      } catch (error) {
        throw withoutPlace(saidOf('INSERT', error));
      }
    },
    close: () => undefined,
  };
}

/**
 * Says what is wrong with constants: PostgreSQL does when it plans a statement, also where there is no row that takes them.
 * @throws PostgresError of class 22
 */
async function mustBePlanned(
  { explain, source }: InsertSelectBody,
  { bound }: Bound,
  residual: ResidualPort,
): Promise<void> {
  const parameters = { parameters: bound.formats, results: [0] as const };
  const planned = residual.given(source.localised, port =>
    port.bind(explain, bound.values, parameters).execute(0, { rows: () => undefined }),
  );
  await planned.catch(error => {
    if (error instanceof PostgresError && error.code?.startsWith('22')) throw error;
  });
}

/** The line of a COPY that nobody sent. */
export function withoutPlace(error: unknown): unknown {
  if (error instanceof ClarusError) {
    const { where: _where, ...fields } = error.fields;
    return new ClarusError(error.code, error.message, fields);
  }
  if (!(error instanceof PostgresError)) return error;
  const { where: _where, ...diagnostic } = error.diagnostic;
  return new PostgresError(diagnostic);
}
