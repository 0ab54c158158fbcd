import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { unwrapKey } from '../crypto/keys.js';
import type { EncodedColumn } from '../encodings/encoding.js';
import type { KeyStore } from './keys.js';
import type { Trusted } from './open.js';
import { openKeyStore } from './open-keys.js';
import { rewrapAll } from './rotate-root.js';
import { MemoryWitness, openIn, remove, rootKey, temporaryDirectory } from './test-support.test.js';
import { cloudWitness, type LeaseWitness } from './witness.js';

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

const open = async (witness: LeaseWitness = new MemoryWitness()): Promise<KeyStore> =>
  (await openKeyStore({ state: trusted.state, rootKey, witness })).keys;

/** Each test begins with a trusted database that has leased nothing: its witness knows nothing either. */
const clean = (): Promise<unknown> =>
  trusted.state.query(
    'UPDATE clarus.installation SET lease_last = 0; TRUNCATE clarus.epochs, clarus.leases, clarus.lease_salts',
  );

const columnOf = (table: number, column = 1, domain = 1): EncodedColumn => ({
  table,
  column,
  domain,
  name: 'c',
  type: { oid: 25, modifier: -1, collation: 100, deterministic: true },
  generation: 1,
  columns: {},
  tables: {},
});

test('a table has a key of its own, wrapped; derived keys are as the specification says and always the same object', async () => {
  await clean();
  const keys = await open();
  const table = await keys.numbers('main').table();
  const wrapped = await trusted.state.query('SELECT wrapped FROM clarus.keys WHERE number = $1', [table]);
  const key = unwrapKey(rootKey, wrapped.rows[0].wrapped)!;
  const info = Buffer.concat([Buffer.from('clarus/1 cell'), Buffer.from([0, 3, 1, 2])]);
  const cell = keys.cellKey(columnOf(table, 3), 0x102);
  assert.deepEqual(Buffer.from(cell), Buffer.from(hkdfSync('sha256', key, '', info, 32)));
  assert.equal(keys.cellKey(columnOf(table, 3), 0x102), cell);
  assert.notDeepEqual(keys.cellKey(columnOf(table, 3), 0x103), cell);
  assert.notDeepEqual(keys.cellKey(columnOf(table, 4), 0x102), cell);
});

test('a named domain is one for all who ask at once, another name and another cloud have their own', async () => {
  const [one, two] = [await open(), await open()];
  const found = await Promise.all([one, two, one, two].map(keys => keys.createDomain('main', 'person')));
  assert.equal(new Set(found).size, 1);
  const others = [await one.createDomain('main', 'place'), await one.createDomain('second', 'person')];
  others.push(await one.createDomain('main', undefined), await one.createDomain('main', undefined));
  assert.equal(new Set([found[0], ...others]).size, 5);
  assert.deepEqual(one.domainKey(found[0]!, 'tag'), two.domainKey(found[0]!, 'tag'));
  assert.notDeepEqual(one.domainKey(found[0]!, 'tag'), one.domainKey(found[0]!, 'other'));
  assert.notDeepEqual(one.domainKey(found[0]!, 'tag'), one.domainKey(others[0]!, 'tag'));
});

test('a key that another process made is there after a refresh; one that it destroyed is gone and wiped', async () => {
  const [one, two] = [await open(), await open()];
  const table = await one.numbers('main').table();
  assert.throws(() => two.cellKey(columnOf(table), 1), { code: '55000' });
  await two.refresh();
  const key = two.cellKey(columnOf(table), 1);
  await one.rowIds(table, 1);
  await one.sealingEpoch(columnOf(table), 1);
  await one.counters(columnOf(table), 'mask', 1);
  const client = await trusted.state.connect();
  await one.destroyTableKey(table, client);
  client.release();
  one.forgetTable(table);
  await one.expungeDestroyedKeys();
  await two.refresh();
  for (const keys of [one, two]) assert.throws(() => keys.cellKey(columnOf(table), 1), { code: '55000' });
  assert.ok(key.every(byte => byte === 0));
  for (const [name, column] of [
    ['epochs', 'table_number'],
    ['leases', "split_part(name, '/', 2)::int"],
    ['lease_salts', "split_part(name, '/', 2)::int"],
  ])
    assert.equal(
      (await trusted.state.query(`SELECT FROM clarus.${name} WHERE ${column} = $1`, [table])).rowCount,
      0,
    );
});

