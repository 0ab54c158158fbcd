/**
 * Literals that mean the present moment: `'now'`, `'today'` and their kin are read once, where the statement is parsed,
 * and mean the time of that transaction. What is read on the trusted side is therefore replaced by what the cloud says.
 */
import { ClarusError } from '../errors.js';
import { arrayType, typeOids } from '../wire/types.js';
import { numberIn, readNodes, walk } from './analysed/node.js';
import { physical } from './compilation.js';
import { collect } from './execute/collect.js';
import type { Analysis, SessionPort } from './ports.js';
import { fieldsOf, kindOf, type RawFields, type RawNode, rewrite, visit } from './raw/node.js';

/** Could PostgreSQL read a text as a time that depends on the present moment (datetktbl in datetime.c)? */
export const namesMoment = (text: string): boolean => text.search(moments) >= 0;

/** Digits may follow a word, or stand before it, without a space (ParseDateTime in datetime.c). */
const moments = /(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])/gi;

/** Does a statement hold a literal that may mean the present moment? */
export function holdsMoment(raw: RawNode): boolean {
  let found = false;
  visit(raw, (kind, fields) => {
    const text = kind === 'A_Const' ? textOf(fields) : undefined;
    if (text !== undefined && namesMoment(text)) found = true;
  });
  return found;
}

/**
 * `'now'::text::date` is read anew each time that it is evaluated, by whoever does that; a literal of a date itself is
 * read when its statement is.
 */
export function readsMoment(raw: RawNode): boolean {
  let found = false;
  visit(raw, (kind, fields) => {
    const inner = kind === 'TypeCast' ? (fields.arg as RawNode).TypeCast : undefined;
    const constant = (inner?.arg as RawNode | undefined)?.A_Const;
    const text = constant && textOf(constant);
    if (text !== undefined && namesMoment(text)) found = true;
  });
  return found;
}

const days: ReadonlySet<number> = new Set([typeOids.date, typeOids.timestamp, typeOids.timestamptz]);
const clocks: ReadonlySet<number> = new Set([typeOids.time, typeOids.timetz]);
/** Texts of these hold several: arrays and ranges. */
const composed: ReadonlySet<number> = new Set([
  ...[...days, ...clocks].map(arrayType).filter(oid => oid !== undefined),
  3908,
  3910,
  3912,
  4533,
  4534,
  4535,
]);

/** The transaction's time, and the beginnings of the day and of those beside it, in the session's time zone. */
const momentQuery = physical(
  `SELECT pg_catalog.to_char(now, 'YYYY-MM-DD HH24:MI:SS.USOF'), pg_catalog.to_char(now, 'YYYY-MM-DD'),
          pg_catalog.to_char(now::pg_catalog.date + 1, 'YYYY-MM-DD'), pg_catalog.to_char(now::pg_catalog.date - 1, 'YYYY-MM-DD')
     FROM pg_catalog.now() AS now`,
  [],
);

/**
 * A statement over protected tables with its literals of the present moment written out; undefined where it has none.
 * @param raw its tree, with locations in the text that was analysed
 * @throws ClarusError 0A000 where a moment stands together with something else
 */
export async function withMoment(
  raw: RawNode,
  { parsed }: Analysis,
  session: SessionPort,
): Promise<RawNode | undefined> {
  if (readsMoment(raw)) throw together();
  const types = new Map<number, number>();
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'CONST') types.set(numberIn(node, 'location'), numberIn(node, 'consttype'));
      return true;
    });
  /** places of the literals */
  const wanted = new Set<unknown>();
  visit(raw, (kind, fields) => {
    const arg = kind === 'TypeCast' ? (fields.arg as RawNode) : { [kind]: fields };
    const constant = fieldsOf(arg);
    const text = kindOf(arg) === 'A_Const' ? textOf(constant) : undefined;
    if (text === undefined || !namesMoment(text)) return;
    const type = [constant, fields, (fields.typeName ?? {}) as RawFields]
      .map(({ location }) => types.get((location as number | undefined) ?? 0))
      .find(found => found !== undefined && (days.has(found) || clocks.has(found) || composed.has(found)));
    if (type === undefined) return;
    if (!canBeWritten(text, type)) throw together();
    wanted.add(constant.location);
  });
  if (wanted.size === 0) return undefined;
  const [row] = await collect(session.cloud, momentQuery, [], [], []);
  const known = new Map(['now', 'today', 'tomorrow', 'yesterday'].map((word, i) => [word, row?.[i]]));
  const moment = (word: string): string => Buffer.from(known.get(word.toLowerCase()) ?? []).toString();
  return rewrite(raw, (kind, fields) => {
    const text = kind === 'A_Const' && wanted.has(fields.location) ? textOf(fields) : undefined;
    if (text === undefined) return undefined;
    const [word = ''] = text.match(moments) ?? [];
    // a date goes before a time
    const sval = `${moment(word)} ${text.replace(moments, ' ')}`.trim();
    return { A_Const: { ...fields, sval: { sval } } };
  });
}

/**
 * A day stands for its date wherever that may stand, as in `tomorrow 12:00 EST`. The moment itself has a time and a zone, so
 * nothing stands beside it.
 */
function canBeWritten(text: string, type: number): boolean {
  const [word = '', ...more] = text.match(moments) ?? [];
  const isAlone = text.trim() === word;
  if (!days.has(type)) return clocks.has(type) && isAlone && /^now$/i.test(word);
  return more.length === 0 && (isAlone || !/^now$/i.test(word));
}

const textOf = ({ sval }: RawFields): string | undefined => (sval as { sval?: string } | undefined)?.sval;

/**
 * Refuses values that would be read as the present moment of the trusted side.
 * @param type of the values
 * @throws ClarusError 0A000
 */
export function refuseMoment(text: string, type: number): void {
  if ((days.has(type) || clocks.has(type) || composed.has(type)) && namesMoment(text))
    throw new ClarusError('0A000', 'a text that means the present moment cannot be given as a value', {
      hint: 'Give the time itself, or use now(), CURRENT_DATE or the like in the statement.',
    });
}

const together = (): ClarusError =>
  new ClarusError('0A000', 'a literal that means the present moment stands together with something else', {
    hint: 'Use now(), CURRENT_DATE or the like, and compute from them.',
  });
