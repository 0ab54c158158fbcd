/**
 * `SELECT set_config(name, value, local)`: settings by function. Which side may see a setting depends on its name,
 * so the values are written into the statement once they are known, before anything is sent.
 */
import { quoteLiteral } from '../catalog/quote.js';
import { ClarusError } from '../errors.js';
import type { BoundParameters, KnownSettings, Shape } from './plan.js';
import { child, fieldsOf, list, type RawFields, type RawNode, stringOf } from './raw/node.js';
import { sidesOf } from './settings.js';

/** OIDs of the types that an argument may have: bool, text, unknown, varchar (pg_type.dat). */
const BOOL = 16;
const readable = new Set([BOOL, 25, 705, 1043]);

type Argument = { readonly text: string | null } | { readonly parameter: number };
type Call = readonly [name: Argument, value: Argument, local: Argument];

/**
 * @param raw a SELECT that calls set_config and touches no table
 * @returns gives the statement with its values; throws ClarusError 0A000 for settings that are refused
 * @throws ClarusError 0A000 where more than constants and parameters are set
 */
export function planSetConfig(
  raw: RawNode,
  { parameterTypes }: Shape,
): (given: BoundParameters) => KnownSettings {
  const { calls, where } = callsOf(raw);
  return given => {
    const settings = calls.map(call =>
      call.map((argument, at) => givenValue(argument, given, parameterTypes, at === 2)),
    );
    const sides = settings.map(([name, value]) => sidesOf(name ?? '', value ?? undefined));
    const [only, ...more] = new Set(sides);
    const sql = setting(settings, where);
    const set = settings.map(([name, , local]) => ({ name: name ?? '', local: isTrue(local) }));
    if (more.length === 0) return { sql, sides: only!, set };
    if (sides.includes('trusted'))
      throw new ClarusError('0A000', 'these settings live on different sides and cannot be set together', {
        hint: 'Set application_name in a statement of its own.',
      });
    const followed = settings.filter((_, i) => sides[i] === 'both');
    return { sql, sides: 'both', set, followed: setting(followed, where) };
  };
}

/** Is it anything but certainly false? What is no truth value the server refuses. */
const isTrue = (local: string | null | undefined): boolean => !/^(f|false|off|no|0|n)$/i.test(local ?? 'f');

type Given = readonly (string | null)[];

const setting = (settings: readonly Given[], where: string | undefined): string => {
  const calls = settings.map(given => `pg_catalog.set_config(${given.map(quoted).join(', ')})`);
  const from = where === undefined ? '' : ` FROM pg_catalog.pg_settings WHERE name = ${quoted(where)}`;
  return `SELECT ${calls.join(', ')}${from}`;
};

interface Calls {
  readonly calls: readonly Call[];
  /** they are made where the server has a setting of this name */
  readonly where: string | undefined;
}

function callsOf(raw: RawNode): Calls {
  const { targetList, fromClause, whereClause, op, limitOption, ...others } = fieldsOf(raw);
  if (Object.keys(others).length > 0) throw notAlone();
  const where =
    fromClause === undefined && whereClause === undefined
      ? undefined
      : settingNamed(fromClause as readonly RawNode[] | undefined, whereClause as RawNode | undefined);
  const calls = (targetList as readonly RawNode[]).map((target): Call => {
    const call = child(fieldsOf(target), 'val')?.FuncCall;
    if (call === undefined || stringOf(list(call, 'funcname').at(-1)) !== 'set_config') throw notAlone();
    const [name, value, local, ...more] = list(call, 'args');
    if (name === undefined || value === undefined || local === undefined || more.length > 0) throw notAlone();
    return [
      where !== undefined && isName(name) ? { text: where } : argumentOf(name, textTypes),
      argumentOf(value, textTypes),
      argumentOf(local, boolTypes),
    ];
  });
  return { calls, where };
}

/** `FROM pg_settings WHERE name = '...'`, by which pg_dump sets what only some servers have. */
function settingNamed(from: readonly RawNode[] | undefined, where: RawNode | undefined): string {
  const view = from?.length === 1 ? from[0]?.RangeVar : undefined;
  const comparison = where?.A_Expr;
  const isView =
    view?.relname === 'pg_settings' && (view.schemaname ?? 'pg_catalog') === 'pg_catalog' && !view.alias;
  const isEqual = comparison?.kind === 'AEXPR_OP' && stringOf(list(comparison, 'name').at(-1)) === '=';
  const name = comparison && child(comparison, 'rexpr')?.A_Const?.sval;
  if (!isView || !isEqual || !name || !isName(child(comparison, 'lexpr'))) throw notAlone();
  return ((name as RawFields).sval as string | undefined) ?? '';
}

const isName = (node: RawNode | undefined): boolean => {
  const path = node?.ColumnRef && list(node.ColumnRef, 'fields');
  return path?.length === 1 && stringOf(path[0]) === 'name';
};

const textTypes = /^(text|varchar)$/;
const boolTypes = /^bool$/;

/**
 * @param types names of the types that it may be cast to, once and without a length: such a cast keeps the value
 */
function argumentOf(node: RawNode, types: RegExp): Argument {
  if (node.TypeCast !== undefined) {
    const type = child(node.TypeCast, 'typeName') as RawFields;
    const inner = child(node.TypeCast, 'arg')!;
    const plain = list(type, 'typmods').length === 0 && list(type, 'arrayBounds').length === 0;
    if (!plain || inner.TypeCast !== undefined || !types.test(stringOf(list(type, 'names').at(-1))))
      throw notAlone();
    return argumentOf(inner, types);
  }
  if (node.ParamRef !== undefined) return { parameter: node.ParamRef.number as number };
  const constant = node.A_Const;
  if (constant === undefined) throw notAlone();
  if (constant.isnull === true) return { text: null };
  if (constant.boolval !== undefined) {
    return { text: (constant.boolval as RawFields).boolval === true ? 'true' : 'false' };
  }
  if (constant.sval !== undefined)
    return { text: ((constant.sval as RawFields).sval as string | undefined) ?? '' };
  throw notAlone();
}

function givenValue(
  argument: Argument,
  { values, formats }: BoundParameters,
  types: readonly number[],
  bool: boolean,
): string | null {
  if ('text' in argument) return argument.text;
  const at = argument.parameter - 1;
  const value = values[at];
  if (value === null || value === undefined) return null;
  const type = types[at] ?? 0;
  if (!readable.has(type) || (type === BOOL) !== bool) throw notAlone();
  if (type === BOOL && formats[at] === 1) return value[0] === 1 ? 'true' : 'false';
  return strict.decode(value);
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function quoted(text: string | null): string {
  if (text === null) return 'NULL';
  if (text.includes('\0')) throw new ClarusError('22021', 'invalid byte sequence for encoding "UTF8": 0x00');
  return quoteLiteral(text);
}

const notAlone = (): ClarusError =>
  new ClarusError(
    '0A000',
    'set_config is answered only in a SELECT of its own, with constants or parameters',
    {
      hint: 'Compute the value first, then set it by a statement of its own.',
    },
  );
