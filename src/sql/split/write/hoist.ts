/**
 * Writes within WITH that carriers cannot do (INSERT, MERGE): each runs as a statement of its own, in order, and what it
 * returns stands in the rest of the statement as rows that are given. PostgreSQL lets no part of a statement see what
 * another part writes, so what they write may not be read by the rest.
 */
import { quoteName } from '../../../catalog/quote.js';
import type { ClarusError } from '../../../errors.js';
import { arrayOids } from '../../../wire/types.js';
import { type Node, nodesIn, numberIn, readNodes } from '../../analysed/node.js';
import { COMMAND, columnsOfQuery, relationsIn, scopeOf } from '../../analysed/query.js';
import type { FirstQuery } from '../../execute/bodies.js';
import { typeNameOf } from '../../execute/convert.js';
import { deparse } from '../../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { touchOf } from '../../touch.js';
import { writtenTable } from '../../write/target.js';
import { mustTravelExactly } from '../exact.js';
import type { SplitPlanning } from '../plan.js';
import { orCause } from './computed-plan.js';
import { callsVolatile } from './volatile.js';

/** A statement without the writes within its WITH. */
export interface Hoisted {
  readonly raw: RawNode;
  readonly planning: SplitPlanning;
  readonly first: readonly FirstQuery[];
}

/** Does an analysed statement hold writes in WITH that only hoisting answers? */
export function mustHoist(query: Node): boolean {
  const commands = nodesIn(query, 'cteList').map(cte => numberIn(cte.fields.ctequery as Node, 'commandType'));
  const own = numberIn(query, 'commandType');
  const byCarriers = (command: number): boolean =>
    command === COMMAND.select || command === COMMAND.update || command === COMMAND.delete;
  return (
    commands.some(command => !byCarriers(command)) ||
    (!byCarriers(own) && commands.some(command => command !== COMMAND.select))
  );
}

/**
 * @param planPart plans one of the writes: as any statement, or, where it holds what others returned, as a split one,
 *   because what they returned may be of protected columns
 * @throws cause where the rest reads a table that they write
 */
export async function hoistWrites(
  raw: RawNode,
  query: Node,
  planning: SplitPlanning,
  planPart: (raw: RawNode, types: readonly number[], given: boolean) => Promise<FirstQuery['plan']>,
): Promise<Hoisted> {
  const { analysis, cause, homes, session } = planning;
  const catalog = session.catalog();
  const kind = kindOf(raw);
  const fields = fieldsOf(raw);
  const withClause = fields.withClause as { ctes: readonly RawNode[]; recursive?: boolean };
  const scope = scopeOf(query);
  const analysed = nodesIn(query, 'cteList').map(cte => cte.fields.ctequery as Node);
  const isWrite = analysed.map(cte => numberIn(cte, 'commandType') !== COMMAND.select);
  // views are expanded there
  const [expanded, ...more] = analysis.rewritten.flatMap(readNodes);
  const parts = expanded ? nodesIn(expanded, 'cteList').map(cte => cte.fields.ctequery as Node) : [];
  if (!expanded || more.length > 0 || parts.length !== analysed.length) throw cause;
  for (const [i, cte] of analysed.entries()) {
    const written = isWrite[i] ? writtenTable(cte, catalog) : undefined;
    // a query that several parts read would be run by each of them
    if (!isWrite[i] && (await callsVolatile(cte, session))) throw cause;
    if (!isWrite[i]) continue;
    if (!written) throw cause;
    const others = [...parts.filter((_, k) => k !== i), withoutCtes(expanded)];
    // the target of a write stands among the relations of its query
    const read = others.flatMap(other => [...relationsIn([other])]);
    if (read.includes(written.oid)) throw cause;
  }
  const types = [...analysis.shape.parameterTypes];
  const first: FirstQuery[] = [];
  const rest: RawNode[] = [];
  let given = false;
  for (const [i, cte] of withClause.ctes.entries()) {
    if (!isWrite[i]) {
      rest.push(cte);
      continue;
    }
    const own = fieldsOf(cte);
    const inner = child(own, 'ctequery')!;
    const part = withCtes(inner, rest, withClause.recursive === true, cause);
    const plan = await planPart(part, types, given);
    const columns = ('shape' in plan ? plan.shape?.columns : undefined) ?? [];
    const tainted = columnsOfQuery(analysed[i]!, scope).some(column =>
      catalog.tables
        .get(column.relid)
        ?.columns.some(c => c.protection && (c.attnum === column.attnum || column.attnum === 0)),
    );
    first.push({ plan, columns: columns.length });
    if (columns.length === 0) continue;
    given ||= tainted;
    mustTravelExactly(columns, session);
    const names = await Promise.all(columns.map(({ typeOid }) => typeNameOf(typeOid, session)));
    const targets = columns.map(({ name }, k) => `u.c${k}::${names[k]} AS ${quoteName(name)}`);
    const arrays = columns.map((_, k) => `pg_catalog.unnest($${types.length + k + 1}::pg_catalog.text[])`);
    const aliases = columns.map((_, k) => `c${k}`);
    const ctequery = parseOne(
      `SELECT ${targets.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${aliases.join(', ')})`,
    );
    rest.push({ CommonTableExpr: { ...own, ctequery } });
    types.push(...columns.map(() => arrayOids.text));
  }
  const { withClause: _with, ...bare } = fields;
  const main: RawNode = {
    [kind]: rest.length > 0 ? { ...bare, withClause: { ...withClause, ctes: rest } } : bare,
  };
  const again = await session.analyse(deparse(main), types).catch(orCause(cause));
  return {
    raw: main,
    planning: { ...planning, analysis: again, touch: await touchOf(again, session, homes), hides: true },
    first,
  };
}

const withoutCtes = (query: Node): Node => {
  const { cteList: _ctes, ...fields } = query.fields;
  return { ...query, fields };
};

/** A query with further ones before those of its own WITH. */
function withCtes(raw: RawNode, ctes: readonly RawNode[], recursive: boolean, cause: ClarusError): RawNode {
  if (ctes.length === 0) return raw;
  const fields: RawFields = fieldsOf(raw);
  const own = fields.withClause as { ctes?: readonly RawNode[]; recursive?: boolean } | undefined;
  const names = new Set(ctes.map(cte => text(fieldsOf(cte), 'ctename')));
  if (own?.ctes?.some(cte => names.has(text(fieldsOf(cte), 'ctename')))) throw cause;
  return {
    [kindOf(raw)]: {
      ...fields,
      withClause: {
        ctes: [...ctes, ...list(own ?? {}, 'ctes')],
        ...(recursive || own?.recursive ? { recursive: true } : {}),
      },
    },
  };
}

/** The queries of an analysed statement. */
export const topQuery = (parsed: readonly string[]): Node | undefined => parsed.flatMap(readNodes)[0];
