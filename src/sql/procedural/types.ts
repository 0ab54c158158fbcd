/** Types of variables, and how a value of one type is assigned to a variable of another. */
import type { Catalog } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { collect } from '../execute/collect.js';
import { assignment, quotedType, statement } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list } from '../raw/node.js';
import { parseExpression } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { readingOf } from '../settings.js';
import { mustTravelExactly } from '../split/exact.js';
import { noteText, standsFor } from './places.js';

/** The type of a value. */
export interface ValueType {
  readonly oid: number;
  readonly modifier: number;
}

/** A type as the catalogue tells it. */
export interface TypeFacts {
  readonly oid: number;
  /** as a cast names it */
  readonly name: string;
  /** pg_type.typtype */
  readonly kind: string;
  /** of an array: the type of its elements; else 0 */
  readonly element: number;
  /** of a domain: what it is made of; else 0 */
  readonly base: number;
  /** a cast to the domain could cut */
  readonly baseModifier: number;
  /** of a composite type */
  readonly fields: readonly Field[];
}

/** A column of a composite type or of rows. */
export interface Field {
  readonly name: string;
  readonly type: ValueType;
}

/** A value in text form, as the session's settings print it. */
export interface Value {
  readonly type: ValueType;
  readonly text: Uint8Array | null;
  /** it may depend on a protected column: it may not come to the open */
  readonly secret: boolean;
}

/** `text` */
export const typeText: ValueType = { oid: 25, modifier: -1 };
/** `integer` */
export const typeInt: ValueType = { oid: 23, modifier: -1 };
/** `bigint` */
export const typeBigint: ValueType = { oid: 20, modifier: -1 };
/** `boolean` */
export const typeBool: ValueType = { oid: 16, modifier: -1 };
/** `record`, of no named type */
export const RECORD = 2249;
/** `void` */
export const VOID = 2278;
const MONEY = 790;

/** A value that no protected column stands behind. */
export const open = (text: string | null, type: ValueType): Value => ({
  type,
  text: text === null ? null : Buffer.from(text),
  secret: false,
});

/** The text of a value. */
export const textOf = ({ text }: Value): string | null =>
  text === null ? null : Buffer.from(text).toString();

const factsQuery = `SELECT t.oid::text, pg_catalog.format_type(t.oid, NULL), t.typtype::text,
    CASE WHEN t.typcategory = 'A' THEN t.typelem::text ELSE '0' END, t.typbasetype::text, t.typtypmod::text,
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::text, a.atttypmod) ORDER BY a.attnum)::text
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'c')
  FROM pg_catalog.pg_type t WHERE t.oid = $1::pg_catalog.oid`;
const castQuery = `SELECT c.castcontext::text FROM pg_catalog.pg_cast c
  WHERE c.castsource = $1::pg_catalog.oid AND c.casttarget = $2::pg_catalog.oid AND c.castcontext IN ('i', 'a')`;
const columnQuery = `SELECT a.atttypid::text, a.atttypmod::text FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped`;

/** What was found out for a catalogue, as long as it is in force. */
interface Known {
  readonly facts: Map<string, Promise<TypeFacts>>;
  readonly casts: Map<string, Promise<boolean>>;
}
const known = new WeakMap<Catalog, Known>();

/** Types as one session sees them. */
export class Types {
  constructor(private readonly session: SessionPort) {}

  /** @throws ClarusError 0A000 for money, which each side would print by a locale of its own */
  facts(oid: number): Promise<TypeFacts> {
    const key = `${this.session.settings.searchPath}\0${oid}`;
    return remembered(this.#known().facts, key, () => this.#facts(oid));
  }

  async #facts(oid: number): Promise<TypeFacts> {
    const [row] = await this.#read(factsQuery, [String(oid)]);
    if (!row) throw new Error(`a type is not there: ${oid}`);
    if (oid === MONEY)
      throw new ClarusError(
        '0A000',
        'variables of type money are not answered in a database with protected tables',
        {
          hint: 'Use numeric.',
        },
      );
    const [, name, kind, element, base, modifier, fields] = row;
    return {
      oid,
      name: quotedType(oid, name!),
      kind: kind!,
      element: Number(element),
      base: Number(base),
      baseModifier: Number(modifier),
      fields: (JSON.parse(fields ?? '[]') as [string, string, number][]).map(([field, type, typmod]) => ({
        name: field,
        type: { oid: Number(type), modifier: typmod },
      })),
    };
  }

