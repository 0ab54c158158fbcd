/** COPY ... FROM (DEFAULT '...'): what the marker stands for in each column of the data. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { functionsOf } from '../checks/table-checks.js';
import { counterOf, type DefaultExpression, type Defaults } from '../defaults.js';
import type { CopyFilling, CopyMarker } from '../execute/bodies.js';
import type { CopyOptions } from '../execute/copy-out.js';
import type { FunctionHomes } from '../functions.js';
import type { SessionPort } from '../ports.js';

/**
 * @param columns of the data
 * @returns for each column what the marker stands for; undefined: the column has no default, or no marker is known
 */
export async function markersOf(
  table: LogicalTable,
  columns: readonly LogicalColumn[],
  { defaultString }: CopyOptions,
  defaults: Defaults,
  homes: FunctionHomes,
  session: SessionPort,
): Promise<readonly (CopyMarker | undefined)[] | undefined> {
  if (defaultString === undefined) return undefined;
  const markers: (CopyMarker | undefined)[] = [];
  for (const column of columns) {
    const found = defaults.get(column.attnum);
    // markers of a column are filled together, whatever other columns do row by row
    const asksOthers = found !== undefined && /\b(?:currval|lastval)\b/.test(found.sql);
    markers.push(
      found &&
        ((!asksOthers && (await fillingOf(table, column, found, homes, session))) || {
          kind: 'refused',
          column,
        }),
    );
  }
  return markers;
}

/**
 * How the default of a column is computed here.
 * @returns undefined: only the cloud can
 */
export async function fillingOf(
  table: LogicalTable,
  column: LogicalColumn,
  found: DefaultExpression,
  homes: FunctionHomes,
  session: SessionPort,
): Promise<CopyFilling | undefined> {
  if (column.protection) return { column, kind: 'default', ...found };
  const sequence = counterOf(found);
  if (sequence !== undefined) return { column, kind: 'counter', sequence };
  if (found.sequences.length > 0) return undefined;
  const asked = [...(await functionsOf(table, found.sql, session))].map(oid => homes.home(oid));
  const here = asked.every(
    home =>
      home === 'anywhere' ||
      home === 'trusted' ||
      home === 'clock' ||
      (home === 'random' && !session.randomness.seeded),
  );
  return here ? { column, kind: 'default', ...found } : undefined;
}
