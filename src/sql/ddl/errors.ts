/** Errors of the cloud about physical tables, told in logical names. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { partitionForgotten } from '../../catalog/key-tables.js';
import { BOUNDS } from '../../catalog/physical.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { mixedKey } from '../client-error.js';
import { fieldsOf, kindOf, type RawNode } from '../raw/node.js';
import { saidOf } from '../split/write/read-only.js';

/** Runs generated DDL in the cloud; what fails over encodings is worded anew from the error's fields. */
export async function runPhysical(
  run: (sql: string) => Promise<unknown>,
  statements: readonly string[],
  tables: readonly LogicalTable[],
): Promise<void> {
  for (const sql of statements) {
    try {
      await run(sql);
    } catch (error) {
      throw error instanceof PostgresError
        ? (ofRemovedPartition(error, sql, tables) ?? logicalError(error, tables))
        : error;
    }
  }
}

/** A partition that goes has rows to which others refer (RI_PartitionRemove_Check of ri_triggers.c). */
function ofRemovedPartition(
  { code, diagnostic }: PostgresError,
  sql: string,
  tables: readonly LogicalTable[],
): Error | undefined {
  const number = partitionForgotten(sql);
  const partition = tables.find(table => table.number === number);
  if (code !== '23503' && code !== '23001') return undefined;
  const child = tables.find(({ schema, name }) => schema === diagnostic.schema && name === diagnostic.table);
  const key = child?.keys.find(({ kind, name }) => kind === 'foreign' && name === diagnostic.constraint);
  if (!partition || !child || !key) return undefined;
  const part = key.parts?.find(
    ({ schema, table }) => schema === partition.schema && table === partition.name,
  );
  const constraint = part?.name ?? key.name;
  return new ClarusError(
    '23503',
    `removing partition "${partition.name}" violates foreign key constraint "${constraint}"`,
    { schema: child.schema, table: child.name, constraint },
  );
}

/** Tags and cells in a DETAIL say nothing to a client, so it goes with the physical names. */
function logicalError(error: PostgresError, tables: readonly LogicalTable[]): Error {
  const { code, diagnostic } = error;
  // The table as the statement leaves it comes last.
  const table = tables.findLast(
    ({ schema, name }) => schema === diagnostic.schema && name === diagnostic.table,
  );
  if (table?.state !== 'protected') return error;
  const column = table.columns.find(
    ({ name, protection }) =>
      name === diagnostic.column ||
      protection?.encodings.some(({ encoded }) =>
        Object.values(encoded.columns).includes(diagnostic.column ?? ''),
      ),
  )?.name;
  const { constraint } = diagnostic;
  const message =
    code === '23514' && constraint === BOUNDS
      ? boundsMessage(table)
      : messageOf(code, table.name, column, constraint);
  if (message === undefined) return error;
  return new ClarusError(code, message, {
    ...(diagnostic.detail === mixedKey ? { detail: mixedKey } : {}),
    schema: table.schema,
    table: table.name,
    ...(column === undefined ? {} : { column }),
    ...(constraint === undefined || constraint === BOUNDS ? {} : { constraint }),
  });
}

/** Rows that are not within the bounds of their partition (ATRewriteTable of tablecmds.c) */
const boundsMessage = ({ name }: LogicalTable): string =>
  `partition constraint of relation "${name}" is violated by some row`;

/** PostgreSQL's own words (tablecmds.c, tuplesort.c, ri_triggers.c), or undefined where it names nothing of ours. */
function messageOf(
  code: string,
  table: string,
  column: string | undefined,
  constraint: string | undefined,
): string | undefined {
  switch (code) {
    case '23502':
      return column && `column "${column}" of relation "${table}" contains null values`;
    case '23505':
      return constraint && `could not create unique index "${constraint}"`;
    case '23503':
      return (
        constraint && `insert or update on table "${table}" violates foreign key constraint "${constraint}"`
      );
    default:
      return undefined;
  }
}

const relations: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'TABLE',
  OBJECT_TABCONSTRAINT: 'TABLE',
  OBJECT_MATVIEW: 'MATERIALIZED VIEW',
  OBJECT_INDEX: 'INDEX',
  OBJECT_SCHEMA: 'SCHEMA',
  OBJECT_TRIGGER: 'TRIGGER',
};

/** The command of a statement (CreateCommandTag of utility.c); undefined: the shadow is asked before anything else. */
function commandOf(node: RawNode): string | undefined {
  const kind = kindOf(node);
  const fields = fieldsOf(node);
  const named = (type: unknown): string | undefined => relations[String(type)];
  switch (kind) {
    case 'AlterTableStmt':
      return named(fields.objtype) && `ALTER ${named(fields.objtype)}`;
    case 'RenameStmt': {
      const type = fields.renameType === 'OBJECT_COLUMN' ? fields.relationType : fields.renameType;
      return named(type) && `ALTER ${named(type)}`;
    }
    case 'AlterObjectSchemaStmt':
      return named(fields.objectType) && `ALTER ${named(fields.objectType)}`;
    case 'DropStmt':
      return named(fields.removeType) && `DROP ${named(fields.removeType)}`;
    case 'IndexStmt':
      return 'CREATE INDEX';
    case 'CreateTrigStmt':
      return 'CREATE TRIGGER';
    case 'TruncateStmt':
      return 'TRUNCATE TABLE';
    case 'RefreshMatViewStmt':
      return 'REFRESH MATERIALIZED VIEW';
    default:
      return undefined;
  }
}

/** What a part of a statement failed with in a transaction that may not write, as PostgreSQL says it of the statement. */
export function saidOfStatement(node: RawNode, error: unknown): unknown {
  const command = commandOf(node);
  return command === undefined ? error : saidOf(command, error);
}