  /** A type as SQL names it. @throws PostgresError as PostgreSQL words it */
  async named(sql: string): Promise<ValueType> {
    const cast = parseExpression(`NULL::${sql}`).TypeCast;
    if (!cast) throw new ClarusError('42601', 'syntax error in the type of a variable');
    const [row] = await this.#read('SELECT $1::pg_catalog.regtype::pg_catalog.oid::text', [sql]);
    const oid = Number(row![0]);
    const type = fieldsOf({ TypeName: cast.typeName as never });
    if (list(type, 'typmods').length === 0) return { oid, modifier: -1 };
    const { shape } = await this.session.analyse(`SELECT NULL::${sql}`, []);
    return { oid, modifier: shape.columns![0]!.typeModifier };
  }

  /** @param relation as SQL names it; @returns undefined: there is no such column */
  async column(relation: string, column: string): Promise<ValueType | undefined> {
    const [row] = await this.#read(columnQuery, [relation, column]);
    return row && { oid: Number(row[0]), modifier: Number(row[1]) };
  }

  /** The row type of a relation. */
  async rowType(relation: string): Promise<ValueType> {
    const [row] = await this.#read(
      'SELECT c.reltype::text FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.regclass',
      [relation],
    );
    return { oid: Number(row![0]), modifier: -1 };
  }

  /**
   * A value as it is assigned to a variable of a type: by the cast that an assignment takes, else by its text
   * (exec_cast_value in pl_exec.c). What is too long is an error.
   * @throws PostgresError
   */
  async assigned(value: Value, target: ValueType): Promise<Value> {
    const { oid, modifier } = target;
    const same = value.type.oid === oid;
    const facts = await this.facts(oid);
    if (
      facts.kind !== 'd' &&
      (value.text === null || (same && (modifier < 0 || modifier === value.type.modifier)))
    )
      return { ...value, type: target };
    if (facts.kind === 'd' && same) return value;
    const text = await this.#converted(value, target, facts);
    return { type: target, text, secret: value.secret };
  }

  async #converted(value: Value, target: ValueType, facts: TypeFacts): Promise<Uint8Array | null> {
    const casts = value.type.oid === target.oid || (await this.#casts(value.type.oid, target.oid));
    if (casts && facts.kind === 'd' && (await this.#cuts(facts)))
      throw new ClarusError('0A000', `an assignment to a variable of domain ${facts.name} is not answered`, {
        detail: 'It is over a type with a length, to which a cast would cut.',
        hint: 'Use the type itself.',
      });
    const sql = assignment(casts ? `$1::${facts.name}` : '$1', target);
    const source = casts ? value.type.oid : target.oid;
    const { session } = this;
    mustTravelExactly([{ typeOid: target.oid }], session);
    const [row] = await collect(
      session.trusted,
      statement(`SELECT ${sql}`, [source], readingOf(session.settings)),
      [value.text],
      [0],
      [0],
    ).catch(error => {
      throw withoutPlace(error);
    });
    return row![0]!;
  }

  async #cuts({ base, baseModifier }: TypeFacts): Promise<boolean> {
    if (base === 0) return false;
    return baseModifier >= 0 || this.#cuts(await this.facts(base));
  }

  /** Is there a cast that an assignment takes? */
  #casts(from: number, to: number): Promise<boolean> {
    return remembered(this.#known().casts, `${from} ${to}`, async () => {
      const [source, target] = [await this.facts(from), await this.facts(to)];
      if (source.base !== 0) return source.base === to || this.#casts(source.base, to);
      if (target.base !== 0) return target.base === from || this.#casts(from, target.base);
      if (source.element !== 0 && target.element !== 0)
        return source.element === target.element || this.#casts(source.element, target.element);
      return (await this.#read(castQuery, [String(from), String(to)])).length > 0;
    });
  }

  #known(): Known {
    const catalog = this.session.catalog();
    const found = known.get(catalog) ?? { facts: new Map(), casts: new Map() };
    known.set(catalog, found);
    return found;
  }

  get #read(): ReturnType<typeof readerOn> {
    return readerOn(this.session.trusted);
  }
}

function remembered<T>(map: Map<string, Promise<T>>, key: string, find: () => Promise<T>): Promise<T> {
  const found = map.get(key) ?? find();
  map.set(key, found);
  found.catch(() => map.delete(key));
  return found;
}

/** An error without where it stands in a statement of ours. */
export function withoutPlace(error: unknown): unknown {
  if (!(error instanceof PostgresError)) return error;
  const { position, where: _where, ...diagnostic } = error.diagnostic;
  const told = standsFor(new PostgresError(diagnostic), error);
  if (position !== undefined) noteText(told);
  return told;
}
