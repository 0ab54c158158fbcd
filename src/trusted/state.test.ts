import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EncodedColumn } from '../encodings/encoding.js';
import { bumpCatalogueVersion, catalogueVersion } from './catalogue-version.js';
import { applyEncodingState, SessionEncodingState } from './encoding-state.js';
import { type Fence, openFence } from './fence.js';
import { openJournal } from './journal.js';
import type { Trusted } from './open.js';
import { inTransaction } from './server.js';
import { openIn, remove, temporaryDirectory } from './test-support.test.js';

let directory: string;
let trusted: Trusted;

before(async () => {
  directory = await temporaryDirectory();
  trusted = await openIn(directory);
});
after(async () => {
  await trusted.close();
  await remove(directory);
});

const worker = (
  name: string,
  onVersion: (version: number) => void = () => undefined,
  cloud = 'main',
): Promise<Fence> =>
  openFence({
    server: trusted.server,
    state: trusted.state,
    worker: name,
    cloud,
    onVersion,
    onProblem: () => undefined,
  });

const bump = (cloud = 'main'): Promise<number> =>
  inTransaction(trusted.state, client => bumpCatalogueVersion(client, cloud));

test('a journal entry stands until the transaction that applies it commits, and is applied once', async () => {
  const journal = openJournal<{ ddl: string }>(trusted.state);
  const entry = { cloud: 'main', cloudXid: '123', shadowXid: undefined, redo: { ddl: 'CREATE' }, proxy: 'a' };
  const id = await journal.write(entry);
  const other = await journal.write({ ...entry, shadowXid: '9' });
  await journal.write({ ...entry, cloud: 'second' });
  const pending = await journal.pending('main');
  assert.deepEqual(
    pending.map(({ createdAt: _, ...rest }) => rest),
    [
      { ...entry, id },
      { ...entry, id: other, shadowXid: '9' },
    ],
  );
  await assert.rejects(
    inTransaction(trusted.state, async client => {
      assert.equal(await journal.finish(id, client), true);
      throw new Error('cut off');
    }),
  );
  assert.equal((await journal.pending('main')).length, 2);
  const both = await Promise.all(
    [1, 2].map(() => inTransaction(trusted.state, client => journal.finish(id, client))),
  );
  assert.deepEqual(both.sort(), [false, true]);
  await journal.abandon(other);
  assert.deepEqual(await journal.pending('main'), []);
});

test('a change waits until every living worker has seen it', async () => {
  const told: number[] = [];
  const one = await worker('one');
  const two = await worker('two', version => told.push(version));
  const elsewhere = await worker('three', version => told.push(-version), 'second');
  const version = await bump();
  assert.equal(await catalogueVersion(trusted.state, 'main'), version);
  await one.acknowledge(version);
  await assert.rejects(one.awaitAcknowledgement(version, 150), { code: '55P03' });
  const waiting = one.awaitAcknowledgement(version, 5_000);
  assert.deepEqual(told, [version]);
  await two.acknowledge(version);
  await waiting;
  await bump('second');
  for (const fence of [one, two, elsewhere]) await fence.close();
});

test('a worker that is gone, or has not been heard of for ten seconds, is not waited for', async () => {
  const one = await worker('one');
  const two = await worker('two');
  const version = await bump();
  await one.acknowledge(version);
  await trusted.state.query(
    "UPDATE clarus.workers SET heartbeat = clock_timestamp() - interval '11 s' WHERE id = 'two'",
  );
  await one.awaitAcknowledgement(version, 1_000);
  await two.close();
  const next = await bump();
  await one.acknowledge(next);
  await one.awaitAcknowledgement(next, 1_000);
  await one.close();
});

test('a worker that comes late learns the version in force, and one whose connection broke hears what it missed', async () => {
  const before = await bump();
  const told: number[] = [];
  let heard: () => void = () => undefined;
  const late = await worker('late', version => {
    told.push(version);
    heard();
  });
  assert.deepEqual(told, [before]);
  assert.equal(late.isLive(), true);
  const missed = new Promise<void>(resolve => {
    heard = resolve;
  });
  await trusted.state.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'",
  );
  const version = await bump();
  await missed;
  assert.deepEqual(told, [before, version]);
  await late.close();
});

test("an encoding's state is the session's own until its commit applies it", async () => {
  const column: EncodedColumn = {
    table: 1,
    column: 2,
    domain: 1,
    name: 'c',
    type: { oid: 25, modifier: -1, collation: 0, deterministic: true },
    generation: 3,
    columns: {},
    tables: {},
  };
  const mine = new SessionEncodingState(trusted.state);
  const theirs = new SessionEncodingState(trusted.state);
  await mine.put(column, 'count', Uint8Array.of(1));
  const savepoint = mine.mark();
  await mine.put(column, 'count', Uint8Array.of(2));
  await mine.put(column, 'other', Uint8Array.of(9));
  assert.deepEqual(await mine.get(column, 'count'), Uint8Array.of(2));
  mine.rollBackTo(savepoint);
  assert.deepEqual(await mine.get(column, 'count'), Uint8Array.of(1));
  assert.equal(await mine.get(column, 'other'), undefined);
  assert.equal(await theirs.get(column, 'count'), undefined);
  assert.equal(mine.changes().length, 1);
  await inTransaction(trusted.state, client => applyEncodingState(client, mine.changes()));
  mine.clear();
  assert.deepEqual(await theirs.get(column, 'count'), Uint8Array.of(1));
  assert.equal(await theirs.get({ ...column, generation: 4 }, 'count'), undefined);
  await theirs.put(column, 'count', undefined);
  await inTransaction(trusted.state, client => applyEncodingState(client, theirs.changes()));
  assert.equal(await mine.get(column, 'count'), undefined);
});
