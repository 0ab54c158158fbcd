/**
 * Relations that a body is given beside those of the database: the transition tables of its trigger. In each statement of
 * the body they are subqueries over parameters, an array of texts a column, and so last no longer than it.
 */
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import {
  isNode,
  type Node,
  nodeIn,
  nodesIn,
  numberIn,
  readNodes,
  type Value,
  walk,
} from '../analysed/node.js';
import { callOf, functionsIn, meaningOf, type Scope as QueryScope, RTE, scopeOf } from '../analysed/query.js';
import { FIRST_USER_OID } from '../functions.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, type RawFields, type RawNode, rewrite, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { columnsNeeded } from '../split/given-table.js';
import { namesAll } from '../temporary/given-relations.js';
import type { Value as Held } from './types.js';
import type { GivenRelation, Scope } from './variables.js';

/**
 * Rows as a relation.
 * @param mark tells relations of one body apart
 * @param values of a column, by its place
 */
export function givenRelation(
  name: string,
  mark: string,
  columns: readonly { readonly name: string; readonly type: string; readonly secret: boolean }[],
  values: (place: number) => readonly (Uint8Array | null)[],
): GivenRelation {
  return {
    name,
    columns: columns.map(({ name: column, type, secret }, place) => {
      let text: Uint8Array | undefined;
      const array = { oid: textArray, modifier: -1 };
      const variable = {
        kind: 'scalar' as const,
        name: `${mark}\u0001${place}`,
        type: array,
        constant: true,
        notNull: true,
        given: true as const,
        get value(): Held {
          text ??= arrayText(values(place));
          return { type: array, text, secret };
        },
      };
      return { name: column, type, variable };
    }),
  };
}

/** OID of `text[]` */
const textArray = 1009;

function arrayText(values: readonly (Uint8Array | null)[]): Uint8Array {
  const quoted = values.map(value =>
    value === null ? 'NULL' : `"${Buffer.from(value).toString('latin1').replace(/["\\]/g, '\\$&')}"`,
  );
  return Buffer.from(`{${quoted.join()}}`, 'latin1');
}

/**
 * A statement of a body with subqueries in place of the relations that the body is given.
 * @returns undefined: it names none
 * @throws ClarusError 0A000 where it writes one (setTargetTable of parse_clause.c), or has a WITH query of the same name
 */
export function withGivenRelations(sql: string, scope: Scope): string | undefined {
  if (scope.relations.length === 0) return undefined;
  const raw = parseOne(sql);
  let named = false;
  const hidden = new Set<unknown>();
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') hidden.add(fields.ctename);
    const found = relationOf(fields, scope);
    if (!found) return;
    if (kind === 'RangeVar') named = true;
    else if (kind === 'relation' && /^(Insert|Update|Delete|Merge)Stmt$/.test(kindOf(raw)))
      throw new ClarusError(
        '0A000',
        `relation "${found.name}" cannot be the target of a modifying statement`,
      );
  });
  if (!named) return undefined;
  const replaced = rewrite(raw, (kind, fields) => {
    const relation = kind === 'RangeVar' ? relationOf(fields, scope) : undefined;
    if (!relation) return undefined;
    if (hidden.has(relation.name))
      throw new ClarusError(
        '0A000',
        `a WITH query of the name of the transition table "${relation.name}" is not answered`,
        { hint: 'Name it otherwise.' },
      );
    return subqueryOf(relation, raw, fields);
  });
  return deparse(replaced);
}

const relationOf = ({ schemaname, relname }: RawFields, scope: Scope): GivenRelation | undefined =>
  typeof relname === 'string' && schemaname === undefined ? scope.relation(relname) : undefined;

function subqueryOf({ name, columns }: GivenRelation, raw: RawNode, range: RawFields): RawNode {
  const read = namesAll(raw, range)
    ? columns.map(c => c.name)
    : columnsNeeded(
        [raw],
        columns.map(c => c.name),
      );
  const open = columns.find(({ variable }) => !variable.value.secret) ?? columns[0]!;
  // how many rows there are matters too
  const needed = read.length > 0 ? columns.filter(c => read.includes(c.name)) : [open];
  const targets = needed.map((c, i) => `u.c${i}::${c.type} AS ${quoteName(c.name)}`);
  const arrays = needed.map(({ variable }) => `pg_catalog.unnest(${quoteName(variable.name)})`);
  const names = needed.map((_, i) => `c${i}`);
  const subquery = parseOne(
    `SELECT ${targets.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${names.join(', ')})`,
  );
  return { RangeSubselect: { subquery, alias: range.alias ?? { aliasname: name } } };
}

/**
 * Which columns a statement over given relations returns that come of unprotected ones alone, row by row.
 * @param values its parameters
 */
export async function openOutputs(
  sql: string,
  values: readonly Held[],
  session: SessionPort,
): Promise<readonly boolean[]> {
  const { parsed } = await session.analyse(
    sql,
    values.map(({ type }) => type.oid),
  );
  const [query] = parsed.flatMap(readNodes);
  if (!query) return [];
  const isOpen = (number: number): boolean => values[number - 1]?.secret === false;
  const field = nodesIn(query, 'returningList').length > 0 ? 'returningList' : 'targetList';
  return nodesIn(query, field)
    .filter(target => target.fields.resjunk !== 'true')
    .map(target => comesOf(target.fields.expr, scopeOf(query), isOpen));
}

/** Is a value made of open parameters, through subqueries in FROM and their functions? */
function comesOf(value: Value | undefined, scope: QueryScope, isOpen: (number: number) => boolean): boolean {
  let open = true;
  walk(value, node => {
    const ofUsers = [...functionsIn([node])].some(oid => oid >= FIRST_USER_OID);
    if (ofUsers || /^(AGGREF|WINDOWFUNC|GROUPINGFUNC|QUERY)$/.test(node.kind)) open = false;
    else if (node.kind === 'PARAM')
      open &&= numberIn(node, 'paramkind') === 0 && isOpen(numberIn(node, 'paramid'));
    else if (node.kind === 'VAR') open &&= standsForOpen(node, scope, isOpen);
    return open;
  });
  return open;
}

function standsForOpen(variable: Node, from: QueryScope, isOpen: (number: number) => boolean): boolean {
  const meaning = meaningOf(variable, from);
  if (meaning.kind === 'base') return false;
  if (meaning.kind === 'expression') return comesOf(meaning.value, meaning.scope, isOpen);
  const { rte, scope, attnum } = meaning;
  const call = callOf(rte, attnum);
  if (call) return comesOf(call, scope, isOpen);
  const inner = numberIn(rte, 'rtekind') === RTE.subquery ? nodeIn(rte, 'subquery') : undefined;
  if (!inner || nodeIn(inner, 'setOperations')) return false;
  const target = nodesIn(inner, 'targetList').find(one => numberIn(one, 'resno') === attnum);
  return isNode(target?.fields.expr) && comesOf(target.fields.expr, scopeOf(inner, scope), isOpen);
}
