/** COPY ... FROM STDIN into a table with triggers. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { defaultsOf } from '../defaults.js';
import type { TriggeredCopyBody } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { travelOf } from '../split/given-columns.js';
import { castNames } from '../split/typed-source.js';
import { nameOf } from '../split/write/computed-plan.js';
import { markersOf } from './markers.js';
import { type CopyIn, type CopyPlanning, noRows } from './planning.js';

/**
 * @throws ClarusError 0A000 for FREEZE, and for what an INSERT into the table could not do either
 */
export async function planTriggeredCopy(
  { table, columns, options, where }: CopyIn,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<ProtectedPlan> {
  if (options.freeze)
    throw new ClarusError(
      '0A000',
      `COPY FREEZE into the table "${table.name}", which has triggers or EXCLUDE constraints, is not answered`,
      {
        hint: 'Leave FREEZE out.',
        table: table.name,
      },
    );
  await mustTakeNull(table, columns, session, planning);
  const types = await castNames(columns, session);
  const travels = columns.map(({ type }) => travelOf(type.oid));
  const places = columns.map((_, i) => `c${i}`);
  const sql = `INSERT INTO ${nameOf(table)} (${columns.map(({ name }) => quoteName(name)).join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${places.map((place, i) => `u.${place}::${types[i]}`).join(', ')}
      FROM ROWS FROM (${places.map((_, i) => `pg_catalog.unnest($${i + 1})`).join(', ')}) WITH ORDINALITY AS u (${[...places, 'clarus_place'].join(', ')})
     ORDER BY u.clarus_place`;
  const insert = (await planning.planWith(
    sql,
    travels.map(({ array }) => array),
  )) as ProtectedPlan;
  const defaults = await planning.defaults(table);
  const markers = await markersOf(table, columns, options, defaults, planning.homes, session);
  const body: TriggeredCopyBody = { kind: 'triggered-copy', table, columns, options, markers, where, insert };
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
