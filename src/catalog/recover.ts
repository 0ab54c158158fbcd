/**
 * Recovery of commits that a crash cut short. The cloud is the judge: what it committed is done on the trusted
 * side, what it did not is forgotten. The shadow commits after the cloud, so it is behind or level, never ahead.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase, Pool } from 'pg';
import { ClarusError } from '../errors.js';
import { dropCarriers } from '../trusted/carriers.js';
import type { JournalEntry } from '../trusted/journal.js';
import { inTransaction } from '../trusted/server.js';
import type { CatalogChange, Redo, RedoneDdl } from './catalog.js';
import { applyEntry, type CommitServices } from './commit.js';
import { describeTables, qualified } from './describe.js';
import { quoteName } from './quote.js';
import { readerOf } from './reader.js';
import { reattach } from './reattach.js';
import { single } from './single.js';

/** What recovery needs: the journal, the cloud that judges, and the shadow that follows. */
export interface RecoveryServices extends Omit<CommitServices, 'proxy' | 'applied' | 'left'> {
  /** a connection to the cloud, outside a transaction */
  readonly cloudConnection: Pool | ClientBase;
  /** administrator's connections to the shadow database */
  readonly shadow: Pool;
  /** true for entries whose process lives and will finish them itself; asked after the entry was read */
  readonly isAlive?: (entry: JournalEntry<Redo>) => boolean | Promise<boolean>;
}

/** How a transaction ended; undefined: so long ago that the server does not know any more. */
type Fate = 'committed' | 'aborted' | undefined;

const WAIT_MS_MAX = 60_000;
/** A backend of a dead proxy that has not noticed by then is ended. */
const PATIENCE_MS = 2_000;

/**
 * Brings catalogue and shadow after the cloud. Run before serving, and when a worker has died.
 * @returns how many commits were completed and how many forgotten
 * @throws ClarusError 55000 when a server cannot say how a transaction ended
 */
export async function recover(
  services: RecoveryServices,
): Promise<{ readonly completed: number; readonly forgotten: number }> {
  const { journal, cloud, isAlive = () => false } = services;
  let completed = 0;
  let forgotten = 0;
  for (const entry of await journal.pending(cloud)) {
    if (await isAlive(entry)) continue;
    const inCloud = await fateOf(services.cloudConnection, entry.cloudXid, 'cloud');
    const inShadow =
      entry.shadowXid === undefined ? undefined : await fateOf(services.shadow, entry.shadowXid, 'shadow');
    if (inCloud === 'aborted') {
      if (inShadow === 'committed') throw ahead(entry);
      await journal.abandon(entry.id);
      forgotten++;
      continue;
    }
    const changes =
      entry.shadowXid === undefined || inShadow === 'committed'
        ? entry.redo.changes
        : await replay(services, entry);
    await applyEntry(services, entry.id, { ...entry.redo, changes });
    completed++;
  }
  return { completed, forgotten };
}

const ahead = (entry: JournalEntry): ClarusError =>
  new ClarusError(
    'XX001',
    `the shadow schema committed transaction ${entry.shadowXid}, which the cloud did not (${entry.cloudXid})`,
    {
      hint: 'The cloud was put back to an earlier state, or this is another cloud. Restore the trusted database of the same time.',
    },
  );

/** Waits until a transaction has ended and tells how. */
async function fateOf(server: Pool | ClientBase, xid: string, which: string): Promise<Fate> {
  const begun = Date.now();
  for (let wait_ms = 5; ; wait_ms = Math.min(2 * wait_ms, 250)) {
    const status = await statusOf(server, xid, which);
    if (status === 'committed' || status === 'aborted') return status;
    if (Date.now() - begun > WAIT_MS_MAX)
      throw new ClarusError('55000', `transaction ${xid} of the ${which} is still in progress`, {
        hint: 'End its session, then start Clarus again.',
      });
    if (Date.now() - begun > PATIENCE_MS)
      await (server as Pool).query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = ($1::xid8)::xid AND pid <> pg_backend_pid()',
        [xid],
      );
    await sleep(wait_ms);
  }
}

