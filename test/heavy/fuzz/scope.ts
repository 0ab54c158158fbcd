/** What a generated statement knows while it is made: choices, literals, columns in reach, constructs that it holds. */
import type { Choices } from './choices.js';
import type { Column, Kind, Schema, Table } from './schema.js';

/** A value that a statement holds as a literal or as a parameter. */
export interface Literal {
  /** null: NULL */
  readonly text: string | null;
  /** a cast that stands behind it */
  readonly cast: string | undefined;
  readonly parameter: boolean;
}

/** A column that an expression may read. */
export interface Reach {
  readonly sql: string;
  readonly kind: Kind;
  /** of the table that it is a column of; undefined: it is computed */
  readonly column: Column | undefined;
}

/** Columns in reach of an expression. */
export interface Scope {
  readonly columns: readonly Reach[];
  /** expressions that together tell the rows apart; undefined: none are known */
  readonly keys: readonly string[] | undefined;
}

/** What is made of one statement. */
export class Making {
  readonly literals: Literal[] = [];
  /** constructs that it holds */
  readonly constructs = new Set<string>();
  /** equal values may be shown in different digits (1.0 and 1.00) */
  loose = false;
  /** common table expressions that FROM may name */
  ctes: Table[] = [];
  #aliases = 0;

  constructor(
    readonly choices: Choices,
    readonly schema: Schema,
    private readonly parameters: boolean,
  ) {}

  /** Notes that the statement holds a construct. */
  has(construct: string): void {
    this.constructs.add(construct);
  }

  alias(): string {
    return `t${this.#aliases++}`;
  }

  /** @returns a token that `written` replaces */
  literal(text: string | null, cast?: string): string {
    const parameter = this.parameters && this.choices.chance(50);
    this.literals.push({ text, cast, parameter });
    return `⟨${this.literals.length - 1}⟩`;
  }

  /** A value that a column could hold. */
  valueOf(column: Column): string {
    return this.choices.pick(column.pool);
  }
}

/** A finished statement. */
export interface Written {
  readonly sql: string;
  readonly values: readonly (string | null)[];
}

const quoted = (value: string | null): string =>
  value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;

/** Puts literals and parameters in. */
export function written(text: string, literals: readonly Literal[]): Written {
  const values: (string | null)[] = [];
  const sql = text.replace(/⟨(\d+)⟩/g, (_, number: string) => {
    const { text: value, cast, parameter } = literals[Number(number)]!;
    if (!parameter) return `${quoted(value)}${cast === undefined ? '' : `::${cast}`}`;
    values.push(value);
    return `$${values.length}${cast === undefined ? '' : `::${cast}`}`;
  });
  return { sql, values };
}

/** Types that casts name for a kind. */
export const typeOf: Readonly<Record<Kind, string>> = {
  int: 'int',
  numeric: 'numeric',
  text: 'text',
  bool: 'bool',
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  interval: 'interval',
  float: 'float8',
  uuid: 'uuid',
  jsonb: 'jsonb',
  ints: 'int[]',
  texts: 'text[]',
  bytea: 'bytea',
};
