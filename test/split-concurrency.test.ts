/** Split writes of several sessions at once: no update is lost, no key stands twice, and nobody waits for ever. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { Clients } from './support/clients.js';
import { startProxy, type TestProxy } from './support/proxy.js';

suite('split writes at once', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let control: pg.Client;
  const clients = new Clients();
  const connect = (target: pg.ClientConfig = proxy): Promise<pg.Client> => clients.join(target);
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.account:
    columns:
      id: { protect: none }
      owner: { protect: encrypt, queries: [equality] }
  public.entry:
    columns:
      id: { protect: none }`,
    });
    control = await connect();
    await control.query('CREATE TABLE account (id int PRIMARY KEY, owner text UNIQUE, balance numeric)');
    await control.query('CREATE TABLE entry (id serial PRIMARY KEY, owner text, amount numeric)');
  });
  after(async () => {
    await clients.end();
    await proxy?.stop();
  });
  const reset = async (): Promise<void> => {
    await control.query('TRUNCATE account, entry');
    await control.query("INSERT INTO account VALUES (1, 'a', 0), (2, 'b', 100), (3, 'c', 100)");
  };
  const balances = async (): Promise<unknown[]> =>
    (await control.query({ text: 'SELECT id, balance FROM account ORDER BY id', rowMode: 'array' })).rows;
  /** Lets sessions do something some times each, and counts what they end with. */
  const together = async (
    sessions: number,
    times: number,
    work: (client: pg.Client, i: number) => Promise<unknown>,
  ): Promise<Map<string, number>> => {
    const outcomes = new Map<string, number>();
    const count = (code: string): void => void outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    const own = await Promise.all(Array.from({ length: sessions }, () => connect()));
    await Promise.all(
      own.map(async (client, session) => {
        for (let i = 0; i < times; i++)
          try {
            await work(client, session * times + i);
            count('done');
          } catch (error) {
            const { code } = error as pg.DatabaseError;
            await client.query('ROLLBACK');
            count(String(code));
          }
      }),
    );
    return outcomes;
  };

  test('lose no update of one row', async () => {
    await reset();
    const outcomes = await together(4, 15, client =>
      client.query('UPDATE account SET balance = balance + 1 WHERE id = 1'),
    );
    assert.deepEqual([...outcomes], [['done', 60]]);
    assert.deepEqual((await balances())[0], [1, '60']);
  });

  test('lose no update in transactions', async () => {
    await reset();
    const outcomes = await together(4, 10, async client => {
      await client.query('BEGIN');
      await client.query("UPDATE account SET balance = balance + 1 WHERE owner LIKE 'a%'");
      await client.query(
        "INSERT INTO entry (owner, amount) SELECT owner, 1 FROM account WHERE owner LIKE 'a%'",
      );
      await client.query('COMMIT');
    });
    assert.deepEqual([...outcomes], [['done', 40]]);
    assert.deepEqual((await balances())[0], [1, '40']);
    assert.equal((await control.query('SELECT sum(amount) FROM entry')).rows[0].sum, '40');
  });

  test('look again at conditions over rows that changed meanwhile', async () => {
    await reset();
    const outcomes = await together(6, 10, client =>
      client.query('UPDATE account SET balance = balance - 7 WHERE id = 2 AND balance >= 7'),
    );
    assert.deepEqual([...outcomes], [['done', 60]]);
    assert.deepEqual((await balances())[1], [2, '2']);
  });

  test('insert a key once and count the rest, by ON CONFLICT', async () => {
    await reset();
    const outcomes = await together(4, 10, (client, i) =>
      client.query(
        'INSERT INTO account (id, owner, balance) VALUES ($1, $2, 1) ON CONFLICT (owner) DO UPDATE SET balance = account.balance + excluded.balance',
        [1000 + i, `new${i % 3}`],
      ),
    );
    assert.deepEqual([...outcomes], [['done', 40]]);
    const { rows } = await control.query(
      "SELECT count(*)::int AS keys, sum(balance)::int AS total FROM account WHERE owner LIKE 'new%'",
    );
    assert.deepEqual(rows, [{ keys: 3, total: 40 }]);
  });

  test('move amounts between rows without losing any; a deadlock ends in 40P01', async () => {
    await reset();
    const outcomes = await together(3, 5, async (client, i) => {
      const [from, to] = i % 2 === 0 ? [2, 3] : [3, 2];
      await client.query('BEGIN');
      await client.query('UPDATE account SET balance = balance - 1 WHERE id = $1', [from]);
      await client.query('UPDATE account SET balance = balance + 1 WHERE id = $1', [to]);
      await client.query('COMMIT');
    });
    for (const code of outcomes.keys()) assert.ok(['done', '40P01'].includes(code), code);
    const total = (await balances()).map(row => Number((row as string[])[1])).reduce((a, b) => a + b);
    assert.equal(total, 200);
  });

  test('fail with 40001 where the transaction has one snapshot, and lose nothing', async () => {
    await reset();
    const outcomes = await together(4, 10, async client => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query('UPDATE account SET balance = balance + 1 WHERE id = 1');
      await client.query('COMMIT');
    });
    for (const code of outcomes.keys()) assert.ok(['done', '40001'].includes(code), code);
    assert.deepEqual((await balances())[0], [1, String(outcomes.get('done'))]);
  });

  for (const change of [
    'UPDATE account SET balance = balance + 1 WHERE id = 2',
    'DELETE FROM account WHERE id = 2',
  ])
    for (const waits of [
      "SELECT id, balance FROM account WHERE owner LIKE '%b%' ORDER BY id FOR UPDATE",
      'SELECT a.id, e.amount FROM account a, entry e WHERE upper(a.owner) = upper(e.owner) FOR NO KEY UPDATE OF a',
      "UPDATE account SET balance = balance * 2 WHERE owner LIKE '%b%' RETURNING id, balance",
      'UPDATE account SET balance = balance + 10 WHERE balance > 50',
      'UPDATE account a SET balance = amount FROM entry e WHERE e.owner = lower(a.owner) RETURNING a.id, balance',
      "DELETE FROM account WHERE owner LIKE '%b%' RETURNING id, balance",
    ])
      test(`what comes while a statement waits is not of it: ${change}; ${waits}`, async () => {
        const outcomes: unknown[] = [];
        for (const [target, server] of [
          [proxy, proxy.behind],
          [proxy.plain, proxy.plain],
        ] as const) {
          const own = new Clients();
          const [one, two, observer] = [
            await own.join(target),
            await own.join(target),
            await own.join(server),
          ];
          if (target === proxy.plain) {
            await one.query('DROP TABLE IF EXISTS account, entry');
            await one.query('CREATE TABLE account (id int PRIMARY KEY, owner text UNIQUE, balance numeric)');
            await one.query('CREATE TABLE entry (id serial PRIMARY KEY, owner text, amount numeric)');
            await one.query("INSERT INTO account VALUES (1, 'a', 0), (2, 'b', 100), (3, 'c', 100)");
          } else await reset();
          await one.query("INSERT INTO entry (owner, amount) VALUES ('b', 7), ('bb', 8)");
          await one.query('BEGIN');
          await one.query(change);
          await one.query("INSERT INTO account VALUES (4, 'bb', 60)");
          const waited = two.query({ text: waits, rowMode: 'array' });
          const isWaiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
          while ((await observer.query(isWaiting)).rowCount === 0) await sleep(10);
          await one.query('COMMIT');
          const { command, rowCount, rows } = await waited;
          const left = await one.query({ text: 'SELECT * FROM account ORDER BY id', rowMode: 'array' });
          outcomes.push({ command, rowCount, rows, left: left.rows });
          await own.end();
        }
        assert.deepEqual(outcomes[0], outcomes[1]);
      });

  test('lock the rows that a query returns, and no others', async () => {
    await reset();
    const [one, two] = [await connect(), await connect()];
    await one.query('BEGIN');
    await one.query("SELECT * FROM account WHERE owner LIKE '%b%' FOR UPDATE");
    await two.query('UPDATE account SET balance = balance + 1 WHERE id = 1');
    const locked = (sql: string): Promise<unknown> => two.query(sql);
    await assert.rejects(locked('SELECT upper(owner) FROM account WHERE id = 2 FOR SHARE NOWAIT'), {
      code: '55P03',
      message: 'could not obtain lock on row in relation "account"',
    });
    const free = await two.query(
      'SELECT upper(owner) AS owner FROM account ORDER BY id FOR UPDATE SKIP LOCKED',
    );
    assert.deepEqual(free.rows, [{ owner: 'A' }, { owner: 'C' }]);
    const first = await two.query(
      'SELECT id FROM account WHERE balance + 0 > 10 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED',
    );
    assert.deepEqual(first.rows, [{ id: 3 }]);
    // who waits sees what the other has made of the row
    const waited = two.query(
      'SELECT balance + 0 AS balance FROM account WHERE balance + 0 >= 100 ORDER BY id FOR UPDATE',
    );
    await one.query('UPDATE account SET balance = 5 WHERE id = 2');
    await one.query('COMMIT');
    assert.deepEqual((await waited).rows, [{ balance: '100' }]);
  });

  test('take each job of a queue once', async () => {
    await reset();
    await control.query("INSERT INTO entry (owner, amount) SELECT 'job', n FROM generate_series(1, 30) n");
    const taken: number[] = [];
    const outcomes = await together(4, 10, async client => {
      const { rows } = await client.query(
        'WITH next AS (SELECT id FROM entry WHERE amount + 0 > 0 ORDER BY amount LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE entry SET amount = -amount FROM next WHERE next.id = entry.id RETURNING entry.id, amount',
      );
      taken.push(...rows.map(row => row.id));
    });
    assert.deepEqual([...outcomes], [['done', 40]]);
    assert.equal(taken.length, 30);
    assert.equal(new Set(taken).size, 30);
  });

  test('are undone with their savepoint and their transaction', async () => {
    await reset();
    const client = await connect();
    await client.query('BEGIN');
    await client.query('UPDATE account SET balance = balance + 1 WHERE id = 1');
    await client.query('SAVEPOINT s');
    await client.query('UPDATE account SET balance = balance + 10');
    await client.query(
      "INSERT INTO account (id, owner, balance) VALUES (9, 'a', 5) ON CONFLICT (owner) DO UPDATE SET balance = account.balance + 100",
    );
    await assert.rejects(client.query('UPDATE account SET balance = balance / 0'), { code: '22012' });
    await client.query('ROLLBACK TO s');
    assert.equal((await client.query('SELECT balance FROM account WHERE id = 1')).rows[0].balance, '1');
    await client.query('COMMIT');
    await client.query('BEGIN; UPDATE account SET balance = balance + 1; ROLLBACK');
    assert.deepEqual(await balances(), [
      [1, '1'],
      [2, '100'],
      [3, '100'],
    ]);
  });
});
