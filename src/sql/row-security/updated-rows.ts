/** Looks whether rows that an UPDATE has computed meet the policies of their table, before they are written. */
import { columnOf } from '../../crypto/column.js';
import { arrayOf } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import type { PolicedUpdate } from '../execute/bodies.js';
import type { Bound } from '../execute/portal.js';
import type { ResidualPort } from '../ports.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { fetching } from '../split/fetching.js';
import { bindSplit } from '../split/portal.js';
import type { CloudWrites } from '../split/write/cloud-writes.js';
import { KeptRows } from '../split/write/computed-writes.js';
import { violation } from './policies.js';

/** Rows that are looked at by one query. */
const batchRows = 2_000;

/**
 * @param writes of the statement; their rows were fetched whole
 * @throws ClarusError 42501 for the first row that a policy does not let be; what evaluating it fails with
 */
export async function mustMeetPolicies(
  { policies: { table, checks, columns }, body }: PolicedUpdate,
  writes: CloudWrites,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Promise<void> {
  const names = columns.map(({ name }) => name);
  for (const batch of writes.batches) {
    if (batch.kind !== 'update' || batch.table.number !== table.number) continue;
    for (let from = 0; from < batch.ctids.length; from += batchRows) {
      const rows = batch.ctids.slice(from, from + batchRows).map((ctid, i) => {
        const changed = new Map(batch.columns.map((name, k) => [name, batch.values[from + i]![k]!]));
        return writes.fetched(table).values(ctid, names, changed);
      });
      const arrays = names.map((_, i) => arrayOf(columnOf(rows.map(row => row[i]!)), typeOids.text));
      const kept = new KeptRows();
      const source: Bound = {
        ...bound,
        bound: {
          values: [Buffer.from(String(rows.length)), ...arrays],
          formats: [0, ...arrays.map(() => 1 as const)],
        },
        session: fetching(bound.session, kept),
        formats: [0],
      };
      await bindSplit(body, source, residual, services).execute(0, {
        done: () => undefined,
        failed: () => undefined,
      });
      const broken = kept.rows.map(([place]) => Number(Buffer.from(place!).toString())).find(i => i >= 0);
      if (broken !== undefined) throw violation(table, checks[broken]!.name);
    }
  }
}