test('row ids follow each other within a call, never repeat over processes and restarts, and mostly need no I/O', async () => {
  await clean();
  const witness = new MemoryWitness();
  const given = new Set<number>();
  const take = async (keys: KeyStore, count: number): Promise<void> => {
    const first = await keys.rowIds(5, count);
    for (let id = first; id < first + count; id++) {
      assert.ok(!given.has(id) && id >= 1);
      given.add(id);
    }
  };
  for (let start = 0; start < 3; start++) {
    const workers = [await open(witness), await open(witness)];
    for (const count of [1, 3_000, 1, 20]) await Promise.all(workers.map(keys => take(keys, count)));
    assert.equal(typeof workers[0]!.rowIdsNow(5, 1), 'number');
  }
  assert.ok(given.size > 18_000);
});

test('seals are set aside before they are used, and the epoch grows before a key makes 2^32 of them', async () => {
  await clean();
  const keys = await open();
  const column = columnOf(77, 2);
  assert.equal(await keys.sealingEpoch(column, 100), 1);
  const reserved = async (): Promise<[number, number]> => {
    const { rows } = await trusted.state.query(
      'SELECT epoch, reserved FROM clarus.epochs WHERE table_number = 77',
    );
    return [rows[0].epoch, Number(rows[0].reserved)];
  };
  assert.deepEqual(await reserved(), [1, 2 ** 20]);
  assert.equal(await keys.sealingEpoch(column, 2 ** 20 - 100), 1);
  assert.deepEqual(await reserved(), [1, 2 ** 20]);
  assert.equal(await keys.sealingEpoch(column, 1), 1);
  assert.deepEqual(await reserved(), [1, 2 ** 21]);
  assert.equal(await keys.sealingEpoch(column, 2 ** 32 - 2 ** 21), 1);
  assert.deepEqual(await reserved(), [1, 2 ** 32]);
  assert.equal(await keys.sealingEpoch(column, 1), 2);
  assert.deepEqual(await reserved(), [2, 2 ** 20]);
  assert.equal(await (await open()).sealingEpoch(column, 2 ** 32), 3);
  await assert.rejects(keys.sealingEpoch(column, 2 ** 32 + 1), { code: '54000' });
  await trusted.state.query('UPDATE clarus.epochs SET epoch = 65535, reserved = 4294967296');
  await assert.rejects((await open()).sealingEpoch(column, 1), { code: '54000' });
});

test('counters never repeat, and each lease draws a salt of its own that is found again by value', async () => {
  await clean();
  const column = columnOf(78);
  const [one, two] = [await open(), await open()];
  const a = await one.counters(column, 'mask', 10);
  const b = await two.counters(column, 'mask', 10);
  const c = await one.counters(column, 'mask', 10);
  assert.deepEqual([a.first, b.first, c.first], [1, 1_001, 11]);
  assert.deepEqual(a.salt, c.salt);
  assert.notDeepEqual(a.salt, b.salt);
  assert.deepEqual(await two.counterSalt(column, 'mask', 5), a.salt);
  assert.deepEqual(await one.counterSalt(column, 'mask', 1_005), b.salt);
  await assert.rejects(one.counterSalt(column, 'mask', 9_999), { code: '55000' });
  assert.equal((await one.counters(column, 'word', 1)).first, 1);
});

