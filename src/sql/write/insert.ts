/** INSERT ... VALUES into a protected table. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { ROW_COLUMN } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { isNode, type Node, nodeIn, nodesIn, numberIn, type Value } from '../analysed/node.js';
import { entry, RTE, type Scope, scopeOf } from '../analysed/query.js';
import { refuseOpenInChecks, type TableChecks } from '../checks/table-checks.js';
import { CatalogueBehind, protectedColumns, refuse } from '../columns.js';
import type { Compilation } from '../compilation.js';
import { countsAtRoot, type Defaults } from '../defaults.js';
import type { WrittenColumn, WrittenSource } from '../execute/bodies.js';
import { operandSource, valuesRows } from '../operand.js';
import type { ProtectedPlan } from '../plan.js';
import { child, fieldsOf, kindOf, list, type RawNode, text } from '../raw/node.js';
import { markAnswered } from '../read/answered.js';
import { physicalName } from '../read/from.js';
import { formsIn, physicalType } from './forms.js';
import { returningTargets } from './returning.js';

/** Above this many parameters values travel as arrays (the protocol takes 65,535). */
const PARAMETERS_MAX = 30_000;

/**
 * @param raw an InsertStmt
 * @param query its analysed Query, before rewriting
 * @throws ClarusError 0A000 for sources other than VALUES, and ON CONFLICT DO UPDATE
 */
