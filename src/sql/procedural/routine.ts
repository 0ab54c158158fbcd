/** Functions and procedures as the catalogue tells them, with their bodies. */

import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { parseStatements } from '../raw/parse.js';
import { mustNotDepend } from '../raw/string-literals.js';
import { readerOn } from '../reading.js';
import { withinBodies } from '../settings.js';
import { clausesOf, isOfNames, type SetClause } from './body-settings.js';
import { parseBody } from './parse.js';
import type { Block } from './syntax.js';
import { type Field, RECORD, Types, type ValueType, VOID } from './types.js';

/** A parameter of a routine. */
export interface Parameter {
  readonly name: string;
  readonly mode: 'in' | 'out' | 'inout' | 'table';
  readonly type: ValueType;
  /** an expression; undefined: an argument must be given */
  readonly value: string | undefined;
}

/** A function or procedure that can be run. */
export interface Routine {
  readonly oid: number;
  readonly name: string;
  /** with the types of its parameters, and its schema where the search path does not find it */
  readonly signature: string;
  readonly isProcedure: boolean;
  readonly parameters: readonly Parameter[];
  /** columns of what it returns */
  readonly columns: readonly Field[];
  /** a row of a composite type, or several columns */
  readonly isRow: boolean;
  /** the composite type that it returns; undefined: a row of no named type, or no row */
  readonly rowType: ValueType | undefined;
  readonly isSet: boolean;
  readonly isVoid: boolean;
  readonly isStrict: boolean;
  readonly clauses: readonly SetClause[];
  readonly body: Body;
  /** pg_proc.xmin: another one when it is replaced */
  readonly version: string;
}

/** The body of a routine. */
export type Body =
  | { readonly kind: 'plpgsql'; readonly block: Block }
  | { readonly kind: 'sql'; readonly statements: readonly string[] }
  | { readonly kind: 'notify' }
  | { readonly kind: 'setval' };

/** pg_notify (pg_proc.dat) */
export const PG_NOTIFY = 3036;

/** Would it be run by another role than the one that calls it? */
const byAnother = `(p.prosecdef AND p.proowner <> (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user))::text`;

/** setval with two and with three arguments (pg_proc.dat) */
const SETVAL: ReadonlySet<number> = new Set([1576, 1765]);

/** Is it a function of PostgreSQL's that Clarus runs in its place? */
export const isOwnRoutine = (oid: number): boolean => oid === PG_NOTIFY || SETVAL.has(oid);

/** setval, whose arguments may read tables */
export const isSetval = (oid: number): boolean => SETVAL.has(oid);

const ownBody = (oid: number): Body | undefined =>
  oid === PG_NOTIFY ? { kind: 'notify' } : SETVAL.has(oid) ? { kind: 'setval' } : undefined;

const routineQuery = `SELECT p.proname::text, l.lanname::text, p.prosrc,
    CASE WHEN p.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_function_sqlbody(p.oid) END,
    pg_catalog.to_json(p.proargnames)::text,
    pg_catalog.to_json(coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[])::text[])::text,
    pg_catalog.to_json(p.proargmodes::text[])::text, p.prorettype::text, p.proretset::text, p.provolatile::text,
    p.proisstrict::text, ${byAnother}, pg_catalog.to_json(p.proconfig)::text, p.prokind::text,
    pg_catalog.has_function_privilege(p.oid, 'EXECUTE')::text, p.xmin::text,
    (SELECT pg_catalog.json_agg(pg_catalog.pg_get_function_arg_default(p.oid, i) ORDER BY i)::text
       FROM pg_catalog.generate_series(1, coalesce(pg_catalog.array_length(p.proallargtypes, 1), p.pronargs)) i),
    p.oid::pg_catalog.regprocedure::text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid = $1::pg_catalog.oid`;

const modes: Readonly<Record<string, Parameter['mode'] | undefined>> = {
  i: 'in',
  o: 'out',
  b: 'inout',
  t: 'table',
};

/**
 * @returns undefined: it cannot be run statement by statement as PostgreSQL runs it
 * @throws ClarusError 42501, what is wrong with its body
 */
export async function routineOf(oid: number, session: SessionPort): Promise<Routine | undefined> {
  const [row] = await readerOn(session.trusted)(routineQuery, [String(oid)]);
  if (!row) return undefined;
  const [name, language, source, sqlBody, names, typeOids, argModes, returns, isSet, volatility] = row;
  const [strict, definer, settings, kind, permitted, version, defaults, signature] = row.slice(10);
  if (permitted !== 'true')
    throw new ClarusError(
      '42501',
      `permission denied for ${kind === 'p' ? 'procedure' : 'function'} ${name}`,
    );
  // what is not volatile sees what the statement around it sees; the rest changes who runs it, or how
  const isProcedure = kind === 'p';
  if ((!isProcedure && (kind !== 'f' || volatility !== 'v')) || definer === 'true') return undefined;
  const clauses = clausesOf(settings!);
  if (!clauses) return undefined;
  mustNotDepend([source ?? ''], session.settings, `function "${name}"`);
  const types = new Types(session);
  const parameters = parametersOf(names!, typeOids!, argModes!, defaults!);
  if (!parameters) return undefined;
  for (const { type } of parameters) if ((await types.facts(type.oid)).kind === 'p') return undefined;
  const result = await resultOf(Number(returns), isProcedure, parameters, types);
  if (!result) return undefined;
  if (clauses.some(({ name }) => withinBodies(name) === 'names'))
    for (const { type } of [...parameters, ...result.columns])
      if (await isOfNames(type.oid, types)) return undefined;
  const body = ownBody(oid) ?? bodyOf(language!, source ?? '', sqlBody ?? undefined);
  if (!body) return undefined;
  return {
    ...result,
    oid,
    name: name!,
    signature: signature!,
    isProcedure,
    parameters,
    isSet: isSet === 'true',
    isStrict: strict === 'true',
    clauses,
    body,
    version: version!,
  };
}

