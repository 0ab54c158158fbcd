/** INSERT through a view: the table that PostgreSQL writes for it, and what the view calls its columns. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { isNode, type Node, nodeIn, nodesIn, numberIn, readNodes, textIn } from '../../analysed/node.js';
import { COMMAND, entry, meaningOf, type Scope, scopeOf } from '../../analysed/query.js';
import { type Defaults, defaultsOf } from '../../defaults.js';
import { deparse } from '../../raw/deparse.js';
import {
  child,
  columnRef,
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  target,
  text,
} from '../../raw/node.js';
import { writtenTable } from '../../write/target.js';
import type { SplitPlanning } from '../plan.js';
import type { InsertedThrough } from './given-rows.js';
import { type ViewLayer, viewChecks, viewLayers, viewRow } from './view-layers.js';

/** A column as a view calls it. */
interface ShownColumn {
  readonly name: string;
  /** its number in the view */
  readonly place: number;
  readonly column: LogicalColumn;
}

/** A statement over the table in place of the view. */
export interface ViewTarget {
  readonly raw: RawNode;
  readonly table: LogicalTable;
  readonly through: InsertedThrough;
  readonly returned: ReturnedThrough;
}

/** What a view shows of the rows that are written. */
export interface ReturnedThrough {
  readonly names: readonly string[];
  /** @param row what is selected from, with all columns of the table */
  readonly sql: (row: string) => string;
}

/**
 * @param raw an InsertStmt
 * @param query its analysed Query, whose target is a view
 * @throws cause for a view that PostgreSQL does not update by itself, for defaults of a view below another one, and for
 *   ON CONFLICT through one that checks what is inserted, or with subqueries
 */
export async function viewTarget(raw: RawNode, query: Node, planning: SplitPlanning): Promise<ViewTarget> {
  const { analysis, cause, session } = planning;
  const fields = raw.InsertStmt!;
  const catalog = session.catalog();
  const [rewritten, ...more] = analysis.rewritten.flatMap(readNodes);
  const table = rewritten && writtenTable(rewritten, catalog);
  const isPlain =
    rewritten !== undefined && more.length === 0 && numberIn(rewritten, 'commandType') === COMMAND.insert;
  if (!table || !isPlain) throw cause;
  const checks = nodesIn(rewritten, 'withCheckOptions').length > 0;
  // a row that conflicts is not checked
  if (checks && fields.onConflictClause) throw cause;
  const view = numberIn(entry(scopeOf(query), numberIn(query, 'resultRelation')), 'relid');
  const layers = await viewLayers(view, session, cause);
  const { names, shown } = await shownColumns(fields, table, planning);
  const baseName = (name: string | undefined): string => {
    const found = shown.find(column => column.name === name);
    if (!found) throw cause;
    return found.column.name;
  };
  const through: InsertedThrough = {
    defaults: await defaultsThrough(view, layers, shown, table, planning),
    checks: columns => (checks ? viewChecks(layers, columns, 'g', cause) : []),
  };
  const relation = fields.relation as RawFields & { alias?: unknown; relname: string };
  const targets = nodesIn(query, 'targetList').filter(t => t.fields.resjunk !== 'true');
  return {
    raw: {
      InsertStmt: {
        ...fields,
        relation: {
          relname: table.name,
          schemaname: table.schema,
          inh: true,
          relpersistence: 'p',
          alias: relation.alias ?? { aliasname: relation.relname },
        },
        ...(fields.onConflictClause
          ? { onConflictClause: conflictThrough(fields, shown, relation.alias ?? relation, cause) }
          : {}),
        cols: (fields.cols as readonly unknown[] | undefined)?.length
          ? (fields.cols as readonly RawNode[]).map(col => {
              const own = col.ResTarget!;
              return { ResTarget: { ...own, name: baseName(text(own, 'name')) } };
            })
          : child(fields, 'selectStmt')
            ? targets.map(t => ({ ResTarget: { name: baseName(textIn(t, 'resname')) } }))
            : [],
      },
    },
    table,
    through,
    returned: { names, sql: row => viewRow(layers, table.columns, row, cause) },
  };
}

