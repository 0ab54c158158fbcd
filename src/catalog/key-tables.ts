/**
 * Foreign keys that refer to a partitioned table. In the cloud each partition is a table by itself, and PostgreSQL lets a
 * foreign key refer to one table only. So the cloud collects the key of all partitions in a table, to which the foreign
 * keys refer: triggers of the partitions keep it, whatever writes there.
 *
 * A key is there before a row with it is, so that rows of one statement may refer to each other; it goes when the
 * statement ends, if its row has gone and no other partition has taken the key meanwhile. Then the cloud looks whether a row
 * refers to it, as PostgreSQL does at the end of the statement, or, where that is DEFERRED, of the transaction.
 */
import { ClarusError } from '../errors.js';
import type { CollectedKey, LogicalColumn, LogicalTable, ReferredKey } from './catalog.js';
import type { CatalogNumbers } from './derive-input.js';
import type { DescribedTable } from './description.js';
import { HELPER_SCHEMA } from './object-queries.js';
import type { PhysicalCollector, PhysicalColumn, PhysicalKeyTable } from './physical-parts.js';
import { quoteLiteral, quoteName, quoteQualified } from './quote.js';

/** OIDs below are of PostgreSQL itself (access/transam.h). */
const FIRST_USER_OID = 16384;

const keyTableName = (generation: number): string => `clarus_keys_${generation}`;

/** The qualified name of the table that collects a key. */
export const keyTableOf = ({ generation }: Pick<ReferredKey, 'generation'>): string =>
  quoteQualified(HELPER_SCHEMA, keyTableName(generation));

/** The generation of the key whose table a text of the cloud names, or undefined. */
export const keyTableIn = (text: string): number | undefined => {
  const found = /\bclarus_keys_(\d+)\b/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
};

/** Name of a column of such a table. @param number that of the partitioned table's */
export const collectedName = (number: number): string => `k${number}`;

/** The column of such a table that tells the partition. */
const PARTITION = 'clarus_partition';

/**
 * The keys of a partitioned table that are collected.
 * @param wanted columns to which foreign keys refer, by numbers
 * @param standing those that are collected already
 */
export async function referredKeysOf(
  table: LogicalTable,
  wanted: readonly (readonly number[])[],
  standing: readonly ReferredKey[],
  numbers: CatalogNumbers,
): Promise<Pick<LogicalTable, 'referredKeys'>> {
  if (!table.partitioned || table.state !== 'protected') return {};
  const found = new Map<string, ReferredKey>();
  for (const one of wanted) {
    const columns = sorted(one);
    const id = columns.join();
    if (found.has(id)) continue;
    const domains = columns.map(number => columnNumbered(table, number).protection?.domain ?? null);
    const old = standing.find(
      key => key.columns.join() === id && JSON.stringify(key.domains) === JSON.stringify(domains),
    );
    found.set(id, old ?? { generation: await numbers.generation(), columns, domains });
  }
  return found.size === 0 ? {} : { referredKeys: [...found.values()] };
}

const sorted = (numbers: readonly number[]): readonly number[] => [...numbers].sort((a, b) => a - b);

const columnNumbered = ({ columns }: LogicalTable, number: number): LogicalColumn =>
  columns.find(column => column.number === number)!;

/** The collected key to which a foreign key refers, or undefined. @param columns those that it names, by numbers */
export const referredKey = (
  { referredKeys }: LogicalTable,
  columns: readonly number[],
): ReferredKey | undefined => referredKeys?.find(key => key.columns.join() === sorted(columns).join());

/** The partitioned tables of which a table is a partition, the nearest first. */
export function partitionedAbove(
  { parents }: Pick<LogicalTable, 'parents'>,
  tables: Iterable<LogicalTable>,
): readonly LogicalTable[] {
  const all = [...tables];
  const found: LogicalTable[] = [];
  for (let above = parents; above?.length; ) {
    const parent: LogicalTable | undefined = all.find(({ number }) => above!.includes(number));
    if (!parent?.partitioned || found.includes(parent)) break;
    found.push(parent);
    above = parent.parents;
  }
  return found;
}