test('nothing of a block is used before the cloud has recorded it', async () => {
  await clean();
  const witness = new MemoryWitness();
  const keys = await open(witness);
  let release: () => void = () => undefined;
  const record = witness.record.bind(witness);
  witness.record = async (id, sealed) => {
    await new Promise<void>(resolve => {
      release = resolve;
    });
    return record(id, sealed);
  };
  let given = false;
  const pending = keys.rowIds(3, 1).then(() => {
    given = true;
  });
  await new Promise(resolve => setTimeout(resolve, 100));
  assert.equal(given, false);
  release();
  await pending;
  assert.equal(witness.records.size, 1);
  witness.record = async () => {
    throw new Error('the cloud is away');
  };
  await assert.rejects(keys.rowIds(3, 5_000), /the cloud is away/);
  witness.record = record;
  assert.ok((await keys.rowIds(3, 5_000)) > 5_000);
});

test('a raw copy of the data directory that is put back is noticed, and nothing is used twice after', async () => {
  await clean();
  const witness = new MemoryWitness();
  const column = columnOf(11, 2);
  const lost = columnOf(12, 1);
  const rows = new Set<number>();
  const masks = new Set<string>();
  const epochs = new Map<string, Set<number>>([
    ['before', new Set()],
    ['after', new Set()],
  ]);
  const use = async (
    keys: KeyStore,
    when: 'before' | 'after',
    columns: readonly EncodedColumn[],
  ): Promise<void> => {
    for (const used of columns) {
      const first = await keys.rowIds(used.table, 1_500);
      for (let id = first; id < first + 1_500; id++) {
        assert.ok(!rows.has(used.table * 1e9 + id));
        rows.add(used.table * 1e9 + id);
      }
      const mask = await keys.counters(used, 'mask', 700);
      for (let value = mask.first; value < mask.first + 700; value++) {
        const name = `${used.table} ${value}`;
        assert.ok(!masks.has(name));
        masks.add(name);
      }
      epochs.get(when)!.add(used.table * 1e9 + (await keys.sealingEpoch(used, 1_000)));
    }
  };
  await use(await open(witness), 'before', [column]);
  await trusted.close();
  const copy = `${directory}-copy`;
  await cp(directory, copy, {
    recursive: true,
    preserveTimestamps: true,
    filter: path => !path.includes('.s.PGSQL'),
  });
  trusted = await openIn(directory);
  const numbersBefore = await generationsAndTables(await open(witness));
  const later = await open(witness);
  await use(later, 'before', [column, lost]);
  await use(later, 'before', [column]);
  const salt = await later.counterSalt(lost, 'mask', 1);
  await trusted.close();
  await rm(directory, { recursive: true });
  await cp(copy, directory, { recursive: true, preserveTimestamps: true });
  trusted = await openIn(directory);
  const { keys, report } = await openKeyStore({ state: trusted.state, rootKey, witness });
  assert.equal(report.putBack, true);
  assert.ok(report.unknownLeases > 0);
  assert.equal(report.newEpochs, 2);
  await use(keys, 'after', [column, lost, column]);
  for (const epoch of epochs.get('after')!) assert.ok(!epochs.get('before')!.has(epoch));
  assert.deepEqual(await keys.counterSalt(lost, 'mask', 1), salt);
  const numbersAfter = await generationsAndTables(keys);
  for (const [i, number] of numbersAfter.entries()) assert.ok(number > numbersBefore[i]! + 1_000);
  assert.equal((await openKeyStore({ state: trusted.state, rootKey, witness })).report.putBack, false);
  await remove(copy);
});

const generationsAndTables = async (keys: KeyStore): Promise<readonly number[]> => {
  const numbers = keys.numbers('main');
  return [await numbers.generation(), await numbers.table(), await numbers.domain(undefined)];
};

test('a trusted database that is put back under a running Clarus stops all leases', async () => {
  await clean();
  const witness = new MemoryWitness();
  const keys = await open(witness);
  for (let table = 1; table < 6; table++) await keys.rowIds(table, 1);
  await witness.forget([1, 2, 3]);
  await trusted.state.query('UPDATE clarus.installation SET lease_last = 1');
  await assert.rejects(keys.rowIds(9, 1), { code: '55000' });
  await trusted.state.query('UPDATE clarus.installation SET lease_last = 100');
  await assert.rejects(keys.rowIds(9, 1), { code: '55000' });
  await clean();
});

