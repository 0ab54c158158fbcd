/** Several sessions at once: none waits for ever, sends by a stale plan, or leaves a commit behind. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Clients } from '../../support/clients.js';
import { startProxy, type TestProxy } from '../../support/proxy.js';
import { RawClient, say, told } from '../../support/raw-client.js';

suite('concurrency', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  const clients = new Clients();
  const connect = (): Promise<pg.Client> => clients.join({ ...proxy });
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      name: { protect: encrypt, queries: [equality] }
  public.visit:
    columns:
      id: { protect: none }
      ward: { protect: encrypt, queries: [equality] }
  public.late:
    columns:
      id: { protect: none }
      secret: { protect: none }`,
    });
    const client = await connect();
    await client.query('CREATE TABLE patient (id int PRIMARY KEY, name text)');
    await client.query('CREATE TABLE visit (id int, ward text)');
    await client.query('CREATE TABLE late (id int, secret text)');
  });
  after(async () => {
    await clients.end();
    await proxy?.stop();
  });

  /** Waits until a session waits for a lock in the cloud. */
  const waiting = async (): Promise<void> => {
    const cloud = new pg.Client(proxy.behind);
    await cloud.connect();
    for (;;) {
      const { rowCount } = await cloud.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
      if (rowCount === 1) break;
      await sleep(20);
    }
    await cloud.end();
  };

  for (const ddl of [
    'ALTER TABLE patient ADD COLUMN extra int',
    'ALTER TABLE patient DROP COLUMN extra',
    'ALTER TABLE patient RENAME COLUMN name TO called',
    'ALTER TABLE patient RENAME COLUMN called TO name',
    'TRUNCATE patient',
  ])
    test(`who is waited for is not held up: ${ddl}`, async () => {
      const [writer, changer] = [await connect(), await connect()];
      await writer.query('BEGIN');
      await writer.query('DELETE FROM patient WHERE id = 0');
      const changed = changer.query(ddl);
      await waiting();
      // a text that no session has analysed
      const { rowCount } = await writer.query(`INSERT INTO patient (id) VALUES (1) /* ${ddl} */`);
      assert.equal(rowCount, 1);
      await writer.query('ROLLBACK');
      await changed;
    });

  test('a deadlock over both servers ends in 40P01', async () => {
    const [one, other] = [await connect(), await connect()];
    await one.query('BEGIN');
    await one.query("INSERT INTO visit VALUES (1, 'A')");
    await other.query('BEGIN');
    await other.query('ALTER TABLE patient ADD COLUMN more int');
    // who waits for too long first looks for the deadlock, and gives way
    const ends = async (client: pg.Client, running: Promise<unknown>): Promise<string> => {
      const end = await running.then(
        () => 'done',
        (error: pg.DatabaseError) => `${error.code}`,
      );
      await client.query('ROLLBACK');
      return end;
    };
    const changed = ends(other, other.query('ALTER TABLE visit ADD COLUMN more int'));
    await waiting();
    const read = ends(one, one.query('SELECT id, name, id FROM patient'));
    assert.deepEqual((await Promise.all([changed, read])).toSorted(), ['40P01', 'done']);
    assert.equal((await one.query('SELECT * FROM visit')).rowCount, 0);
  });

  test('a deadlock over the lock of DDL ends in 40P01 after deadlock_timeout', async () => {
    const [one, other] = [await connect(), await connect()];
    await one.query('BEGIN');
    await one.query('CREATE TABLE first (id int)');
    await other.query('BEGIN');
    await other.query("INSERT INTO visit VALUES (7, 'G')");
    const taken = one.query('ALTER TABLE visit ADD COLUMN taken int');
    await waiting();
    const began_ms = performance.now();
    await assert.rejects(other.query('CREATE TABLE second (id int)'), {
      code: '40P01',
      message: 'deadlock detected',
    });
    const waited_ms = performance.now() - began_ms;
    assert.ok(waited_ms > 900 && waited_ms < 5_000, `${waited_ms}`);
    await other.query('ROLLBACK');
    await taken;
    await one.query('ROLLBACK');
    assert.equal((await one.query('SELECT * FROM visit WHERE id = 7')).rowCount, 0);
  });

  test('a deadlock over the lock of DDL is found when it comes later, and through a session between', async () => {
    const [one, other, between] = [await connect(), await connect(), await connect()];
    await one.query('BEGIN');
    await one.query('CREATE TABLE first (id int)');
    await other.query('BEGIN');
    await other.query('UPDATE patient SET id = id WHERE id = 0');
    const refused = assert.rejects(other.query('CREATE TABLE second (id int)'), { code: '40P01' });
    await sleep(1_500);
    const locked = between
      .query('LOCK TABLE patient; SELECT pg_sleep(0)')
      .catch((e: pg.DatabaseError) => e.code);
    await waiting();
    const taken = one.query('UPDATE patient SET id = id WHERE id = 0');
    await refused;
    await other.query('ROLLBACK');
    await Promise.all([locked, taken]);
    await one.query('ROLLBACK');
  });

  test('DDL that waits for other DDL is no deadlock because others wait for it', async () => {
    const [one, other, writer] = [await connect(), await connect(), await connect()];
    await one.query('BEGIN');
    await one.query('CREATE TABLE first (id int)');
    await other.query('BEGIN');
    await other.query('INSERT INTO patient (id) VALUES (70)');
    const made = other.query('CREATE TABLE second (id int)');
    const written = assert.rejects(writer.query('INSERT INTO patient (id) VALUES (70)'), { code: '23505' });
    await waiting();
    await sleep(3_000); // longer than it takes to look for a deadlock
    await one.query('ROLLBACK');
    await made;
    await other.query('COMMIT');
    await written;
    await other.query('DROP TABLE second');
    await other.query('DELETE FROM patient WHERE id = 70');
  });

  test('without a transaction a statement waits for DDL as long as it takes', async () => {
    const [reader, changer] = [await connect(), await connect()];
    await changer.query('BEGIN');
    await changer.query('ALTER TABLE patient ADD COLUMN slow int');
    const read = reader.query('SELECT id, slow FROM patient WHERE id > 3');
    await sleep(6_000); // longer than the trusted side waits for a lock at a time
    await changer.query('COMMIT');
    assert.equal((await read).rowCount, 0);
    await changer.query('ALTER TABLE patient DROP COLUMN slow');
  });

  test('a client that leaves while its DDL commits leaves nothing that holds up others', async () => {
    const journal = async (): Promise<number> =>
      (await proxy.trusted.state.query('SELECT FROM clarus.journal')).rowCount!;
    for (let i = 0; i < 20; i++) {
      const raw = await RawClient.connect(proxy);
      await raw.query('BEGIN');
      await raw.query(`CREATE TABLE left_${i} (id int)`);
      raw.send(say.query('COMMIT'));
      await sleep(i % 15);
      raw.backend.socket.destroy();
    }
    const client = await connect();
    await client.query('CREATE TABLE afterwards (id int)');
    for (let tries = 0; (await journal()) > 0; tries++) {
      assert.ok(tries < 200, 'the journal is empty again');
      await sleep(50);
    }
    const cloud = new pg.Client(proxy.behind);
    await cloud.connect();
    const list = "SELECT relname FROM pg_class WHERE relname ~ '^left_' ORDER BY 1";
    const there = (await cloud.query(list)).rows;
    await cloud.end();
    assert.deepEqual((await client.query(list)).rows, there);
    for (const { relname } of there) await client.query(`INSERT INTO ${relname} VALUES (1)`);
  });

  test('a plan that was made while the catalogue changed is not used after', async () => {
    const [changer, raw] = [await connect(), await RawClient.connect(proxy)];
    let stop = false;
    const changing = (async () => {
      for (let i = 0; !stop; i++) await changer.query(`CREATE TABLE change_${i} (id int)`);
    })();
    const count = 150;
    for (let i = 0; i < count; i++) {
      raw.send(say.parse(`INSERT INTO late (secret) VALUES ($1) -- ${i}`, `s${i}`), say.sync);
      await raw.until();
    }
    stop = true;
    await changing;
    await changer.query("SECURITY LABEL FOR clarus ON COLUMN late.secret IS 'encrypt queries equality'");
    for (let i = 0; i < count; i++) {
      raw.send(say.bind(`s${i}`, '', [`value ${i}`]), say.execute('', 0), say.sync);
      assert.match(told(await raw.until()).join('\n'), /CommandComplete INSERT 0 1/);
    }
    await raw.close();
    assert.equal((await changer.query("SELECT FROM late WHERE secret = 'value 7'")).rowCount, 1);
  });

  test('a worker that is cut off from the trusted database runs no plan that it has kept', async () => {
    const client = await connect();
    const texts = ['SELECT id, name FROM patient', "INSERT INTO late (secret) VALUES ('kept')"];
    for (const text of texts) await client.query(text);
    const { rows } = await proxy.trusted.state.query("SELECT current_setting('data_directory') AS data");
    const pid = Number(readFileSync(join(rows[0].data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const processes = [pid, ...childrenOf(pid)];
    for (const one of processes) process.kill(one, 'SIGSTOP');
    try {
      await sleep(13_000);
      for (const text of texts) await assert.rejects(client.query(text), { code: '57P03' });
    } finally {
      for (const one of processes) process.kill(one, 'SIGCONT');
    }
    for (let tries = 0; ; tries++)
      try {
        await client.query(texts[0]!);
        break;
      } catch (error) {
        if (tries > 100) throw error;
        await sleep(100);
      }
  });
});

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
