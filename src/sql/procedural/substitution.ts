/**
 * Variables in SQL: references to them become parameters. PostgreSQL takes a name for a column where there is one, and
 * does not guess where it could mean both; it is asked which it is.
 */
import type { Catalog } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import {
  castTo,
  fieldsOf,
  kindOf,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  stringOf,
  target,
  text,
} from '../raw/node.js';
import { parseExpression, parseOne } from '../raw/parse.js';
import { castOf } from '../split/typed-source.js';
import { type Activity, activityOf } from './activity.js';
import type { TypeFacts, Types, Value } from './types.js';
import { type Found, fieldOf, type RowVariable, type Scope } from './variables.js';

/** SQL with parameters in place of variables. */
export interface Bound {
  readonly sql: string;
  readonly values: readonly Value[];
  /** some of these are rows of relations that the body is given */
  readonly overGiven?: true;
}

/** Of SQL: a name means the column where it could mean both. Of PL/pgSQL: that is an error. */
export type Preference = 'column' | 'neither';

/** Where references stand in a statement, in bytes. */
type Places = ReadonlySet<number>;

/** Where references that are columns stand, by the statement with its types, as long as a catalogue is in force. */
const columnsKnown = new WeakMap<Catalog, WeakMap<object, Map<string, Places>>>();
const firstUserOid = 16_384;

/** What a reference is; where a statement is ordered by it, it may be a column of the result. */
type Meaning = 'variable' | 'column' | 'output column';

/** Puts parameters in place of the variables of one statement. */
export class Substitution {
  readonly #values: Value[] = [];
  readonly #numbers = new Map<object, number>();
  /** references to variables, by where they stand: a name may mean a column in one place and a variable in another */
  readonly #references = new Map<number, RawNode>();
  /** columns of results that are variables are called as these */
  #names = true;

  constructor(
    private readonly scope: Scope,
    private readonly types: Types,
    private readonly session: SessionPort,
    private readonly preference: Preference,
  ) {}

  /**
   * @throws ClarusError 42702 where a name could be that of a variable and of a column; PostgresError as PostgreSQL words
   *   what is wrong with the statement
   */
  async bind(sql: string): Promise<Bound> {
    const raw = parseOne(sql);
    // PL/pgSQL hands no variables to statements that are not analysed before they run
    if (!/^(Select|Insert|Update|Delete|Merge|Call|CreateTableAs|Explain)Stmt$/.test(kindOf(raw)))
      return this.#done(raw);
    if (this.preference === 'neither') this.#refuseArbiters(raw);
    const everything = await this.#replaced(raw, new Set());
    if (this.#references.size === 0 || !readsRelations(raw)) return this.#done(everything);
    const columns = await this.#columns(raw, sql);
    if (columns.size === 0) return this.#done(everything);
    this.#values.length = 0;
    this.#numbers.clear();
    return this.#done(await this.#replaced(raw, columns));
  }

  #done(tree: RawNode): Bound {
    return { sql: deparse(tree), values: [...this.#values] };
  }

  /** References that are columns of what the statement reads. */
  async #columns(raw: RawNode, sql: string): Promise<Places> {
    const catalog = this.session.catalog();
    const byBlock = columnsKnown.get(catalog) ?? new WeakMap<object, Map<string, Places>>();
    columnsKnown.set(catalog, byBlock);
    const known = byBlock.get(this.scope.syntax) ?? new Map<string, Places>();
    byBlock.set(this.scope.syntax, known);
    const key = [sql, this.session.settings.searchPath, ...this.#values.map(v => v.type.oid)].join('\0');
    const found = known.get(key);
    if (found) return found;
    const columns = new Set<number>();
    for (const [location, reference] of this.#references) {
      const meaning = await this.#meaningOf(raw, location, reference);
      if (meaning === 'variable') continue;
      if (this.preference === 'neither' && meaning === 'column') throw ambiguous(namesIn(reference));
      columns.add(location);
    }
    known.set(key, columns);
    return columns;
  }

  /** What a reference is where it stands. */
  async #meaningOf(raw: RawNode, location: number, reference: RawNode): Promise<Meaning> {
    const meaning = await this.#probed(raw, location, reference, true);
    if (meaning !== 'column') return meaning;
    // in GROUP BY it may be the name of a column of the result that is this variable
    return (await this.#probed(raw, location, reference, false)) === 'variable' ? 'variable' : 'column';
  }

  /** By what PostgreSQL makes of it while all others are parameters. @param names with names in the result */
  async #probed(raw: RawNode, location: number, reference: RawNode, names: boolean): Promise<Meaning> {
    const probe = new Substitution(this.scope, this.types, this.session, this.preference);
    probe.#names = names;
    const { sql, values } = probe.#done(await probe.#replaced(raw, new Set([location])));
    const [name, ...more] = namesIn(reference);
    try {
      const { shape } = await this.session.analyseTentatively(
        sql,
        values.map(v => v.type.oid),
      );
      const isOutput = more.length === 0 && shape.columns?.some(column => column.name === name);
      return isOutput && isOrderedBy(raw, location) ? 'output column' : 'column';
    } catch (error) {
      if (!(error instanceof PostgresError)) throw error;
      if (error.code !== '42703' && error.code !== '42P01') return 'column';
      return stands(sql, name!, Number(error.diagnostic.position ?? 0)) ? 'variable' : 'column';
    }
  }

  /** Columns of ON CONFLICT are references too. @throws ClarusError 42702 */
  #refuseArbiters(raw: RawNode): void {
    const clause = raw.InsertStmt?.onConflictClause as RawFields | undefined;
    for (const element of list((clause?.infer ?? {}) as RawFields, 'indexElems')) {
      const name = text(fieldsOf(element), 'name');
      if (name !== undefined && this.scope.find([name])) throw ambiguous([name]);
    }
  }

