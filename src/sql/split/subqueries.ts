/**
 * Subqueries that PostgreSQL runs once, before it needs what they return. Where a carrier's rows are compared with that,
 * postgres_fdw runs them while it prints parameters for the proxy, and so under settings of its own: DateStyle ISO,
 * IntervalStyle postgres, extra_float_digits 3, search_path pg_catalog (set_transmission_modes and process_query_params,
 * contrib/postgres_fdw). Where that could change what they return, they become arguments of a function that
 * postgres_fdw does not know, and the condition stays with PostgreSQL.
 */
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { type Node, numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn, subLinksRunOnce } from '../analysed/query.js';
import { typeOf } from '../analysed/types.js';
import type { Analysis, SessionSettings } from '../ports.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, str, stringOf } from '../raw/node.js';
import type { Routines } from '../routines.js';
import { rounds } from './exact.js';

/** SubLinkType (primnodes.h) */
const ROWCOMPARE = 3;

/** OIDs of regproc, regclass and their kin, which are printed and read by search_path (pg_type.dat). */
const named: ReadonlySet<number> = new Set([24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191]);
/** current_schema, current_schemas, and pg_table_is_visible and its kin (pg_proc.dat). */
const searching: ReadonlySet<number> = new Set([
  1402, 1403, 2079, 2080, 2081, 2082, 2083, 2093, 3403, 3756, 3757, 3758, 3768, 3815, 3829,
]);

/** Do settings print values otherwise than postgres_fdw does? */
const printsOtherwise = (settings: SessionSettings): boolean =>
  !settings.dateStyle.startsWith('ISO') || settings.intervalStyle !== 'postgres' || rounds(settings);

/**
 * @param raw a statement that carriers answer
 * @returns the same, or one whose subqueries run under the session's settings
 * @throws ClarusError 0A000 for one in a view or a function, and where rows are compared with one
 */
export function runUnderSettings(
  raw: RawNode,
  { parsed, rewritten }: Analysis,
  routines: Routines | undefined,
  settings: SessionSettings,
): RawNode {
  const otherwise = printsOtherwise(settings);
  if (routines?.subqueries && routines.tables.size > 0 && (otherwise || routines.nested))
    throw refusal('in a function');
  if (!mustRunUnder({ rewritten }, routines, settings)) return raw;
  const found = subLinksRunOnce(rewritten.flatMap(readNodes));
  if (found.length > subLinksRunOnce(parsed.flatMap(readNodes)).length) throw refusal('in a view');
  if (found.some(node => numberIn(node, 'subLinkType') === ROWCOMPARE))
    throw refusal('that a row is compared with');
  return new Wrapping().node(raw);
}

/** Are there subqueries that are run once, and that settings could mean something to? */
export function mustRunUnder(
  { rewritten }: Pick<Analysis, 'rewritten'>,
  routines: Routines | undefined,
  settings: SessionSettings,
): boolean {
  const trees = rewritten.flatMap(readNodes);
  if (subLinksRunOnce(trees).length === 0) return false;
  return printsOtherwise(settings) || routines !== undefined || searchesNames(trees);
}

/** Does a query print or read names of objects as search_path says? */
function searchesNames(trees: readonly Node[]): boolean {
  if ([...functionsIn(trees)].some(oid => searching.has(oid))) return true;
  let found = false;
  for (const tree of trees)
    walk(tree, node => {
      found ||= named.has(typeOf(node) ?? 0);
      return !found;
    });
  return found;
}

const refusal = (where: string): ClarusError =>
  new ClarusError(
    '0A000',
    `a subquery ${where} cannot be run on the trusted side under the settings in force`,
    {
      detail:
        'What it returns may depend on DateStyle, IntervalStyle, extra_float_digits or search_path, and postgres_fdw changes them.',
      hint: 'SET DateStyle = ISO, IntervalStyle = postgres and extra_float_digits = 1, and call functions of users outside of it.',
    },
  );

/** EXISTS_SUBLINK and its kin, as libpg-query calls them. */
const wrapped: ReadonlySet<unknown> = new Set(['EXISTS_SUBLINK', 'EXPR_SUBLINK', 'ARRAY_SUBLINK']);