async function statusOf(server: Pool | ClientBase, xid: string, which: string): Promise<string> {
  const hint =
    'Was the server replaced or put back to an earlier state? Restore the trusted database of the same time.';
  try {
    const { rows } = await (server as Pool).query<{ status: string | null }>(
      'SELECT pg_xact_status($1::xid8) AS status',
      [xid],
    );
    if (rows[0]?.status != null) return rows[0].status;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === '22023')) throw error;
  }
  throw new ClarusError('55000', `the ${which} does not know how transaction ${xid} ended`, { hint });
}

/**
 * Runs the logical DDL again. The new transaction's number goes to the journal before it commits, so that a crash
 * in between leaves an entry that tells the truth.
 * @returns the changes with the OIDs that the shadow gave this time
 */
async function replay(
  { state, shadow }: RecoveryServices,
  entry: JournalEntry<Redo>,
): Promise<readonly CatalogChange[]> {
  return inTransaction(shadow, async client => {
    await client.query('SET LOCAL check_function_bodies = off');
    await dropCarriers(sql => client.query(sql));
    for (const ddl of entry.redo.ddl) {
      const back = await setAsThen(client, ddl);
      await client.query(`SET LOCAL ROLE ${quoteName(ddl.role ?? (await roleOf(client, ddl.user)))}`);
      await client.query(single(ddl.sql));
      await client.query('RESET ROLE');
      await setLocally(client, back);
    }
    const changes = await resolvedAgain(client, entry.redo.changes);
    const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    await state.query('UPDATE clarus.journal SET shadow_xid = $2, redo = $3 WHERE id = $1', [
      entry.id,
      rows[0]!.xid,
      JSON.stringify({ ...entry.redo, changes }),
    ]);
    return changes;
  });
}

type Settings = readonly (readonly [string, string])[];

/** Settings that a trusted server does not know, or a value of them: the session there went without them too. */
const foreign = new Set(['42704', '22023']);

/** Reads statements as the session did that ran them. @returns the values that held before */
async function setAsThen(client: ClientBase, { searchPath, settings = {} }: RedoneDdl): Promise<Settings> {
  const before: [string, string][] = [];
  for (const [name, value] of [['search_path', searchPath] as const, ...Object.entries(settings)]) {
    await client.query('SAVEPOINT setting');
    try {
      const { rows } = await client.query<{ was: string }>('SELECT current_setting($1) AS was', [name]);
      await setLocally(client, [[name, value]]);
      before.push([name, rows[0]!.was]);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && foreign.has(String(error.code)))) throw error;
      await client.query('ROLLBACK TO setting');
    }
    await client.query('RELEASE setting');
  }
  return before;
}

async function setLocally(client: ClientBase, settings: Settings): Promise<void> {
  for (const setting of settings) await client.query('SELECT set_config($1, $2, true)', [...setting]);
}

/** The role that a user's session acts under: that of the cloud user it shares, where it does. */
async function roleOf(client: ClientBase, user: string): Promise<string> {
  const { rows } = await client.query<{ setting: string }>(
    `SELECT unnest(s.setconfig) AS setting FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
     WHERE r.rolname = $1 AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [user],
  );
  const set = rows.find(({ setting }) => setting.startsWith('role='))?.setting;
  return set === undefined ? user : set.slice('role='.length);
}

async function resolvedAgain(
  client: ClientBase,
  changes: readonly CatalogChange[],
): Promise<readonly CatalogChange[]> {
  const read = readerOf(client);
  const tables = await qualified(read, () => describeTables(read, undefined));
  return changes.map(change => {
    if (change.kind !== 'put-table') return change;
    const { schema, name } = change.table;
    // A table may stand in several changes of one transaction, under names that it had in between.
    const found = tables.find(table => table.schema === schema && table.name === name);
    return found ? { kind: 'put-table', table: reattach(change.table, found) } : change;
  });
}