/** The function of a trigger. */
export interface TriggerRoutine {
  readonly name: string;
  readonly signature: string;
  readonly block: Block;
  readonly clauses: readonly SetClause[];
  readonly version: string;
}

const triggerQuery = `SELECT p.proname::text, l.lanname::text, p.prosrc, p.provolatile::text, ${byAnother},
    pg_catalog.to_json(p.proconfig)::text, p.xmin::text, p.oid::pg_catalog.regprocedure::text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid = $1::pg_catalog.oid`;

/**
 * @param oid of a function that returns trigger
 * @throws ClarusError 0A000 where it cannot be run statement by statement as PostgreSQL runs it; what is wrong with its body
 */
export async function triggerRoutineOf(oid: number, session: SessionPort): Promise<TriggerRoutine> {
  const [row] = await readerOn(session.trusted)(triggerQuery, [String(oid)]);
  if (!row) throw new ClarusError('42883', 'the function of a trigger is not there');
  const [name, language, source, volatility, definer, settings, version, signature] = row;
  const clauses = clausesOf(settings!);
  const why =
    language !== 'plpgsql'
      ? `it is written in ${language}`
      : definer === 'true'
        ? 'it is SECURITY DEFINER, and belongs to another role'
        : !clauses
          ? 'it has a SET clause that bodies cannot follow'
          : volatility === 'v'
            ? undefined
            : 'it is not VOLATILE';
  if (why !== undefined)
    throw new ClarusError('0A000', `function "${name}" cannot be run by a trigger of a protected table`, {
      detail: `Clarus runs it in place of the cloud: ${why}.`,
      hint: 'Write it in PL/pgSQL, without such a clause.',
    });
  mustNotDepend([source ?? ''], session.settings, `function "${name}"`);
  return {
    name: name!,
    signature: signature!,
    block: parseBody(source ?? ''),
    clauses: clauses!,
    version: version!,
  };
}

function parametersOf(
  names: string | null,
  types: string,
  argModes: string | null,
  defaults: string | null,
): readonly Parameter[] | undefined {
  const given = JSON.parse(types) as string[];
  const called = JSON.parse(names ?? '[]') as string[];
  const kinds = JSON.parse(argModes ?? '[]') as string[];
  const values = JSON.parse(defaults ?? '[]') as (string | null)[];
  const parameters: Parameter[] = [];
  for (const [i, type] of given.entries()) {
    const mode = modes[kinds[i] ?? 'i'];
    if (!mode) return undefined;
    parameters.push({
      name: called[i] ?? '',
      mode,
      type: { oid: Number(type), modifier: -1 },
      value: values[i] ?? undefined,
    });
  }
  return parameters;
}

async function resultOf(
  returns: number,
  isProcedure: boolean,
  parameters: readonly Parameter[],
  types: Types,
): Promise<Pick<Routine, 'columns' | 'isRow' | 'rowType' | 'isVoid'> | undefined> {
  const outputs = parameters
    .filter(({ mode }) => mode !== 'in')
    .map(({ name, type }, i) => ({ name: name === '' ? `column${i + 1}` : name, type }));
  if (isProcedure) return { columns: outputs, isRow: true, rowType: undefined, isVoid: outputs.length === 0 };
  if (outputs.length > 0)
    return {
      columns: outputs,
      isRow: outputs.length > 1 || returns === RECORD,
      rowType: undefined,
      isVoid: false,
    };
  if (returns === VOID) return { columns: [], isRow: false, rowType: undefined, isVoid: true };
  const type = { oid: returns, modifier: -1 };
  const { kind, fields } = await types.facts(returns);
  if (kind === 'p') return undefined;
  return kind === 'c'
    ? { columns: fields, isRow: true, rowType: type, isVoid: false }
    : { columns: [{ name: '', type }], isRow: false, rowType: undefined, isVoid: false };
}

function bodyOf(language: string, source: string, sqlBody: string | undefined): Body | undefined {
  if (language === 'plpgsql') return { kind: 'plpgsql', block: parseBody(source) };
  if (language !== 'sql') return undefined;
  const standard = sqlBody?.replace(/^\s*BEGIN ATOMIC\b/i, '').replace(/\bEND\s*$/i, '');
  const text = (standard ?? source).replace(/^\s*RETURN\b/i, 'SELECT');
  return { kind: 'sql', statements: parseStatements(text).map(statement => statement.text) };
}