/** The keys of a partition that are collected with those of others. @param above the partitioned tables above it */
export function collectedKeysOf(
  table: LogicalTable,
  above: readonly LogicalTable[],
): Pick<LogicalTable, 'collectedKeys'> {
  if (table.partitioned || table.state !== 'protected') return {};
  const keys = above.flatMap(({ columns, referredKeys }) =>
    (referredKeys ?? []).map(({ generation, columns: of }): CollectedKey => {
      const names = of.map(number => columns.find(column => column.number === number)!.name);
      return { generation, of, columns: names.map(name => columnNamed(table, name).number) };
    }),
  );
  return keys.length === 0 ? {} : { collectedKeys: keys };
}

const columnNamed = ({ columns }: LogicalTable, name: string): LogicalColumn =>
  columns.find(column => column.name === name)!;

/**
 * The domain that a column takes because keys of a partitioned table above are collected: that of its column in the
 * outermost one.
 * @param above the nearest first
 */
export function domainCollected(name: string, above: readonly LogicalTable[]): number | undefined {
  for (const { columns, referredKeys } of [...above].reverse()) {
    const column = columns.find(one => one.name === name);
    if (column?.protection && referredKeys?.some(key => key.columns.includes(column.number)))
      return column.protection.domain;
  }
  return undefined;
}

/**
 * @param above the partitioned tables above it
 * @throws ClarusError 0A000 for a key that the cloud cannot collect
 */
export function refuseUncollected(
  table: LogicalTable,
  described: DescribedTable,
  above: readonly LogicalTable[],
): void {
  for (const key of table.referredKeys ?? []) refuseColumns(table, key.columns, described);
  for (const { generation, columns, of } of table.collectedKeys ?? []) {
    refuseColumns(table, columns, described);
    if (described.persistence === 'u')
      throw refused(
        table,
        'Its partition is UNLOGGED: its rows may be lost, and the keys that are referred to not.',
      );
    const parent = above.find(one => one.referredKeys?.some(key => key.generation === generation))!;
    for (const [i, number] of columns.entries()) {
      const own = columnNumbered(table, number).protection?.domain;
      if (own !== columnNumbered(parent, of[i]!).protection?.domain)
        throw refused(table, `The tags of its column are not of the domain of those of "${parent.name}".`);
    }
  }
}

function refuseColumns(table: LogicalTable, numbers: readonly number[], described: DescribedTable): void {
  if (table.opaque) throw refused(table, 'Its names are hidden from the cloud.');
  for (const number of numbers) {
    const { attnum, type, protection, name } = columnNumbered(table, number);
    if (protection) continue;
    const own = described.columns.find(column => column.attnum === attnum);
    if (own?.generated) throw refused(table, `The cloud computes its column "${name}".`);
    if (type.oid >= FIRST_USER_OID)
      throw refused(table, `Its unprotected column "${name}" is of a type of users.`);
  }
}

const refused = ({ schema, name }: LogicalTable, detail: string): ClarusError =>
  new ClarusError('0A000', `the keys of table "${name}" cannot be collected for a foreign key`, {
    detail,
    hint: 'Leave the foreign key out, or make one table of the partitions.',
    schema,
    table: name,
  });

/** @param columns physical ones of the partitioned table */
export const physicalKeyTables = (
  table: LogicalTable,
  columns: readonly PhysicalColumn[],
  nameOf: (column: LogicalColumn) => string,
): readonly PhysicalKeyTable[] =>
  (table.referredKeys ?? []).map(key => ({
    name: keyTableOf(key),
    columns: key.columns.map(number => {
      const physical = nameOf(columnNumbered(table, number));
      return { name: collectedName(number), type: columns.find(({ name }) => name === physical)!.type };
    }),
  }));

