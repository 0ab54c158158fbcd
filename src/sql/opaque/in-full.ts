/**
 * Statements whose hidden relations are named so that a cloud can be told of them: constants with their schemas and as
 * constants of type regclass (constants.ts spells these), sequences with their schemas.
 */
import { quoteQualified } from '../../catalog/quote.js';
import { isInTree } from '../../catalog/trees.js';
import { type Node, readNodes } from '../analysed/node.js';
import { explainedQuery, explaining } from '../analysing.js';
import type { FunctionHomes } from '../functions.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import {
  castTo,
  columnRef,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { namesIn } from './constants.js';
import { impliedName } from './implied-names.js';
import { type HiddenNames, hiddenNames, opaqueRelation, relationKey } from './names.js';
import { cannotSpell } from './refusal.js';
import { type NamedRelation, relationsNamed, type Told, toldBy } from './told.js';

/** A statement as far as hidden names go. */
export interface InFull extends Pick<Told, 'cause'> {
  /** it, with its relations named in full; undefined: as it stands */
  readonly sql: string | undefined;
}

/**
 * Looks at a statement before it is planned.
 * @param sql its text, which was analysed
 * @param all its trees, and those of the query of a cursor with its views expanded
 * @returns undefined: no names are hidden
 * @throws ClarusError 0A000 for what can neither be said to the cloud nor finished on the trusted side
 */
export async function inFull(
  sql: string,
  { parsed }: Analysis,
  all: readonly Node[],
  homes: FunctionHomes,
  session: SessionPort,
): Promise<InFull | undefined> {
  const names = hiddenNames(session.catalog().tables);
  if (!names) return undefined;
  const raw = parseOne(sql);
  // the query of an EXPLAIN was analysed by itself
  const explained = explainedQuery(raw);
  const query = explained ? parseOne(deparse(explained)) : raw;
  const { cause, ...told } = toldBy(parsed.flatMap(readNodes), all, homes);
  const tree = await written(query, { cause, ...told }, session, names);
  if (!tree) return { cause, sql: undefined };
  return { cause, sql: deparse(explained ? explaining(raw, tree) : tree) };
}

async function written(
  raw: RawNode,
  { cause, constants, tableOids, sequences }: Told,
  session: SessionPort,
  names: HiddenNames,
): Promise<RawNode | undefined> {
  const oids = [...constants.values(), ...sequences, ...(cause ? tableOids.values() : [])];
  if (oids.length === 0) return undefined;
  const relations = await relationsNamed(oids, session);
  const { tables } = session.catalog();
  for (const oid of constants.values()) {
    const relation = relations.get(oid);
    if (relation) mustBeTold(relation, names, of => tables.get(of)?.opaque !== undefined);
  }
  const texts = textsOf(raw, constants, relations, names);
  const read = readSequences(
    raw,
    [...sequences].flatMap(oid => relations.get(oid) ?? []),
    names,
  );
  const places = cause ? placesOf(raw, tableOids, relations, session) : new Map<number, NamedRelation>();
  return texts.size + read.size + places.size === 0 ? undefined : rewritten(raw, texts, read, places);
}

/**
 * Indexes are known by their names alone, which columns and constraints may have too.
 * @throws ClarusError 0A000 for a relation that the cloud would take for another
 */
function mustBeTold(
  { schema, name, indexOf }: NamedRelation,
  names: HiddenNames,
  isHidden: (table: number) => boolean,
): void {
  const told = opaqueRelation(names, schema, name) !== undefined;
  const isMeant = indexOf === undefined ? names.relations.has(relationKey(schema, name)) : isHidden(indexOf);
  if (told !== isMeant) throw cannotSpell(`"${name}"`);
}

const quoted = ({ schema, name }: NamedRelation): string => quoteQualified(schema, name);

const constantText = (node: RawNode | undefined): string | undefined => {
  const text = (node?.A_Const?.sval as RawFields | undefined)?.sval;
  return typeof text === 'string' ? text : undefined;
};

const placeOf = (fields: RawFields): number => (fields.location as number | undefined) ?? 0;

const isOfType = (cast: RawFields, type: string): boolean =>
  stringOf(list((cast.typeName as RawFields | undefined) ?? {}, 'names').at(-1)) === type;

/** Constants that are to be written otherwise: relations by the places of the constants. */
function textsOf(
  raw: RawNode,
  constants: ReadonlyMap<number, number>,
  relations: ReadonlyMap<number, NamedRelation>,
  names: HiddenNames,
): ReadonlyMap<number, NamedRelation> {
  const found = new Map<number, NamedRelation>();
  const see = (constant: RawNode, places: readonly RawFields[], isCast: boolean): void => {
    const text = constantText(constant);
    if (text === undefined) return;
    const oid = places.map(place => constants.get(placeOf(place))).find(one => one !== undefined);
    const relation = oid === undefined ? undefined : relations.get(oid);
    if (!relation) return;
    const last = namesIn(text)?.at(-1) ?? '';
    if (!names.opaque.has(relation.name) && !names.opaque.has(last)) return;
    if (!isCast || text !== quoted(relation)) found.set(placeOf(constant.A_Const!), relation);
  };
  const cast = new Set<unknown>();
  visit(raw, (kind, fields) => {
    if (kind !== 'TypeCast') return;
    const constant = fields.arg as RawNode;
    if (!constant.A_Const) return;
    cast.add(constant.A_Const);
    see(
      constant,
      [constant.A_Const, fields, (fields.typeName ?? {}) as RawFields],
      isOfType(fields, 'regclass'),
    );
  });
  visit(raw, (kind, fields) => {
    if (kind === 'A_Const' && !cast.has(fields)) see({ A_Const: fields }, [fields], false);
  });
  return found;
}

