/** The EXCLUDE constraints of a table that read protected columns, as the trusted side compares rows by them. */
import type { Catalog, LogicalColumn, LogicalTable, TrustedExclusion } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { numberIn, readNodes, walk } from '../analysed/node.js';
import { type ColumnTypes, computedTypes } from '../checks/table-checks.js';
import { physical } from '../compilation.js';
import { plainExpressions } from '../defaults.js';
import type { Row } from '../execute/collect.js';
import { FIRST_USER_OID } from '../functions.js';
import type { SessionPort } from '../ports.js';
import type { Comparison } from './write.js';

/** An EXCLUDE constraint. */
export interface Exclusion extends Comparison {
  readonly name: string;
  /** of its index: PostgreSQL checks a row by one index after the other */
  readonly index: number;
  /** for each key the unprotected column that it is, where it is compared by = of PostgreSQL: so the cloud can tell rows apart */
  readonly open: readonly (LogicalColumn | undefined)[];
}

/** Those of a table, with the types of what they read. */
export interface Exclusions extends ColumnTypes {
  readonly exclusions: readonly Exclusion[];
  /** OIDs of all unique indexes by their names */
  readonly uniques: ReadonlyMap<string, number>;
}

/** Read without search_path, so that all is qualified. */
const exclusionsQuery = physical(
  `SELECT c.conname, i.indexrelid::pg_catalog.text, pg_catalog.pg_get_expr(i.indpred, i.indrelid),
    (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
       'key', pg_catalog.pg_get_indexdef(i.indexrelid, u.n::pg_catalog.int4, false),
       'column', (i.indkey::pg_catalog.int2[])[u.n - 1],
       'operator', o.oid::pg_catalog.int8, 'operatorName', o.oprname, 'operatorSchema', n.nspname,
       'collation', (SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_catalog.pg_collation l
          JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
         WHERE l.oid = (i.indcollation::pg_catalog.oid[])[u.n - 1]),
       'deterministic', coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l
         WHERE l.oid = (i.indcollation::pg_catalog.oid[])[u.n - 1]), true)) ORDER BY u.n)
       FROM pg_catalog.unnest(c.conexclop) WITH ORDINALITY AS u (operator, n)
       JOIN pg_catalog.pg_operator o ON o.oid = u.operator
       JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace)::pg_catalog.text
   FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid
  WHERE c.conrelid = $1 AND c.contype = 'x'`,
  [26],
);

const uniquesQuery = physical(
  `SELECT c.relname, i.indexrelid::pg_catalog.text FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1 AND i.indisunique`,
  [26],
);

interface Element {
  readonly key: string;
  /** attnum; 0: an expression */
  readonly column: number;
  readonly operator: number;
  readonly operatorName: string;
  readonly operatorSchema: string;
  readonly collation: string | null;
  readonly deterministic: boolean;
}

const known = new WeakMap<Catalog, Map<number, Promise<Exclusions>>>();

/**
 * Reads the constraints from the shadow.
 * @returns undefined: there are none
 * @throws ClarusError 0A000 for what the trusted side cannot evaluate over the values of rows
 */
export function exclusionsOf(table: LogicalTable, session: SessionPort): Promise<Exclusions | undefined> {
  if (!table.exclusions) return Promise.resolve(undefined);
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<number, Promise<Exclusions>>();
  known.set(catalog, found);
  const exclusions = found.get(table.oid) ?? read(table, table.exclusions, session);
  found.set(table.oid, exclusions);
  exclusions.catch(() => found.delete(table.oid));
  return exclusions;
}

const textsOf = (row: Row): readonly (string | null)[] =>
  row.map(field => (field ? Buffer.from(field).toString() : null));

