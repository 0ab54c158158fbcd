/** EXCLUDE constraints over protected columns with several sessions at once: no two rows that conflict ever stand. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { Clients } from './support/clients.js';
import { outcomeOf, type Step } from './support/outcome.js';
import { startProxy, type TestProxy } from './support/proxy.js';

const table =
  'CREATE TABLE stay (id int, room int, span int4range, EXCLUDE USING gist (room WITH =, span WITH &&))';

suite('EXCLUDE constraints with sessions at once', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let control: pg.Client;
  const clients = new Clients();
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
names: hidden
tables:
  public.stay:
    columns:
      id: { protect: none }
      room: { protect: none }
      span: { class: confidential, protect: encrypt }
  public.late:
    columns:
      id: { protect: none }
      span: { class: confidential, protect: encrypt }`,
    });
    control = await clients.join(proxy);
    const plain = await clients.join(proxy.plain);
    for (const client of [control, plain]) await client.query(`CREATE EXTENSION btree_gist; ${table}`);
  });
  after(async () => {
    await clients.end();
    await proxy?.stop();
  });
  const conflicting = async (): Promise<unknown[]> =>
    (
      await control.query(
        'SELECT a.id, b.id AS other FROM stay a JOIN stay b ON a.id < b.id AND a.room = b.room AND a.span && b.span',
      )
    ).rows;

  /** What a session comes to that waits for another one. */
  const waited = async (first: string, end: string, second: Step): Promise<unknown[]> => {
    const outcomes: unknown[] = [];
    for (const [target, server] of [
      [proxy, proxy.behind],
      [proxy.plain, proxy.plain],
    ] as const) {
      const own = new Clients();
      const [one, two, reader] = [await own.join(target), await own.join(target), await own.join(target)];
      const observer = await own.join(server);
      await one.query('TRUNCATE stay');
      await one.query("INSERT INTO stay VALUES (1, 1, '[1,5)'), (2, 1, '[5,9)')");
      await one.query('BEGIN');
      await one.query(first);
      const waiting = outcomeOf(two, second);
      const isWaiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
      while ((await observer.query(isWaiting)).rowCount === 0) await sleep(10);
      // readers are not held up
      const read = await reader.query({
        text: "SELECT id FROM stay WHERE span && '[1,99)' ORDER BY id",
        rowMode: 'array',
      });
      await one.query(end);
      const outcome = await waiting;
      const left = await one.query({ text: 'SELECT * FROM stay ORDER BY id', rowMode: 'array' });
      outcomes.push({ outcome, left: left.rows, read: read.rows });
      await own.end();
    }
    return outcomes;
  };
  const insert = "INSERT INTO stay VALUES (3, 1, '[2,4)')";
  for (const [first, second] of [
    ["INSERT INTO stay VALUES (4, 1, '[9,12)')", "INSERT INTO stay VALUES (3, 1, '[10,11)')"],
    [
      "INSERT INTO stay VALUES (4, 1, '[9,12)')",
      "INSERT INTO stay VALUES (3, 1, '[10,11)') ON CONFLICT DO NOTHING",
    ],
    ["INSERT INTO stay VALUES (4, 1, '[9,12)')", "UPDATE stay SET span = '[6,10)' WHERE id = 2"],
    ['DELETE FROM stay WHERE id = 1', insert],
    ['DELETE FROM stay WHERE id = 1', `${insert} ON CONFLICT DO NOTHING`],
    ["UPDATE stay SET span = '[20,21)' WHERE id = 1", insert],
    ['UPDATE stay SET room = 2 WHERE id = 1', insert],
  ] as const)
    for (const end of ['COMMIT', 'ROLLBACK'])
      test(`wait for what others write: ${first}; ${end}; ${second}`, async () => {
        const [ours, theirs] = await waited(first, end, second);
        assert.deepEqual(ours, theirs);
      });

  for (const level of ['REPEATABLE READ', 'SERIALIZABLE'])
    test(`do not miss a row that the snapshot of a ${level} transaction does not hold`, async () => {
      await control.query('TRUNCATE stay');
      const own = new Clients();
      const [one, two] = [await own.join(proxy), await own.join(proxy)];
      await one.query(`BEGIN ISOLATION LEVEL ${level}; SELECT count(*) FROM stay`);
      await two.query("INSERT INTO stay VALUES (1, 1, '[1,5)')");
      await assert.rejects(one.query("INSERT INTO stay VALUES (2, 1, '[2,3)')"), { code: '40001' });
      await one.query('ROLLBACK');
      await one.query(`BEGIN ISOLATION LEVEL ${level}; SELECT count(*) FROM stay`);
      await assert.rejects(one.query("INSERT INTO stay VALUES (2, 1, '[2,3)')"), { code: '23P01' });
      await one.query('ROLLBACK');
      await one.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO stay VALUES (2, 1, '[5,6)'); COMMIT`);
      assert.equal((await control.query('SELECT FROM stay')).rowCount, 2);
      await own.end();
    });

  test('do not miss the rows of a constraint that is younger than the snapshot', async () => {
    const own = new Clients();
    const [one, two] = [await own.join(proxy), await own.join(proxy)];
    await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM stay');
    await two.query('CREATE TABLE late (id int, span int4range, EXCLUDE USING gist (span WITH &&))');
    await two.query("INSERT INTO late VALUES (1, '[1,5)')");
    await assert.rejects(one.query("INSERT INTO late VALUES (2, '[2,3)')"), { code: '40001' });
    await own.end();
    await control.query('DROP TABLE late');
  });

  /** Sessions that write what may conflict. */
  const together = async (sessions: number, times: number): Promise<Map<string, number>> => {
    const outcomes = new Map<string, number>();
    const writes = [
      (i: number, at: number) => `INSERT INTO stay VALUES (${i}, ${at % 2}, '[${at},${at + 3})')`,
      (i: number, at: number) =>
        `BEGIN; INSERT INTO stay VALUES (${i}, ${at % 2}, '[${at},${at + 2})'); UPDATE stay SET span = '[${at + 2},${at + 4})' WHERE id = ${i}; COMMIT`,
      (i: number, at: number) => `UPDATE stay SET span = '[${at},${at + 2})' WHERE id % 7 = ${i % 7}`,
      (i: number, at: number) =>
        `INSERT INTO stay VALUES (${i}, 0, '[${at},${at + 3})'), (${i + 5000}, 1, '[${at},${at + 3})') ON CONFLICT DO NOTHING`,
      (i: number) => `DELETE FROM stay WHERE id % 5 = ${i % 5}`,
    ];
    await Promise.all(
      Array.from({ length: sessions }, async (_, session) => {
        const own = new Clients();
        let client = await own.join(proxy);
        for (let i = 0; i < times; i++) {
          const number = session * times + i;
          try {
            await client.query(writes[number % writes.length]!(number, (number * 7) % 60));
            outcomes.set('done', (outcomes.get('done') ?? 0) + 1);
          } catch (error) {
            const code = String((error as pg.DatabaseError).code);
            outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
            await client.query('ROLLBACK').catch(async () => {
              client = await own.join(proxy);
            });
          }
        }
        await own.end();
      }),
    );
    return outcomes;
  };

  test('never stand twice, whoever is first', async () => {
    await control.query('TRUNCATE stay');
    const outcomes = await together(5, 12);
    for (const code of outcomes.keys()) assert.ok(['done', '23P01', '40P01', '40001'].includes(code), code);
    assert.deepEqual(await conflicting(), []);
    assert.ok((outcomes.get('done') ?? 0) > 10);
  });

  test('never stand twice where connections to the cloud are cut', async () => {
    await control.query('TRUNCATE stay');
    const killer = await clients.join(proxy.behind);
    let over = false;
    const cutting = (async () => {
      while (!over) {
        await sleep(150);
        await killer.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend' AND datname = current_database() AND query !~ 'pg_stat' ORDER BY random() LIMIT 1",
        );
      }
    })();
    await together(4, 12);
    over = true;
    await cutting;
    control = await clients.join(proxy);
    assert.deepEqual(await conflicting(), []);
  });
});
