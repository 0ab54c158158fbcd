/** RETURNING of writes on protected tables, with the row id where side tables must follow. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { type Node, nodesIn, numberIn, walk } from '../analysed/node.js';
import type { Scope } from '../analysed/query.js';
import type { Compilation } from '../compilation.js';
import type { Answering } from '../execute/bodies.js';
import { list, type RawFields, type RawNode, target, text } from '../raw/node.js';
import { rewriteTargets } from '../read/targets.js';

/**
 * @param fields of the raw write statement
 * @param withRow true: the cloud also returns the row id of each written row
 */
export function returningTargets(
  fields: RawFields,
  query: Node,
  scope: Scope,
  table: LogicalTable,
  compilation: Compilation,
  withRow: boolean,
): { fields: RawFields; answering: Answering } {
  const raw = returningList(fields);
  for (const entry of nodesIn(query, 'returningList'))
    walk(entry, node => {
      if (node.kind === 'VAR' && numberIn(node, 'varreturningtype') > 0)
        throw new ClarusError('0A000', 'OLD and NEW in RETURNING are not answered on protected tables yet', {
          hint: 'Name the columns without OLD or NEW.',
        });
      return true;
    });
  const targets = rewriteTargets(raw, nodesIn(query, 'returningList'), scope, compilation);
  const all = [...targets.list];
  const binary = new Set(targets.binary);
  let written: { written?: number } = {};
  if (withRow) {
    const relation = fields.relation as { alias?: { aliasname?: string } } | undefined;
    binary.add(all.length);
    written = { written: all.push(target(compilation.rowId(relation?.alias?.aliasname ?? table.name))) - 1 };
  }
  return {
    fields: all.length ? withReturning(fields, all) : {},
    answering: { outputs: targets.outputs, binary, width: all.length, ...written },
  };
}

/** RETURNING stands in `returningList` (to PostgreSQL 17) or in a `returningClause` (18). */
export function returningList(fields: RawFields): readonly RawNode[] {
  if (list((fields.returningClause ?? {}) as RawFields, 'options').length > 0)
    throw new ClarusError('0A000', 'RETURNING WITH is not answered by the cloud');
  return returningExpressions(fields);
}

/** The same, whatever the clause calls the rows as they were and as they are. */
export const returningExpressions = (fields: RawFields): readonly RawNode[] =>
  fields.returningClause ? list(fields.returningClause as RawFields, 'exprs') : list(fields, 'returningList');

/** What RETURNING calls the rows as they were and as they are (`WITH (OLD AS x, NEW AS y)`). */
export function returningNames(fields: RawFields): { readonly old: string; readonly new: string } {
  const names = { old: 'old', new: 'new' };
  for (const { ReturningOption: option } of list((fields.returningClause ?? {}) as RawFields, 'options'))
    names[option?.option === 'RETURNING_OPTION_OLD' ? 'old' : 'new'] = text(option ?? {}, 'value')!;
  return names;
}

const withReturning = (_fields: RawFields, exprs: readonly RawNode[]): RawFields => ({
  returningClause: { exprs },
});
