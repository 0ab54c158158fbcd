/**
 * What a statement would tell a cloud of hidden names, and what it would be told in opaque ones, as PostgreSQL analysed it:
 * there every relation that a constant names is known by its OID.
 */
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import {
  isNode,
  type Node,
  nodesIn,
  numberIn,
  readNodes,
  textIn,
  type Value,
  walk,
} from '../analysed/node.js';
import { RTE } from '../analysed/query.js';
import { constantValue, typeOf } from '../analysed/types.js';
import { FIRST_USER_OID, type FunctionHomes } from '../functions.js';
import type { Analysis, SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';

/** regclass, regtype and arrays of them: printed and read as names (pg_type.dat). */
const named: ReadonlySet<number> = new Set([2205, 2206, 2210, 2211]);
const REGCLASS = 2205;
/** regclass(text) (pg_proc.dat) */
const TEXT_REGCLASS = 1079;
/** TableOidAttributeNumber (sysattr.h) */
export const TABLEOID = -6;

/** Relations of the catalogue that hold no name of a relation of users, nor of what belongs to one: pg_am, pg_authid, pg_auth_members, pg_database, pg_language, pg_namespace, pg_proc, pg_tablespace (pg_class.dat and the headers beside it). */
const nameless: ReadonlySet<number> = new Set([2601, 1260, 1261, 1262, 2612, 2615, 1255, 1213]);

/** What a statement would tell, or be told. */
export interface Told {
  /** why the cloud cannot run it as it stands; undefined: it can */
  readonly cause: ClarusError | undefined;
  /** OIDs of relations that its constants name, by the places of these in the statement */
  readonly constants: ReadonlyMap<number, number>;
  /** tables whose OID it asks for, by the places of the columns */
  readonly tableOids: ReadonlyMap<number, number>;
  /** sequences that it reads as tables: OIDs */
  readonly sequences: ReadonlySet<number>;
}

/**
 * Looks through a statement.
 * @param itself as it was written
 * @param all the same, and as its views and rules make it
 * @throws ClarusError 0A000 for a parameter by which a function of the cloud would be told a name
 */
export function toldBy(itself: readonly Node[], all: readonly Node[], homes: FunctionHomes): Told {
  const constants = new Map<number, number>();
  const tableOids = new Map<number, number>();
  const sequences = new Set<number>();
  for (const tree of itself) {
    walk(tree, node => {
      const oid = node.kind === 'CONST' ? relationIn(node) : undefined;
      if (oid !== undefined) constants.set(numberIn(node, 'location'), oid);
      if (isEntry(node) && textIn(node, 'relkind') === 'S') sequences.add(numberIn(node, 'relid'));
      if (node.kind === 'QUERY')
        for (const [location, table] of tableOidsOf(node)) tableOids.set(location, table);
      return true;
    });
  }
  let cause: ClarusError | undefined;
  for (const tree of all) cause ??= causeIn(tree, [], homes);
  return { cause, constants, tableOids, sequences };
}

const isEntry = (node: Node): boolean =>
  (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && numberIn(node, 'rtekind') === RTE.relation;

/** The relation of users that a constant of type regclass names. */
function relationIn(constant: Node): number | undefined {
  if (numberIn(constant, 'consttype') !== REGCLASS) return undefined;
  const value = constantValue(constant);
  const oid = value ? Buffer.from(value).readUInt32BE(0) : 0;
  return oid >= FIRST_USER_OID ? oid : undefined;
}

/** Columns `tableoid` of tables of one query, whose places tell them apart; of what is grouped by one PostgreSQL 18 tells none. */
function tableOidsOf(query: Node): readonly (readonly [number, number])[] {
  const tables = nodesIn(query, 'rtable');
  const found: (readonly [number, number])[] = [];
  const tableOf = (node: Node): number | undefined => {
    if (node.kind !== 'VAR' || numberIn(node, 'varlevelsup') !== 0) return undefined;
    const table = tables[numberIn(node, 'varno') - 1];
    if (!table || !isEntry(table) || numberIn(node, 'varattno') !== TABLEOID) return undefined;
    return numberIn(table, 'relid');
  };
  const see = (node: Node): boolean => {
    if (node.kind === 'QUERY') return false;
    const table = tableOf(node);
    if (table !== undefined) found.push([numberIn(node, 'location'), table]);
    return true;
  };
  for (const table of tables.filter(one => numberIn(one, 'rtekind') === RTE.group)) {
    const grouped = nodesIn(table, 'groupexprs');
    if (grouped.some(expression => tableOf(expression) !== undefined)) return [];
    walk(grouped, see);
  }
  for (const [field, value] of Object.entries(query.fields))
    if (field !== 'rtable' && field !== 'cteList') walk(value, see);
  return found;
}

/** @param above the nodes around it, the nearest first */
function causeIn(
  value: Value | undefined,
  above: readonly Node[],
  homes: FunctionHomes,
): ClarusError | undefined {
  if (value === null || value === undefined || typeof value === 'string') return undefined;
  if (Array.isArray(value)) {
    for (const item of value) {
      const found = causeIn(item, above, homes);
      if (found) return found;
    }
    return undefined;
  }
  if (!isNode(value as Value)) return undefined;
  const node = value as Node;
  const own = causeOf(node, above, homes);
  if (own) return own;
  const within = [node, ...above.slice(0, 1)];
  for (const field of Object.values(node.fields)) {
    const found = causeIn(field, within, homes);
    if (found) return found;
  }
  return undefined;
}

function causeOf(
  node: Node,
  [outer, outermost]: readonly Node[],
  homes: FunctionHomes,
): ClarusError | undefined {
  if (node.kind === 'FUNCEXPR' && homes.tellsNames(numberIn(node, 'funcid')))
    return tells('a function that tells of relations by their names');
  if (!named.has(typeOf(node) ?? 0)) return undefined;
  const forCloud = outer?.kind === 'FUNCEXPR' && homes.home(numberIn(outer, 'funcid')) === 'cloud';
  if (forCloud) {
    if (node.kind === 'PARAM' || (node.kind === 'FUNCEXPR' && numberIn(node, 'funcid') === TEXT_REGCLASS))
      throw new ClarusError('0A000', 'the name of a relation that a statement computes cannot be hidden', {
        detail: 'The policy says "names: hidden".',
        hint: 'Name the relation as a constant.',
      });
    return undefined;
  }
  if (node.kind === 'CONST') {
    if (numberIn(node, 'consttype') === REGCLASS && relationIn(node) === undefined) return undefined;
    if (node.fields.constisnull === 'true') return undefined;
    const compared =
      outer?.kind === 'RELABELTYPE' && /^(?:OPEXPR|SCALARARRAYOPEXPR)$/.test(outermost?.kind ?? '');
    if (compared) return undefined;
  }
  return tells('a relation or type as a value');
}

const tells = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} would be known to the cloud by a hidden name`, {
    detail: 'The policy says "names: hidden".',
    hint: 'Ask for it in a statement of its own.',
  });

/**
 * Refuses a query of the catalogue that only the cloud could answer, such as one of its figures: there stand others names.
 * @throws ClarusError 0A000
 */
export function refuseCatalogueOfCloud(trees: readonly Node[]): void {
  for (const tree of trees)
    walk(tree, node => {
      const relid = isEntry(node) ? numberIn(node, 'relid') : 0;
      if (textIn(node, 'relkind') === 'r' && relid > 0 && relid < FIRST_USER_OID && !nameless.has(relid))
        throw new ClarusError(
          '0A000',
          'figures of the cloud by the names of its relations are not answered',
          {
            detail: 'The policy says "names: hidden", so the cloud knows them by other names.',
            hint: 'Ask the cloud itself, or for views that name no relation, such as pg_stat_activity and pg_stat_database.',
          },
        );
      return true;
    });
}

/** A relation that a statement names. */
export interface NamedRelation {
  readonly schema: string;
  readonly name: string;
  /** of an index: the OID of its table */
  readonly indexOf: number | undefined;
}

const relationsQuery = `SELECT c.oid::text, n.nspname::text, c.relname::text, i.indrelid::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
 WHERE c.oid = ANY ($1::oid[]) AND NOT pg_catalog.pg_is_other_temp_schema(n.oid) AND n.oid <> pg_catalog.pg_my_temp_schema()`;

/** Relations by their OIDs in the shadow. */
export async function relationsNamed(
  oids: Iterable<number>,
  session: SessionPort,
): Promise<ReadonlyMap<number, NamedRelation>> {
  const rows = await readerOn(session.trusted)(relationsQuery, [oidArray([...oids])]);
  return new Map(
    rows.map(([oid, schema, name, table]) => [
      Number(oid),
      { schema: schema!, name: name!, indexOf: table == null ? undefined : Number(table) },
    ]),
  );
}

/** The trees of statements, as they were written and as views and rules make them. */
export const treesOf = (analyses: readonly Analysis[]): readonly Node[] =>
  [...new Set(analyses)].flatMap(({ parsed, rewritten }) => [...parsed, ...rewritten].flatMap(readNodes));
