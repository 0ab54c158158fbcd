/** Functions in FROM whose columns are known, so that they can be called otherwise. */
import { list, type RawFields, type RawNode, str, stringOf } from '../raw/node.js';
import { cannotSpell } from './refusal.js';

/** Functions of pg_catalog that return one column, of a type that has no fields. */
const ofOneColumn: ReadonlySet<string> = new Set([
  'generate_series',
  'generate_subscripts',
  'json_array_elements',
  'json_array_elements_text',
  'jsonb_array_elements',
  'jsonb_array_elements_text',
  'regexp_split_to_table',
  'string_to_table',
]);

/**
 * The alias of a function in FROM with the names of all its columns.
 * @throws ClarusError 0A000 for a function of which more columns may come than are known
 */
export function tableFunction(fields: RawFields): RawFields {
  const alias = fields.alias as RawFields | undefined;
  if (list(fields, 'coldeflist').length > 0) throw cannotSpell('a column definition list');
  const calls = list(fields, 'functions').map(item => list(item.List!, 'items')[0]?.FuncCall);
  const widths = calls.map(call => (call ? widthOf(call) : undefined));
  if (widths.includes(undefined)) throw cannotSpell('a function in FROM');
  const width = widths.reduce<number>((sum, one) => sum + one!, fields.ordinality === true ? 1 : 0);
  const given = list(alias ?? {}, 'colnames');
  if (given.length === width) return alias!;
  if (given.length > 0 || width !== 1)
    throw cannotSpell('a function in FROM without the names of its columns');
  // PostgreSQL calls the only column of a function as it calls the function itself
  const name = alias ? String(alias.aliasname) : stringOf(list(calls[0]!, 'funcname').at(-1));
  return { ...alias, aliasname: name, colnames: [str(name)] };
}

/** Columns of a call, or undefined where they are not known. */
function widthOf(call: RawFields): number | undefined {
  const names = list(call, 'funcname').map(stringOf);
  if (names.length > 1 && names[0] !== 'pg_catalog') return undefined;
  const name = names.at(-1)!;
  if (ofOneColumn.has(name)) return 1;
  const args = list(call, 'args');
  return name === 'unnest' && args.every(isPlain) ? args.length : undefined;
}

/** An array of a type of PostgreSQL's own: a composite type of users would come as several columns. */
const isPlain = (arg: RawNode): boolean => {
  if (arg.ParamRef) return true;
  const type = arg.TypeCast?.typeName as RawFields | undefined;
  if (type === undefined) return false;
  const [first, ...more] = list(type, 'names').map(stringOf);
  return first === 'pg_catalog' || (more.length === 0 && ofPostgres.has(first!));
};

/** Types without a schema that forms are of: pg_catalog is searched first for them. */
const ofPostgres: ReadonlySet<string> = new Set([
  'bytea',
  'float8',
  'int4',
  'int8',
  'numeric',
  'text',
  'tid',
  'uuid',
]);
