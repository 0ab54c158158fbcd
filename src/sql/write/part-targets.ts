/**
 * INSERT into parts of columns: `INSERT INTO t (a[1], a[2], c.x) VALUES (...)`. What PostgreSQL makes of them, from a NULL
 * (transformAssignmentIndirection in parse_target.c, process_matched_tle in rewriteHandler.c), is written as whole values:
 * `INSERT INTO t (a, c) VALUES (ARRAY[..., ...]::integer[], ROW(...)::pair)`.
 */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import type { Node } from '../analysed/node.js';
import { numberIn } from '../analysed/node.js';
import { COMMAND, entry, scopeOf } from '../analysed/query.js';
import type { SessionPort } from '../ports.js';
import {
  child,
  columnRef,
  fieldsOf,
  list,
  type RawFields,
  type RawNode,
  str,
  stringOf,
  target,
  text,
} from '../raw/node.js';
import { readerOn } from '../reading.js';

/** What is assigned to a part: a subscript or a field at a time, from the outside to the inside. */
interface Assigned {
  readonly path: readonly RawNode[];
  readonly value: RawNode;
}

/** Elements that an array may get by one statement. */
const elementsMax = 1000;

/**
 * @param raw an INSERT that PostgreSQL has analysed
 * @returns the same over whole columns; undefined: it names no part, or no protected table
 * @throws ClarusError 0A000 for parts of which it is not certain what PostgreSQL makes
 */
export async function withWholeColumns(
  raw: RawNode,
  query: Node | undefined,
  session: SessionPort,
): Promise<RawNode | undefined> {
  const insert = raw.InsertStmt;
  const cols = list(insert ?? {}, 'cols');
  if (!insert || !query || cols.every(col => pathOf(col).length === 0)) return undefined;
  const table = tableWritten(query, session);
  if (table?.state !== 'protected') return undefined;
  const names = [...new Set(cols.map(col => text(fieldsOf(col), 'name')!))];
  const types = new Types(session);
  const row = async (values: readonly RawNode[]): Promise<RawNode[]> => {
    const whole: RawNode[] = [];
    for (const name of names) {
      const assigned = cols.flatMap((col, i): Assigned[] =>
        text(fieldsOf(col), 'name') === name ? [{ path: pathOf(col), value: values[i]! }] : [],
      );
      whole.push(await wholeOf(table.columns.find(c => c.name === name)!, assigned, types));
    }
    return whole;
  };
  const select = child(insert, 'selectStmt')?.SelectStmt;
  if (!select) return undefined;
  const rows = list(select, 'valuesLists');
  const source: RawFields =
    rows.length > 0
      ? {
          ...select,
          valuesLists: await inOrder(rows, async r => ({
            List: { items: await row(list(fieldsOf(r), 'items')) },
          })),
        }
      : await over(select, cols.length, row);
  return {
    InsertStmt: {
      ...insert,
      cols: names.map(name => ({ ResTarget: { name } })),
      selectStmt: { SelectStmt: source },
    },
  };
}

const pathOf = (col: RawNode): readonly RawNode[] => list(fieldsOf(col), 'indirection');

function tableWritten(query: Node, session: SessionPort): LogicalTable | undefined {
  if (numberIn(query, 'commandType') !== COMMAND.insert) return undefined;
  const relation = entry(scopeOf(query), numberIn(query, 'resultRelation'));
  return session.catalog().tables.get(numberIn(relation, 'relid'));
}

