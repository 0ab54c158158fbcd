/** UPDATE and DELETE on a protected table. */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN } from '../../catalog/catalog.js';
import { actionsOn, acts, type ReferringKey } from '../../catalog/foreign-keys.js';
import { ClarusError } from '../../errors.js';
import { isNode, type Node, nodeIn, nodesIn, numberIn } from '../analysed/node.js';
import { type Scope, scopeOf } from '../analysed/query.js';
import { checksReading } from '../checks/broken.js';
import { storedColumns } from '../checks/stored.js';
import { needsBoth, type TableChecks } from '../checks/table-checks.js';
import { protectedColumns, refuse } from '../columns.js';
import { Compilation } from '../compilation.js';
import type { Defaults } from '../defaults.js';
import type { ReadBody, UpdateBody, WrittenColumn } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import { deparseExpression } from '../raw/deparse.js';
import {
  child,
  columnRef,
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  str,
  target as targetNode,
  text,
} from '../raw/node.js';
import { rewriteCondition } from '../read/predicate.js';
import { protectedTableBelow } from '../read/select.js';
import { formsIn, physicalType } from './forms.js';
import { source, target } from './insert.js';
import { returningTargets } from './returning.js';

/** Alias of the batch of new values in an UPDATE by row id, unlike that of the table. */
const newValues = (alias: string): string => (alias === 'clarus_new' ? 'clarus_values' : 'clarus_new');