/**
 * Sequences that are read as tables, by their names.
 * @throws ClarusError 0A000 where the name of one means something else too
 */
function readSequences(
  raw: RawNode,
  sequences: readonly NamedRelation[],
  { relations }: HiddenNames,
): ReadonlyMap<string, NamedRelation> {
  const found = new Map<string, NamedRelation>();
  for (const sequence of sequences) {
    if (!relations.has(relationKey(sequence.schema, sequence.name))) continue;
    if (found.has(sequence.name)) throw cannotSpell(`"${sequence.name}" of two schemas`);
    found.set(sequence.name, sequence);
  }
  let isUnsaid = false;
  visit(raw, (kind, fields) => {
    if (kind === 'RangeVar' && isMeant(fields, found) && !(fields.alias && fields.schemaname))
      isUnsaid = true;
  });
  if (!isUnsaid) return new Map();
  visit(raw, (kind, fields) => {
    const path = kind === 'ColumnRef' ? list(fields, 'fields') : [];
    const name = path.length === 1 ? stringOf(path[0]) : (fields.ctename ?? fields.aliasname);
    if (typeof name === 'string' && found.has(name)) throw cannotSpell(`"${name}"`);
  });
  return found;
}

/** Does a reference mean one of some sequences? */
const isMeant = (range: RawFields, sequences: ReadonlyMap<string, NamedRelation>): boolean => {
  const sequence = sequences.get(String(range.relname));
  return sequence !== undefined && (range.schemaname === undefined || range.schemaname === sequence.schema);
};

/** Columns `tableoid` that are constants: relations by the places of the columns. */
function placesOf(
  raw: RawNode,
  tableOids: ReadonlyMap<number, number>,
  relations: ReadonlyMap<number, NamedRelation>,
  session: SessionPort,
): ReadonlyMap<number, NamedRelation> {
  const { tables } = session.catalog();
  let isOuter = kindOf(raw) === 'MergeStmt';
  visit(raw, (kind, fields) => {
    if (kind === 'JoinExpr' && fields.jointype !== 'JOIN_INNER') isOuter = true;
    if (kind === 'ResTarget' && fields.name === undefined && fields.val)
      isOuter ||= impliedName(fields.val as RawNode) === undefined && asksIn(fields.val, tableOids);
  });
  if (isOuter) return new Map();
  return new Map(
    [...tableOids].flatMap(([place, oid]) => {
      const [table, relation] = [tables.get(oid), relations.get(oid)];
      return table && relation && !isInTree(session.catalog(), table) ? [[place, relation] as const] : [];
    }),
  );
}

const isTableOid = (kind: string, fields: RawFields, places: ReadonlyMap<number, unknown>): boolean =>
  kind === 'ColumnRef' &&
  places.has(placeOf(fields)) &&
  stringOf(list(fields, 'fields').at(-1)) === 'tableoid';

function asksIn(value: unknown, places: ReadonlyMap<number, unknown>): boolean {
  let asks = false;
  visit(value, (kind, fields) => {
    asks ||= isTableOid(kind, fields, places);
  });
  return asks;
}

function rewritten(
  raw: RawNode,
  texts: ReadonlyMap<number, NamedRelation>,
  sequences: ReadonlyMap<string, NamedRelation>,
  tableOids: ReadonlyMap<number, NamedRelation>,
): RawNode {
  const aliases = aliasesFor(sequences, raw);
  const regclass = (relation: NamedRelation): RawNode =>
    castTo({ A_Const: { sval: { sval: quoted(relation) } } }, 'regclass');
  // names that the entries of select lists have by a column are lost with it
  const entitled = rewrite(raw, (kind, fields) => {
    if (kind !== 'ResTarget' || fields.name !== undefined || !asksIn(fields.val, tableOids)) return undefined;
    return { ResTarget: { ...fields, name: impliedName(fields.val as RawNode) } };
  });
  return rewrite(entitled, (kind, fields) => {
    switch (kind) {
      case 'A_Const': {
        const relation =
          constantText({ A_Const: fields }) === undefined ? undefined : texts.get(placeOf(fields));
        return relation && regclass(relation);
      }
      case 'TypeCast': {
        const inner = (fields.arg as RawNode).TypeCast;
        const isSaid = inner && isOfType(inner, 'regclass') && inner.location === undefined;
        return isSaid && isOfType(fields, 'regclass') ? { TypeCast: inner } : undefined;
      }
      case 'ColumnRef': {
        if (isTableOid(kind, fields, tableOids))
          return castTo(regclass(tableOids.get(placeOf(fields))!), 'oid');
        const path = list(fields, 'fields');
        const alias = path.length > 1 ? aliases.get(stringOf(path.at(-2))) : undefined;
        if (alias === undefined) return undefined;
        return {
          ColumnRef: {
            ...fields,
            fields: [...(columnRef(alias).ColumnRef!.fields as RawNode[]), path.at(-1)],
          },
        };
      }
      case 'RangeVar': {
        if (!isMeant(fields, sequences)) return undefined;
        const sequence = sequences.get(String(fields.relname))!;
        const alias = fields.alias ?? { aliasname: aliases.get(sequence.name) };
        return { RangeVar: { ...fields, schemaname: sequence.schema, alias } };
      }
      default:
        return undefined;
    }
  });
}

/** Aliases that nothing else in a statement is called by. */
function aliasesFor(
  sequences: ReadonlyMap<string, NamedRelation>,
  raw: RawNode,
): ReadonlyMap<string, string> {
  const words = JSON.stringify(raw);
  let number = 0;
  const next = (): string => {
    do number++;
    while (words.includes(`s${number}`));
    return `s${number}`;
  };
  return new Map([...sequences.keys()].map(name => [name, next()]));
}