async function inOrder<T>(items: readonly RawNode[], work: (item: RawNode) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

/** What a query gives, as whole values. */
async function over(
  select: RawFields,
  width: number,
  row: (values: readonly RawNode[]) => Promise<RawNode[]>,
): Promise<RawFields> {
  const columns = Array.from({ length: width }, (_, i) => `clarus_part_${i + 1}`);
  const values = await row(columns.map(name => columnRef(name)));
  return {
    targetList: values.map(value => target(value)),
    fromClause: [
      {
        RangeSubselect: {
          subquery: { SelectStmt: select },
          alias: { aliasname: 'clarus_parts', colnames: columns.map(str) },
        },
      },
    ],
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
  };
}

async function wholeOf(column: LogicalColumn, assigned: readonly Assigned[], types: Types): Promise<RawNode> {
  const [first] = assigned;
  if (first!.path.length === 0) return first!.value;
  if (column.type.modifier !== -1) throw notAnswered('its type has a length');
  return partOf(column.type.oid, assigned, types, 0);
}

/** @param depth how many subscripts and fields lead to it */
async function partOf(
  oid: number,
  assigned: readonly Assigned[],
  types: Types,
  depth: number,
): Promise<RawNode> {
  const type = await types.of(oid);
  const [first, ...more] = assigned;
  if (first!.path.length === 0) {
    if (more.length > 0) throw notAnswered('it is assigned more than once');
    return cast(first!.value, type);
  }
  if (type.kind === 'domain') {
    // PostgreSQL would look at its checks after each assignment
    if (depth > 0 && more.length > 0) throw notAnswered('several assignments are made to a domain within it');
    if (type.modifier !== -1) throw notAnswered('its type has a length');
    return cast(await partOf(type.base, assigned, types, depth), type);
  }
  if (type.kind === 'array') return cast(await arrayOf(type.element, assigned, types, depth), type);
  if (type.kind === 'composite') return cast(await rowOf(type, assigned, types, depth), type);
  throw notAnswered('it is neither an array nor of a composite type');
}

async function arrayOf(
  element: number,
  assigned: readonly Assigned[],
  types: Types,
  depth: number,
): Promise<RawNode> {
  const elements = new Map<number, Assigned[]>();
  for (const { path, value } of assigned) {
    const [step, ...rest] = path;
    const subscript = subscriptOf(step!);
    if (rest[0]?.A_Indices) throw notAnswered('it is an array of several dimensions');
    elements.set(subscript, [...(elements.get(subscript) ?? []), { path: rest, value }]);
  }
  const last = Math.max(...elements.keys());
  if (!elements.has(1) || Math.min(...elements.keys()) < 1 || last > elementsMax)
    throw notAnswered(`its elements are not those from the first to the ${elementsMax}th at most`);
  const values: RawNode[] = [];
  for (let i = 1; i <= last; i++) {
    const found = elements.get(i);
    values.push(found ? await partOf(element, found, types, depth + 1) : nothing);
  }
  return { A_ArrayExpr: { elements: values } };
}

/** @throws ClarusError 0A000 for a slice, and for a subscript that is no constant */
function subscriptOf(step: RawNode): number {
  const { uidx, lidx, is_slice: isSlice } = (step.A_Indices ?? {}) as RawFields;
  const constant = (uidx as RawNode | undefined)?.A_Const?.ival as { readonly ival?: number } | undefined;
  if (isSlice || lidx || !constant) throw notAnswered('its subscripts are not whole numbers');
  return constant.ival ?? 0;
}

async function rowOf(
  { fields }: Extract<Type, { kind: 'composite' }>,
  assigned: readonly Assigned[],
  types: Types,
  depth: number,
): Promise<RawNode> {
  const byField = new Map<string, Assigned[]>();
  for (const { path, value } of assigned) {
    const [step, ...rest] = path;
    const name = stringOf(step);
    byField.set(name, [...(byField.get(name) ?? []), { path: rest, value }]);
  }
  const args: RawNode[] = [];
  for (const { name, type, modifier } of fields) {
    const found = byField.get(name);
    if (found && modifier !== -1) throw notAnswered('its type has a length');
    args.push(found ? await partOf(type, found, types, depth + 1) : nothing);
    byField.delete(name);
  }
  if (byField.size > 0) throw notAnswered('its fields are not known');
  return { RowExpr: { args, row_format: 'COERCE_EXPLICIT_CALL' } };
}

const nothing: RawNode = { A_Const: { isnull: true } };

const cast = (arg: RawNode, { schema, name }: Type): RawNode => ({
  TypeCast: { arg, typeName: { names: [str(schema), str(name)], typemod: -1 } },
});

/** What parts a type has. */
type Type = { readonly schema: string; readonly name: string } & (
  | { readonly kind: 'domain'; readonly base: number; readonly modifier: number }
  | { readonly kind: 'array'; readonly element: number }
  | {
      readonly kind: 'composite';
      readonly fields: readonly { readonly name: string; readonly type: number; readonly modifier: number }[];
    }
  | { readonly kind: 'other' }
);

const typeQuery = `SELECT n.nspname, t.typname, t.typtype, t.typbasetype::text, t.typtypmod::text, t.typelem::text,
    t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc, a.attname, a.atttypid::text, a.atttypmod::text
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE t.oid = $1::pg_catalog.oid ORDER BY a.attnum`;

/** Types as the trusted side knows them. */
class Types {
  constructor(private readonly session: SessionPort) {}

  async of(oid: number): Promise<Type> {
    const rows = await readerOn(this.session.trusted)(typeQuery, [String(oid)]);
    const [schema, name, kind, base, modifier, element, isArray] = rows[0]!;
    const named = { schema: schema!, name: name! };
    if (kind === 'd') return { ...named, kind: 'domain', base: Number(base), modifier: Number(modifier) };
    if (isArray === 't') return { ...named, kind: 'array', element: Number(element) };
    if (kind !== 'c') return { ...named, kind: 'other' };
    const fields = rows.map(row => ({
      name: row[7]!,
      type: Number(row[8]),
      modifier: Number(row[9]),
    }));
    return { ...named, kind: 'composite', fields };
  }
}

const notAnswered = (detail: string): ClarusError =>
  new ClarusError('0A000', 'this part of a column as the target of an INSERT is not answered', {
    detail: `Of the column, or of what is in it: ${detail}.`,
    hint: 'Give the whole value.',
  });
