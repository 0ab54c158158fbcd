/** Objects that belong to roles of the application: what their owners and others may, and what is told of them, is what PostgreSQL says. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { dropped, foreign, handedOver, made, owners, policy, prepared } from './owners/scripts.js';
import { type FullOutcome, fullOutcomeOf, type Step } from './support/outcome.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';
import { type RoleSides, startRoleSides } from './support/role-server.js';

for (const extended of [false, true])
  suite(`owners, ${extended ? 'extended' : 'simple'} protocol`, { timeout: 300_000 }, () => {
    let sides: RoleSides;
    let recorded: RecordedProxy;
    let plain: pg.Client;
    let ours: pg.Client;

    before(async () => {
      sides = await startRoleSides(policy, prepared);
      ({ recorded, plain, ours } = sides);
    });
    after(() => sides?.stop());

    const told = async (client: pg.Client, step: Step): Promise<FullOutcome> => {
      const notices: string[] = [];
      const heard = (notice: { message?: string | undefined }): void =>
        void notices.push(notice.message ?? '');
      client.on('notice', heard);
      const outcome = await fullOutcomeOf(client, step, extended);
      client.off('notice', heard);
      // of keys that get tags PostgreSQL knows nothing
      return {
        ...outcome,
        notices: notices.filter(message => !/equality tag|no effect in the cloud/.test(message)),
      };
    };

    /** Both answer alike. */
    const alike = async (...steps: readonly Step[]): Promise<void> => {
      const found: unknown[] = [];
      for (const step of steps) {
        const [got, wanted] = await Promise.all([ours, plain].map(client => told(client, step)));
        if (!isDeepStrictEqual(got, wanted)) found.push({ step, got, wanted });
        if (got?.code === 'XX000') console.log(recorded.proxy.log.slice(-3));
      }
      assert.deepEqual(found, []);
    };

    test('what a role makes belongs to it', () => alike(...made, ...owners));
    test('what belongs to a role is changed by its owner only', () => alike(...foreign));
    test('what is given to a role belongs to it', () => alike(...handedOver));
    test('what a role owns is dropped, or reassigned, together', () => alike(...dropped, ...owners));
  });