/** The defaults of a view's columns, which come before those of the table. */
async function defaultsThrough(
  view: number,
  layers: readonly ViewLayer[],
  shown: readonly ShownColumn[],
  table: LogicalTable,
  { cause, session }: SplitPlanning,
): Promise<Defaults> {
  const [outermost, ...below] = layers;
  if (!outermost || below.some(({ defaults }) => defaults.length > 0)) throw cause;
  if (outermost.defaults.length === 0) return new Map();
  const found = await defaultsOf({ ...table, oid: view, name: outermost.name }, session);
  return new Map(
    outermost.defaults.map(place => {
      const column = shown.find(s => s.place === place)?.column;
      const value = found.get(place);
      if (!column || !value) throw cause;
      return [column.attnum, value];
    }),
  );
}

/** ON CONFLICT by names of the table. */
function conflictThrough(
  { onConflictClause }: RawFields,
  shown: readonly ShownColumn[],
  target: RawFields | object,
  cause: Error,
): RawFields {
  const { aliasname, relname } = target as { aliasname?: string; relname?: string };
  const alias = aliasname ?? relname!;
  const clause = onConflictClause as RawFields;
  const base = (name: string | undefined): string => {
    const found = shown.find(column => column.name === name);
    if (!found) throw cause;
    return found.column.name;
  };
  const infer = clause.infer as RawFields | undefined;
  if (infer?.whereClause) throw cause;
  const renamed = <T>(value: T): T =>
    rewrite(value, (kind, reference) => {
      if (kind === 'SubLink') throw cause;
      if (kind !== 'ColumnRef') return undefined;
      const parts = list(reference, 'fields').map(part => stringOf(part));
      const of = parts.length === 1 ? alias : parts[0]!;
      if (parts.length > 2 || parts.includes('') || (of !== alias && of !== 'excluded')) throw cause;
      return columnRef(of, base(parts.at(-1)));
    });
  const named = (node: RawNode): RawNode => {
    const kind = kindOf(node);
    const own = text(fieldsOf(node), 'name');
    return own === undefined ? node : { [kind]: { ...fieldsOf(node), name: base(own) } };
  };
  return {
    ...clause,
    ...(infer ? { infer: { ...infer, indexElems: list(infer, 'indexElems').map(named) } } : {}),
    ...(clause.targetList
      ? { targetList: list(clause, 'targetList').map(assigned => named(renamed(assigned))) }
      : {}),
    ...(clause.whereClause ? { whereClause: renamed(clause.whereClause) } : {}),
  };
}

/** The columns of a view, and those that are columns of the table. */
async function shownColumns(
  fields: RawFields,
  table: LogicalTable,
  { cause, session }: SplitPlanning,
): Promise<{ readonly names: readonly string[]; readonly shown: readonly ShownColumn[] }> {
  const { alias: _alias, ...relation } = fields.relation as RawFields;
  const all = deparse({
    SelectStmt: {
      targetList: [target({ ColumnRef: { fields: [{ A_Star: {} }] } })],
      fromClause: [{ RangeVar: relation }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  });
  const [query] = (await session.analyse(all, [])).rewritten.flatMap(readNodes);
  if (!query) throw cause;
  const scope = scopeOf(query);
  const targets = nodesIn(query, 'targetList');
  const shown = targets.flatMap((found): ShownColumn[] => {
    const attnum = baseOf(found.fields.expr as Node, scope, table.oid);
    const column = table.columns.find(c => c.attnum === attnum);
    return column ? [{ name: textIn(found, 'resname') ?? '', place: numberIn(found, 'resno'), column }] : [];
  });
  return { names: targets.map(found => textIn(found, 'resname') ?? ''), shown };
}

/** Number of the column of a table that a column of a view is; undefined: it is computed. */
function baseOf(value: Node, scope: Scope, oid: number): number | undefined {
  if (!isNode(value) || value.kind !== 'VAR') return undefined;
  const meaning = meaningOf(value, scope);
  if (meaning.kind === 'base') return meaning.column.relid === oid ? meaning.column.attnum : undefined;
  if (meaning.kind !== 'derived') return undefined;
  const inner = nodeIn(meaning.rte, 'subquery');
  const found =
    inner && nodesIn(inner, 'targetList').find(t => numberIn(t, 'resno') === meaning.attnum)?.fields.expr;
  return inner && isNode(found) ? baseOf(found, scopeOf(inner, meaning.scope), oid) : undefined;
}