/** Built-in functions that give another value at each call; one value is computed for all rows of an UPDATE. */
const volatileCall =
  /\b(gen_random_uuid|uuidv4|uuidv7|random|random_normal|clock_timestamp|timeofday|nextval|gen_random_bytes|uuid_generate_\w+)\s*\(/i;

/**
 * @param raw a DeleteStmt
 */
export function planDelete(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  compilation: Compilation,
): ProtectedPlan {
  const fields = raw.DeleteStmt!;
  const acting = actionsOn(compilation.catalog, table).find(({ actions }) => acts(actions.onDelete));
  if (acting) throw actsOn(acting, table);
  const scope = single(fields, query, 'usingClause', 'DELETE ... USING', compilation);
  const sides = hasSideTables(table);
  const returning = returningTargets(fields, query, scope, table, compilation, sides);
  const tree: RawNode = {
    DeleteStmt: {
      ...fields,
      relation: target(fields, table),
      ...condition(fields, query, scope, compilation),
      ...returning.fields,
    },
  };
  const body: ReadBody = {
    kind: 'read',
    cloud: compilation.finish(tree),
    operands: compilation.operands,
    answering: returning.answering,
    deletes: sides ? table : undefined,
  };
  return { kind: 'protected', command: 'DELETE', shape: compilation.shape, body };
}

/**
 * @param raw an UpdateStmt
 */
export function planUpdate(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  defaults: Defaults,
  checks: TableChecks | undefined,
  compilation: Compilation,
): ProtectedPlan {
  const fields = raw.UpdateStmt!;
  const scope = single(fields, query, 'fromClause', 'UPDATE ... FROM', compilation);
  const assignments = assigned(fields, query, table);
  for (const { column, expr } of assignments) {
    const uses = protectedColumns(expr, scope, compilation.catalog);
    if (uses.length)
      throw refuse(
        column.protection
          ? 'a new value computed from old ones'
          : `a value for unprotected column "${column.name}"`,
        uses[0]!,
      );
  }
  const acting = actionsOn(compilation.catalog, table).find(
    ({ actions, references }) =>
      acts(actions.onUpdate) && assignments.some(a => references.columns.includes(a.column.number)),
  );
  if (acting) throw actsOn(acting, table);
  const writesProtected = assignments.filter(a => a.column.protection);
  const assignedColumns = assignments.map(a => a.column);
  const mayBreak = checks ? checksReading(checks, assignedColumns) : [];
  if (mayBreak.length > 0 && writesProtected.length < assignments.length)
    throw needsBoth(table, mayBreak[0]!.name);
  for (const { column, raw: value } of writesProtected) {
    const sql =
      kindOf(value) === 'SetToDefault' ? (defaults.get(column.attnum)?.sql ?? '') : deparseExpression(value);
    if (volatileCall.test(sql))
      throw refuse('a new value that is another one for each row', { table, column });
  }
  if (writesProtected.length === 0) {
    const returning = returningTargets(fields, query, scope, table, compilation, false);
    const tree: RawNode = {
      UpdateStmt: {
        ...fields,
        relation: target(fields, table),
        ...condition(fields, query, scope, compilation),
        ...returning.fields,
      },
    };
    const body: ReadBody = {
      kind: 'read',
      cloud: compilation.finish(tree),
      operands: compilation.operands,
      answering: returning.answering,
      deletes: undefined,
    };
    return { kind: 'protected', command: 'UPDATE', shape: compilation.shape, body };
  }

  const alias = (fields.relation as { alias?: { aliasname?: string } }).alias?.aliasname ?? table.name;
  const batch = newValues(alias);
  const lockTree: RawNode = {
    SelectStmt: {
      targetList: [targetNode(columnRef(alias, ROW_COLUMN))],
      fromClause: [{ RangeVar: target(fields, table) }],
      ...condition(fields, query, scope, compilation),
      lockingClause: [
        {
          LockingClause: {
            strength: changesKey(table, assignments) ? 'LCS_FORUPDATE' : 'LCS_FORNOKEYUPDATE',
            waitPolicy: 'LockWaitBlock',
          },
        },
      ],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  };
  // The values are protected once the rows are known, so each has its own compilation.
  const writing = new Compilation(
    compilation.catalog,
    compilation.registry,
    compilation.values,
    compilation.answered,
  );
  const formsOf = formsIn(compilation.registry, 1);
  const written = writesProtected.map(
    ({ column, raw: value, expr }): WrittenColumn => ({
      column,
      sources: [source(value, expr, column, defaults, compilation)],
      forms: formsOf(column),
    }),
  );
  const columns = written.flatMap(w =>
    w.forms.flatMap(f =>
      Object.entries(f.operands).map(([role, operand]) => ({
        name: f.encoded.columns[role]!,
        operand,
        type: physicalType(f, role),
      })),
    ),
  );
  const unnest: RawNode = {
    RangeFunction: {
      is_rowsfrom: true,
      functions: [
        writing.placeholder(0, -1, 'int8[]'),
        ...columns.map(c => writing.placeholder(c.operand, -1, `${c.type}[]`)),
      ].map(array => ({
        List: {
          items: [
            {
              FuncCall: {
                funcname: [str('pg_catalog'), str('unnest')],
                args: [array],
                funcformat: 'COERCE_EXPLICIT_CALL',
              },
            },
            {},
          ],
        },
      })),
      alias: { aliasname: batch, colnames: [str(ROW_COLUMN), ...columns.map(c => str(c.name))] },
    },
  };
  const returning = returningTargets(fields, query, scope, table, writing, false);
  const { fromClause: _from, whereClause: _where, ...rest } = fields;
  const tree: RawNode = {
    UpdateStmt: {
      ...rest,
      relation: target(fields, table),
      targetList: [
        ...assignments.filter(a => !a.column.protection).map(a => a.target),
        ...columns.map(c => ({ ResTarget: { name: c.name, val: columnRef(batch, c.name) } })),
      ],
      fromClause: [unnest],
      whereClause: {
        A_Expr: {
          kind: 'AEXPR_OP',
          name: [str('=')],
          lexpr: columnRef(alias, ROW_COLUMN),
          rexpr: columnRef(batch, ROW_COLUMN),
        },
      },
      ...returning.fields,
    },
  };
  const clientParameters = new Set([
    ...compilation.clientParametersOfOperands(),
    ...written.flatMap(w =>
      w.sources.flatMap(s =>
        s.kind === 'parameter' ? [s.index] : s.kind === 'expression' ? s.parameters : [],
      ),
    ),
  ]);
  const body: UpdateBody = {
    kind: 'update',
    table,
    lock: compilation.finish(lockTree, clientParameters),
    operands: compilation.operands,
    written,
    assignsOpen: writesProtected.length < assignments.length,
    checked:
      checks && mayBreak.length > 0
        ? {
            of: checks,
            checks: mayBreak,
            others: storedColumns(
              table,
              [...new Set(mayBreak.flatMap(check => check.columns))].filter(
                c => !assignedColumns.includes(c),
              ),
              compilation.registry,
            ),
          }
        : undefined,
    cloud: writing.finish(tree, clientParameters),
    answering: returning.answering,
  };
  return { kind: 'protected', command: 'UPDATE', shape: compilation.shape, body };
}

/** Why a write is split. */
const actsOn = ({ key, child }: ReferringKey, table: LogicalTable): ClarusError =>
  new ClarusError(
    '0A000',
    `foreign key "${key.name}" of table "${child.name}" acts on rows that refer to table "${table.name}"`,
    { detail: 'The cloud cannot seal values, so the trusted side runs the action.', constraint: key.name },
  );

interface Assignment {
  readonly column: LogicalColumn;
  readonly target: RawNode;
  readonly raw: RawNode;
  readonly expr: Node | undefined;
}

function assigned(fields: RawFields, query: Node, table: LogicalTable): Assignment[] {
  const targets = nodesIn(query, 'targetList');
  return list(fields, 'targetList').map(target => {
    const name = text(fieldsOf(target), 'name');
    const column = table.columns.find(c => c.name === name);
    const raw = child(fieldsOf(target), 'val');
    if (!column || !raw || list(fieldsOf(target), 'indirection').length || kindOf(raw) === 'MultiAssignRef')
      throw new ClarusError('0A000', 'this form of SET is not answered on protected tables yet', {
        hint: 'Assign each column by itself.',
      });
    const expr = targets.find(t => numberIn(t, 'resno') === column.attnum)?.fields.expr;
    return { column, target, raw, expr: isNode(expr) ? expr : undefined };
  });
}

/** PostgreSQL locks FOR UPDATE where a column of a key that a foreign key may reference changes. */
const changesKey = (table: LogicalTable, assignments: readonly Assignment[]): boolean =>
  table.keys.some(k => k.kind !== 'foreign' && assignments.some(a => k.columns.includes(a.column.number)));

function condition(fields: RawFields, query: Node, scope: Scope, compilation: Compilation): RawFields {
  const where = child(fields, 'whereClause');
  if (!where) return {};
  if (kindOf(where) === 'CurrentOfExpr')
    throw new ClarusError('0A000', 'WHERE CURRENT OF on a protected table is not answered', {
      hint: 'Fetch the key with the row, and change it by that.',
    });
  return {
    whereClause: rewriteCondition(where, nodeIn(query, 'jointree')?.fields.quals, scope, compilation),
  };
}

function single(fields: RawFields, query: Node, from: string, form: string, compilation: Compilation): Scope {
  if (list(fields, from).length)
    throw new ClarusError('0A000', `${form} with a protected table is not answered yet`);
  if (fields.withClause)
    throw new ClarusError('0A000', 'WITH beside a write to a protected table is not answered yet');
  const below = protectedTableBelow(query, compilation);
  if (below) throw new ClarusError('0A000', `protected table "${below}" is used within a subquery`);
  return scopeOf(query);
}

/** True where an encoding of the table has side tables. */
export const hasSideTables = (table: LogicalTable): boolean =>
  table.columns.some(c => c.protection?.encodings.some(e => Object.keys(e.encoded.tables).length > 0));
