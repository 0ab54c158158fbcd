/** Statements beside DDL of other sessions wait for it, as in PostgreSQL for its lock, and then go on by what it left. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import type pg from 'pg';
import type { FrontendMessage } from '../src/wire/messages.js';
import { Clients } from './support/clients.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

/** Long enough for a statement that does not wait to have ended. */
const waits_ms = 300;
const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** The client asks to cancel what it is waiting for (PostgreSQL manual, 54.2.8). */
async function cancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, port, host } = client as pg.Client & { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  for (const [i, number] of [16, 80877102, processID, secretKey].entries())
    request.writeInt32BE(number, 4 * i);
  const socket = connect({ port, host });
  socket.end(request);
  await once(socket.resume(), 'close');
}

/** Statements about a table that becomes protected while they wait. */
const wasOpen = [
  "INSERT INTO open VALUES (1, 'plain words')",
  "INSERT INTO open SELECT 1, 'plain words'",
  "WITH w AS (INSERT INTO open VALUES (1, 'plain words') RETURNING id) SELECT id FROM w",
  "DO $$ BEGIN INSERT INTO open VALUES (1, 'plain words'); END $$",
  'SELECT fill_open()',
  'SELECT * FROM open ',
];

suite('statements beside DDL', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let changer: pg.Client;
  let other: pg.Client;
  const clients = new Clients();
  const join = (target: pg.ClientConfig): Promise<pg.Client> => clients.join(target);
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: encrypt
tables:
${wasOpen.map((_, i) => `  public.open${i}: { columns: { id: { protect: none }, body: { protect: none } } }`).join('\n')}`,
    });
    changer = await join({ ...proxy });
    other = await join({ ...proxy });
    await changer.query('CREATE TABLE note (id int, body text, size int)');
    await changer.query('CREATE TABLE beside (id int)');
  });
  after(async () => {
    await clients.end();
    await proxy?.stop();
  });

  const prepared = { name: 'add', text: 'INSERT INTO note (id, body) VALUES ($1, $2)' };
  const write = (client: pg.Client, id: number): Promise<pg.QueryResult> =>
    client.query({ ...prepared, values: [id, `text ${id}`] });
  const added = async (id: number): Promise<unknown> =>
    (await changer.query('SELECT * FROM note WHERE id = $1', [id])).rows[0];

  /** What a statement does while DDL is open: it waits; then it does what it says. */
  async function beside(ddl: string, end: string, statement: () => Promise<unknown>): Promise<unknown> {
    await changer.query('BEGIN');
    await changer.query(ddl);
    let ended = false;
    const running = statement().finally(() => {
      ended = true;
    });
    running.catch(() => undefined);
    await sleep(waits_ms);
    assert.equal(ended, false, 'it did not wait');
    await changer.query(end);
    return running;
  }

  for (const [what, run] of Object.entries<(id: number) => Promise<unknown>>({
    'a prepared statement': id => write(other, id),
    'a statement of its own': id => other.query(`INSERT INTO note (id, body) VALUES (${id}, 'text ${id}')`),
    'a split statement': id =>
      other.query(`INSERT INTO note (id, body) SELECT ${id}, upper(body) FROM note LIMIT 1`),
  })) {
    test(`${what} waits for ALTER TABLE and is planned by what it left`, async () => {
      await write(other, 1);
      const column = `extra_${what.replaceAll(' ', '_')}`;
      await beside(`ALTER TABLE note ADD COLUMN ${column} text DEFAULT 'new'`, 'COMMIT', () => run(2));
      assert.equal(((await added(2)) as Record<string, unknown>)[column], 'new');
      await changer.query('TRUNCATE note');
    });

    test(`${what} waits for ALTER TABLE that is rolled back`, async () => {
      await write(other, 1);
      await beside('ALTER TABLE note ADD COLUMN never text', 'ROLLBACK', () => run(2));
      assert.ok(await added(2));
      await changer.query('TRUNCATE note');
    });
  }

  test('a statement in a transaction waits, and its transaction goes on', async () => {
    await write(other, 1);
    await other.query('BEGIN');
    await other.query('INSERT INTO beside VALUES (1)');
    await beside("ALTER TABLE note ADD COLUMN late text DEFAULT 'late'", 'COMMIT', () => write(other, 3));
    await other.query('COMMIT');
    assert.equal(((await added(3)) as { late: string }).late, 'late');
    assert.equal((await changer.query('SELECT * FROM beside')).rowCount, 1);
    await changer.query('TRUNCATE note, beside');
  });

  test('a transaction that has the table already goes on before DDL that waits for it', async () => {
    await other.query('BEGIN');
    await write(other, 4);
    const altering = changer.query("ALTER TABLE note ADD COLUMN queued text DEFAULT 'queued'");
    await sleep(waits_ms);
    await write(other, 5);
    await other.query('SELECT upper(body) FROM note');
    await other.query('COMMIT');
    await altering;
    assert.equal(((await added(5)) as { queued: string }).queued, 'queued');
    await changer.query('TRUNCATE note');
  });

  test('two transactions that wait for each other end in 40P01', async () => {
    await other.query('BEGIN');
    await other.query('INSERT INTO beside VALUES (2)');
    await changer.query('BEGIN');
    await changer.query('ALTER TABLE note ADD COLUMN crossed text');
    const outcomes = await Promise.all(
      [write(other, 6), changer.query('ALTER TABLE beside ADD COLUMN crossed text')]
        .map(running =>
          running.then(
            () => 'done',
            (error: pg.DatabaseError) => error.code,
          ),
        )
        .map(async (outcome, i) => {
          const told = await outcome;
          if (told !== 'done') await [other, changer][i]!.query('ROLLBACK');
          return told;
        }),
    );
    assert.deepEqual(outcomes.toSorted(), ['40P01', 'done']);
    for (const client of [other, changer]) await client.query('ROLLBACK');
  });

  test('a failed or undone change holds nobody up', async () => {
    await changer.query('BEGIN');
    await changer.query('SAVEPOINT s');
    await changer.query('ALTER TABLE note ADD COLUMN undone text');
    await changer.query('ROLLBACK TO s');
    await write(other, 7);
    await changer.query('ALTER TABLE note ADD COLUMN undone text');
    await assert.rejects(changer.query('SELECT 1 / 0'), { code: '22012' });
    await write(other, 8);
    await changer.query('ROLLBACK');
    assert.equal((await changer.query('SELECT FROM note')).rowCount, 2);
  });

  test('a wait ends by lock_timeout, statement_timeout and cancel', async () => {
    await changer.query('BEGIN');
    await changer.query('ALTER TABLE note ADD COLUMN held text');
    for (const [setting, code] of [
      ['lock_timeout', '55P03'],
      ['statement_timeout', '57014'],
    ]) {
      await other.query(`SET ${setting} = 200`);
      await assert.rejects(write(other, 9), { code });
      await other.query(`RESET ${setting}`);
    }
    const waiting = write(other, 10);
    waiting.catch(() => undefined);
    await sleep(waits_ms);
    await cancel(other);
    await assert.rejects(waiting, { code: '57014' });
    await changer.query('ROLLBACK');
    await write(other, 11);
  });

  test('writes by another worker wait and are planned by what was left', async () => {
    const elsewhere = await join({ ...(await proxy.second()) });
    await write(elsewhere, 20);
    for (const [end, column] of [
      ['COMMIT', 'across'],
      ['ROLLBACK', 'taken_back'],
    ] as const)
      await beside(`ALTER TABLE note ADD COLUMN ${column} text DEFAULT 'across'`, end, () =>
        write(elsewhere, end === 'COMMIT' ? 21 : 22),
      );
    for (const id of [21, 22]) assert.equal(((await added(id)) as { across: string }).across, 'across');
    await changer.query('TRUNCATE note');
  });

  for (const [i, statement] of wasOpen.entries())
    test(`a statement that was kept while its table was open is made anew: ${statement}`, async () => {
      const cloud = await join({ ...proxy.behind });
      await changer.query(`CREATE TABLE open${i} (id int, body text)`);
      await changer.query(
        `CREATE OR REPLACE FUNCTION fill_open() RETURNS void LANGUAGE sql AS $$ INSERT INTO open${i} VALUES (1, 'plain words') $$`,
      );
      const text = statement.replaceAll('open ', `open${i} `);
      // its plan is kept
      await other.query(text);
      await changer.query(`TRUNCATE open${i}`);
      await beside(`SECURITY LABEL FOR clarus ON COLUMN open${i}.body IS 'encrypt'`, 'COMMIT', () =>
        other.query(text),
      );
      const { rows } = await other.query(`SELECT * FROM open${i}`);
      assert.deepEqual(rows, statement.startsWith('SELECT *') ? [] : [{ id: 1, body: 'plain words' }]);
      const stored = await cloud.query(
        `SELECT coalesce(string_agg(o::text, ''), '') AS rows FROM open${i} o`,
      );
      assert.doesNotMatch(stored.rows[0].rows, /plain/);
    });

  test('kept split writes wait for ALTER TABLE of what they write, also by triggers and foreign keys', async () => {
    for (const sql of [
      'CREATE TABLE parent (id int PRIMARY KEY, name text)',
      'CREATE TABLE child (id int, parent int REFERENCES parent ON DELETE SET NULL, name text)',
      "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$",
      'CREATE TRIGGER shouts BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION shout()',
      "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
    ])
      await changer.query(sql);
    const inserting = (id: number) => `INSERT INTO child (id, parent, name) VALUES (${id}, 1, 'c')`;
    const copying = 'INSERT INTO parent SELECT id + 10, upper(name) FROM parent WHERE id = 2 RETURNING name';
    const deleting = 'DELETE FROM parent WHERE id = 1';
    for (const sql of [inserting(1), copying, deleting]) {
      await other.query('BEGIN');
      await other.query(sql);
      await other.query('ROLLBACK');
    }
    await beside("ALTER TABLE child ADD COLUMN more text DEFAULT 'more'", 'COMMIT', () =>
      other.query(inserting(1)),
    );
    assert.deepEqual((await changer.query('SELECT * FROM child')).rows, [
      { id: 1, parent: 1, name: 'c!', more: 'more' },
    ]);
    await assert.rejects(
      beside("ALTER TABLE parent ADD CHECK (name <> 'B')", 'COMMIT', () => other.query(copying)),
      { code: '23514' },
    );
    await assert.rejects(
      beside('ALTER TABLE child ADD CHECK (parent IS NOT NULL)', 'COMMIT', () => other.query(deleting)),
      { code: '23514' },
    );
  });

  test('CREATE TRIGGER holds off writes: no row is without it', async () => {
    for (const sql of [
      'CREATE TABLE watched (id int, name text)',
      'CREATE TABLE seen (id int, name text)',
      'CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.id, NEW.name); RETURN NULL; END $$',
      "INSERT INTO watched VALUES (1, 'a')",
    ])
      await changer.query(sql);
    const writer = await join({ ...proxy });
    await writer.query('BEGIN');
    await writer.query("INSERT INTO watched VALUES (2, 'b')");
    await changer.query('BEGIN');
    const made = changer.query(
      'CREATE TRIGGER sees AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION see()',
    );
    await sleep(waits_ms);
    await writer.query('COMMIT');
    await made;
    await changer.query('INSERT INTO seen SELECT * FROM watched');
    const written = writer.query("INSERT INTO watched VALUES (3, 'c')");
    await sleep(waits_ms);
    await changer.query('COMMIT');
    await written;
    assert.deepEqual((await other.query('SELECT id FROM seen ORDER BY id')).rows, [
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
  });

  test('DDL waits for a write that computes for long, here and in another worker', async () => {
    await changer.query('CREATE TABLE slow (id int, body text)');
    const [writer, here] = [await join({ ...proxy }), await join({ ...proxy })];
    const elsewhere = await join({ ...(await proxy.second()) });
    for (const [n, [changing, computes_s, inTransaction]] of (
      [
        [here, 1.5, false],
        [elsewhere, 6, false],
        [here, 1.5, true],
        [elsewhere, 1.5, true],
      ] as const
    ).entries()) {
      const ends: string[] = [];
      const computed = writer
        .query(
          `INSERT INTO slow SELECT id, upper(body) FROM (SELECT 1 AS id, 'a' AS body) s, pg_sleep(${computes_s})`,
        )
        .then(() => ends.push('written'));
      await sleep(waits_ms);
      if (inTransaction) await changing.query('BEGIN');
      await changing.query(`ALTER TABLE slow ADD COLUMN later_${n} int NOT NULL DEFAULT 7`);
      ends.push('changed');
      if (inTransaction) await changing.query('COMMIT');
      await computed;
      assert.deepEqual(ends, ['written', 'changed']);
    }
    const { rows } = await changer.query(
      'SELECT count(*)::int AS rows, sum(later_3)::int AS later FROM slow',
    );
    assert.deepEqual(rows, [{ rows: 4, later: 28 }]);
  });

  test('DDL that waits for a write can be canceled, and then nobody waits for it', async () => {
    await changer.query('CREATE TABLE slower (id int, body text)');
    const [writer, changing] = [await join({ ...proxy }), await join({ ...proxy })];
    const computed = writer.query("INSERT INTO slower SELECT 1, 'a' FROM pg_sleep(3)");
    await sleep(waits_ms);
    const ddl = changing.query('ALTER TABLE slower ADD COLUMN later int');
    ddl.catch(() => undefined);
    await sleep(waits_ms);
    await cancel(changing);
    await assert.rejects(ddl, { code: '57014' });
    await changing.query("SET lock_timeout = '200ms'");
    await assert.rejects(changing.query('ALTER TABLE slower ADD COLUMN later int'), { code: '55P03' });
    assert.equal((await changing.query("INSERT INTO slower VALUES (2, 'b')")).rowCount, 1);
    await computed;
    await changing.query('DROP TABLE slower');
  });

  test('a portal that was bound before goes on by what is there now, or where it has begun as it was', async () => {
    await changer.query(
      "CREATE TABLE held (id int, body text); INSERT INTO held VALUES (1, 'a'), (2, 'b'); CREATE TABLE plain (id int)",
    );
    await changer.query("SECURITY LABEL FOR clarus ON COLUMN plain.id IS 'none'");
    const raw = await RawClient.connect(proxy);
    const ask = async (...messages: readonly FrontendMessage[]): Promise<string> => {
      raw.send(...messages);
      return told(await raw.until()).join('; ');
    };
    const bound = (sql: string): Promise<string> => ask(say.parse(sql), say.bind('', 'p'), say.sync);
    try {
      for (const [sql, ddl, outcome] of [
        ["UPDATE held SET body = 'a'", 'CREATE UNIQUE INDEX held_body ON held (body)', /23505/],
        ["INSERT INTO held VALUES (3, 'c')", "ALTER TABLE held ADD CHECK (body <> 'c')", /23514/],
        [
          "DELETE FROM held WHERE body > ''",
          'CREATE TRIGGER stay BEFORE DELETE ON held EXECUTE FUNCTION stay()',
          /P0001/,
        ],
      ] as const) {
        if (/TRIGGER/.test(ddl))
          await changer.query(
            "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$",
          );
        await ask(say.query('BEGIN'));
        assert.match(await bound(sql), /BindComplete/);
        await changer.query(ddl);
        assert.match(await ask(say.execute('p'), say.sync), outcome, sql);
        await ask(say.query('ROLLBACK'));
      }
      // one that has begun
      await ask(say.query('BEGIN'));
      assert.match(await bound('UPDATE held SET body = body || id RETURNING id'), /BindComplete/);
      assert.match(await ask(say.execute('p', 1), say.sync), /PortalSuspended/);
      await changer.query('CREATE TABLE elsewhere (id int)');
      assert.match(await ask(say.execute('p'), say.sync), /UPDATE/);
      await ask(say.query('ROLLBACK'));
      // one of the cloud's, which holds the lock that the DDL waits for
      await ask(say.query('BEGIN'));
      assert.match(await bound('INSERT INTO plain VALUES (1)'), /BindComplete/);
      const altered = changer.query('ALTER TABLE plain ADD CHECK (id < 100)');
      await sleep(waits_ms);
      assert.match(await ask(say.execute('p'), say.sync), /INSERT 0 1/);
      await ask(say.query('COMMIT'));
      await altered;
    } finally {
      await raw.close();
      await changer.query('DROP TABLE held, plain, elsewhere');
    }
  });

  test('no statement of other sessions fails while a table is altered again and again', async () => {
    const second = await proxy.second();
    const sessions = await Promise.all(
      [proxy, proxy, proxy, second, second].map(target => join({ ...target })),
    );
    const outcomes: string[] = [];
    let altering = true;
    const writing = sessions.map(async (client, i) => {
      for (let n = 0; altering; n++)
        outcomes.push(
          await write(client, 1000 * (i + 1) + n).then(
            () => 'done',
            (error: pg.DatabaseError) => `${error.code} ${error.message}`,
          ),
        );
    });
    let altered = 0;
    // on a slow machine few statements come between two changes
    while (altered < 6 || outcomes.length < 20)
      await changer.query(`ALTER TABLE note ADD COLUMN again_${altered++} text DEFAULT 'again'`);
    altering = false;
    await Promise.all(writing);
    assert.deepEqual([...new Set(outcomes)], ['done']);
    const { rows } = await changer.query(
      `SELECT count(*)::int AS all, count(again_${altered - 1})::int AS last FROM note WHERE id >= 1000`,
    );
    assert.deepEqual(rows, [{ all: outcomes.length, last: outcomes.length }]);
  });
});
