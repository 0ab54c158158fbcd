/**
 * Where sequences live. One that feeds a protected column counts on the trusted side only, since its values are those
 * of the column; every other one counts in the cloud. Nothing keeps that beside the cloud itself: what does not stand
 * there lives here.
 */
import { ClarusError } from '../errors.js';
import { type Node, numberIn, textIn, walk } from './analysed/node.js';
import { physical } from './compilation.js';
import { collect } from './execute/collect.js';
import { LASTVAL, sequenceCalled } from './functions.js';
import { hiddenNames, inCloudsWords, namesIn } from './opaque/index.js';
import type { SessionPort, StatementPort } from './ports.js';
import { deparseExpression } from './raw/deparse.js';
import { list, type RawNode, stringOf, visit } from './raw/node.js';
import { readerOn } from './reading.js';

/** Sequences that a statement uses, as it was analysed. */
export interface SequenceUse {
  /** shadow OIDs */
  readonly named: ReadonlySet<number>;
  /** it calls nextval, currval or setval of a sequence that it does not write as a constant */
  readonly unknown: boolean;
  /** it calls lastval */
  readonly last: boolean;
}

/** Sequences by where they live: shadow OIDs. */
export interface SequencePlaces {
  readonly trusted: ReadonlySet<number>;
  readonly cloud: ReadonlySet<number>;
}

/** A statement that uses none. */
export const noSequences: SequencePlaces = { trusted: new Set(), cloud: new Set() };

/** Looks for sequences in analysed trees: called, asked for an identity column, or read as relations. */
export function sequencesUsed(trees: readonly Node[]): SequenceUse {
  const named = new Set<number>();
  let unknown = false;
  let last = false;
  for (const tree of trees)
    walk(tree, node => {
      const called = sequenceCalled(node);
      if (called === 'unknown') unknown = true;
      else if (called !== undefined) named.add(called);
      if (node.kind === 'FUNCEXPR' && numberIn(node, 'funcid') === LASTVAL) last = true;
      if (node.kind === 'NEXTVALUEEXPR') named.add(numberIn(node, 'seqid'));
      if (textIn(node, 'relkind') === 'S') named.add(numberIn(node, 'relid'));
      return true;
    });
  return { named, unknown, last };
}

const namesQuery = physical(
  `SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
          d.refobjid::pg_catalog.text, d.refobjsubid::pg_catalog.text
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
         AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')
    WHERE c.relkind = 'S' AND c.oid >= 16384 AND NOT pg_catalog.pg_is_other_temp_schema(n.oid) AND ($1::pg_catalog.oid[] IS NULL OR c.oid = ANY ($1))`,
  [1028],
);
const ownerQuery = `SELECT d.refobjid::pg_catalog.text, d.refobjsubid::pg_catalog.text FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = pg_catalog.to_regclass($1)
    AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')`;
const standQuery = physical(
  `SELECT coalesce(c.relkind = 'S', false)::pg_catalog.text
     FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY u (name, at)
       LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(u.name) ORDER BY u.at`,
  [1009],
);

/**
 * Says where the sequences of a statement live.
 * @param raw the statement
 * @throws ClarusError 0A000 where that cannot be said: lastval, and a sequence that a parameter names, where some live
 *   on the trusted side
 */
export async function placeSequences(
  { named, unknown, last }: SequenceUse,
  raw: RawNode,
  session: SessionPort,
): Promise<SequencePlaces> {
  if (named.size === 0 && !unknown && !last) return noSequences;
  const all = await places(unknown || last ? undefined : named, session);
  refuseUnspelled(unknown, raw, all.names, session);
  if (!unknown && !last) return all;
  if (all.trusted.size === 0) return { trusted: all.trusted, cloud: new Set([...named, 0]) };
  if (last)
    throw new ClarusError('0A000', 'lastval is not answered where sequences feed protected columns', {
      hint: 'Ask for currval of the sequence, or use RETURNING.',
    });
  const found = new Set([...named, ...(await computed(raw, session))]);
  const of = (where: ReadonlySet<number>): ReadonlySet<number> =>
    new Set([...found].filter(oid => where.has(oid)));
  return { trusted: of(all.trusted), cloud: of(all.cloud) };
}

/** A sequence as the cloud calls it. @param name qualified and quoted where it needs to be */
export function sequenceInCloud(name: string, session: SessionPort): string {
  const [schema, sequence] = namesIn(name) ?? [];
  return sequence === undefined ? name : inCloudsWords(session.catalog(), schema!, sequence);
}