test('records of another root key stop the start', async () => {
  await clean();
  const witness = new MemoryWitness();
  await (await open(witness)).rowIds(1, 1);
  const [record] = await witness.all();
  witness.records.set(2, record!.sealed);
  await assert.rejects(open(witness), { code: 'XX001' });
  await clean();
});

test('superseded records leave the cloud at a start, and a put-back is still noticed', async () => {
  await clean();
  const witness = new MemoryWitness();
  const keys = await open(witness);
  for (let i = 0; i < 520; i++) {
    await keys.rowIds(1, 2_000_000);
    await keys.sealingEpoch(columnOf(1), 2 ** 20);
  }
  const salted = await keys.counters(columnOf(1), 'mask', 1);
  const end = await keys.rowIds(1, 1_000_000);
  await open(witness);
  assert.ok(witness.records.size < 5, `${witness.records.size} records`);
  await trusted.state.query(
    'UPDATE clarus.installation SET lease_last = 3; TRUNCATE clarus.epochs, clarus.leases, clarus.lease_salts',
  );
  const { keys: again, report } = await openKeyStore({ state: trusted.state, rootKey, witness });
  assert.equal(report.putBack, true);
  assert.ok((await again.rowIds(1, 1)) > end);
  assert.ok((await again.sealingEpoch(columnOf(1), 1)) > 1);
  assert.deepEqual(await again.counterSalt(columnOf(1), 'mask', salted.first), salted.salt);
});

test('a PostgreSQL cloud keeps the records in a table that the first of them makes', async () => {
  await clean();
  await trusted.ensureShadow('cloud');
  const cloud = new pg.Pool({
    host: trusted.server.host,
    port: trusted.server.port,
    user: trusted.server.user,
    password: trusted.server.password!,
    database: 'cloud',
  });
  const types = { getTypeParser: () => (value: string) => value };
  const witness = cloudWitness(
    async (text, values) =>
      (await cloud.query({ text, values: [...values], rowMode: 'array', types: types as never }))
        .rows as string[][],
  );
  assert.deepEqual(await witness.all(), []);
  const keys = [await open(witness), await open(witness), await open(witness)];
  await Promise.all(keys.map(store => store.rowIds(1, 1)));
  assert.deepEqual(
    (await witness.all()).map(({ id }) => id),
    [1, 2, 3],
  );
  const first = (await witness.all())[0]!;
  assert.equal(await witness.record(1, first.sealed), 3);
  await assert.rejects(witness.record(1, new Uint8Array(40)), { code: '55000' });
  await witness.forget([1, 2]);
  await witness.forget([]);
  assert.deepEqual(
    (await witness.all()).map(({ id }) => id),
    [3],
  );
  assert.equal((await openKeyStore({ state: trusted.state, rootKey, witness })).report.putBack, false);
  await cloud.end();
});

test('rotating the root key wraps every key anew, and earlier records still open', async () => {
  await clean();
  const witness = new MemoryWitness();
  const keys = await open(witness);
  const table = await keys.numbers('main').table();
  const key = Uint8Array.from(keys.cellKey(columnOf(table), 1));
  await keys.rowIds(table, 1);
  const roots = [rootKey, new Uint8Array(32).fill(21), new Uint8Array(32).fill(22), rootKey];
  await assert.rejects(rewrapAll(trusted, roots[1]!, roots[2]!), { code: '28000' });
  for (let i = 1; i < roots.length; i++) {
    await rewrapAll(trusted, roots[i - 1]!, roots[i]!);
    await trusted.close();
    await assert.rejects(openIn(directory, { rootKey: new Uint8Array(32).fill(99) }), { code: '28000' });
    trusted = await openIn(directory, { rootKey: roots[i]! });
    const opened = await openKeyStore({ state: trusted.state, rootKey: roots[i]!, witness });
    assert.equal(opened.report.putBack, false);
    assert.deepEqual(opened.keys.cellKey(columnOf(table), 1), key);
    await opened.keys.rowIds(table, 1);
  }
});
