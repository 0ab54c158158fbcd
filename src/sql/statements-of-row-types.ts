/** Statements with values of row types of protected tables: the trusted side answers them, and the cloud is sent none. */
import type { LogicalTable } from '../catalog/catalog.js';
import type { ClarusError } from '../errors.js';
import { type Node, numberIn, readNodes, walk } from './analysed/node.js';
import { FIRST_USER_OID } from './functions.js';
import type { Analysis, SessionPort } from './ports.js';
import { parseOne } from './raw/parse.js';
import { rowsWithin, rowTypeRefused, typeNamesIn, typesIn } from './row-types.js';
import type { Touch } from './touch.js';

/**
 * What becomes a cell of a protected column is computed on the trusted side: no unprotected one has such a type.
 * @param texts what the cloud is sent
 * @throws ClarusError 0A000 where it would have values of the row type of a protected table, or of a type made of it
 */
export async function refuseRowTypes(
  { parsed, rewritten, shape }: Analysis,
  { tables }: Pick<Touch, 'tables'>,
  texts: readonly string[],
  session: SessionPort,
): Promise<void> {
  const trees = [...parsed, ...rewritten].flatMap(readNodes);
  const users = ofUsers(shape.parameterTypes);
  const all = new Set([...typesIn(trees), ...users]);
  if (!(await rowsWithin(all, [], session))) return;
  await refuseOpenColumns(tables, session);
  const names = texts.flatMap(sql => typeNamesIn(parseOne(sql)));
  const table = await rowsWithin(new Set([...typesOfRows(trees), ...users]), names, session);
  if (table) throw rowTypeRefused(table);
}

/** Types of rows that are named as wholes. */
function typesOfRows(trees: readonly Node[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind === 'VAR' && numberIn(node, 'varattno') === 0) found.add(numberIn(node, 'vartype'));
      return true;
    });
  return found;
}

/**
 * Why the cloud does not run a statement: it has values of the row type of a protected table, or of one made of it, or a
 * function of users has that it calls. Undefined: it has none.
 * @param names of types that are not among what was analysed
 * @throws ClarusError 0A000 where a column in the clear holds such values, which the cloud has changed with its table
 */
export async function ofRowType(
  { parsed, rewritten, shape }: Analysis,
  { tables, routines }: Pick<Touch, 'tables' | 'routines'>,
  session: SessionPort,
  names: readonly string[] = [],
): Promise<ClarusError | undefined> {
  const trees = [...parsed, ...rewritten].flatMap(readNodes);
  const types = new Set([...typesIn(trees), ...ofUsers(shape.parameterTypes)]);
  const table = routines?.rowsOf ?? (await rowsWithin(types, names, session));
  if (!table) return undefined;
  await refuseOpenColumns(tables, session);
  return rowTypeRefused(table);
}

async function refuseOpenColumns(tables: readonly LogicalTable[], session: SessionPort): Promise<void> {
  const types = tables.flatMap(({ columns }) =>
    columns.flatMap(({ protection, type }) => (protection ? [] : ofUsers([type.oid]))),
  );
  const table = await rowsWithin(new Set(types), [], session);
  if (table) throw rowTypeRefused(table);
}

const ofUsers = (types: readonly number[]): readonly number[] => types.filter(oid => oid >= FIRST_USER_OID);