async function read(
  table: LogicalTable,
  own: readonly TrustedExclusion[],
  session: SessionPort,
): Promise<Exclusions> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [constraints, uniques] = await plainExpressions(session, [
    { query: exclusionsQuery, parameters: [oid] },
    { query: uniquesQuery, parameters: [oid] },
  ]);
  const rows = new Map(constraints!.map(textsOf).map(([name, ...rest]) => [name!, rest]));
  const elementsOf = new Map<string, readonly Element[]>();
  const exclusions = own.map(({ name, columns: numbers }): Exclusion => {
    const [index, predicate, json] = rows.get(name) ?? [];
    if (index == null || json == null) throw new Error('an exclusion constraint is not in the shadow');
    const elements = JSON.parse(json) as readonly Element[];
    elementsOf.set(name, elements);
    return {
      name,
      index: Number(index),
      keys: elements.map(({ key, collation }) => `(${key})${collation ?? ''}`),
      operators: elements.map(operatorSql),
      predicate: predicate ?? undefined,
      columns: table.columns.filter(({ number }) => numbers.includes(number)),
      open: elements.map(element => openColumn(element, table)),
    };
  });
  const expressions = exclusions.flatMap(({ name, columns, keys, operators, predicate }) =>
    [...keys.map((key, i) => `${key} ${operators[i]} ${key}`), ...(predicate ? [predicate] : [])].map(
      text => ({ name, columns, text }),
    ),
  );
  // ON CONFLICT compares the rows that are given by these
  const keys = new Set(table.keys.filter(({ kind }) => kind !== 'foreign').flatMap(({ columns }) => columns));
  expressions.push({
    name: exclusions[0]!.name,
    columns: table.columns.filter(({ number }) => keys.has(number)),
    text: 'true',
  });
  for (const exclusion of exclusions)
    await mustMeanTheSame(exclusion, elementsOf.get(exclusion.name)!, table, session);
  return {
    table,
    exclusions,
    types: await computedTypes(table, expressions, session, 'exclusion constraint'),
    uniques: new Map(uniques!.map(textsOf).map(([name, index]) => [name!, Number(index)])),
  };
}

const operatorSql = ({ operatorSchema, operatorName }: Element): string =>
  `OPERATOR(${quoteName(operatorSchema)}.${operatorName})`;

function openColumn(
  { column: attnum, operator, operatorSchema, operatorName, deterministic }: Element,
  table: LogicalTable,
): LogicalColumn | undefined {
  const isEquality = operator < FIRST_USER_OID && operatorSchema === 'pg_catalog' && operatorName === '=';
  const column = table.columns.find(one => one.attnum === attnum);
  const isOpen = column && !column.protection && column.type.oid < FIRST_USER_OID;
  return isEquality && deterministic && isOpen ? column : undefined;
}

/** @throws ClarusError 0A000 where other operators would be applied here, or rows would be read as a whole */
async function mustMeanTheSame(
  { name, keys, operators, predicate }: Exclusion,
  elements: readonly Element[],
  table: LogicalTable,
  session: SessionPort,
): Promise<void> {
  const applied = keys.map((key, i) => `${key} ${operators[i]} ${key}`);
  const targets = [...applied, ...(predicate === undefined ? [] : [predicate])];
  const { parsed } = await session.analyse(
    `SELECT ${targets.map(sql => `(${sql})`).join(', ')} FROM ${quoteQualified(table.schema, table.name)}`,
    [],
  );
  const found = new Set<number>();
  let whole = false;
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      found.add(numberIn(node, 'opno'));
      whole ||= node.kind === 'VAR' && numberIn(node, 'varattno') <= 0;
      return true;
    });
  if (!whole && elements.every(({ operator }) => found.has(operator))) return;
  throw new ClarusError(
    '0A000',
    `exclusion constraint "${name}" of table "${table.name}" cannot be evaluated`,
    {
      detail: whole
        ? 'It reads a protected column, and rows as a whole.'
        : 'It reads a protected column, and compares by an operator class whose operators are not those of the types.',
      hint: 'Name the columns that it compares, without operator classes.',
      schema: table.schema,
      table: table.name,
      constraint: name,
    },
  );
}