export function planInsert(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  defaults: Defaults,
  checks: TableChecks | undefined,
  compilation: Compilation,
): ProtectedPlan {
  refuseOpenInChecks(checks);
  const fields = raw.InsertStmt!;
  const scope = scopeOf(query);
  const select = child(fields, 'selectStmt');
  const rows = valuesRows(select);
  if (select && rows.length === 0)
    throw new ClarusError(
      '0A000',
      `INSERT ... SELECT into protected table "${table.name}" is not answered yet`,
      { hint: 'Insert VALUES, or use COPY.' },
    );
  if (select?.SelectStmt?.withClause || fields.withClause)
    throw new ClarusError('0A000', 'WITH beside an INSERT into a protected table is not answered yet');
  const columns = targetColumns(fields.cols as readonly RawNode[] | undefined, rows[0]?.length ?? 0, table);
  const leaves = (column: LogicalColumn): boolean =>
    fields.override === 'OVERRIDING_USER_VALUE' ||
    rows.some(row => kindOf(row[columns.indexOf(column)] ?? {}) === 'SetToDefault');
  if (countsAtRoot(table, defaults, column => columns.includes(column) && !leaves(column)))
    throw new ClarusError('0A000', `an identity column of partition "${table.name}" is counted at its root`);
  const analysed = analysedRows(query, scope, columns, rows.length);
  const rowCount = Math.max(1, rows.length);

  // Protected columns that are not named take their default, where they have one; unprotected defaults are the cloud's.
  const missing = table.columns.filter(c => c.protection && !columns.includes(c) && defaults.has(c.attnum));
  const written: { column: LogicalColumn; sources: WrittenSource[] }[] = [];
  const ignored = (column: LogicalColumn): boolean =>
    fields.override === 'OVERRIDING_USER_VALUE' && defaults.get(column.attnum)?.identity === true;
  for (const [i, column] of columns.entries()) {
    if (!column.protection) continue;
    written.push({
      column,
      sources: rows.map((row, r) =>
        ignored(column)
          ? defaultOf(column, defaults)
          : source(row[i]!, analysed[r]?.[i], column, defaults, compilation),
      ),
    });
  }
  for (const column of missing)
    written.push({ column, sources: Array.from({ length: rowCount }, () => defaultOf(column, defaults)) });

  const formsOf = formsIn(compilation.registry, 1);
  const forms = written.map(
    ({ column, sources }): WrittenColumn => ({
      column,
      sources,
      forms: formsOf(column),
    }),
  );
  // Arrays are short: to take one element the server goes through the whole array.
  const operands = forms
    .flatMap(w => w.forms)
    .reduce((count, form) => count + Object.keys(form.operands).length, 1);
  const lot = Math.ceil((operands * rowCount) / PARAMETERS_MAX);
  const arrays = lot > 1;
  const value = (operand: number, row: number, type: string): RawNode =>
    compilation.placeholder(operand, row, type);
  const arrayNodes = new Map<string, RawNode>();
  const physicalValue = (operand: number, row: number, type: string): RawNode => {
    if (!arrays) return value(operand, row, type);
    const part = -1 - Math.floor(row / lot);
    const key = `${operand}/${part}`;
    const node = arrayNodes.get(key) ?? compilation.placeholder(operand, part, `${type}[]`);
    arrayNodes.set(key, node);
    return elementOf(node, (row % lot) + 1);
  };

  const open = columns.filter(c => !c.protection);
  const cols = [
    ROW_COLUMN,
    ...open.map(c => c.name),
    ...forms.flatMap(w => w.forms.flatMap(f => Object.values(f.encoded.columns))),
  ];
  const valuesLists = Array.from({ length: rowCount }, (_, r) => ({
    List: {
      items: [
        physicalValue(0, r, 'int8'),
        ...open.map(c => rows[r]![columns.indexOf(c)]!),
        ...forms.flatMap(w =>
          w.forms.flatMap(f =>
            Object.entries(f.operands).map(([role, operand]) =>
              physicalValue(operand, r, physicalType(f, role)),
            ),
          ),
        ),
      ],
    },
  }));
  for (const [r, row] of rows.entries())
    for (const [i, column] of columns.entries()) {
      const uses = column.protection ? [] : protectedColumns(analysed[r]?.[i], scope, compilation.catalog);
      if (uses.length) throw refuse('a value for an unprotected column', uses[0]!);
      if (row.length !== columns.length)
        throw new CatalogueBehind('a row of VALUES and the column list differ');
    }
  const sides = forms.some(w => w.forms.some(f => Object.keys(f.encoded.tables).length > 0));
  const returning = returningTargets(fields, query, scope, table, compilation, sides);
  const tree: RawNode = {
    InsertStmt: {
      ...fields,
      relation: target(fields, table),
      cols: cols.map(name => ({ ResTarget: { name } })),
      selectStmt: { SelectStmt: { valuesLists, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' } },
      ...conflict(child(fields, 'onConflictClause'), query, table, compilation),
      ...returning.fields,
    },
  };
  const clientColumns = new Set(
    written.flatMap(w =>
      w.sources.flatMap(s =>
        s.kind === 'parameter' ? [s.index] : s.kind === 'expression' ? s.parameters : [],
      ),
    ),
  );
  return {
    kind: 'protected',
    command: 'INSERT',
    shape: compilation.shape,
    body: {
      kind: 'insert',
      table,
      rows: rowCount,
      lot,
      checks,
      written: forms,
      cloud: compilation.finish(tree, clientColumns),
      answering: returning.answering,
    } as ProtectedPlan['body'],
  };
}

const elementOf = (array: RawNode, index: number): RawNode => ({
  A_Indirection: {
    arg: array,
    indirection: [{ A_Indices: { uidx: { A_Const: { ival: { ival: index } } } } }],
  },
});

/** The target of a write, by its physical name, called what the statement calls it. */
export function target(
  fields: { readonly [field: string]: unknown },
  table: LogicalTable,
): { readonly [field: string]: unknown } {
  const relation = fields.relation as { readonly [field: string]: unknown };
  return {
    ...relation,
    ...physicalName(table, relation.alias !== undefined),
  };
}

function targetColumns(
  cols: readonly RawNode[] | undefined,
  width: number,
  table: LogicalTable,
): LogicalColumn[] {
  if (!cols?.length) return table.columns.slice(0, width);
  return cols.map(col => {
    const name = text(fieldsOf(col), 'name');
    const column = table.columns.find(c => c.name === name);
    if (!column || list(fieldsOf(col), 'indirection').length)
      throw new ClarusError('0A000', 'a part of a column as the target of an INSERT is not answered yet');
    return column;
  });
}

/** Analysed expressions of each row, in the order of the column list. */
function analysedRows(
  query: Node,
  scope: Scope,
  columns: readonly LogicalColumn[],
  rows: number,
): (Value | undefined)[][] {
  if (rows <= 1) {
    const targets = nodesIn(query, 'targetList');
    return [columns.map(c => targets.find(t => numberIn(t, 'resno') === c.attnum)?.fields.expr)];
  }
  const fromlist = nodesIn(nodeIn(query, 'jointree')!, 'fromlist');
  const rte = entry(scope, numberIn(fromlist[0]!, 'rtindex'));
  if (numberIn(rte, 'rtekind') !== RTE.values) throw new Error('VALUES expected');
  // The target list says which column of VALUES goes where.
  const targets = nodesIn(query, 'targetList');
  const lists = rte.fields.values_lists as readonly (readonly Value[])[];
  return lists.map(items =>
    columns.map(c => {
      const expr = targets.find(t => numberIn(t, 'resno') === c.attnum)?.fields.expr;
      let at: Value | undefined = expr;
      while (isNode(at) && at.kind !== 'VAR') at = at.fields.arg ?? nodesIn(at, 'args')[0];
      return isNode(at) ? items[numberIn(at, 'varattno') - 1] : undefined;
    }),
  );
}

/** Where a written value comes from: assignment casts to the column's type are applied at execution. */
export function source(
  raw: RawNode,
  analysed: Value | undefined,
  column: LogicalColumn,
  defaults: Defaults,
  compilation: Compilation,
): WrittenSource {
  if (kindOf(raw) === 'SetToDefault') return defaultOf(column, defaults);
  return operandSource(raw, withoutAssignment(analysed), `the value of "${column.name}"`, compilation.values);
}

function defaultOf(column: LogicalColumn, defaults: Defaults): WrittenSource {
  const found = defaults.get(column.attnum);
  return found === undefined
    ? { kind: 'constant', value: null, type: column.type.oid }
    : { kind: 'default', ...found };
}

/** Strips implicit casts: execution casts to the column's type as an assignment does. */
function withoutAssignment(value: Value | undefined): Value | undefined {
  let at = value;
  while (isNode(at)) {
    if (at.kind === 'RELABELTYPE' && at.fields.relabelformat === '2') at = at.fields.arg;
    else if (at.kind === 'COERCEVIAIO' && at.fields.coerceformat === '2') at = at.fields.arg;
    else if (at.kind === 'FUNCEXPR' && at.fields.funcformat === '2') at = nodesIn(at, 'args')[0];
    else break;
  }
  return at;
}

function conflict(
  clause: RawNode | undefined,
  query: Node,
  table: LogicalTable,
  compilation: Compilation,
): { onConflictClause?: unknown } {
  if (!clause) return {};
  const fields = clause as {
    readonly action?: string;
    readonly infer?: { readonly indexElems?: readonly RawNode[]; readonly whereClause?: RawNode };
  };
  if (fields.action !== 'ONCONFLICT_NOTHING')
    throw new ClarusError(
      '0A000',
      `ON CONFLICT DO UPDATE on protected table "${table.name}" is not answered yet`,
      { hint: 'Use DO NOTHING and an UPDATE.' },
    );
  if (table.collectedKeys)
    throw new ClarusError('0A000', `ON CONFLICT on partition "${table.name}" is not answered by the cloud`, {
      detail: 'The key of a row that is left out would stand among those to which foreign keys refer.',
    });
  if (fields.infer?.whereClause)
    throw new ClarusError('0A000', 'ON CONFLICT with a predicate is not answered on protected tables yet', {
      hint: 'Name the columns of the key only.',
    });
  const elements = fields.infer?.indexElems;
  if (!elements) return {};
  const analysed = nodesIn(nodeIn(query, 'onConflict')!, 'arbiterElems');
  const indexElems = elements.flatMap((element, i) => {
    const name = text(fieldsOf(element), 'name');
    const column = table.columns.find(c => c.name === name);
    if (!column?.protection) return [element];
    const found = compilation.answer(column, { kind: 'constraint', constraint: 'unique' });
    if (!found) throw refuse('a conflict target', { table, column });
    markAnswered(analysed[i], compilation);
    return Object.values(found.encoded.columns).map(physicalName => ({
      IndexElem: { ...fieldsOf(element), name: physicalName },
    }));
  });
  return { onConflictClause: { ...fields, infer: { ...fields.infer, indexElems } } };
}
