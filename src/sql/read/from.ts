/** FROM: table references are qualified with the physical names, and join conditions are rewritten. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { isNode, type Node, nodeIn, nodesIn, numberIn, type Value } from '../analysed/node.js';
import { entry, RTE, type Scope } from '../analysed/query.js';
import { aliasOf, protectedColumns } from '../columns.js';
import type { Compilation } from '../compilation.js';
import { child, fieldsOf, kindOf, type RawFields, type RawNode } from '../raw/node.js';
import { hiddenNames, refuseHidden } from './hidden-names.js';
import { rewriteCondition, usingCondition } from './predicate.js';

/**
 * Rewrites a FROM list beside the analysed join tree.
 * @throws ClarusError 0A000 for forms that cannot be told apart physically
 */
export function rewriteFrom(
  raw: readonly RawNode[],
  analysed: readonly Node[],
  scope: Scope,
  compilation: Compilation,
): RawNode[] {
  if (raw.length !== analysed.length) throw new Error('FROM and its analysis differ');
  return raw.map((item, i) => rewriteItem(item, analysed[i]!, scope, compilation));
}

function rewriteItem(raw: RawNode, analysed: Node, scope: Scope, compilation: Compilation): RawNode {
  const fields = fieldsOf(raw);
  switch (kindOf(raw)) {
    case 'RangeVar': {
      const rte = entry(scope, numberIn(analysed, 'rtindex'));
      if (numberIn(rte, 'rtekind') !== RTE.relation) return raw;
      return rangeVar(raw, rte, numberIn(analysed, 'rtindex'), scope, compilation);
    }
    case 'RangeTableSample': {
      const relation = child(fields, 'relation')!;
      const rte = entry(scope, numberIn(analysed, 'rtindex'));
      return {
        RangeTableSample: {
          ...fields,
          relation: rangeVar(relation, rte, numberIn(analysed, 'rtindex'), scope, compilation),
        },
      };
    }
    case 'JoinExpr': {
      if (analysed.kind !== 'JOINEXPR') throw new Error('a join and its analysis differ');
      const merged = nodesIn(entry(scope, numberIn(analysed, 'rtindex')), 'joinaliasvars').slice(
        0,
        Math.max(0, numberOf(entry(scope, numberIn(analysed, 'rtindex')), 'joinmergedcols')),
      );
      const quals = child(fields, 'quals');
      if (fields.alias && protectedIn(analysed, scope, compilation).length > 0)
        throw form('an alias for a join with a protected table');
      const join = {
        ...fields,
        larg: rewriteItem(child(fields, 'larg')!, nodeIn(analysed, 'larg')!, scope, compilation),
        rarg: rewriteItem(child(fields, 'rarg')!, nodeIn(analysed, 'rarg')!, scope, compilation),
      };
      if (
        merged.some(v => protectedColumns(v, scope, compilation.catalog).length) ||
        (merged.length && protectedColumns(analysed.fields.quals, scope, compilation.catalog).length)
      )
        return joinOn(join, analysed, scope, compilation);
      // NATURAL would also match the hidden columns: the common columns are written out.
      if (fields.isNatural) {
        const using = usingNames(analysed);
        const hidden = hiddenNames(protectedIn(analysed, scope, compilation));
        const captured = using.find(name => hidden.has(name));
        if (captured !== undefined) throw refuseHidden(captured);
        const { isNatural: _natural, ...plain } = join as Record<string, unknown>;
        if (using.length === 0)
          return { JoinExpr: { ...plain, quals: { A_Const: { boolval: { boolval: true } } } } };
        return { JoinExpr: { ...plain, usingClause: using.map(sval => ({ String: { sval } })) } };
      }
      return {
        JoinExpr: quals
          ? { ...join, quals: rewriteCondition(quals, analysed.fields.quals, scope, compilation) }
          : join,
      };
    }
    default:
      return raw;
  }
}

/**
 * USING and NATURAL over protected columns, as a join ON what encodings answer. Whoever names a merged column
 * means the column of one side, which the analysis tells.
 */
function joinOn(join: RawFields, analysed: Node, scope: Scope, compilation: Compilation): RawNode {
  if (join.join_using_alias) throw form('an alias of USING over a protected column');
  const quals = usingCondition(analysed.fields.quals, scope, compilation);
  if (!quals)
    throw new ClarusError(
      '0A000',
      'USING and NATURAL over protected and unprotected columns together are not answered',
      {
        hint: 'Write the condition after ON.',
      },
    );
  const { isNatural: _natural, usingClause: _using, ...plain } = join;
  return { JoinExpr: { ...plain, quals } };
}

function usingNames(join: Node): string[] {
  const names = join.fields.usingClause;
  return Array.isArray(names) ? names.map((n: Value) => (isNode(n) ? String(n.fields.sval) : String(n))) : [];
}

const numberOf = (node: Node, field: string): number => numberIn(node, field);

/** A table reference by its physical name, called what the statement calls it. */
export function rangeVar(
  raw: RawNode,
  rte: Node,
  varno: number,
  scope: Scope,
  compilation: Compilation,
): RawNode {
  const fields = fieldsOf(raw);
  const table = compilation.catalog.tables.get(numberIn(rte, 'relid'));
  if (!table) return raw;
  const alias = child(fields, 'alias') as { colnames?: unknown; aliasname?: string } | undefined;
  if (table.state === 'protected' && alias?.colnames) throw form('column aliases of a protected table');
  const name = aliasOf(scope, varno);
  return {
    RangeVar: {
      ...fields,
      ...physicalName(table, alias !== undefined, name),
    },
  };
}

/**
 * The fields of a table reference by the physical name, called what the statement calls it. A name of its own would
 * hide the schema, by which columns may be qualified too.
 */
export const physicalName = (
  { name, physical }: LogicalTable,
  aliased: boolean,
  called: string = name,
): RawFields => ({
  schemaname: physical.schema,
  relname: physical.name,
  // a hidden name stands for its own wherever the statement says it (opaque/)
  ...(aliased || called === name ? {} : { alias: { aliasname: called } }),
});

const protectedTable = (rte: Node, compilation: Compilation): LogicalTable | undefined => {
  const table = compilation.catalog.tables.get(numberIn(rte, 'relid'));
  return table?.state === 'protected' ? table : undefined;
};

/** Protected tables below a node of the analysed join tree. */
function protectedIn(analysed: Node, scope: Scope, compilation: Compilation): readonly LogicalTable[] {
  if (analysed.kind === 'JOINEXPR')
    return ['larg', 'rarg'].flatMap(side => protectedIn(nodeIn(analysed, side)!, scope, compilation));
  return [protectedTable(entry(scope, numberIn(analysed, 'rtindex')), compilation)].filter(
    table => table !== undefined,
  );
}

const form = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} is not supported by the cloud's part of a protected statement`);
