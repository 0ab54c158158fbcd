/**
 * What stands on the trusted side alone. Types that no unprotected column uses are not made in a cloud, nor are functions
 * and views that need one: what names them is finished here.
 */
import type { Catalog } from '../catalog/catalog.js';
import { oidArray, textArray } from '../catalog/reader.js';
import { ClarusError } from '../errors.js';
import { type Node, numberIn, readNodes, textIn, walk } from './analysed/node.js';
import { FIRST_USER_OID } from './functions.js';
import type { Analysis, SessionPort } from './ports.js';
import { list, type RawNode, stringOf, visit } from './raw/node.js';
import { parseOne } from './raw/parse.js';
import { readerOn } from './reading.js';
import { typeNamesIn } from './row-types.js';

/** Objects of users that something needs: OIDs in the shadow. */
export interface Needed {
  readonly types?: Iterable<number>;
  /** names as `to_regtype` takes them */
  readonly typeNames?: readonly string[];
  readonly routines?: Iterable<number>;
  readonly views?: Iterable<number>;
}

/** An object of users in the shadow. */
export interface Standing {
  readonly kind: 'type' | 'function' | 'view';
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** Of an array its elements' type; the parameters of a function by the qualified names of their types. */
const inShadow = `SELECT 'type', t.oid::pg_catalog.text, n.nspname::pg_catalog.text, t.typname::pg_catalog.text, ''
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid >= ${FIRST_USER_OID} AND t.oid IN (
      SELECT CASE WHEN e.typarray = x.oid THEN e.oid ELSE x.oid END
        FROM (SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
              UNION SELECT pg_catalog.to_regtype(u.name)::pg_catalog.oid FROM pg_catalog.unnest($2::pg_catalog.text[]) u (name)) x
          JOIN pg_catalog.pg_type t ON t.oid = x.oid LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem)
   UNION ALL
   SELECT 'function', p.oid::pg_catalog.text, n.nspname::pg_catalog.text, p.proname::pg_catalog.text,
          coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', tn.nspname, t.typname), ',' ORDER BY a.at)
            FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY a (type, at) JOIN pg_catalog.pg_type t ON t.oid = a.type
              JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace), '')
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = ANY ($3::pg_catalog.oid[])
   UNION ALL
   SELECT 'view', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, ''
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($4::pg_catalog.oid[])`;

/** Places of those that are not there. */
const absentInCloud = `SELECT u.at::pg_catalog.text
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]),
            pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])) WITH ORDINALITY u (kind, schema, name, args, at)
    WHERE NOT CASE u.kind
      WHEN 'type' THEN EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname = u.schema AND t.typname = u.name)
      WHEN 'view' THEN EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = u.schema AND c.relname = u.name)
      ELSE EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = u.schema AND p.proname = u.name
          AND coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', tn.nspname, t.typname), ',' ORDER BY a.at)
            FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY a (type, at) JOIN pg_catalog.pg_type t ON t.oid = a.type
              JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace), '') = u.args) END
    ORDER BY u.at`;

/** What was found out for a catalogue, which counts types, functions and views too. */
const known = new WeakMap<Catalog, Map<string, Promise<readonly Standing[]>>>();

/** Those of the objects that do not stand in the cloud. */
export async function absentFromCloud(needed: Needed, session: SessionPort): Promise<readonly Standing[]> {
  const { typeNames = [] } = needed;
  const [types, routines, views] = [needed.types, needed.routines, needed.views].map(oids =>
    oidArray([...(oids ?? [])].filter(oid => oid >= FIRST_USER_OID)),
  );
  if (typeNames.length === 0 && `${types}${routines}${views}` === '{}{}{}') return [];
  const found = await readerOn(session.trusted)(inShadow, [types!, textArray(typeNames), routines!, views!]);
  const rows = found.map(row => row.map(field => field ?? ''));
  if (rows.length === 0) return [];
  const asked = [0, 2, 3, 4].map(at => textArray(rows.map(row => row[at]!)));
  const absent = await readerOn(session.cloud)(absentInCloud, asked);
  return absent.map(([at]) => {
    const [kind, oid, schema, name] = rows[Number(at) - 1]!;
    return { kind: kind as Standing['kind'], oid: Number(oid), schema: schema!, name: name! };
  });
}

const nothing = Promise.resolve<readonly Standing[]>([]);

/** The same for planning: what was found out holds for one catalogue. */
export function knownAbsent(needed: Needed, session: SessionPort): Promise<readonly Standing[]> {
  const lists = [needed.types, needed.typeNames, needed.routines, needed.views].map(list => [
    ...(list ?? []),
  ]);
  if (lists.every(list => list.length === 0)) return nothing;
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<string, Promise<readonly Standing[]>>();
  known.set(catalog, found);
  const key = JSON.stringify([session.settings.searchPath, session.transaction.acting, ...lists]);
  const absent = found.get(key) ?? absentFromCloud(needed, session);
  found.set(key, absent);
  absent.catch(() => found.delete(key));
  return absent;
}

/** Why the cloud does not know what a statement names; undefined: it knows all of it. */
export async function absence(
  raw: RawNode,
  { parsed, shape }: Analysis,
  { functions }: { readonly functions: readonly number[] },
  session: SessionPort,
): Promise<ClarusError | undefined> {
  const asked = asksByName(raw, shape.parameterTypes) ? await typesOfUsers(session) : [];
  const needed = {
    types: [...shape.parameterTypes, ...asked],
    typeNames: typeNamesIn(raw),
    routines: functions,
    views: viewsNamed(parsed.flatMap(readNodes)),
  };
  return causeOf(await knownAbsent(needed, session));
}

/** pg_type OIDs of regproc, regprocedure and regtype (pg_type.dat) */
const identifiers = [24, 2202, 2206];
const named = /^(to_)?reg(type|typemod|proc|procedure)$/;

/** Does a statement ask for types or functions by names that may be those of any? */
function asksByName(raw: RawNode, parameterTypes: readonly number[]): boolean {
  let asks = parameterTypes.some(type => identifiers.includes(type));
  const isNamed = (names: readonly RawNode[]): boolean => named.test(stringOf(names.at(-1)));
  visit(raw, (kind, fields) => {
    if (kind === 'FuncCall') asks ||= isNamed(list(fields, 'funcname'));
    if (Array.isArray(fields.names)) asks ||= isNamed(fields.names as readonly RawNode[]);
  });
  return asks;
}

const ofUsers = `SELECT t.oid::pg_catalog.text FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
  WHERE t.oid >= ${FIRST_USER_OID} AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')`;

const typesOfUsers = async ({ trusted }: SessionPort): Promise<readonly number[]> =>
  (await readerOn(trusted)(ofUsers, [])).map(([oid]) => Number(oid));

/**
 * @param raw a statement over protected tables
 * @param body its plan
 * @throws ClarusError 0A000 where a statement for the cloud names a type that it does not know
 */
export async function refuseAbsentTypes(raw: RawNode, body: unknown, session: SessionPort): Promise<void> {
  if ((await knownAbsent({ typeNames: typeNamesIn(raw) }, session)).length === 0) return;
  const typeNames = textsIn(body).flatMap(sql => typeNamesIn(parseOne(sql)));
  const cause = causeOf(await knownAbsent({ typeNames }, session));
  if (cause) throw cause;
}

/** Texts of the statements that a plan holds. */
export function textsIn(plan: unknown): readonly string[] {
  const seen = new Set<unknown>();
  const texts: string[] = [];
  const look = (value: unknown): void => {
    if (value === null || typeof value !== 'object' || seen.has(value) || ArrayBuffer.isView(value)) return;
    seen.add(value);
    const { sql, parameterTypes } = value as { sql?: unknown; parameterTypes?: unknown };
    if (typeof sql === 'string' && Array.isArray(parameterTypes)) texts.push(sql);
    Object.values(value).forEach(look);
  };
  look(plan);
  return texts;
}

/** Views of users that analysed statements name. */
export function viewsNamed(trees: readonly Node[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const tree of trees)
    walk(tree, node => {
      const isEntry = node.kind === 'RANGETBLENTRY' || node.kind === 'RTE';
      if (isEntry && textIn(node, 'relkind') === 'v') found.add(numberIn(node, 'relid'));
      return true;
    });
  return found;
}

/** Why a cloud cannot answer; undefined: nothing is absent. */
export function causeOf([first]: readonly Standing[]): ClarusError | undefined {
  if (!first) return undefined;
  return new ClarusError('0A000', `${first.kind} "${first.name}" stands on the trusted side alone`, {
    detail:
      first.kind === 'type'
        ? 'No unprotected column uses it, so the cloud does not know it.'
        : 'It needs a type that no unprotected column uses.',
    schema: first.schema,
  });
}
