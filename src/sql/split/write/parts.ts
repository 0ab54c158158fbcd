/** Parts of a statement that are run as statements of their own. */
import type { Catalog } from '../../../catalog/catalog.js';
import { treeOf } from '../../../catalog/trees.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { logicalError } from '../../client-error.js';
import { physical } from '../../compilation.js';
import type { FirstQuery } from '../../execute/bodies.js';
import { named } from '../../execute/portal.js';
import type { BoundParameters, Plan } from '../../plan.js';
import type { ClientPort, ExecuteOutcome, SessionPort } from '../../ports.js';
import type { SplitServices } from '../cloud-rows.js';
import { copyRows } from '../fetch.js';

/**
 * Runs a part to its end.
 * @param kept takes the rows that it returns
 * @returns how it ended
 * @param types of the parameters that it takes where it runs as it stands; none of those may hold a protected value
 */
export async function runPart(
  plan: FirstQuery['plan'] | Extract<Plan, { kind: 'trusted' }>,
  bound: BoundParameters,
  formats: readonly (0 | 1)[],
  kept: ClientPort,
  session: SessionPort,
  services: Pick<SplitServices, 'bind'>,
  types: readonly number[] = [],
): Promise<ExecuteOutcome> {
  if (plan.kind !== 'protected') {
    const port = plan.kind === 'pass' ? session.cloud : session.trusted;
    const values = bound.values.slice(0, types.length);
    const parameters = bound.formats.slice(0, types.length);
    const portal = port.bind(physical(plan.sql, types), values, { parameters, results: formats }, named);
    const done = portal.execute(0, {
      rows: rows => {
        copyRows(rows, kept.writer);
        kept.written();
      },
    });
    port.flush();
    const outcome = await done;
    portal.close();
    return outcome;
  }
  // what it was planned with, and what it does not look at
  const { parameterTypes: own, columns } = plan.shape;
  const shape = { parameterTypes: bound.values.map((_, i) => own[i] ?? 0), columns };
  const portal = await services.bind({ ...plan, shape }, bound, formats, kept);
  const outcome = await new Promise<ExecuteOutcome>((resolve, reject) => {
    Promise.resolve(portal.execute(0, { done: resolve, failed: reject })).then(done => {
      session.cloud.flush();
      if (done.kind !== 'pipelined') resolve(done);
    }, reject);
  });
  portal.close();
  return outcome;
}

/**
 * PostgreSQL looks at foreign keys when the whole statement has ended, the cloud when a part of it has.
 * @param error that a part has failed with
 * @param later OIDs of the tables that other parts have not written yet
 * @returns undefined: none of them could make it whole
 */
export function mayBeMended(
  error: unknown,
  later: ReadonlySet<number>,
  catalog: Catalog,
): ClarusError | undefined {
  if (!(error instanceof PostgresError) || !['23503', '23001'].includes(error.code)) return undefined;
  const { constraint } = logicalError(error, catalog).diagnostic;
  const tables = [...catalog.tables.values()];
  // whose key it is, and to which it refers; a name may be that of several
  const concerned = tables.flatMap(table =>
    table.keys
      .filter(({ name, references, parts }) => {
        return references && (name === constraint || parts?.some(part => part.name === constraint));
      })
      .flatMap(({ references }) => [table, ...tables.filter(({ number }) => number === references!.table)]),
  );
  const isConcerned = concerned.some(table => treeOf(catalog, table).some(({ oid }) => later.has(oid)));
  if (!isConcerned) return undefined;
  return new ClarusError(
    '0A000',
    'the parts of a statement are written one after the other, and a foreign key does not hold in between',
    {
      detail: `A later part writes a table that foreign key "${constraint}" is about.`,
      hint: 'Declare it DEFERRABLE INITIALLY DEFERRED, or write several statements.',
    },
  );
}
