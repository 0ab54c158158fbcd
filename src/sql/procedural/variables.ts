/** Variables of a body: what names mean, and what they hold. */
import { ClarusError } from '../../errors.js';
import { markRaised } from './errors.js';
import type { CursorDeclaration } from './syntax.js';
import {
  type Field,
  open,
  RECORD,
  type Types,
  typeBool,
  typeText,
  type Value,
  type ValueType,
} from './types.js';

/** A variable of one value. */
export interface Scalar {
  readonly kind: 'scalar';
  readonly name: string;
  readonly type: ValueType;
  readonly constant: boolean;
  readonly notNull: boolean;
  /** of a relation that the body is given: its name can be no column's, and nothing is assigned to it */
  readonly given?: true;
  /** of a cursor: its query; absent: it has none of its own */
  readonly cursor?: BoundCursor;
  value: Value;
}

/** A cursor with its query. */
export interface BoundCursor {
  readonly declaration: CursorDeclaration;
  readonly parameters: readonly { readonly name: string; readonly type: ValueType | 'record' }[];
  /** what its names mean: those that are declared before it */
  readonly scope: Scope;
}

/** `refcursor` (pg_type.dat) */
export const REFCURSOR = 1790;

/** A variable of a row. */
export interface RowVariable {
  readonly kind: 'row';
  readonly name: string;
  /** of a composite type; undefined: of any row (RECORD) */
  readonly type: ValueType | undefined;
  readonly constant: boolean;
  readonly notNull: boolean;
  /** undefined: a RECORD that is NULL has none */
  fields: readonly RowField[] | undefined;
  /** the NULL that it is, as long as nothing is assigned to a field; undefined: it is a row */
  isNull: Value | undefined;
}

/** A field of a row, and what it holds. */
export interface RowField extends Field {
  value: Value;
}

/** What names of a body mean. */
export type Variable = Scalar | RowVariable;

/** A relation that a body is given. */
export interface GivenRelation {
  readonly name: string;
  readonly columns: readonly GivenColumn[];
}

/** A column of such a relation. */
export interface GivenColumn {
  readonly name: string;
  /** as SQL, with its collation where that is not the type's own */
  readonly type: string;
  /** holds the values, as an array of texts; no body can name it */
  readonly variable: Scalar;
}

/** Names of one block, within those of the blocks around it. */
export class Scope {
  readonly #variables = new Map<string, Variable>();
  readonly #relations = new Map<string, GivenRelation>();

  /**
   * @param label of the block, by which its variables can be qualified
   * @param syntax what the names are of: the same object whenever the same block runs
   */
  constructor(
    readonly outer: Scope | undefined,
    readonly label: string | undefined,
    readonly syntax: object,
  ) {}

  declare(variable: Variable, name = variable.name): void {
    this.#variables.set(name, variable);
  }