/** Does a sequence live in the cloud? @param name qualified and quoted where it needs to be @param trusted who is asked */
export async function livesInCloud(
  name: string,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<boolean> {
  const [owner] = await readerOn(trusted)(ownerQuery, [name]);
  if (owner && isProtected(session, owner[0], owner[1])) return false;
  const array = `{"${sequenceInCloud(name, session).replace(/["\\]/g, '\\$&')}"}`;
  const [row] = await collect(session.cloud, standQuery, [Buffer.from(array)], [0], []);
  return Buffer.from(row?.[0] ?? []).toString() === 'true';
}

/** Is the column that owns a sequence protected? @param table its shadow OID, as a text */
function isProtected(
  session: SessionPort,
  table: string | null | undefined,
  column: string | null | undefined,
): boolean {
  const { columns = [] } = session.catalog().tables.get(Number(table ?? 0)) ?? {};
  return columns.find(({ attnum }) => attnum === Number(column))?.protection !== undefined;
}

async function places(
  wanted: ReadonlySet<number> | undefined,
  session: SessionPort,
): Promise<SequencePlaces & { readonly names: readonly (readonly [string, string])[] }> {
  const oids = wanted === undefined ? null : Buffer.from(`{${[...wanted].join()}}`);
  const rows = await collect(session.trusted, namesQuery, [oids], [0], []);
  const found = rows.map(row => row.map(field => Buffer.from(field ?? []).toString()));
  // the cloud is not asked for one that is known to live here
  const asked = found.filter(([, , , table, column]) => !isProtected(session, table, column));
  const names = asked.map(([, schema, name]) => inCloudsWords(session.catalog(), schema!, name!));
  const array = `{${names.map(name => `"${name.replace(/["\\]/g, '\\$&')}"`).join()}}`;
  const standing =
    names.length > 0 ? await collect(session.cloud, standQuery, [Buffer.from(array)], [0], []) : [];
  const there = new Set(
    asked.filter((_, i) => Buffer.from(standing[i]?.[0] ?? []).toString() === 'true').map(([oid]) => oid),
  );
  const of = (here: boolean): ReadonlySet<number> =>
    new Set(found.filter(([oid]) => there.has(oid) === here).map(([oid]) => Number(oid)));
  const own = found.map(([, schema, name]): readonly [string, string] => [schema!, name!]);
  return { trusted: of(false), cloud: of(true), names: own };
}

/**
 * Where names of sequences are hidden, the cloud can be told of one that the statement names as a constant, and of one
 * without its schema only where that is the one which is meant.
 * @param names schemas and names of the sequences that the statement uses
 * @throws ClarusError 0A000
 */
function refuseUnspelled(
  unknown: boolean,
  raw: RawNode,
  names: readonly (readonly [string, string])[],
  session: SessionPort,
): void {
  const hidden = hiddenNames(session.catalog().tables);
  const sequences = [...(hidden?.relations.values() ?? [])].filter(({ kind }) => kind === 'sequence');
  if (sequences.length === 0) return;
  if (unknown)
    throw new ClarusError('0A000', 'the name of a sequence that a statement computes cannot be hidden', {
      detail: 'The policy says "names: hidden".',
      hint: "Name the sequence as a constant, as in nextval('name'), or use RETURNING.",
    });
  visit(raw, (kind, fields) => {
    const text = kind === 'A_Const' ? (fields.sval as { sval?: unknown } | undefined)?.sval : undefined;
    const parts = typeof text === 'string' ? namesIn(text) : undefined;
    if (parts?.length !== 1) return;
    const meant = sequences.find(({ own }) => own === parts[0]);
    const others = names.filter(([schema, name]) => name === parts[0] && schema !== meant?.schema);
    if (meant && others.length > 0)
      throw new ClarusError('0A000', `sequence "${parts[0]}" is named without its schema`, {
        detail: 'There are several of this name, and the policy says "names: hidden".',
        hint: 'Name its schema too.',
      });
  });
}

/** Sequences that a statement computes, as in `currval(pg_get_serial_sequence('t', 'id'))`. */
async function computed(raw: RawNode, session: SessionPort): Promise<number[]> {
  const expressions: string[] = [];
  visit(raw, (kind, fields) => {
    const name = kind === 'FuncCall' ? stringOf(list(fields, 'funcname').at(-1)) : '';
    if (name !== 'nextval' && name !== 'currval' && name !== 'setval') return;
    const [sequence] = list(fields, 'args');
    if (sequence === undefined || sequence.A_Const) return;
    visit(sequence, inner => {
      if (inner === 'ParamRef' || inner === 'ColumnRef' || inner === 'SubLink') throw notConstant();
    });
    expressions.push(
      `(${deparseExpression(sequence)})::pg_catalog.regclass::pg_catalog.oid::pg_catalog.text`,
    );
  });
  if (expressions.length === 0) throw notConstant();
  const [row] = await collect(session.trusted, physical(`SELECT ${expressions.join(', ')}`, []), [], [], []);
  return row!.map(field => Number(Buffer.from(field ?? []).toString()));
}

const notConstant = (): ClarusError =>
  new ClarusError('0A000', 'it cannot be told which sequence is meant, and some live on the trusted side', {
    hint: "Name the sequence as a constant, as in nextval('name').",
  });