/** Makes subqueries arguments, from the outside to the inside. */
class Wrapping {
  /** subqueries that stay: joins are made of EXISTS in a condition, and several columns are no argument */
  readonly #stay = new Set<RawFields>();

  node(node: RawNode): RawNode {
    const kind = kindOf(node);
    const fields = fieldsOf(node);
    this.#mark(kind, fields);
    const inner = this.#fields(fields);
    if (kind === 'SelectStmt') return { SelectStmt: withNames(fields, inner) };
    if (kind !== 'SubLink' || this.#stay.has(fields) || !wrapped.has(fields.subLinkType))
      return { [kind]: inner };
    return {
      FuncCall: {
        funcname: [str(OWN_SCHEMA), str('evaluated')],
        args: [{ SubLink: inner }],
        funcformat: 'COERCE_EXPLICIT_CALL',
      },
    };
  }

  #fields(fields: RawFields): RawFields {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, this.#value(value)]));
  }

  #value(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(item => this.#value(item));
    if (value === null || typeof value !== 'object') return value;
    const keys = Object.keys(value);
    if (keys.length === 1 && /^[A-Z]/.test(keys[0]!)) return this.node(value as RawNode);
    // the fields of a node whose kind is known by its place
    return this.#place(value as RawFields);
  }

  #place(fields: RawFields): RawFields {
    this.#mark('', fields);
    const inner = this.#fields(fields);
    return Array.isArray(fields.targetList) && 'op' in fields ? withNames(fields, inner) : inner;
  }

  #mark(kind: string, fields: RawFields): void {
    for (const name of ['whereClause', 'quals', 'havingClause']) {
      const condition = fields[name];
      if (condition !== null && typeof condition === 'object') this.#conjuncts(condition as RawNode);
    }
    if (kind === 'MultiAssignRef') this.#keep(fields.source as RawNode | undefined);
  }

  #conjuncts(condition: RawNode): void {
    const { boolop, args } = condition.BoolExpr ?? {};
    if (boolop === 'AND_EXPR' || boolop === 'NOT_EXPR')
      for (const arg of args as RawNode[]) this.#conjuncts(arg);
    else if (condition.SubLink?.subLinkType === 'EXISTS_SUBLINK') this.#keep(condition);
  }

  #keep(node: RawNode | undefined): void {
    if (node?.SubLink) this.#stay.add(node.SubLink);
  }
}

/** A select list whose columns have the names that they had before subqueries became arguments. */
function withNames(before: RawFields, after: RawFields): RawFields {
  const targets = list(before, 'targetList');
  return {
    ...after,
    ...(targets.length > 0 && {
      targetList: list(after, 'targetList').map((target, i) => {
        const subLink = fieldsOf((targets[i]!.ResTarget?.val as RawNode | undefined) ?? {});
        const { name } = targets[i]!.ResTarget ?? {};
        if (name !== undefined || !('subLinkType' in subLink)) return target;
        return { ResTarget: { ...target.ResTarget, name: nameOfSubLink(subLink) } };
      }),
    }),
  };
}

/** @throws ClarusError 0A000 where it is not plain */
function nameOfSubLink(subLink: RawFields): string {
  if (subLink.subLinkType === 'EXISTS_SUBLINK') return 'exists';
  if (subLink.subLinkType === 'ARRAY_SUBLINK') return 'array';
  const { ResTarget } =
    list((subLink.subselect as RawNode | undefined)?.SelectStmt ?? {}, 'targetList')[0] ?? {};
  const name = ResTarget?.name ?? nameOf(ResTarget?.val as RawNode | undefined);
  if (typeof name !== 'string') throw refusal('whose column has no name');
  return name;
}

/** The name of a column that has none of its own, where it is plain (FigureColname, parse_target.c). */
function nameOf(value: RawNode | undefined): string | undefined {
  if (!value) return undefined;
  const fields = fieldsOf(value);
  switch (kindOf(value)) {
    case 'ColumnRef':
      return stringOf(list(fields, 'fields').at(-1)) || undefined;
    case 'FuncCall':
      return stringOf(list(fields, 'funcname').at(-1));
    case 'TypeCast':
      return nameOf(fields.arg as RawNode) ?? stringOf(list(fields.typeName as RawFields, 'names').at(-1));
    case 'CollateClause':
      return nameOf(fields.arg as RawNode);
    default:
      return undefined;
  }
}