/** What keeps the keys of a partition. */
export const physicalCollectors = (
  table: LogicalTable,
  nameOf: (column: LogicalColumn) => string,
): readonly PhysicalCollector[] =>
  (table.collectedKeys ?? []).map(({ generation, columns, of }) => {
    const pairs = columns.map((number, i) => ({
      own: nameOf(columnNumbered(table, number)),
      collected: collectedName(of[i]!),
    }));
    const { schema, name } = table.physical;
    return {
      key: JSON.stringify([generation, schema, name, pairs]),
      name: `${keyTableName(generation)}_${table.number}`,
      keyTable: keyTableOf({ generation }),
      partition: table.number,
      columns: pairs,
    };
  });

/**
 * The statement that locks the keys of rows of a partition, as PostgreSQL locks rows whose keys may go, so that nobody comes
 * to refer to them. Its parameter is the ctids of the rows (tid[]).
 */
export const lockCollected = (collector: PhysicalCollector): string =>
  `SELECT ${lockOf(collector)}($1::pg_catalog.tid[])`;

/** The DDL that makes the table. It is its owner's alone: whom a partition is granted, triggers and `lockOf` work for. */
export const makeKeyTable = ({ name, columns }: PhysicalKeyTable): readonly string[] => [
  `CREATE SCHEMA IF NOT EXISTS ${quoteName(HELPER_SCHEMA)}`,
  `GRANT USAGE ON SCHEMA ${quoteName(HELPER_SCHEMA)} TO PUBLIC`,
  `CREATE TABLE ${name} (${columns.map(column => `${column.name} ${column.type} NOT NULL`).join(', ')}, ${PARTITION} bigint NOT NULL, PRIMARY KEY (${columns.map(column => column.name).join(', ')}))`,
];

const functionOf = ({ name }: PhysicalCollector): string => quoteQualified(HELPER_SCHEMA, name);

/** The function that locks keys of rows for those who may write these: it tells nothing. */
const lockOf = ({ name }: PhysicalCollector): string => quoteQualified(HELPER_SCHEMA, `${name}_lock`);

const lockBody = ({ columns, keyTable }: PhysicalCollector, table: string): string => `
BEGIN
  IF NOT (has_table_privilege(session_user, ${quoteLiteral(table)}, 'DELETE') OR has_any_column_privilege(session_user, ${quoteLiteral(table)}, 'UPDATE')) THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied to lock keys';
  END IF;
  PERFORM FROM ${keyTable} AS k WHERE EXISTS (SELECT FROM ONLY ${table} AS t WHERE t.ctid = ANY (rows)
     AND ${columns.map(c => `k.${c.collected} OPERATOR(pg_catalog.=) t.${quoteName(c.own)}`).join(' AND ')}) FOR UPDATE OF k;
END `;

/**
 * The DDL by which a partition keeps its keys there.
 * @param table qualified name of the partition
 */
export function makeCollector(collector: PhysicalCollector, table: string): readonly string[] {
  const own = collector.columns.map(column => quoteName(column.own)).join(', ');
  const trigger = (event: (typeof events)[number], when: string): string =>
    `CREATE TRIGGER ${triggerOf(collector, event)} ${when} EXECUTE FUNCTION ${functionOf(collector)}()`;
  return [
    `CREATE FUNCTION ${functionOf(collector)}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $clarus$${body(collector, table)}$clarus$`,
    // it is fired without; others must not fire it on tables of theirs
    `REVOKE EXECUTE ON FUNCTION ${functionOf(collector)}() FROM PUBLIC`,
    `CREATE FUNCTION ${lockOf(collector)}(rows tid[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $clarus$${lockBody(collector, table)}$clarus$`,
    trigger('insert', `BEFORE INSERT OR UPDATE OF ${own} ON ${table} FOR EACH ROW`),
    trigger(
      'update',
      `AFTER UPDATE ON ${table} REFERENCING OLD TABLE AS clarus_old NEW TABLE AS clarus_new FOR EACH STATEMENT`,
    ),
    trigger('delete', `AFTER DELETE ON ${table} REFERENCING OLD TABLE AS clarus_old FOR EACH STATEMENT`),
    trigger('truncate', `AFTER TRUNCATE ON ${table} FOR EACH STATEMENT`),
    // whatever session_replication_role is
    `ALTER TABLE ${table} ${events.map(event => `ENABLE ALWAYS TRIGGER ${triggerOf(collector, event)}`).join(', ')}`,
  ];
}

