/** Row level security over protected and open tables: who sees and writes which rows is what PostgreSQL says. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { bodies, changes, fired, firing, made, policy, reads, writes } from './row-security/schema.js';
import { copied } from './support/copying.js';
import { fullOutcomeOf, type Step } from './support/outcome.js';
import { RawClient } from './support/raw-client.js';
import type { RecordedProxy } from './support/recorded-proxy.js';
import { type RoleSides, startRoleSides } from './support/role-server.js';

suite('row level security', { timeout: 300_000 }, () => {
  let sides: RoleSides;
  let recorded: RecordedProxy;
  let plain: pg.Client;
  let ours: pg.Client;

  before(async () => {
    sides = await startRoleSides(policy, made);
    ({ recorded, plain, ours } = sides);
  });
  after(() => sides?.stop());

  const told = async (client: pg.Client, step: Step, extended: boolean): Promise<object> => {
    const { rows, detail: _detail, ...rest } = await fullOutcomeOf(client, step, extended);
    return { ...rest, rows: rows?.map(row => JSON.stringify(row)) };
  };

  /** Both answer alike, by both protocols. */
  const alike = async (...steps: readonly Step[]): Promise<void> => {
    const found: unknown[] = [];
    for (const step of steps)
      for (const extended of [false, true]) {
        const [got, wanted] = await Promise.all([ours, plain].map(client => told(client, step, extended)));
        if (!isDeepStrictEqual(got, wanted)) found.push({ step, extended, got, wanted });
      }
    assert.deepEqual(found, []);
  };

  /** Each step once. */
  const inTurn = async (protocol: 'simple' | 'extended', ...steps: readonly string[]): Promise<void> => {
    const found: unknown[] = [];
    for (const step of steps) {
      const [got, wanted] = await Promise.all(
        [ours, plain].map(client => told(client, step, protocol === 'extended')),
      );
      if (!isDeepStrictEqual(got, wanted)) found.push({ step, got, wanted });
    }
    assert.deepEqual(found, []);
  };

  test('reads give the rows that policies let the role see', async () => {
    for (const role of ['alice', 'bob', 'staff', 'outsider', 'NONE'])
      await alike(`SET ROLE ${role}`, "SET app.tenant = 'red'", ...reads, 'RESET ROLE');
  });

  test('writes find and make the rows that policies permit', async () => {
    const found: unknown[] = [];
    for (const role of ['alice', 'bob', 'NONE'])
      for (const tenant of role === 'alice' ? ['red', 'blue'] : ['red']) {
        await alike('BEGIN', `SET LOCAL ROLE ${role}`, `SET LOCAL app.tenant = '${tenant}'`, 'SAVEPOINT a');
        for (const [i, step] of writes.entries()) {
          const extended = i % 2 === 0;
          const [got, wanted] = await Promise.all([ours, plain].map(client => told(client, step, extended)));
          if (!isDeepStrictEqual(got, wanted)) found.push({ role, tenant, step, extended, got, wanted });
          for (const client of [ours, plain]) await client.query('ROLLBACK TO a');
        }
        await alike('ROLLBACK');
      }
    assert.deepEqual(found, []);
  });

  test('policies and exemptions count from the next statement, in transactions and for prepared statements too', async () => {
    await inTurn('simple', ...changes);
  });

  test('bodies, cursors and functions that leak are held to policies', async () => {
    for (const role of ['alice', 'bob']) {
      await alike('BEGIN', `SET LOCAL ROLE ${role}`, 'SAVEPOINT a');
      for (const step of bodies) {
        const isBlock = /^(BEGIN|ROLLBACK|RESET|DECLARE|FETCH)/.test(step);
        if (!isBlock) await inTurn(role === 'bob' ? 'extended' : 'simple', step, 'ROLLBACK TO a');
      }
      await alike('ROLLBACK');
      await inTurn(
        'simple',
        `SET ROLE ${role}`,
        ...bodies.filter(step => /^(BEGIN|ROLL|RESET|DECL|FETCH)/.test(step)),
      );
    }
  });

  test('COPY TO gives what SELECT gives, and COPY FROM is refused as PostgreSQL refuses it', async () => {
    const clients = await Promise.all([
      RawClient.connect(recorded.proxy),
      RawClient.connect({
        ...sides.server,
        user: recorded.proxy.behind.user,
        password: 'secret',
        database: 'app',
      }),
    ]);
    const both = async (sql: string): Promise<void> => {
      const [got, wanted] = await Promise.all(clients.map(client => copied(client, sql, '7\tseven\n')));
      assert.deepEqual(got, wanted, sql);
    };
    for (const role of ['alice', 'NONE']) {
      await both(`SET ROLE ${role}`);
      for (const sql of [
        'COPY document TO STDOUT',
        'COPY document (id, title) TO STDOUT (FORMAT csv, HEADER)',
        'COPY (SELECT id FROM document WHERE level > 2) TO STDOUT',
        'COPY key TO STDOUT',
        'COPY own TO STDOUT',
        'COPY own FROM STDIN',
        'COPY document (id, owner) FROM STDIN',
        'SET row_security = off',
        'COPY own TO STDOUT',
        'COPY own FROM STDIN',
        'RESET row_security',
      ])
        if (!(role === 'NONE' && sql.startsWith('COPY document (id, owner)'))) await both(sql);
    }
    for (const client of clients) client.close();
  });

  test('another session is held to policies that this one makes', async () => {
    await ours.query('RESET ROLE');
    const another = await recorded.reconnect();
    await another.query('SET ROLE alice');
    const count = async (): Promise<unknown> =>
      (await another.query('SELECT count(*)::integer AS n FROM document')).rows[0].n;
    const before = await count();
    await ours.query('CREATE POLICY all_of_it ON document FOR SELECT TO alice USING (true)');
    assert.equal(await count(), 6);
    await ours.query('DROP POLICY all_of_it ON document');
    assert.equal(await count(), before);
    await another.end();
  });

  test('what is not answered is refused', async () => {
    const refused = async (sql: string): Promise<void> => {
      const { code } = await fullOutcomeOf(ours, sql, false);
      assert.equal(code, '0A000', sql);
    };
    await ours.query('SET ROLE alice');
    for (const sql of [
      'SELECT id FROM document FOR UPDATE',
      'SELECT count(*) FROM document TABLESAMPLE BERNOULLI (100)',
      "INSERT INTO key VALUES (2, 'x') ON CONFLICT DO NOTHING",
      'MERGE INTO document d USING (SELECT 1 AS x) s ON d.id = s.x WHEN MATCHED THEN DELETE',
      "WITH w AS (INSERT INTO document VALUES (1, 'alice') RETURNING id) SELECT * FROM w",
      'UPDATE mine SET title = title',
      'SELECT id FROM document ORDER BY 1 / (level - 5)',
      'EXPLAIN DELETE FROM document',
      'SELECT id FROM quotient',
      "SELECT id FROM document WHERE read_setting('app.tenant') = tenant",
      'SELECT id FROM document WHERE clarus_version() = tenant',
      'COPY (DELETE FROM note RETURNING *) TO STDOUT',
      'COPY (UPDATE note SET body = body RETURNING *) TO STDOUT',
      "COPY (INSERT INTO note (tenant) VALUES ('red') RETURNING *) TO STDOUT",
      "COPY (SELECT * FROM note) TO '/tmp/note'",
    ])
      await refused(sql);
    await ours.query('RESET ROLE');
    await ours.query('CREATE TABLE branch (id integer) PARTITION BY LIST (id)');
    await ours.query('CREATE TABLE branch_1 PARTITION OF branch DEFAULT');
    for (const sql of [
      'ALTER TABLE branch_1 ENABLE ROW LEVEL SECURITY',
      'CREATE TABLE leaf () INHERITS (own)',
      'ALTER TABLE own ENABLE ROW LEVEL SECURITY, ADD COLUMN more integer',
    ])
      await refused(sql);
    await ours.query('CREATE TEMP TABLE passing (id integer)');
    await ours.query('ALTER TABLE passing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
    await refused('SELECT * FROM passing');
    await refused('CREATE POLICY p ON passing USING (true)');
    await ours.query("CREATE POLICY now ON own USING (now() > '2000-01-01')");
    await refused('SELECT * FROM own');
    await ours.query('DROP POLICY now ON own');
    for (const name of ['clarus.version', 'postgres_fdw.application_name', 'plpgsql.check_asserts']) {
      await ours.query(`CREATE POLICY others ON own USING (current_setting('${name}', true) = word)`);
      await refused('SELECT * FROM own');
      await ours.query('DROP POLICY others ON own');
    }
  });

  test('what the cloud runs by itself is refused where policies would be applied to it', async () => {
    await ours.query('RESET ROLE');
    for (const sql of fired) await ours.query(sql);
    await ours.query('ALTER TABLE note FORCE ROW LEVEL SECURITY');
    for (const sql of firing) assert.equal((await fullOutcomeOf(ours, sql, false)).code, '0A000', sql);
    assert.equal((await ours.query('SELECT * FROM gathered')).rows.length, 0);
    await ours.query('ALTER TABLE note NO FORCE ROW LEVEL SECURITY');
    for (const sql of [
      'INSERT INTO written VALUES (1)',
      'TRUNCATE emptied',
      'REFRESH MATERIALIZED VIEW shown_notes',
    ])
      await ours.query(sql);
    assert.ok((await ours.query('SELECT notes() AS n')).rows[0].n > 0);
    assert.ok((await ours.query('SELECT * FROM gathered')).rows.length > 0);
  });

  test('no cloud is told of policies, nor of values that they compare', async () => {
    const sent = await recorded.sentWhile(async () => {
      await ours.query(
        "CREATE POLICY quiet ON document TO alice USING (title = 'policy-secret' AND owner <> 'zoe')",
      );
      await ours.query('SET ROLE alice');
      await ours.query('SELECT * FROM document');
      await ours.query("UPDATE document SET title = 'still-secret' WHERE owner = 'alice'");
      await ours.query("INSERT INTO document VALUES (30, 'alice', 1, 'insert-secret', 'red')");
      await ours.query('RESET ROLE');
      await ours.query('DROP POLICY quiet ON document');
    });
    for (const word of [
      'policy-secret',
      'zoe',
      'still-secret',
      'insert-secret',
      'POLICY',
      'quiet',
      'SET ROLE',
    ])
      assert.ok(!sent.includes(word), word);
    assert.ok(!recorded.sent().includes('hidden-five'));
  });
});
