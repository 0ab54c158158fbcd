/**
 * Errors of a cloud as a client may see them. Fields keep PostgreSQL's names, made logical; messages that would name
 * physical columns are worded anew from the fields, and details are left out where they could hold tags or cells.
 */
import { type Catalog, type LogicalTable, tableNamed } from '../catalog/catalog.js';
import { BOUNDS } from '../catalog/physical.js';
import { encodingRegistry } from '../encodings/registry.js';
import { type Diagnostic, PostgresError } from '../wire/diagnostic.js';
import { ofPartitions } from './partition-references.js';
import { tellsContext } from './procedural/places.js';

/**
 * @param error as the cloud told it
 * @returns the error itself where no protected table is concerned
 */
export function logicalError(error: PostgresError, catalog: Catalog): PostgresError {
  const { diagnostic } = error;
  if (diagnostic.code === '42703' && !diagnostic.trusted && namesForm(diagnostic.message))
    return changedMeanwhile();
  const { schema, table: name } = diagnostic;
  // its keys come from the trusted side
  if (diagnostic.code === '23P01' && diagnostic.trusted) return error;
  const table = schema !== undefined && name !== undefined ? tableNamed(catalog, schema, name) : undefined;
  if (table?.state !== 'protected') return error;
  if (diagnostic.code === '23514' && isOfForms(diagnostic.constraint, table)) return changedMeanwhile();
  const { detail, where, hint: _hint, internalQuery: _query, constraint, ...kept } = diagnostic;
  const column = logicalColumn(diagnostic.column, table);
  if (diagnostic.code === '23503' || diagnostic.code === '23001') {
    const told = ofPartitions(diagnostic, table, catalog);
    if (told) return new PostgresError({ ...kept, ...told });
  }
  return new PostgresError({
    ...kept,
    ...(detail !== undefined && (detail === mixedKey || namesOpenKey(detail, table)) ? { detail } : {}),
    ...(where !== undefined && tellsContext(error) ? { where } : {}),
    ...(column === undefined ? {} : { column }),
    ...(constraint === undefined || constraint === BOUNDS ? {} : { constraint }),
    message: worded(diagnostic, table, column) ?? diagnostic.message,
  });
}

/**
 * A statement that was planned before another session's ALTER TABLE names forms that are gone, or leaves out new ones:
 * the cloud refuses it. Names of forms end in the kind and the generation of an encoding (derive.ts).
 */
const namesForm = (text: string): boolean => formName.test(text);
const formName = new RegExp(`_(?:${[...encodingRegistry().keys()].join('|')})\\d+(?:_\\w+)?(?:"| |$)`);

/** Is a check one of ours, by which the forms of a value are NULL together? */
const isOfForms = (constraint: string | undefined, { checks }: LogicalTable): boolean =>
  constraint !== undefined && namesForm(constraint) && !checks?.some(({ name }) => name === constraint);

const changedMeanwhile = (): PostgresError =>
  new PostgresError({
    severity: 'ERROR',
    severityPlain: 'ERROR',
    code: '40001',
    message: 'could not serialize access due to concurrent update',
    hint: 'Another session has changed the table: try again.',
  });

/** RI_FKey_check of ri_triggers.c */
export const mixedKey = 'MATCH FULL does not allow mixing of null and nonnull key values.';

/**
 * Whether a detail speaks of a key of unprotected columns only: `Key (a, b)=(1, 2) already exists.` (nbtinsert.c,
 * ri_triggers.c). A key with an expression, or with a column that the table does not have, may be of encodings.
 */
function namesOpenKey(detail: string, table: LogicalTable): boolean {
  const key = /^Key \(([^()]+)\)=\(/.exec(detail)?.[1];
  if (key === undefined) return false;
  const open = new Set(table.columns.filter(({ protection }) => protection === undefined).map(c => c.name));
  return key.split(', ').every(name => open.has(name.replace(/^"(.*)"$/, '$1').replaceAll('""', '"')));
}

function logicalColumn(physical: string | undefined, table: LogicalTable): string | undefined {
  if (physical === undefined) return undefined;
  for (const { name, protection } of table.columns)
    for (const { encoded } of protection?.encodings ?? [])
      if (Object.values(encoded.columns).includes(physical)) return name;
  return physical;
}

/** Messages of the constraint errors (nbtinsert.c, ri_triggers.c, execMain.c). */
function worded(
  { code, constraint }: Diagnostic,
  table: LogicalTable,
  column: string | undefined,
): string | undefined {
  switch (code) {
    case '23502':
      return `null value in column "${column}" of relation "${table.name}" violates not-null constraint`;
    case '23505':
      return `duplicate key value violates unique constraint "${constraint}"`;
    case '23514':
      if (constraint === BOUNDS) return outOfBounds(table.name);
      return `new row for relation "${table.name}" violates check constraint "${constraint}"`;
    default:
      return undefined;
  }
}

/** ExecPartitionCheckEmitError of execMain.c */
export const outOfBounds = (partition: string): string =>
  `new row for relation "${partition}" violates partition constraint`;