  /** The same without what is declared in this block from now on. */
  asItIs(syntax: object): Scope {
    const scope = new Scope(this.outer, this.label, syntax);
    for (const [name, variable] of this.#variables) scope.declare(variable, name);
    for (const relation of this.#relations.values()) scope.declareRelation(relation);
    return scope;
  }

  /** Gives the body a relation that it can read by its name. */
  declareRelation(relation: GivenRelation): void {
    this.#relations.set(relation.name, relation);
    for (const { variable } of relation.columns) this.declare(variable);
  }

  /** A relation that the body is given. @returns undefined: there is none of the name */
  relation(name: string): GivenRelation | undefined {
    return this.#relations.get(name) ?? this.outer?.relation(name);
  }

  /** All of them. */
  get relations(): readonly GivenRelation[] {
    return [...this.#relations.values(), ...(this.outer?.relations ?? [])];
  }

  /** All variables. */
  get variables(): readonly Variable[] {
    return [...this.#variables.values(), ...(this.outer?.variables ?? [])];
  }

  /** What a name of one or several parts begins with (plpgsql_ns_lookup). @returns undefined: no variable */
  find(names: readonly string[]): Found | undefined {
    const [first, second] = names;
    const variable = this.#variables.get(first!);
    if (variable && (names.length === 1 || variable.kind === 'row'))
      return { variable, rest: names.slice(1) };
    const qualified = this.label === first && second !== undefined ? this.#variables.get(second) : undefined;
    if (qualified) return { variable: qualified, rest: names.slice(2) };
    return this.outer?.find(names);
  }
}

/** A variable with the names that follow it. */
export interface Found {
  readonly variable: Variable;
  readonly rest: readonly string[];
}

/** A variable of one value or of a row, by its type; it holds NULL. */
export async function variableOf(
  name: string,
  type: ValueType | 'record',
  types: Types,
  { constant = false, notNull = false } = {},
): Promise<Variable> {
  if (type === 'record') {
    const isNull = open(null, { oid: RECORD, modifier: -1 });
    return { kind: 'row', name, type: undefined, constant, notNull, fields: undefined, isNull };
  }
  const { kind, fields } = await types.facts(type.oid);
  if (kind === 'p')
    throw new ClarusError('0A000', `variable "${name}" has a pseudo-type, which is not answered`);
  if (kind !== 'c')
    return { kind: 'scalar', name, type, constant, notNull, value: { type, text: null, secret: false } };
  return {
    ...{ kind: 'row', name, type, constant, notNull },
    ...{ fields: emptyFields(fields, false), isNull: open(null, type) },
  };
}

/** Fields that hold NULL. */
const emptyFields = (fields: readonly Field[], secret: boolean): readonly RowField[] =>
  fields.map(({ name, type }) => ({ name, type, value: { type, text: null, secret } }));

/** FOUND, as a body begins. */
export const foundVariable = (): Scalar => ({
  kind: 'scalar',
  name: 'found',
  type: typeBool,
  constant: false,
  notNull: false,
  value: open('f', typeBool),
});

/** SQLSTATE and SQLERRM of a handler. */
export const errorVariable = (name: string, value: Value): Scalar => ({
  kind: 'scalar',
  name,
  type: typeText,
  constant: true,
  notNull: false,
  value,
});

/** @throws ClarusError 42703 where a row has no such field, 55000 where it has none yet */
export function fieldOf({ name, fields }: RowVariable, field: string): RowField {
  if (!fields)
    throw markRaised(
      new ClarusError('55000', `record "${name}" is not assigned yet`, {
        detail: 'The tuple structure of a not-yet-assigned record is indeterminate.',
      }),
    );
  const found = fields.find(f => f.name === field);
  if (!found) throw new ClarusError('42703', `record "${name}" has no field "${field}"`);
  return found;
}

/** Values with the names of what they are of. */
export type RowValues = readonly (Field & { readonly value: Value })[];

/** A row as a value: its fields, or the NULL that it is. */
export type WholeRow = { readonly values: RowValues } | { readonly isNull: Value };

/** Assigns a row; what it lacks is NULL (exec_move_row). */
export async function moveRow(variable: RowVariable, row: WholeRow, types: Types): Promise<void> {
  const { type } = variable;
  if ('isNull' in row) {
    const { secret } = row.isNull;
    variable.fields = type && emptyFields((await types.facts(type.oid)).fields, secret);
    variable.isNull = { ...row.isNull, type: type ?? { oid: RECORD, modifier: -1 } };
    return;
  }
  const { values } = row;
  if (type === undefined)
    variable.fields = values.map(({ name, type: of, value }) => ({ name, type: of, value }));
  else {
    const moved: RowField[] = [];
    for (const [i, field] of emptyFields((await types.facts(type.oid)).fields, false).entries())
      moved.push({ ...field, value: await types.assigned(values[i]?.value ?? field.value, field.type) });
    variable.fields = moved;
  }
  variable.isNull = undefined;
}

/** @throws ClarusError 22005 for a constant, 22004 for NULL where it may not be */
export function mustTake(variable: Variable, isNull: boolean): void {
  if (variable.constant) throw new ClarusError('22005', `variable "${variable.name}" is declared CONSTANT`);
  if (isNull && variable.notNull)
    throw new ClarusError(
      '22004',
      `null value cannot be assigned to variable "${variable.name}" declared NOT NULL`,
    );
}
