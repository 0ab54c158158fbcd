/**
 * Do the conditions of a statement keep protected and unprotected columns apart? PostgreSQL's planner carries constants
 * from one column to another: along equalities, out of subqueries, into the arms of a UNION ALL. Whatever a condition
 * names is taken to be tied to all else that it names; where no chain of such ties leads from a protected to an
 * unprotected column, a value that is compared with an unprotected one was not meant for a protected one.
 */
import type { Catalog } from '../../catalog/catalog.js';
import {
  type Node,
  nodeIn,
  nodesIn,
  numberIn,
  readNodes,
  textIn,
  type Value,
  walk,
} from '../analysed/node.js';
import {
  type BaseColumn,
  columnsOfQuery,
  columnsRead,
  functionsIn,
  meaningOf,
  type Scope,
  scopeOf,
} from '../analysed/query.js';
import { FIRST_USER_OID } from '../functions.js';
import type { Analysis } from '../ports.js';

/** Things that are tied together. */
class Ties {
  readonly #parents = new Map<string, string>();

  tie(names: readonly string[]): void {
    const [first, ...others] = names;
    for (const other of others) this.#parents.set(this.root(other), this.root(first!));
  }

  root(name: string): string {
    let at = name;
    for (let next = this.#parents.get(at); next !== undefined && next !== at; next = this.#parents.get(at))
      at = next;
    return at;
  }
}

/** @returns false where it cannot be said */
export function keepsApart({ rewritten }: Analysis, catalog: Catalog): boolean {
  const ties = new Ties();
  const open = new Set<string>();
  const closed = new Set<string>();
  const derived = new Map<Node, number>();

  const nameOf = ({ relid, attnum }: BaseColumn): string[] => {
    const table = catalog.tables.get(relid);
    const columns = table?.columns.filter(c => attnum <= 0 || c.attnum === attnum) ?? [];
    if (columns.length === 0) {
      open.add(`${relid} ${attnum}`);
      return [`${relid} ${attnum}`];
    }
    return columns.map(column => {
      const name = `${relid} ${column.attnum}`;
      (column.protection ? closed : open).add(name);
      return name;
    });
  };
  const named = (value: Value | undefined, scope: Scope): string[] => {
    const names: string[] = [];
    walk(value, node => {
      if (node.kind === 'PARAM') names.push(`$${numberIn(node, 'paramid')}`);
      if (node.kind === 'QUERY') {
        names.push(...columnsOfQuery(node, scope).flatMap(nameOf));
        return false;
      }
      if (node.kind !== 'VAR') return true;
      names.push(...columnsRead(node, scope).flatMap(nameOf));
      const meaning = meaningOf(node, scope);
      if (meaning.kind === 'expression') names.push(...named(meaning.value, meaning.scope));
      if (meaning.kind === 'derived') {
        const number = derived.get(meaning.rte) ?? derived.size;
        derived.set(meaning.rte, number);
        names.push(`derived ${number} ${meaning.attnum}`);
      }
      return false;
    });
    return names;
  };
  const search = (query: Node, outer: Scope | undefined): void => {
    const scope = scopeOf(query, outer);
    for (const condition of conditionsOf(query)) ties.tie(named(condition, scope));
    for (const value of Object.values(query.fields))
      walk(value, node => {
        if (node.kind !== 'QUERY') return true;
        search(node, scope);
        return false;
      });
  };
  const trees = rewritten.flatMap(readNodes);
  // what a function of users holds comes to stand in its place, in FROM too
  if ([...functionsIn(trees)].some(oid => oid >= FIRST_USER_OID)) return false;
  for (const tree of trees) if (tree.kind === 'QUERY') search(tree, undefined);
  const roots = new Set([...closed].map(name => ties.root(name)));
  return ![...open].some(name => roots.has(ties.root(name)));
}

/** Conditions of a query of which all must hold: WHERE, ON and HAVING. */
function conditionsOf(query: Node): Value[] {
  const found: Value[] = [];
  const take = (value: Value | undefined): void => {
    if (value === null || value === undefined || typeof value === 'string') return;
    if (Array.isArray(value)) for (const item of value) take(item);
    else {
      const node = value as Node;
      if (node.kind === 'BOOLEXPR' && textIn(node, 'boolop') === 'and') take(node.fields.args);
      else found.push(node);
    }
  };
  const join = (node: Node): void => {
    take(node.fields.quals);
    for (const item of nodesIn(node, 'fromlist')) join(item);
    for (const side of ['larg', 'rarg']) {
      const inner = nodeIn(node, side);
      if (inner) join(inner);
    }
  };
  const tree = nodeIn(query, 'jointree');
  if (tree) join(tree);
  take(query.fields.havingQual);
  return found;
}
