/**
 * ALTER DOMAIN that looks at values (typecmds.c): those of protected columns are in the cloud, where the domain is not asked. The
 * trusted PostgreSQL, which knows the domain as the statement leaves it, reads them a batch at a time.
 */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { type CheckedValues, firstBroken } from '../checks/broken.js';
import { eachStored, storedColumns } from '../checks/stored.js';
import type { TableChecks } from '../checks/table-checks.js';
import { quotedType } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import type { RawFields, RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { keepsSnapshot } from '../snapshots.js';
import type { DdlDependencies } from './body.js';
import { mayHoldRows } from './refill/index.js';
import { nameText } from './resolve.js';
import { type Holder, holdersOf } from './values-of-types.js';

/** Commands of ALTER DOMAIN by which values may be wrong: ADD CONSTRAINT, VALIDATE CONSTRAINT, SET NOT NULL (AlterDomainStmt). */
const looks: ReadonlySet<unknown> = new Set(['C', 'V', 'O']);

/**
 * Looks at the rows that hold values of a domain, when the shadow has changed it.
 * @param domain an AlterDomainStmt
 * @param name of the domain, as the statement says it
 * @throws ClarusError 23514 and 23502 as PostgreSQL; 0A000 where a value breaks another constraint, which is NOT VALID, or the rows
 *   cannot be looked at
 */
export async function lookAtValues(
  session: SessionPort,
  deps: DdlDependencies,
  domain: RawFields,
  name: readonly string[],
): Promise<void> {
  const skips = (domain.def as RawNode | undefined)?.Constraint?.skip_validation === true;
  if (skips || !looks.has(domain.subtype)) return;
  const holders = (await holdersOf(session, nameText(name))).filter(({ table }) => !table.partitioned);
  const asked = await deps.changing.begin(session, new Set(holders.map(({ table }) => table)));
  try {
    for (const holder of holders)
      if (await mayHoldRows(session, holder.table)) await look(holder, session, deps, domain);
  } finally {
    asked();
  }
}

async function look(
  { table, column }: Holder,
  session: SessionPort,
  deps: DdlDependencies,
  domain: RawFields,
): Promise<void> {
  if (await keepsSnapshot(session))
    throw new ClarusError(
      '0A000',
      `the values of protected column "${column.name}" cannot be looked at here`,
      {
        detail: 'The transaction does not see rows that others have written since it began.',
        hint: 'Alter the domain in a READ COMMITTED transaction.',
        table: table.name,
        column: column.name,
      },
    );
  const of = await readAsText(table, column, session);
  const stored = storedColumns(table, [column], deps.registry);
  await eachStored(stored, session, deps.context(session), async (values, count) => {
    const said = await wrongIn(of, values, count, session);
    if (said !== undefined) throw wordsOf(said, domain, table, column);
  });
}

/** Texts of a column become values of its type, whatever that is made of. */
async function readAsText(
  table: LogicalTable,
  column: LogicalColumn,
  session: SessionPort,
): Promise<TableChecks> {
  const [row] = await readerOn(session.trusted)(
    'SELECT pg_catalog.format_type(a.atttypid, NULL), a.atttypid::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum = $2::pg_catalog.int2',
    [String(table.oid), String(column.attnum)],
  );
  // true of every value, though the value must be there to tell
  const read = `pg_catalog.num_nulls(${quoteName(column.name)}) >= 0`;
  const check = { name: column.name, columns: [column], sql: () => read, time: false, text: read };
  return {
    table,
    checks: [check],
    types: new Map([
      [column.number, { name: quotedType(Number(row![1]), row![0]!), collation: '', isArray: true }],
    ]),
  };
}

/** What the trusted PostgreSQL says to a value; undefined: it takes all of them. */
async function wrongIn(
  of: TableChecks,
  values: CheckedValues,
  count: number,
  session: SessionPort,
): Promise<PostgresError | undefined> {
  const look = firstBroken(of.checks, of, values, count, null, session);
  const said = await look.then(
    broken => broken?.error,
    (error: unknown) => error,
  );
  if (said === undefined || said instanceof PostgresError) return said;
  throw said;
}

function wordsOf(
  { code, diagnostic: { constraint } }: PostgresError,
  domain: RawFields,
  { schema, name: table }: LogicalTable,
  { name: column }: LogicalColumn,
): ClarusError {
  const fields = { schema, table, column };
  const definition = (domain.def as RawNode | undefined)?.Constraint;
  const isOwn = domain.name === undefined || domain.name === constraint || definition?.conname === constraint;
  if (code === '23502')
    return new ClarusError('23502', `column "${column}" of table "${table}" contains null values`, fields);
  if (code === '23514' && isOwn)
    return new ClarusError(
      '23514',
      `column "${column}" of table "${table}" contains values that violate the new constraint`,
      fields,
    );
  return new ClarusError('0A000', `the values of protected column "${column}" cannot be looked at`, {
    ...fields,
    detail: `Rows of table "${table}" break another constraint of the domain, which the trusted PostgreSQL asks of every value.`,
    hint: 'Update the rows first.',
  });
}
