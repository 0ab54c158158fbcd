/**
 * Commits whose worker died between the journal and the end: they hold up DDL, and whoever reads what they changed,
 * until somebody finishes them. Every worker looks for them while it serves, and the primary process when one of its
 * workers has ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redo } from '../catalog/catalog.js';
import { type RecoveryServices, recover } from '../catalog/recover.js';
import { heartbeat_max_ms, isWorkerAlive } from '../trusted/fence.js';
import type { JournalEntry } from '../trusted/journal.js';
import { inTransaction } from '../trusted/server.js';

/** What a start calls itself in the journal; it is no worker, and ends soon. */
export const STARTING = 'start';

/** Key of the advisory lock in the state database under which commits are finished: one process at a time. */
const RECOVERY_LOCK = '109304467351924';
const look_interval_ms = 3_000;
/** A commit of a start that is younger is left to it. */
const start_ms_max = 60_000;

/** Finishes or forgets the commits of processes that are gone. @returns how many of each */
export async function finishAbandoned(
  services: Omit<RecoveryServices, 'isAlive'>,
): Promise<{ readonly completed: number; readonly forgotten: number }> {
  const { state, cloud, journal } = services;
  const isAlive = async ({ proxy, createdAt }: JournalEntry<Redo>): Promise<boolean> =>
    proxy === STARTING ? Date.now() - createdAt.getTime() < start_ms_max : isWorkerAlive(state, proxy, cloud);
  const nothing = { completed: 0, forgotten: 0 };
  if ((await journal.pending(cloud)).length === 0) return nothing;
  return inTransaction(state, async client => {
    const { rows } = await client.query<{ ours: boolean }>(
      'SELECT pg_try_advisory_xact_lock($1::bigint) AS ours',
      [RECOVERY_LOCK],
    );
    return rows[0]!.ours ? recover({ ...services, isAlive }) : nothing;
  });
}

/**
 * Finishes abandoned commits at a start, beside other proxies that serve. Whose process has just died counts as
 * alive for a moment: it is waited for.
 */
export async function finishAtStart(
  services: Omit<RecoveryServices, 'isAlive'>,
): Promise<{ readonly completed: number; readonly forgotten: number }> {
  const sum = { completed: 0, forgotten: 0 };
  for (const deadline_ms = performance.now() + heartbeat_max_ms + look_interval_ms; ; await sleep(200)) {
    const { completed, forgotten } = await finishAbandoned(services);
    sum.completed += completed;
    sum.forgotten += forgotten;
    const pending = await services.journal.pending(services.cloud);
    if (pending.length === 0 || performance.now() > deadline_ms) return sum;
  }
}

/** What looks for abandoned commits from time to time. */
export interface Watch {
  close(): void;
}

/**
 * Looks for abandoned commits while the process serves.
 * @param finished told when some were found
 * @param failed told of an error; the next look tries again
 */
export function watchAbandoned(
  services: Omit<RecoveryServices, 'isAlive'>,
  finished: (found: { readonly completed: number; readonly forgotten: number }) => void,
  failed: (error: Error) => void,
): Watch {
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    finishAbandoned(services)
      .then(found => {
        if (found.completed + found.forgotten > 0) finished(found);
      }, failed)
      .finally(() => {
        looking = false;
      });
  }, look_interval_ms).unref();
  return { close: () => clearInterval(timer) };
}
