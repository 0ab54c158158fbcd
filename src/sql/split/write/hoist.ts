/**
 * Writes within WITH that carriers cannot do (INSERT, MERGE): each runs as a statement of its own, and what it
 * returns stands in the rest of the statement as rows that are given. PostgreSQL lets no part of a statement see what
 * another part writes, so each runs before what it reads is written (turns.ts).
 */
import { ClarusError } from '../../../errors.js';
import { arrayOids } from '../../../wire/types.js';
import { type Node, nodesIn, numberIn, numbersIn, readNodes, textIn } from '../../analysed/node.js';
import { COMMAND, columnsOfQuery, scopeOf } from '../../analysed/query.js';
import type { FirstQuery } from '../../execute/bodies.js';
import { deparse } from '../../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../../raw/node.js';
import { touchOf } from '../../touch.js';
import { writtenTable } from '../../write/target.js';
import { mustTravelExactly } from '../exact.js';
import type { SplitPlanning } from '../plan.js';
import { orCause } from './computed-plan.js';
import { givenQuery } from './given-query.js';
import { type Part, partsOf, type Turns, turnsOf } from './turns.js';
import { callsVolatile } from './volatile.js';

/** A statement without the writes within its WITH. */
export interface Hoisted {
  readonly raw: RawNode;
  readonly planning: SplitPlanning;
  readonly first: readonly FirstQuery[];
  /** what runs when the rest has run */
  readonly then: readonly FirstQuery[];
  /** all are computed before any is written */
  readonly together: boolean;
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
 * @throws cause where there is no way in which none sees what another has written
 */
export async function hoistWrites(
  raw: RawNode,
  query: Node,
  planning: SplitPlanning,
  planPart: PlanPart,
): Promise<Hoisted> {
  const { analysis, cause, session } = planning;
  const catalog = session.catalog();
  const analysed = nodesIn(query, 'cteList').map(cte => cte.fields.ctequery as Node);
  // views are expanded there
  const [expanded, ...more] = analysis.rewritten.flatMap(readNodes);
  if (!expanded || more.length > 0 || nodesIn(expanded, 'cteList').length !== analysed.length) throw cause;
  const parts = partsOf(query, expanded, catalog);
  for (const [i, cte] of analysed.entries()) {
    // a query that several parts read would be run by each of them
    if (!parts[i]!.isRun && (await callsVolatile(cte, session))) throw cause;
    if (parts[i]!.isRun && !writtenTable(cte, catalog)) throw cause;
  }
  let refused: ClarusError | undefined;
  // what is computed together is computed over carriers
  const ways = session.residual?.changesSchema
    ? turnsOf(parts).filter(({ together }) => !together)
    : turnsOf(parts);
  for (const turns of ways)
    try {
      return await hoistedBy(turns, parts, raw, query, planning, planPart);
    } catch (error) {
      if (!(error instanceof ClarusError) || error.code !== '0A000') throw error;
      refused ??= error;
    }
  throw refused ?? meeting(cause);
}

type PlanPart = (raw: RawNode, types: readonly number[], given: boolean) => Promise<FirstQuery['plan']>;

const meeting = ({ fields }: ClarusError): ClarusError =>
  new ClarusError(
    '0A000',
    'the parts of the statement cannot be written so that none sees what another one writes',
    {
      ...fields,
      detail: 'Some read what others write, and with ON CONFLICT one looks for rows that another one writes.',
      hint: 'Write them as several statements of one transaction.',
    },
  );

async function hoistedBy(
  { order, together }: Turns,
  parts: readonly Part[],
  raw: RawNode,
  query: Node,
  planning: SplitPlanning,
  planPart: PlanPart,
): Promise<Hoisted> {
  const { analysis, cause, homes, session } = planning;
  const catalog = session.catalog();
  const kind = kindOf(raw);
  const fields = fieldsOf(raw);
  const withClause = fields.withClause as WithClause;
  // PostgreSQL has put those of WITH RECURSIVE into the order in which they need each other
  const said = nodesIn(query, 'cteList').map(
    cte => withClause.ctes.find(own => text(fieldsOf(own), 'ctename') === textIn(cte, 'ctename'))!,
  );
  const analysed = nodesIn(query, 'cteList').map(cte => cte.fields.ctequery as Node);
  const scope = scopeOf(query);
  const main = analysed.length;
  const types = [...analysis.shape.parameterTypes];
  const queries = new Map(said.flatMap((cte, i) => (parts[i]!.isRun ? [] : [[i, cte] as const])));
  /** the queries that a part needs, in the order of WITH */
  const within = (place: number): RawNode[] =>
    [...parts[place]!.needs].sort((a, b) => a - b).map(i => queries.get(i)!);
  let given = together;
  const planWrite = async (place: number): Promise<FirstQuery> => {
    const own = fieldsOf(said[place]!);
    const part = withCtes(child(own, 'ctequery')!, within(place), withClause.recursive === true, cause);
    const plan = await planPart(part, types, given);
    const columns = ('shape' in plan ? plan.shape?.columns : undefined) ?? [];
    const tainted = columnsOfQuery(analysed[place]!, scope).some(column =>
      catalog.tables
        .get(column.relid)
        ?.columns.some(c => c.protection && (c.attnum === column.attnum || column.attnum === 0)),
    );
    const later = order.slice(order.indexOf(place) + 1).flatMap(i => [...parts[i]!.writes]);
    const write: FirstQuery = { plan, columns: columns.length, later: new Set(later) };
    if (columns.length === 0) return write;
    given ||= tainted;
    mustTravelExactly(columns, session);
    const collations = numbersIn(nodesIn(query, 'cteList')[place]!, 'ctecolcollations');
    const ctequery = await givenQuery(columns, collations, types.length, session);
    queries.set(place, { CommonTableExpr: { ...own, ctequery } });
    types.push(...columns.map(() => arrayOids.text));
    return write;
  };
  const first: FirstQuery[] = [];
  for (const place of order.slice(0, order.indexOf(main))) first.push(await planWrite(place));
  const { withClause: _with, ...bare } = fields;
  const ctes = within(main);
  const rest: RawNode = { [kind]: ctes.length > 0 ? { ...bare, withClause: { ...withClause, ctes } } : bare };
  const again = await session.analyse(deparse(rest), types).catch(orCause(cause));
  const left = {
    ...planning,
    analysis: again,
    touch: await touchOf(again, session, homes),
    hides: true,
  } as const;
  const then: FirstQuery[] = [];
  for (const place of order.slice(order.indexOf(main) + 1)) then.push(await planWrite(place));
  return { raw: rest, planning: left, first, then, together };
}

type WithClause = { readonly ctes: readonly RawNode[]; readonly recursive?: boolean };

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