suite('owners', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let ours: pg.Client;

  before(async () => {
    recorded = await startRecordedProxy(policy);
    ours = recorded.ours;
    for (const sql of prepared) await ours.query(sql);
  });
  after(async () => {
    await ours?.end().catch(() => undefined);
    await recorded?.stop();
  });

  const ownersOf = async (client: pg.Client): Promise<unknown> =>
    (
      await client.query(
        `SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class
          WHERE relname IN ('patient', 'plain', 'named', 'late', 'open') ORDER BY 1`,
      )
    ).rows.map(({ relname, owner }) => `${relname} ${owner}`);

  const refused = async (...statements: readonly string[]): Promise<void> => {
    for (const sql of statements)
      await assert.rejects(ours.query(sql), ({ code }: pg.DatabaseError) => code === '0A000', sql);
  };

  test('no cloud is told of an owner, nor of what is protected', async () => {
    for (const step of [...made, ...foreign]) {
      const [text, ...values] = typeof step === 'string' ? [step] : step;
      // the name is what is written there
      if (text.includes('current_user')) continue;
      await ours.query({ text, values }).catch(() => undefined);
    }
    await ours.query('RESET ROLE');
    const sent = recorded.sent();
    for (const name of ['maker', 'nobody', 'Ann', 'Bob', 'Gil']) assert.ok(!sent.includes(name), name);
    const cloud = new pg.Client({ ...recorded.proxy.behind });
    await cloud.connect();
    try {
      const found = await cloud.query(
        "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname IN ('patient', 'plain')",
      );
      assert.deepEqual(found.rows, [{ owner: recorded.proxy.behind.user }]);
    } finally {
      await cloud.end();
    }
  });

  test('a user keeps the rights of a role that owns what the user has made', async () => {
    await refused('REVOKE maker FROM CURRENT_USER');
    await ours.query('CREATE ROLE between');
    await ours.query('CREATE ROLE far');
    await ours.query('GRANT far TO between');
    await ours.query('GRANT CREATE, USAGE ON SCHEMA public TO far');
    await ours.query('GRANT between TO CURRENT_USER');
    await ours.query('SET ROLE far');
    await ours.query('CREATE TABLE farthest (id integer)');
    await ours.query('RESET ROLE');
    await ours.query('GRANT far TO CURRENT_USER WITH INHERIT FALSE');
    await refused(
      'REVOKE far FROM between',
      'DROP ROLE between',
      'ALTER ROLE between NOINHERIT; REVOKE far FROM between',
    );
    await ours.query('ROLLBACK').catch(() => undefined);
    await ours.query('CREATE ROLE distant');
    await ours.query('GRANT distant TO CURRENT_USER WITH INHERIT FALSE');
    await ours.query('GRANT CREATE, USAGE ON SCHEMA public TO distant');
    await refused('ALTER TABLE open OWNER TO distant');
    await ours.query('SET ROLE distant');
    await refused('CREATE TABLE of_distant (id integer)');
    await ours.query('RESET ROLE');
  });

  test('what the cloud, or another, would run with other rights than the owner’s is refused', async () => {
    await ours.query('SET ROLE maker');
    await refused(
      'CREATE FUNCTION definer() RETURNS integer LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$',
      'ALTER FUNCTION twice(integer) SECURITY DEFINER',
      "SECURITY LABEL FOR clarus ON COLUMN patient.note IS 'encrypt'",
      'CREATE TEMP TABLE passing (id integer)',
      'REINDEX SCHEMA public',
      'VACUUM',
      'VACUUM VERBOSE given',
      'ANALYZE plain, given',
      'ALTER TABLE plain ADD COLUMN who text DEFAULT current_user',
      'CREATE MATERIALIZED VIEW whose AS SELECT id, current_user AS who FROM plain',
    );
    await ours.query('CREATE MATERIALIZED VIEW filled AS SELECT id FROM plain');
    await ours.query('REFRESH MATERIALIZED VIEW filled');
    await ours.query('RESET ROLE');
    await refused('REFRESH MATERIALIZED VIEW filled');
    await ours.query(
      'CREATE FUNCTION own_definer() RETURNS integer LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$',
    );
    await refused('ALTER FUNCTION own_definer() OWNER TO maker');
  });

  test('what a role has made is its own after a crash between the commits, and after changes past Clarus', async () => {
    const { proxy } = recorded;
    const cloud = new pg.Client({ ...proxy.behind });
    await cloud.connect();
    await ours.query('CREATE TABLE slow (id integer)');
    await cloud.query(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()`);
    await ours.query('BEGIN');
    await ours.query('INSERT INTO slow VALUES (1)');
    await ours.query('SET ROLE maker');
    await ours.query('CREATE TABLE late (id integer)');
    await ours.query('ALTER TABLE late ADD COLUMN note text');
    await ours.query('RESET ROLE');
    await ours.query('ALTER TABLE open OWNER TO other');
    const commit = ours.query('COMMIT').catch(() => undefined);
    const { state } = proxy.trusted;
    const entries = 'SELECT redo FROM clarus.journal';
    while ((await state.query(entries)).rows.length === 0) await sleep(20);
    await state.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
      proxy.user,
    ]);
    await commit;
    while ((await state.query(entries)).rows.length > 0) await sleep(50);
    const wanted = ['late maker', 'named maker', 'open other', 'patient maker', 'plain maker'];
    ours = await recorded.reconnect();
    assert.deepEqual(await ownersOf(ours), wanted);
    await cloud.query('ALTER TABLE open ADD COLUMN past integer');
    await cloud.query('ALTER TABLE plain ADD COLUMN past integer');
    await cloud.end();
    ours = new pg.Client({ ...(await proxy.restart()) });
    await ours.connect();
    assert.deepEqual(await ownersOf(ours), wanted);
    await ours.query('SET ROLE nobody');
    await assert.rejects(ours.query('SELECT * FROM open'), { code: '42501' });
    await ours.query('SET ROLE other');
    assert.deepEqual((await ours.query('SELECT past FROM open')).rows, [{ past: null }]);
    await ours.query('RESET ROLE');
  });
});
