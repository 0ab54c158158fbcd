/** What stands in the rest of a statement for a query that runs before it: rows that are given as arrays. */
import { quoteName } from '../../../catalog/quote.js';
import { nodesIn, numbersIn, readNodes } from '../../analysed/node.js';
import { typeNameOf } from '../../execute/convert.js';
import type { OutputColumn } from '../../plan.js';
import type { SessionPort } from '../../ports.js';
import type { RawNode } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { readerOn } from '../../reading.js';

/** DEFAULT_COLLATION_OID (pg_collation.dat) */
const DEFAULT_COLLATION = 100;

const collationsQuery = `SELECT c.oid::text, pg_catalog.format('%I.%I', n.nspname, c.collname)
  FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
 WHERE c.oid = ANY ($1::pg_catalog.oid[])`;

/**
 * @param columns of the query
 * @param collations of its columns, by OID; 0: none
 * @param before number of the parameters before the first array
 * @returns a SELECT of rows that are given as an array of texts a column
 */
export async function givenQuery(
  columns: readonly OutputColumn[],
  collations: readonly number[],
  before: number,
  session: SessionPort,
): Promise<RawNode> {
  const types = await Promise.all(columns.map(({ typeOid }) => typeNameOf(typeOid, session)));
  const named = collations.filter(oid => oid !== 0 && oid !== DEFAULT_COLLATION);
  const found =
    named.length === 0 ? [] : await readerOn(session.trusted)(collationsQuery, [`{${named.join()}}`]);
  const names = new Map(found.map(([oid, name]) => [Number(oid), name]));
  const targets = columns.map(({ name }, i) => {
    const collation = names.get(collations[i] ?? 0);
    const collate = collation === undefined ? '' : ` COLLATE ${collation}`;
    return `u.c${i}::${types[i]}${collate} AS ${quoteName(name)}`;
  });
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${before + i + 1}::pg_catalog.text[])`);
  const aliases = columns.map((_, i) => `c${i}`);
  return parseOne(
    `SELECT ${targets.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${aliases.join(', ')})`,
  );
}

/** Collations of the columns of a query, by OID. */
export async function collationsOf(
  sql: string,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<readonly number[]> {
  const { parsed } = await session.analyse(`WITH clarus_query AS (${sql}) SELECT`, parameterTypes);
  return parsed
    .flatMap(readNodes)
    .flatMap(query => nodesIn(query, 'cteList'))
    .flatMap(cte => numbersIn(cte, 'ctecolcollations'));
}
