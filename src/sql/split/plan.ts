/**
 * Split execution: what no encoding answers, the trusted PostgreSQL answers. It runs the statement as it stands over
 * the rows that the clouds deliver (docs/architecture.md, "Split").
 */
import type { Catalog } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { flag, isNode, type Node, nodesIn, numberIn, readNodes, textIn, walk } from '../analysed/node.js';
import { COMMAND, RTE, scopeOf } from '../analysed/query.js';
import { protectedColumns } from '../columns.js';
import { physical } from '../compilation.js';
import type { SplitBody } from '../execute/bodies.js';
import type { FunctionHomes } from '../functions.js';
import { withTime } from '../operand.js';
import type { Analysis, ProtectedPlan, SessionPort } from '../plan.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, type RawNode } from '../raw/node.js';
import { type Touch, touchOf } from '../touch.js';
import { comparisonsShown } from './shown.js';

/**
 * @param raw a SelectStmt; its text is `sql`
 * @param cause why the cloud cannot answer it
 * @throws cause where the trusted side cannot answer it either
 */
export async function planSplit(
  raw: RawNode,
  sql: string,
  analysis: Analysis,
  touch: Touch,
  homes: FunctionHomes,
  session: SessionPort,
  cause: ClarusError,
): Promise<ProtectedPlan> {
  if (!session.residual || kindOf(raw) !== 'SelectStmt' || touch.catalogue) throw cause;
  const { named, unknown, last } = touch.sequences;
  // the trusted side has not the counts of all
  if (named.size > 0 || unknown || last) throw cause;
  mustBeReadable(analysis, cause);
  mustPrintExactly(session);
  const { shape } = analysis;
  let text = sql;
  let time = false;
  if (touch.time || touch.homes.has('cloud')) {
    const dated = withTime(raw, shape.parameterTypes.length + 1);
    if (!dated.time) throw cause;
    text = deparse(dated.tree);
    time = true;
    const again = await session.analyse(text, shape.parameterTypes);
    const left = touchOf(again, session.catalog(), homes);
    if (left.time || left.homes.has('cloud')) throw cause;
  }
  for (const home of ['statistics', 'sequence-values', 'settings', 'unproven'])
    if (touch.homes.has(home)) throw cause;
  const types = time ? [...shape.parameterTypes, timestamptz] : shape.parameterTypes;
  const body: SplitBody = {
    kind: 'split',
    statement: physical(text, types),
    time,
    tables: touch.tables.map(t => t.oid),
    columns: columnsOf(analysis, session.catalog()),
    shown: comparisonsShown(analysis, session.catalog()),
    names: touch.tables.map(t => `${t.schema}.${t.name}`),
    why: [cause.message, ...(cause.fields.detail === undefined ? [] : [cause.fields.detail])],
  };
  return { kind: 'protected', command: 'SELECT', shape, split: true, body };
}

function columnsOf({ rewritten }: Analysis, catalog: Catalog): SplitBody['columns'] {
  const found = new Map<string, SplitBody['columns'][number]>();
  for (const query of rewritten.flatMap(readNodes))
    for (const { table, column } of protectedColumns(query, scopeOf(query), catalog))
      found.set(`${table.number} ${column.number}`, { table: table.number, name: column.name });
  return [...found.values()];
}

const timestamptz = 1184;
/** current_setting with one and with two arguments (pg_proc.dat): the residual's session has not all settings */
const ofSettings: ReadonlySet<number> = new Set([2077, 3294]);

/**
 * Rows of a carrier have no system columns of their own, are not locked, and come to the table with what inherits from
 * it only.
 */
function mustBeReadable({ parsed, rewritten }: Analysis, cause: ClarusError): void {
  for (const tree of [...parsed, ...rewritten].flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'QUERY' && !isPlainRead(node)) throw cause;
      if ((node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && !isWhole(node)) throw cause;
      if (node.kind === 'VAR' && numberIn(node, 'varattno') < 0) throw cause;
      if (node.kind === 'FUNCEXPR' && ofSettings.has(numberIn(node, 'funcid'))) throw cause;
      return true;
    });
}

const isPlainRead = (query: Node): boolean =>
  numberIn(query, 'commandType') === COMMAND.select &&
  nodesIn(query, 'rowMarks').length === 0 &&
  // postgres_fdw would offer rows in the order of a set
  !(flag(query, 'hasTargetSRFs') && nodesIn(query, 'sortClause').length > 0);

function isWhole(rte: Node): boolean {
  if (numberIn(rte, 'rtekind') !== RTE.relation) return true;
  if (isNode(rte.fields.tablesample)) return false;
  return textIn(rte, 'relkind') !== 'r' || flag(rte, 'inh');
}

/**
 * Values travel as texts, which must be read as what was printed, and carriers are asked in words of pg_catalog.
 * @throws ClarusError 0A000
 */
function mustPrintExactly({
  settings: { arrayNulls, extraFloatDigits, intervalStyle, searchPath },
}: SessionPort): void {
  if (!arrayNulls)
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs array_nulls to be on',
      { hint: 'SET array_nulls = on.' },
    );
  if (/,\s*"?pg_catalog"?\s*(,|$)/.test(searchPath))
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs pg_catalog first in search_path',
      {
        hint: 'Leave it out of search_path: then it is searched first.',
      },
    );
  if (extraFloatDigits < 1)
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs extra_float_digits of 1 or more',
      {
        hint: "SET extra_float_digits = 1, which is PostgreSQL's default.",
      },
    );
  if (intervalStyle === 'sql_standard')
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs another IntervalStyle than sql_standard',
      {
        hint: 'SET IntervalStyle = postgres.',
      },
    );
}
