/** What a statement itself gives names to, and what of it keeps names from being changed. */
import { list, type RawFields, type RawNode, stringOf, visit } from '../raw/node.js';
import { impliedName } from './implied-names.js';

/** Columns that every table has (heap.c, SystemAttributeDefinition). */
export const systemColumns: ReadonlySet<string> = new Set([
  'ctid',
  'xmin',
  'xmax',
  'cmin',
  'cmax',
  'tableoid',
]);

/** The names of a statement. */
export interface DeclaredNames {
  /** aliases, output columns, column aliases, CTEs and windows */
  readonly declared: ReadonlySet<string>;
  readonly ctes: ReadonlySet<string>;
  /** tables that stand under a schema without an alias */
  readonly unaliased: ReadonlySet<string>;
  readonly readsSystemColumns: boolean;
  /** it says FOR UPDATE or the like */
  readonly locks: boolean;
}

/** Looks through a statement. */
export function declaredNames(tree: RawNode): DeclaredNames {
  const declared = new Set<string>();
  const ctes = new Set<string>();
  const unaliased = new Set<string>();
  let readsSystemColumns = false;
  let locks = false;
  const table = (fields: RawFields): void => {
    const alias = fields.alias as RawFields | undefined;
    if (!alias && fields.schemaname !== undefined) unaliased.add(String(fields.relname));
  };
  visit(tree, (kind, fields) => {
    switch (kind) {
      case 'alias':
      case 'join_using_alias':
        declared.add(String(fields.aliasname));
        for (const name of list(fields, 'colnames')) declared.add(stringOf(name));
        break;
      case 'RangeVar':
      case 'relation':
        if (typeof fields.relname === 'string') {
          table(fields);
          declared.add(fields.relname);
        }
        break;
      case 'CommonTableExpr':
        ctes.add(String(fields.ctename));
        declared.add(String(fields.ctename));
        for (const name of list(fields, 'aliascolnames')) declared.add(stringOf(name));
        break;
      case 'ResTarget': {
        const name = fields.name ?? (fields.val ? impliedName(fields.val as RawNode) : undefined);
        if (typeof name === 'string') declared.add(name);
        break;
      }
      case 'SelectStmt':
      case 'larg':
      case 'rarg':
        for (let i = 1; i <= valuesWidth({ SelectStmt: fields }); i++) declared.add(`column${i}`);
        break;
      case 'WindowDef':
        if (typeof fields.name === 'string') declared.add(fields.name);
        break;
      case 'ColumnRef':
        if (systemColumns.has(stringOf(list(fields, 'fields').at(-1)))) readsSystemColumns = true;
        break;
      case 'LockingClause':
        locks = true;
        break;
    }
  });
  return { declared, ctes, unaliased, readsSystemColumns, locks };
}

/** How many columns a query has whose names come from VALUES, the first of its parts included; else 0. */
export function valuesWidth(query: RawNode | undefined): number {
  const select = query?.SelectStmt;
  if (!select) return 0;
  if (select.larg) return valuesWidth({ SelectStmt: select.larg as RawFields });
  const [row] = list(select, 'valuesLists');
  return row ? list(row.List!, 'items').length : 0;
}
