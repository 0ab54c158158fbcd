/** Parts of a statement that are run as statements of their own. */
import type { Catalog, KeyConstraint, LogicalTable } from '../../../catalog/catalog.js';
import { treeOf } from '../../../catalog/trees.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { logicalError } from '../../client-error.js';
import { physical } from '../../compilation.js';
import type { FirstQuery } from '../../execute/bodies.js';
import { named } from '../../execute/portal.js';
import { giveFigures } from '../../figures.js';
import type { BoundParameters, Plan } from '../../plan.js';
import type { ClientPort, ExecuteOutcome, SessionPort } from '../../ports.js';
import type { SplitServices } from '../cloud-rows.js';
import { copyRows } from '../fetch.js';
import type { RowsToWrite } from './cloud-writes.js';

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
    if (plan.kind === 'trusted' && plan.figures) await giveFigures(plan.figures, session);
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
  const broken = brokenKeys(error, catalog);
  const isConcerned = broken.some(({ child, parent }) =>
    [child, parent].some(table => treeOf(catalog, table).some(({ oid }) => later.has(oid))),
  );
  if (!isConcerned) return undefined;
  return new ClarusError(
    '0A000',
    'the parts of a statement are written one after the other, and a foreign key does not hold in between',
    {
      detail: `A later part writes a table that foreign key "${broken[0]!.key.name}" is about.`,
      hint: 'Declare it DEFERRABLE INITIALLY DEFERRED, or write several statements.',
    },
  );
}

/**
 * What a foreign key does because of rows that go is looked up among the rows that stand, so it does nothing to those
 * that the same statement inserts, or lets refer to them.
 * @param error with which the rows could not be written
 * @param batches all that is written
 * @returns undefined: no foreign key would have done something to rows of these
 */
export function mayBeActedOn(
  error: unknown,
  batches: readonly RowsToWrite[],
  catalog: Catalog,
): ClarusError | undefined {
  const isOf = (table: LogicalTable, kinds: string): boolean => {
    const tree = treeOf(catalog, table);
    return batches.some(
      batch => kinds.includes(batch.kind) && tree.some(one => one.number === batch.table.number),
    );
  };
  const broken = brokenKeys(error, catalog).find(
    ({ key, child, parent }) => key.actions && isOf(child, 'insert update') && isOf(parent, 'delete update'),
  );
  if (!broken) return undefined;
  return new ClarusError('0A000', 'a foreign key may have to act on rows that the same statement writes', {
    detail: `It is foreign key "${broken.key.name}" of table "${broken.child.name}".`,
    hint: 'Write several statements.',
    constraint: broken.key.name,
  });
}

/** The foreign keys that an error may be about: several may have its name. */
function brokenKeys(
  error: unknown,
  catalog: Catalog,
): readonly { readonly key: KeyConstraint; readonly child: LogicalTable; readonly parent: LogicalTable }[] {
  if (!(error instanceof PostgresError) || !['23503', '23001'].includes(error.code)) return [];
  const { constraint } = logicalError(error, catalog).diagnostic;
  const tables = [...catalog.tables.values()];
  return tables.flatMap(child =>
    child.keys
      .filter(({ name, references, parts }) => {
        return references && (name === constraint || parts?.some(part => part.name === constraint));
      })
      .flatMap(key =>
        tables
          .filter(({ number }) => number === key.references!.table)
          .map(parent => ({ key, child, parent })),
      ),
  );
}
