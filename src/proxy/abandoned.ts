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

/**
 * Finishes or forgets the commits of processes that are gone, and of sessions of this process that are.
 * @param left entries of this process that no session will finish; what is settled is taken out
 * @returns how many of each
 */
export async function finishAbandoned(
  services: Omit<RecoveryServices, 'isAlive'>,
  left: Set<number> = new Set(),
): Promise<{ readonly completed: number; readonly forgotten: number }> {
  const { state, cloud, journal } = services;
  const settling = [...left];
  const isAlive = async ({ id, proxy, createdAt }: JournalEntry<Redo>): Promise<boolean> => {
    if (left.has(id)) return false;
    if (proxy === STARTING) return Date.now() - createdAt.getTime() < start_ms_max;
    return isWorkerAlive(state, proxy, cloud);
  };
  const nothing = { completed: 0, forgotten: 0 };
  if ((await journal.pending(cloud)).length === 0) return nothing;
  return inTransaction(state, async client => {
    const { rows } = await client.query<{ ours: boolean }>(
      'SELECT pg_try_advisory_xact_lock($1::bigint) AS ours',
      [RECOVERY_LOCK],
    );
    if (!rows[0]!.ours) return nothing;
    const found = await recover({ ...services, isAlive });
    for (const id of settling) left.delete(id);
    return found;
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
  /** Looks at once for an entry that a session of this process left behind, and until it is settled. */
  left(entry: number): void;
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
  const left = new Set<number>();
  let looking = false;
  const look = (): void => {
    if (looking) return;
    looking = true;
    finishAbandoned(services, left)
      .then(found => {
        if (found.completed + found.forgotten > 0) finished(found);
      }, failed)
      .finally(() => {
        looking = false;
      });
  };
  const timer = setInterval(look, look_interval_ms).unref();
  return {
    left: entry => {
      left.add(entry);
      look();
    },
    close: () => clearInterval(timer),
  };
}