  async #replaced<T>(value: T, columns: Places): Promise<T> {
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const item of value) items.push(...(await this.#items(item, columns)));
      return items as T;
    }
    if (value === null || typeof value !== 'object') return value;
    const node = value as unknown as RawNode;
    const single = Object.keys(node).length === 1;
    if (single && node.ColumnRef) return ((await this.#column(node, columns)) ?? node) as T;
    if (single && node.A_Indirection) {
      const field = await this.#indirection(node, columns);
      if (field) return field as T;
    }
    if (single && node.ResTarget) return this.#target(node.ResTarget, columns) as T;
    if (single && node.ParamRef) return this.#parameter(node) as Promise<T>;
    if (single && asksTriggerDepth(node)) return triggerDepth(activityOf(this.session)) as T;
    const copy: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value)) copy[key] = await this.#replaced(field, columns);
    return copy as T;
  }

  /** A column of a result: one that is a variable has its name, where no other is said (FigureColname in parse_target.c). */
  async #target(fields: RawFields, columns: Places): Promise<RawNode> {
    const copy: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(fields)) copy[key] = await this.#replaced(field, columns);
    if (!this.#names || copy.name !== undefined) return { ResTarget: copy };
    const name = nameIn(fields.val as RawNode | undefined);
    const isSame = name === undefined || JSON.stringify(copy.val) === JSON.stringify(fields.val);
    return { ResTarget: isSame ? copy : { ...copy, name } };
  }

  /** An item of a list: `row.*` becomes several. */
  async #items(item: unknown, columns: Places): Promise<readonly unknown[]> {
    const node = item as RawNode | null;
    const inTargets = node !== null && typeof node === 'object' && node.ResTarget !== undefined;
    const reference = inTargets ? (node.ResTarget!.val as RawNode | undefined) : node;
    const names = reference?.ColumnRef && list(reference.ColumnRef, 'fields');
    if (!names?.at(-1)?.A_Star || names.length < 2) return [await this.#replaced(item, columns)];
    const found = this.#find(names.slice(0, -1).map(stringOf), columns, reference!);
    if (found?.variable.kind !== 'row' || found.rest.length > 0) return [item];
    const fields = fieldsIn(found.variable);
    const parameters: RawNode[] = [];
    for (const field of fields) parameters.push(await this.#parameterFor(field, field.value));
    return inTargets ? parameters.map((p, i) => target(p, fields[i]!.name)) : parameters;
  }

  #find(names: readonly string[], columns: Places, reference: RawNode): Found | undefined {
    const found = this.scope.find(names);
    if (!found || found.rest.length > 1 || (found.rest.length > 0 && found.variable.kind === 'scalar'))
      return undefined;
    const location = Number(reference.ColumnRef!.location ?? 0);
    if (columns.has(location)) return undefined;
    if (!('given' in found.variable)) this.#references.set(location, reference);
    return found;
  }

  async #column(node: RawNode, columns: Places): Promise<RawNode | undefined> {
    const found = this.#find(namesIn(node), columns, node);
    if (!found) return undefined;
    const { variable, rest } = found;
    if (variable.kind === 'scalar') return this.#parameterFor(variable, variable.value);
    if (rest.length === 0) return this.#row(variable);
    const field = fieldOf(variable, rest[0]!);
    return this.#parameterFor(field, field.value);
  }

  /** `(row).field` */
  async #indirection(node: RawNode, columns: Places): Promise<RawNode | undefined> {
    const { arg, indirection } = node.A_Indirection as { arg: RawNode; indirection: readonly RawNode[] };
    const names = arg.ColumnRef && list(arg.ColumnRef, 'fields').map(stringOf);
    const [first, ...more] = indirection;
    if (!names || !first?.String) return undefined;
    const found = this.#find(names, columns, arg);
    if (!found || found.variable.kind === 'scalar' || found.rest.length > 0) return undefined;
    const field = fieldOf(found.variable, stringOf(first));
    const value = await this.#parameterFor(field, field.value);
    if (more.length === 0) return value;
    return { A_Indirection: { arg: value, indirection: await this.#replaced(more, columns) } };
  }

  /** `$1` of a function. */
  async #parameter(node: RawNode): Promise<RawNode> {
    const name = `$${(node.ParamRef!.number as number | undefined) ?? 0}`;
    const found = this.scope.find([name]);
    if (!found) throw new ClarusError('42P02', `there is no parameter ${name}`);
    const { variable } = found;
    return variable.kind === 'scalar' ? this.#parameterFor(variable, variable.value) : this.#row(variable);
  }

  /** A whole row: of its type, or with the names of its fields. */
  async #row(variable: RowVariable): Promise<RawNode> {
    if (variable.isNull) return this.#nullRow(variable, variable.isNull);
    const fields = fieldsIn(variable);
    const parameters: RawNode[] = [];
    for (const field of fields) parameters.push(await this.#parameterFor(field, field.value));
    if (variable.type) {
      const { name } = await this.types.facts(variable.type.oid);
      const row: RawNode = { RowExpr: { args: parameters, row_format: 'COERCE_EXPLICIT_CALL' } };
      return castOf(row, name);
    }
    const inner = {
      SelectStmt: {
        targetList: parameters.map((p, i) => target(p, fields[i]!.name)),
        limitOption: 'LIMIT_OPTION_DEFAULT',
        op: 'SETOP_NONE',
      },
    };
    return {
      SubLink: {
        subLinkType: 'EXPR_SUBLINK',
        subselect: {
          SelectStmt: {
            targetList: [target({ ColumnRef: { fields: [{ String: { sval: 'r' } }] } })],
            fromClause: [{ RangeSubselect: { subquery: inner, alias: { aliasname: 'r' } } }],
            limitOption: 'LIMIT_OPTION_DEFAULT',
            op: 'SETOP_NONE',
          },
        },
      },
    };
  }

  /** @throws ClarusError 0A000 where it depends on a protected column, and there is no type by which it could be given */
  async #nullRow(variable: RowVariable, value: Value): Promise<RawNode> {
    if (variable.type) return this.#parameterFor(variable, value);
    if (value.secret)
      throw new ClarusError(
        '0A000',
        `record "${variable.name}" is NULL by what may depend on a protected column`,
        { hint: 'Declare it with the type of its rows.' },
      );
    return parseExpression('NULL::pg_catalog.record');
  }

  async #parameterFor(holder: object, value: Value): Promise<RawNode> {
    let number = this.#numbers.get(holder);
    if (number === undefined) {
      number = this.#values.push(value);
      this.#numbers.set(holder, number);
    }
    const { oid } = value.type;
    return oid < firstUserOid ? paramRef(number) : typed(number, await this.types.facts(oid));
  }
}

