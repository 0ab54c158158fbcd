/** COPY ... FROM STDIN into a table with triggers. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { defaultsOf } from '../defaults.js';
import type { TriggeredCopyBody } from '../execute/bodies.js';
import type { CopyOptions } from '../execute/copy-out.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import { travelOf } from '../split/given-columns.js';
import { castNames } from '../split/typed-source.js';
import { nameOf } from '../split/write/computed-plan.js';
import { type CopyPlanning, noRows, refuseWhere } from './planning.js';

/**
 * @param names of the columns of the data
 * @throws ClarusError 0A000 for FREEZE, and for what an INSERT into the table could not do either
 */
export async function planTriggeredCopy(
  fields: RawNode[string],
  names: readonly string[],
  table: LogicalTable,
  options: CopyOptions,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<ProtectedPlan> {
  refuseWhere(fields);
  if (options.freeze)
    throw new ClarusError(
      '0A000',
      `COPY FREEZE into the table "${table.name}", which has triggers or EXCLUDE constraints, is not answered`,
      {
        hint: 'Leave FREEZE out.',
        table: table.name,
      },
    );
  const columns = names.map(name => table.columns.find(c => c.name === name)!);
  await mustTakeNull(table, columns, session, planning);
  const types = await castNames(columns, session);
  const travels = columns.map(({ type }) => travelOf(type.oid));
  const places = columns.map((_, i) => `c${i}`);
  const sql = `INSERT INTO ${nameOf(table)} (${names.map(quoteName).join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${places.map((place, i) => `u.${place}::${types[i]}`).join(', ')}
      FROM ROWS FROM (${places.map((_, i) => `pg_catalog.unnest($${i + 1})`).join(', ')}) WITH ORDINALITY AS u (${[...places, 'clarus_place'].join(', ')})
     ORDER BY u.clarus_place`;
  const insert = (await planning.planWith(
    sql,
    travels.map(({ array }) => array),
  )) as ProtectedPlan;
  const body: TriggeredCopyBody = { kind: 'triggered-copy', table, columns, options, insert };
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'in', split: true, body };
}

/** COPY does not ask a domain about the NULL of a column that the data lack, as INSERT does. */
async function mustTakeNull(
  table: LogicalTable,
  columns: readonly LogicalColumn[],
  session: SessionPort,
  planning: CopyPlanning,
): Promise<void> {
  const [asked, copied] = [await defaultsOf(table, session), await planning.defaults(table)];
  const found = table.columns.find(c => !columns.includes(c) && asked.has(c.attnum) && !copied.has(c.attnum));
  if (found)
    throw new ClarusError(
      '0A000',
      `COPY without the column "${found.name}" of a domain into a table with triggers or EXCLUDE constraints is not answered`,
      {
        hint: 'Name the column in the COPY, with its values.',
        table: table.name,
        column: found.name,
      },
    );
}
