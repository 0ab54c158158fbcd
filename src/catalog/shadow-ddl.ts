/** DDL that builds the logical schema of a described database in the shadow, without rows. */
import type { DatabaseDescription, DescribedColumn, DescribedObject, DescribedTable } from './description.js';
import { createSequence } from './physical-changes.js';
import { quoteName, quoteQualified } from './quote.js';
import type { SchemaConnection } from './reader.js';

/** Statements that make one object; they succeed or fail together. */
export interface ShadowItem {
  /** for messages, e.g. `table "public"."t"` */
  readonly what: string;
  readonly statements: readonly string[];
}

/** What could not be built, and why. */
export interface Underived {
  readonly what: string;
  readonly reason: string;
}

/** The items of a database, in an order in which most can be made at once (`applyItems` retries the others). */
export function shadowDdl(description: Pick<DatabaseDescription, 'tables' | 'objects'>): {
  readonly items: readonly ShadowItem[];
  readonly underived: readonly Underived[];
} {
  const { tables, objects } = description;
  const names = new Map(tables.map(table => [table.oid, quoteQualified(table.schema, table.name)]));
  const nameOf = (oid: number): string => names.get(oid) ?? 'an unknown table';
  const derivable = objects.filter(object => object.ddl !== null);
  const ofKind = (...kinds: readonly DescribedObject['kind'][]): readonly ShadowItem[] =>
    derivable
      .filter(object => kinds.includes(object.kind))
      .map(object => ({ what: `${object.kind} ${object.identity}`, statements: [object.ddl!] }));
  return {
    items: [
      ...ofKind('schema', 'extension', 'enum', 'domain', 'composite', 'range', 'sequence'),
      ...tables.map(table => tableItem(table, table.parents.map(nameOf))),
      ...ofKind('function', 'view'),
      ...tables.flatMap(foreignKeyItems),
      ...ofKind('trigger', 'rule'),
    ],
    underived: objects
      .filter(object => object.ddl === null)
      .map(({ kind, identity, reason }) => ({ what: `${kind} ${identity}`, reason: reason ?? 'no DDL' })),
  };
}

function tableItem(table: DescribedTable, parents: readonly string[]): ShadowItem {
  const name = quoteQualified(table.schema, table.name);
  const statements: string[] = [];
  for (const { sequence, identity } of table.columns)
    if (sequence && identity === '' && table.partitionBound === null)
      statements.push(createSequence(sequence));
  statements.push(createTable(table, name, parents));
  for (const { name: column, sequence, identity } of table.columns)
    if (sequence && identity === '' && table.partitionBound === null)
      statements.push(
        `ALTER SEQUENCE ${quoteQualified(sequence.schema, sequence.name)} OWNED BY ${name}.${quoteName(column)}`,
      );
  for (const constraint of table.constraints)
    if ('pucx'.includes(constraint.kind) && !constraint.inherited)
      statements.push(
        `ALTER TABLE ${name} ADD CONSTRAINT ${quoteName(constraint.name)} ${constraint.definition}`,
      );
  for (const index of table.indexes)
    if (index.constraint === 0 && !index.inherited) statements.push(index.definition);
  return { what: `table ${name}`, statements };
}

function createTable(table: DescribedTable, name: string, parents: readonly string[]): string {
  if (table.kind === 'm') {
    const columns = table.columns.map(column => quoteName(column.name)).join(', ');
    const query = (table.query ?? '').trim().replace(/;$/, '');
    return `CREATE MATERIALIZED VIEW ${name} (${columns}) AS ${query} WITH NO DATA`;
  }
  const partitioned = table.partitionKey === null ? '' : ` PARTITION BY ${table.partitionKey}`;
  if (table.partitionBound !== null)
    return `CREATE TABLE ${name} PARTITION OF ${parents[0]} ${table.partitionBound}${partitioned}`;
  const inherits = parents.length === 0 ? '' : ` INHERITS (${parents.join(', ')})`;
  return `CREATE TABLE ${name} (${table.columns.map(columnText).join(', ')})${inherits}${partitioned}`;
}

function columnText(column: DescribedColumn): string {
  const parts = [quoteName(column.name), column.typeName];
  if (column.collation !== null) parts.push(`COLLATE ${column.collation}`);
  if (column.notNull) parts.push('NOT NULL');
  if (column.generated !== '')
    parts.push(`GENERATED ALWAYS AS (${column.default}) ${column.generated === 's' ? 'STORED' : 'VIRTUAL'}`);
  else if (column.identity !== '')
    parts.push(`GENERATED ${column.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY`);
  else if (column.default !== null) parts.push(`DEFAULT ${column.default}`);
  return parts.join(' ');
}

function foreignKeyItems(table: DescribedTable): readonly ShadowItem[] {
  const name = quoteQualified(table.schema, table.name);
  return table.constraints
    .filter(constraint => constraint.kind === 'f' && !constraint.inherited)
    .map(constraint => ({
      what: `foreign key ${quoteName(constraint.name)} of ${name}`,
      statements: [
        `ALTER TABLE ${name} ADD CONSTRAINT ${quoteName(constraint.name)} ${constraint.definition}`,
      ],
    }));
}

/**
 * Runs items, each under a savepoint, again and again until none of the rest succeeds: the order in which
 * objects depend on each other need not be known.
 * @param connection inside a transaction
 * @returns what could not be made, with the server's reason
 */
export async function applyItems(
  connection: SchemaConnection,
  items: readonly ShadowItem[],
): Promise<readonly Underived[]> {
  await connection.run('SET LOCAL check_function_bodies = off');
  let rest = items;
  for (;;) {
    const failed: ShadowItem[] = [];
    const reasons: Underived[] = [];
    for (const item of rest) {
      await connection.run('SAVEPOINT clarus_item');
      try {
        for (const statement of item.statements) await connection.run(statement);
        await connection.run('RELEASE SAVEPOINT clarus_item');
      } catch (error) {
        await connection.run('ROLLBACK TO SAVEPOINT clarus_item');
        failed.push(item);
        reasons.push({ what: item.what, reason: error instanceof Error ? error.message : 'unknown' });
      }
    }
    if (failed.length === 0 || failed.length === rest.length) {
      await connection.run('SET LOCAL check_function_bodies = on');
      return reasons;
    }
    rest = failed;
  }
}
