/**
 * Compares the leases that the cloud remembers with those of the trusted database. Where the cloud knows more,
 * the trusted database was put back (a backup, a snapshot of the machine): everything that counts moves beyond
 * what may have been used, before anything is served.
 */
import type { Pool, PoolClient } from 'pg';
import { counterLeaseName, rowLeaseName } from './lease-book.js';
import { type Lease, openLease } from './lease-record.js';
import { inTransaction } from './server.js';
import type { LeaseWitness } from './witness.js';

/** What the comparison found and did. */
export interface LeaseReport {
  /** the trusted database was put back to an earlier state */
  readonly putBack: boolean;
  /** leases that only the cloud knows */
  readonly unknownLeases: number;
  /** columns that seal under a new epoch now */
  readonly newEpochs: number;
}

/** Numbers of tables, domains and generations are not recorded: they jump by more than DDL takes in a lifetime. */
const numberJump = { table_numbers: 4_096, domain_numbers: 65_536, generations: 1_000_000 } as const;
/** Records that may stand in the cloud before the superseded ones are taken away. */
const records_max = 1_000;

type Recorded = Lease & { readonly id: number };

/**
 * @param keys of the records: the one in force, then retired ones
 * @throws ClarusError XX001 when a record does not open
 */
export async function compareLeases(
  state: Pool,
  keys: readonly Uint8Array[],
  witness: LeaseWitness,
): Promise<LeaseReport> {
  // The cloud first: whatever it knows was committed on the trusted side before, so a lease that another process
  // takes meanwhile cannot look unknown.
  const records = (await witness.all()).map(
    ({ id, sealed }): Recorded => ({ ...openLease(keys, id, sealed), id }),
  );
  const highest = records.reduce((max, { id }) => Math.max(max, id), 0);
  const report = await inTransaction(state, async client => {
    const { rows } = await client.query<{ last: string }>(
      'SELECT lease_last AS last FROM clarus.installation FOR UPDATE',
    );
    const last = Number(rows[0]!.last);
    if (highest <= last) return { putBack: false, unknownLeases: 0, newEpochs: 0 };
    await client.query('UPDATE clarus.installation SET lease_last = $1', [highest]);
    await moveRanges(client, records);
    const newEpochs = await openEpochs(client, records);
    for (const [sequence, jump] of Object.entries(numberJump))
      await client.query(`SELECT setval('clarus.${sequence}', nextval('clarus.${sequence}') + ${jump})`);
    await client.query(
      `SELECT setval('clarus.table_numbers', greatest(nextval('clarus.table_numbers'), $1::bigint))`,
      [records.reduce((max, { table }) => Math.max(max, table), 1)],
    );
    return { putBack: true, unknownLeases: records.filter(({ id }) => id > last).length, newEpochs };
  });
  if (records.length > records_max) await witness.forget(superseded(records, highest));
  return report;
}

/** Row ids and counters go on where the cloud saw them end; salts that were lost come back. */
async function moveRanges(client: PoolClient, records: readonly Recorded[]): Promise<void> {
  for (const record of records) {
    if (record.kind === 'seals') continue;
    const name =
      record.kind === 'rows'
        ? rowLeaseName(record.table)
        : counterLeaseName(record.table, record.column, record.counter);
    await client.query(
      `INSERT INTO clarus.leases AS l (name, next) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET next = greatest(l.next, excluded.next)`,
      [name, record.until],
    );
    if (record.kind === 'counter')
      await client.query(
        `INSERT INTO clarus.lease_salts (name, first, until, salt) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
        [name, record.first, record.until, Buffer.from(record.salt)],
      );
  }
}

/** Every column that ever sealed gets an epoch beyond the highest that was used, the cloud's memory included. */
async function openEpochs(client: PoolClient, records: readonly Recorded[]): Promise<number> {
  for (const record of records)
    if (record.kind === 'seals')
      await client.query(
        `INSERT INTO clarus.epochs AS e (table_number, column_number, epoch, reserved) VALUES ($1, $2, $3, 0)
         ON CONFLICT (table_number, column_number) DO UPDATE SET epoch = greatest(e.epoch, excluded.epoch)`,
        [record.table, record.column, record.epoch],
      );
  const { rowCount } = await client.query('UPDATE clarus.epochs SET epoch = epoch + 1, reserved = 0');
  return rowCount ?? 0;
}

/**
 * Records that later ones stand for. A counter's stay, because each holds a salt; so does the last of all, which
 * tells how far the trusted database was.
 */
function superseded(records: readonly Recorded[], highest: number): readonly number[] {
  const latest = new Map<string, number>();
  const subject = (record: Recorded): string =>
    record.kind === 'seals' ? `seals/${record.table}/${record.column}` : rowLeaseName(record.table);
  const standing = records.filter(({ kind }) => kind !== 'counter');
  const later = (a: Recorded, b: Recorded): boolean =>
    a.kind === 'seals' && b.kind === 'seals' && a.epoch !== b.epoch ? a.epoch > b.epoch : a.until > b.until;
  const best = new Map<string, Recorded>();
  for (const record of standing) {
    const other = best.get(subject(record));
    if (other === undefined || later(record, other)) best.set(subject(record), record);
  }
  for (const [name, record] of best) latest.set(name, record.id);
  return standing
    .filter(record => record.id !== highest && latest.get(subject(record)) !== record.id)
    .map(({ id }) => id);
}
