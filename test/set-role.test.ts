/** Sessions that act as roles of the application: what they may, and what they are told, is what PostgreSQL says. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { made, policy } from './set-role/schema.js';
import { bodies, reads, writes } from './set-role/scripts.js';
import { copied } from './support/copying.js';
import { fullOutcomeOf, type Step } from './support/outcome.js';
import { told as messagesTold, RawClient, say } from './support/raw-client.js';
import type { RecordedProxy } from './support/recorded-proxy.js';
import { type RoleSides, startRoleSides } from './support/role-server.js';

suite('SET ROLE', { timeout: 300_000 }, () => {
  let sides: RoleSides;
  let recorded: RecordedProxy;
  let plain: pg.Client;
  let ours: pg.Client;

  before(async () => {
    sides = await startRoleSides(policy, made);
    ({ recorded, plain, ours } = sides);
  });
  after(() => sides?.stop());

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

  const told = async (client: pg.Client, step: Step, extended: boolean): Promise<object> => {
    const { rows, detail: _detail, ...rest } = await fullOutcomeOf(client, step, extended);
    return { ...rest, rows: rows?.map(row => JSON.stringify(row)).sort() };
  };

  test('reads are permitted by table, column, view, schema and function', async () => {
    for (const role of ['reader', 'writer', 'nobody'])
      await alike(`SET ROLE ${role}`, ...reads, 'RESET ROLE');
  });

  test('writes are permitted by table and column', async () => {
    for (const role of ['reader', 'writer', 'nobody'])
      await alike(`SET ROLE ${role}`, ...writes, 'RESET ROLE');
  });

  test('the role follows transactions, savepoints, RESET, DISCARD and errors', async () => {
    await alike(
      'SET ROLE nothing_of_the_kind',
      'SET ROLE apart',
      'BEGIN',
      'SET ROLE nothing_of_the_kind',
      'SELECT 1',
      'ROLLBACK',
      'BEGIN',
      'SET LOCAL ROLE reader',
      'SELECT current_user, count(*) FROM patient',
      'SAVEPOINT a',
      'SET ROLE writer',
      'SELECT id, note FROM patient WHERE id = 1',
      'SELECT name FROM patient',
      'ROLLBACK TO a',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
      'SELECT count(*) FROM closed.things',
      'ROLLBACK TO a',
      'SELECT count(*) FROM closed.things',
      'ROLLBACK',
      'SELECT count(*) FROM closed.things',
      'SET ROLE reader',
      'BEGIN',
      'SET ROLE NONE',
      'SELECT count(*) FROM closed.things',
      'ROLLBACK',
      'SELECT count(*) FROM closed.things',
      'BEGIN',
      'SET ROLE TO DEFAULT',
      'COMMIT',
      'SELECT count(*) FROM closed.things',
      'BEGIN',
      "SET role = 'writer'",
      'SELECT 1 / 0',
      'ROLLBACK',
      'SELECT name FROM patient WHERE id = 1',
      'SET SESSION ROLE writer',
      'SELECT name FROM patient WHERE id = 1',
      'SET ROLE reader',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ALL',
      'SELECT cost FROM visit',
      'SET SESSION AUTHORIZATION writer',
      'SET SESSION AUTHORIZATION nothing_of_the_kind',
      'SELECT cost FROM visit',
      'SET SESSION AUTHORIZATION DEFAULT',
      'SELECT cost FROM visit',
      'SET ROLE reader',
      'RESET SESSION AUTHORIZATION',
      'SELECT cost FROM visit',
      'SET ROLE reader',
      'DISCARD ALL',
      'SELECT cost FROM visit',
    );
  });

  test('GRANT and REVOKE count from the next statement, in transactions too', async () => {
    await alike(
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
      'BEGIN',
      'GRANT SELECT ON patient TO nobody',
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'ROLLBACK',
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
      'GRANT reader TO nobody',
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
      'BEGIN',
      'REVOKE reader FROM nobody',
      'SET ROLE nobody',
      'SAVEPOINT a',
      'SELECT name FROM patient WHERE id = 1',
      'ROLLBACK',
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
      'REVOKE reader FROM nobody',
      'SET ROLE nobody',
      'SELECT name FROM patient WHERE id = 1',
      'RESET ROLE',
    );
  });

  test('prepared statements are permitted, or not, when they are executed', async () => {
    const named = {
      name: 'named',
      text: 'SELECT name FROM patient WHERE id = $1',
      values: [1],
      rowMode: 'array',
    };
    const answers = async (client: pg.Client): Promise<unknown> => {
      const found: unknown[] = [];
      const run = async (query: string | object): Promise<void> => {
        const answer: { rows?: unknown; code?: string; message?: string } = await client
          .query(query as string)
          .catch(error => error);
        const { rows, code, message } = answer;
        found.push({ rows, code, message });
      };
      for (const role of ['reader', 'nobody', 'writer', undefined, 'nobody', 'reader']) {
        await run(role === undefined ? 'RESET ROLE' : `SET ROLE ${role}`);
        await run(named);
        if (found.length === 2) await run('PREPARE p (int) AS SELECT name FROM patient WHERE id = $1');
        await run('EXECUTE p (1)');
        await run('EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) EXECUTE p (1)');
      }
      await run('RESET ROLE');
      await run('DEALLOCATE ALL');
      return found.map(answer => ({ ...(answer as object), rows: undefined }));
    };
    assert.deepEqual(await answers(ours), await answers(plain));
  });

  test('cursors give what was permitted when they were declared, and no more', async () => {
    await alike(
      'SET ROLE nobody',
      'BEGIN',
      'DECLARE c CURSOR FOR SELECT name FROM patient',
      'ROLLBACK',
      'SET ROLE reader',
      'BEGIN',
      'DECLARE c CURSOR FOR SELECT name FROM patient ORDER BY id',
      'DECLARE d CURSOR FOR SELECT id FROM patient ORDER BY note',
      'SET ROLE nobody',
      'FETCH 1 FROM c',
      'FETCH 1 FROM d',
      'SELECT name FROM patient',
      'ROLLBACK',
      'SET ROLE writer',
      'BEGIN',
      'DECLARE e CURSOR FOR SELECT note FROM open FOR UPDATE',
      'ROLLBACK',
      'RESET ROLE',
    );
  });

  test('COPY is permitted by columns', async () => {
    const { proxy } = recorded;
    const clarus = await RawClient.connect(proxy);
    const { user } = proxy.behind;
    const other = await RawClient.connect({ ...sides.server, user, password: 'secret', database: 'app' });
    try {
      for (const role of ['reader', 'writer', 'nobody'])
        for (const [sql, data] of [
          [`SET ROLE ${role}`, ''],
          ['COPY patient TO STDOUT', ''],
          ['COPY patient (id, note) TO STDOUT', ''],
          ['COPY (SELECT name FROM patient ORDER BY id) TO STDOUT', ''],
          ['COPY open (note) TO STDOUT', ''],
          ['BEGIN', ''],
          ['COPY patient (id, note) FROM STDIN', '20\tcopied\n'],
          ['ROLLBACK', ''],
          ['BEGIN', ''],
          ['COPY patient FROM STDIN', '21\tName\tcopied\n'],
          ['ROLLBACK', ''],
          ['BEGIN', ''],
          ['COPY open (id, note, owner) FROM STDIN', '30\tcopied\tme\n'],
          ['ROLLBACK', ''],
          ['BEGIN', ''],
          ['COPY open (note, owner) FROM STDIN', 'copied\tme\n'],
          ['ROLLBACK', ''],
        ] as const) {
          const [got, wanted] = [await copied(clarus, sql, data), await copied(other, sql, data)];
          assert.deepEqual(answered(got), answered(wanted), `${role}: ${sql}`);
        }
    } finally {
      await clarus.close();
      await other.close();
    }
  });

  /** What is not permitted is told before data are asked for, rights on sequences of defaults too. */
  const answered = (lines: readonly string[]): readonly string[] =>
    lines.filter(line => !/^(CopyInResponse|COPY |nowhere)/.test(line));

  test('pipelined messages each run as the role that was set before', async () => {
    const { proxy } = recorded;
    const clarus = await RawClient.connect(proxy);
    const { user } = proxy.behind;
    const other = await RawClient.connect({ ...sides.server, user, password: 'secret', database: 'app' });
    try {
      const batches = [
        ['SET ROLE nobody', 'SELECT count(*) FROM patient'],
        ['SELECT count(*) FROM patient'],
        ['SET ROLE reader', 'SELECT name FROM patient WHERE id = 1', 'SELECT cost FROM visit'],
        ['SELECT name FROM patient WHERE id = 1'],
        [
          'BEGIN',
          'SET LOCAL ROLE reader',
          'SELECT name FROM patient WHERE id = 1',
          'COMMIT',
          'SELECT sum(cost) FROM visit',
        ],
        ['SET ROLE reader'],
        ['RESET ROLE', 'SELECT sum(cost) FROM visit', 'SELECT 1 / 0'],
        ['SELECT sum(cost) FROM visit'],
      ];
      for (const batch of batches) {
        const answers: string[][] = [];
        for (const client of [other, clarus]) {
          client.send(...batch.flatMap(sql => say.run(sql)), say.sync);
          // where an error of rights is told: at Bind, or by us earlier, or later
          answers.push(
            messagesTold(await client.until()).filter(
              line => !/^(Parse|Bind)Complete|^RowDesc|^NoData/.test(line),
            ),
          );
        }
        assert.deepEqual(answers[1], answers[0], batch.join('; '));
        const several = batch.join('; ');
        const [theirs, got] = [
          messagesTold(await other.query(several)),
          messagesTold(await clarus.query(several)),
        ];
        assert.deepEqual(got, theirs, several);
      }
    } finally {
      await clarus.close();
      await other.close();
    }
  });

  test('views are read by their owners, and bodies of functions, triggers and blocks by the role', async () => {
    for (const role of ['reader', 'writer', 'nobody'])
      await alike(`SET ROLE ${role}`, ...bodies, 'RESET ROLE');
    await alike('SELECT * FROM log', 'SELECT * FROM closed.diary ORDER BY id');
  });

  test('what asks who the role is, or may what it may, is run as the role', async () => {
    const steps = [
      'SELECT * FROM mine',
      'SELECT m.note, p.name FROM mine m, patient p WHERE p.id = 1',
      'SELECT count(*) FROM mine',
      "SELECT note, has_table_privilege('patient', 'SELECT') FROM open ORDER BY 1",
      "SELECT note, has_table_privilege('visit', 'SELECT') FROM open ORDER BY 1",
      'SELECT id FROM patient WHERE name <> CURRENT_USER ORDER BY id',
      'SELECT of_things(), note FROM open ORDER BY note',
      'SELECT note FROM open WHERE of_things() > 0',
      'SELECT note, getpgusername() FROM open ORDER BY note',
      'SELECT counted(), id FROM patient',
      'SELECT as_owner(), note FROM open',
      'SELECT as_owner()',
      'BEGIN',
      'DECLARE c CURSOR FOR SELECT m.note FROM mine m ORDER BY 1',
      'FETCH ALL FROM c',
      'ROLLBACK',
      "SELECT note FROM mine UNION ALL SELECT current_user::text || has_table_privilege('visit', 'SELECT') FROM patient",
    ];
    for (const sql of [
      'CREATE FUNCTION of_things() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM closed.things$$',
      'CREATE FUNCTION as_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$SELECT count(*) FROM closed.things$$',
      'GRANT SELECT ON mine TO reader, writer',
    ])
      for (const client of [ours, plain]) await client.query(sql);
    for (const role of ['reader', 'writer', 'nobody'])
      await alike(`SET ROLE ${role}`, ...steps, 'RESET ROLE');
    await alike('GRANT USAGE ON SCHEMA closed TO reader', 'GRANT SELECT ON closed.things TO reader');
    await alike('SET ROLE reader', ...steps, 'RESET ROLE');
    await alike('REVOKE ALL ON SCHEMA closed FROM reader', 'REVOKE ALL ON closed.things FROM reader');
  });

  test('what would run with the rights of the session’s own role is refused', async () => {
    const { user } = recorded.proxy.behind;
    const refused = async (...statements: readonly string[]): Promise<void> => {
      for (const sql of statements)
        await assert.rejects(ours.query(sql), ({ code }: pg.DatabaseError) => code === '0A000', sql);
    };
    await ours.query(
      'CREATE FUNCTION of_tables() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM closed.things$$',
    );
    await ours.query(
      'CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO closed.things VALUES (7, NEW.note); RETURN NEW; END$$',
    );
    await ours.query(
      'CREATE FUNCTION whose(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT $1 <> CURRENT_USER$$',
    );
    await ours.query(
      `CREATE FUNCTION whose_else(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN whose($1); END$$`,
    );
    await ours.query('CREATE TABLE watched (id integer, note text)');
    await ours.query('CREATE TRIGGER fired BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION fired()');
    await ours.query('GRANT INSERT, SELECT ON watched TO reader');
    await ours.query('CREATE DOMAIN own_name AS text CHECK (VALUE <> CURRENT_USER)');
    await ours.query('CREATE TABLE named (id integer, own own_name)');
    await ours.query('GRANT INSERT ON named TO reader');
    await ours.query('GRANT SELECT ON mine TO reader');
    await refused(`SET ROLE pg_monitor`, "SELECT set_config('role', 'reader', false)");
    await ours.query(`SET ROLE ${pg.escapeIdentifier(user)}`);
    await ours.query('SET ROLE reader');
    await refused(
      "INSERT INTO watched VALUES (1, 'w')",
      "INSERT INTO open (id, note) VALUES (50, 'w')",
      'SELECT query FROM pg_stat_activity',
      'CREATE TEMP TABLE t (id integer)',
      'VACUUM',
      "COPY open TO PROGRAM 'true'",
      "COPY (SELECT note FROM open) TO PROGRAM 'true'",
      "COPY open (note) FROM '/etc/hostname'",
      "COPY open (note) FROM STDIN (DEFAULT 'D')",
      'INSERT INTO named VALUES (1, $$x$$)',
      'SELECT note FROM open WHERE whose(note)',
      'SELECT note FROM open WHERE whose_else(note)',
      "SELECT note, session_user, has_table_privilege('patient', 'SELECT') FROM open",
      "SELECT note, current_setting('role') FROM open",
    );
    await ours.query('PREPARE taken(bigint) AS SELECT id FROM open WHERE id = $1');
    const denied = async (sql: string): Promise<void> =>
      assert.rejects(ours.query(sql), ({ code }: pg.DatabaseError) => code === '42501', sql);
    await denied("EXECUTE taken(setval('open_id_seq', 1))");
    await denied("EXECUTE taken(nextval('open_id_seq'))");
    await denied('CREATE TABLE copied AS SELECT 1 AS one');
    await denied("SET log_statement = 'all'");
    await denied('SHOW data_directory');
    await denied('RESET log_statement');
    await ours.query("SET work_mem = '8MB'");
    await ours.query('RESET work_mem');
    await ours.query('RESET ROLE');
    await ours.query('CREATE SCHEMA reader');
    await ours.query('CREATE TABLE reader.open (note text)');
    await ours.query('GRANT USAGE ON SCHEMA reader TO reader');
    await ours.query('SET ROLE reader');
    await refused('SELECT note FROM open', 'SELECT name FROM patient');
    await refused('BEGIN; LOCK TABLE open IN ACCESS SHARE MODE');
    await ours.query('ROLLBACK');
    await ours.query('SET search_path = public');
    await ours.query('SELECT name FROM patient');
    await ours.query('RESET search_path');
    await ours.query('RESET ROLE');
    await ours.query('DROP TABLE reader.open');
    await ours.query('DROP SCHEMA reader');
    assert.deepEqual((await ours.query('SELECT count(*)::int AS n FROM closed.things')).rows, [{ n: 1 }]);
  });

  test('errors show nothing of a row that the role may not read', async () => {
    await ours.query('SET ROLE reader');
    const error = await ours.query('UPDATE strict SET id = NULL').catch((error: pg.DatabaseError) => error);
    assert.equal((error as pg.DatabaseError).code, '23502');
    assert.equal((error as pg.DatabaseError).detail, undefined);
    const block = `DO $$DECLARE d text; BEGIN UPDATE strict SET id = NULL;
      EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL; RAISE '% [%]', SQLSTATE, d; END$$`;
    await assert.rejects(ours.query(block), { message: '23502 []' });
    await ours.query('RESET ROLE');
  });

  test('a superuser of the cloud hears that the role is none', async () => {
    const admin = new pg.Client({ ...recorded.proxy.cloud });
    await admin.connect();
    const { user } = recorded.proxy.behind;
    await admin.query(`ALTER ROLE ${pg.escapeIdentifier(user)} SUPERUSER`);
    const client = await RawClient.connect(recorded.proxy);
    try {
      const heard: string[] = [];
      for (const sql of [
        'SET ROLE reader',
        'SELECT 1',
        'BEGIN',
        'RESET ROLE',
        'ROLLBACK',
        'SELECT 2',
        'SET ROLE NONE',
      ]) {
        client.send(say.query(sql));
        for (
          let message = await client.next();
          message?.kind !== 'ReadyForQuery';
          message = await client.next()
        )
          if (message?.kind === 'ParameterStatus') heard.push(`${sql}: ${message.name} ${message.value}`);
      }
      assert.deepEqual(heard, [
        'SET ROLE reader: is_superuser off',
        'RESET ROLE: is_superuser on',
        'SELECT 2: is_superuser off',
        'SET ROLE NONE: is_superuser on',
      ]);
    } finally {
      await client.close();
      await admin.query(`ALTER ROLE ${pg.escapeIdentifier(user)} NOSUPERUSER`);
      await admin.end();
    }
  });

  test('no cloud is told of a role', async () => {
    const sent = await recorded.sentWhile(() =>
      alike(
        'SET ROLE reader',
        'SELECT name FROM patient WHERE id = 1',
        'SELECT cost FROM visit',
        'RESET ROLE',
      ),
    );
    assert.ok(!/reader|SET ROLE|EXPLAIN/i.test(sent));
    for (const name of ['Ann', 'Bob', 'Cid']) assert.ok(!recorded.sent().includes(name), name);
  });
});
