/** The state of encodings follows the cloud's commit: also when a process dies at any point of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Redo } from '../src/catalog/catalog.js';
import { Commits } from '../src/catalog/commit.js';
import { recover } from '../src/catalog/recover.js';
import type { EncodedColumn } from '../src/encodings/encoding.js';
import { SessionEncodingState } from '../src/trusted/encoding-state.js';
import { openJournal } from '../src/trusted/journal.js';
import { startProxy, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;
let cloud: pg.Pool;

before(async () => {
  proxy = await startProxy({ policy: 'unlisted: pass' });
  cloud = new pg.Pool({ ...proxy.behind, max: 4 });
  cloud.on('error', () => undefined);
  await cloud.query('CREATE TABLE marker (value int)');
});

after(async () => {
  await cloud?.end();
  await proxy?.stop();
});

const column: EncodedColumn = {
  table: 900,
  column: 1,
  name: 'fee',
  type: { oid: 23, modifier: -1, collation: 0, deterministic: true },
  domain: 1,
  generation: 77,
  columns: {},
  tables: {},
};
const bytes = (value: number): Uint8Array => Uint8Array.of(value);

const services = () => ({
  state: proxy.trusted.state,
  journal: openJournal<Redo>(proxy.trusted.state),
  keys: { destroyTableKey: async () => undefined, forgetTable: () => undefined },
  cloud: 'main',
});

const recovered = () =>
  recover({ ...services(), cloudConnection: cloud, shadow: proxy.trusted.shadowAdmin(proxy.database) });

const points = [
  'before the journal knows',
  'when the cloud rolled back',
  'while the cloud has the transaction open',
  'after the cloud has committed',
  'after the state is applied',
] as const;

/** A transaction that writes `value` in the cloud and into the state, and whose process dies at a point. */
async function commitUpTo(point: (typeof points)[number], value: number): Promise<void> {
  const session = new SessionEncodingState(proxy.trusted.state);
  await session.put(column, 'key', bytes(value));
  await session.put(column, `only ${value}`, bytes(value));
  const client = await cloud.connect();
  const gone = (): void => client.release(true);
  client.on('error', () => undefined);
  await client.query('BEGIN');
  await client.query('INSERT INTO marker VALUES ($1)', [value]);
  if (point === points[0]) return gone();
  const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  const commits = new Commits({ ...services(), proxy: 'dead' });
  const redo = { ddl: [], changes: [], state: session.changes() };
  const entry = await commits.prepare(redo, rows[0]!.xid, undefined);
  if (point === points[1]) {
    await client.query('ROLLBACK');
    return gone();
  }
  if (point === points[2]) {
    // recovery ends the backend; the pool waits for every client that it gave out
    client.once('end', gone);
    return;
  }
  await client.query('COMMIT');
  if (point === points[4]) await commits.finish(entry);
  gone();
}

for (const [i, point] of points.entries())
  test(`state and rows agree after a crash ${point}`, async () => {
    const value = i + 1;
    const before = await new SessionEncodingState(proxy.trusted.state).get(column, 'key');
    await commitUpTo(point, value);
    await recovered();
    const { rowCount } = await cloud.query('SELECT FROM marker WHERE value = $1', [value]);
    const committed = rowCount === 1;
    assert.equal(committed, i >= 3);
    const fresh = new SessionEncodingState(proxy.trusted.state);
    assert.deepEqual(await fresh.get(column, 'key'), committed ? bytes(value) : before);
    assert.deepEqual(await fresh.get(column, `only ${value}`), committed ? bytes(value) : undefined);
    assert.deepEqual(await services().journal.pending('main'), []);
    assert.deepEqual(await recovered(), { completed: 0, forgotten: 0 });
  });

test('who reads a row of a commit under way waits for its state', async () => {
  const commits = new Commits({ ...services(), proxy: 'alive' });
  const change = { table: 900, column: 1, generation: 77, key: 'key', value: 'Yw==' };
  const redo = { ddl: [], changes: [], state: [change] };
  const { rows } = await cloud.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  const entry = await commits.prepare(redo, rows[0]!.xid, undefined);
  const reader = new SessionEncodingState(proxy.trusted.state);
  let seen: Uint8Array | undefined;
  const reading = reader.get(column, 'key').then(found => {
    seen = found;
  });
  await reader.get(column, 'another key');
  await reader.get({ ...column, generation: 78 }, 'key');
  await sleep(50);
  assert.equal(seen, undefined);
  await commits.finish(entry);
  await reading;
  assert.deepEqual(seen, bytes(99));
});

test('an entry that recovery and its own worker apply is applied once', async () => {
  const commits = new Commits({ ...services(), proxy: 'slow' });
  const change = { table: 900, column: 1, generation: 77, key: 'key', value: 'AQ==' };
  const { rows } = await cloud.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  const entry = await commits.prepare({ ddl: [], changes: [], state: [change] }, rows[0]!.xid, undefined);
  assert.deepEqual(await recovered(), { completed: 1, forgotten: 0 });
  const later = await commits.prepare(
    { ddl: [], changes: [], state: [{ ...change, value: 'Ag==' }] },
    rows[0]!.xid,
    undefined,
  );
  await commits.finish(later);
  await commits.finish(entry);
  assert.deepEqual(await new SessionEncodingState(proxy.trusted.state).get(column, 'key'), bytes(2));
});