/** The statement that adds the keys of the rows that stand in a partition. */
export const collectStanding = ({ columns, keyTable, partition }: PhysicalCollector, table: string): string =>
  `INSERT INTO ${keyTable} (${columns.map(c => c.collected).join(', ')}, ${PARTITION})
   SELECT ${columns.map(c => `t.${quoteName(c.own)}`).join(', ')}, ${partition} FROM ONLY ${table} AS t
    WHERE ${columns.map(c => `t.${quoteName(c.own)} IS NOT NULL`).join(' AND ')}`;

/** The statement that takes away the keys of a partition. */
export const forgetPartition = ({ keyTable, partition }: PhysicalCollector): string =>
  `DELETE FROM ${keyTable} AS k WHERE k.${PARTITION} OPERATOR(pg_catalog.=) ${partition}`;

/** The number of the partition whose keys such a statement takes away, or undefined. */
export const partitionForgotten = (sql: string): number | undefined => {
  const found = forgetting.exec(sql)?.[1];
  return found === undefined ? undefined : Number(found);
};
const forgetting =
  /^DELETE FROM \S+clarus_keys_\d+"? AS k WHERE k\.clarus_partition OPERATOR\(pg_catalog\.=\) (\d+)$/;

/** The DDL after which a partition keeps its keys no more. */
export const dropCollector = (collector: PhysicalCollector, table: string): readonly string[] => [
  ...events.map(event => `DROP TRIGGER ${triggerOf(collector, event)} ON ${table}`),
  `DROP FUNCTION ${functionOf(collector)}(), ${lockOf(collector)}(tid[])`,
];

const events = ['insert', 'update', 'delete', 'truncate'] as const;

const triggerOf = ({ name }: PhysicalCollector, event: (typeof events)[number]): string =>
  quoteName(`${name}_${event}`);

function body(collector: PhysicalCollector, table: string): string {
  const { columns, keyTable, partition } = collector;
  const collected = columns.map(c => c.collected).join(', ');
  const own = columns.map(c => quoteName(c.own));
  const equal = (right: (column: string) => string): string =>
    columns.map((c, i) => `k.${c.collected} OPERATOR(pg_catalog.=) ${right(own[i]!)}`).join(' AND ');
  const rows = (table: string): string =>
    `SELECT ${own.map(column => `x.${column}`).join(', ')} FROM ${table} AS x`;
  const gone = (rows: string): string =>
    `DELETE FROM ${keyTable} AS k USING (${rows}) AS o
        WHERE ${equal(column => `o.${column}`)} AND k.${PARTITION} OPERATOR(pg_catalog.=) ${partition}
          AND NOT EXISTS (SELECT FROM ONLY ${table} AS t WHERE ${equal(column => `t.${column}`)})`;
  return `
#variable_conflict use_column
BEGIN
  IF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN
    IF ${own.map(column => `NEW.${column} IS NOT NULL`).join(' AND ')} THEN
      INSERT INTO ${keyTable} AS k (${collected}, ${PARTITION}) VALUES (${own.map(column => `NEW.${column}`).join(', ')}, ${partition})
        ON CONFLICT (${collected}) DO UPDATE SET ${PARTITION} = ${partition} WHERE k.${PARTITION} OPERATOR(pg_catalog.<>) ${partition};
    END IF;
    RETURN NEW;
  ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    ${gone(`${rows('clarus_old')} EXCEPT ${rows('clarus_new')}`)};
  ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
    ${gone(rows('clarus_old'))};
  ELSE
    ${forgetPartition(collector)};
  END IF;
  RETURN NULL;
END `;
}