/** The name of the reference by which an expression is called; undefined: it is called by something else. */
function nameIn(value: RawNode | undefined): string | undefined {
  const { ColumnRef: reference, A_Indirection: parts, TypeCast, CollateClause, CaseExpr } = value ?? {};
  if (reference) return namesIn(value!).at(-1);
  if (parts) {
    const name = list(parts, 'indirection').findLast(({ String: field }) => field);
    return name ? stringOf(name) : nameIn(parts.arg as RawNode);
  }
  if (CaseExpr) return nameIn(CaseExpr.defresult as RawNode | undefined);
  return nameInArg(TypeCast ?? CollateClause);
}

const nameInArg = (fields: RawFields | undefined): string | undefined =>
  fields && nameIn(fields.arg as RawNode);

/** pg_trigger_depth(): how deep the triggers are nested is known here alone. */
function asksTriggerDepth(node: RawNode): boolean {
  const names = node.FuncCall ? list(node.FuncCall, 'funcname').map(stringOf) : [];
  return (
    /^(pg_catalog\.)?pg_trigger_depth$/.test(names.join('.')) && list(node.FuncCall!, 'args').length === 0
  );
}

const triggerDepth = ({ triggers }: Activity): RawNode =>
  castTo({ A_Const: { ival: triggers === 0 ? {} : { ival: triggers } } }, 'int4');

const typed = (number: number, { name }: TypeFacts): RawNode => castOf(paramRef(number), name);

function fieldsIn(variable: RowVariable): NonNullable<RowVariable['fields']> {
  if (!variable.fields) fieldOf(variable, '');
  return variable.fields!;
}

/** Does a statement read or write a relation, or what stands for one, so that names may be columns? */
function readsRelations(raw: RawNode): boolean {
  const fields = fieldsOf(raw);
  if (kindOf(raw) !== 'SelectStmt') return true;
  if (list(fields, 'fromClause').length > 0 || fields.withClause || fields.larg || fields.sortClause)
    return true;
  return holdsQuery(fields);
}

function holdsQuery(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsQuery);
  if (value === null || typeof value !== 'object') return false;
  return Object.entries(value).some(([key, field]) => key === 'SelectStmt' || holdsQuery(field));
}

/** Is a reference all that the statement is ordered by, or one of several? A name there may be that of an output column. */
function isOrderedBy(raw: RawNode, location: number): boolean {
  return list(fieldsOf(raw), 'sortClause').some(sort => {
    const reference = (fieldsOf(sort).node as RawNode | undefined)?.ColumnRef;
    return reference !== undefined && Number(reference.location ?? 0) === location;
  });
}

/** Does a name stand at a position (from 1, in characters)? */
function stands(sql: string, name: string, position: number): boolean {
  const rest = [...sql].slice(Math.max(0, position - 1)).join('');
  return rest.startsWith(name) || rest.startsWith(`"${name.replaceAll('"', '""')}"`);
}

/** The names of a reference, without a star. */
const namesIn = (reference: RawNode): readonly string[] =>
  list(reference.ColumnRef!, 'fields')
    .filter(field => !field.A_Star)
    .map(stringOf);

const ambiguous = (names: readonly string[]): ClarusError =>
  new ClarusError('42702', `column reference "${names.join('.')}" is ambiguous`, {
    detail: 'It could refer to either a PL/pgSQL variable or a table column.',
  });
