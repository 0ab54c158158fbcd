/** UPDATE of what pg_class estimates of relations, by superusers: as in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';

suite('estimates', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt\ntables: {}', [
    'CREATE TABLE secret (id int, name text)',
    "INSERT INTO secret VALUES (1, 'Trillian'), (2, 'Zaphod')",
  ]);
  const shown = "SELECT c.reltuples, c.relpages, c.relallvisible FROM pg_class c WHERE c.relname = 'secret'";

  test('are set by superusers alone', async () => {
    const set = "UPDATE pg_class SET reltuples = 1 WHERE relname = 'secret'";
    assert.deepEqual(await sides.differences([set]), []);
    assert.equal((await sides.outcome(sides.ours, set)).code, '42501');
    const { proxy } = sides.recorded;
    const admin = new pg.Client({ ...proxy.cloud });
    await admin.connect();
    await admin.query(`ALTER ROLE ${pg.escapeIdentifier(proxy.behind.user)} SUPERUSER`);
    await admin.end();
    await proxy.trusted.ensureUser(proxy.database, proxy.user, proxy.behind.user, true);
    assert.deepEqual(await sides.differences([set.replace('1', '2'), shown]), []);
  });

  for (const [protocol, extended] of [
    ['simple', false],
    ['extended', true],
  ] as const)
    test(`are set, and told afterwards, ${protocol} queries`, async () => {
      const steps = [
        "UPDATE pg_class SET reltuples = 1000, relpages = 10, relallvisible = 3 WHERE relname = 'secret'",
        shown,
        'SELECT name FROM secret WHERE upper(name) > $$A$$ ORDER BY 1',
        "UPDATE pg_catalog.pg_class AS c SET reltuples = c.reltuples + 1 FROM pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = 'public' AND c.relname = 'secret' RETURNING c.relname, n.nspname, c.reltuples",
        "UPDATE pg_class SET (reltuples, relpages) = (5, 6) WHERE oid = 'secret'::regclass",
        shown,
        "UPDATE pg_class SET reltuples = 7 WHERE relname = 'no_such_table'",
        "UPDATE pg_class SET reltuples = 'x' WHERE relname = 'secret'",
        "UPDATE pg_class SET no_such_column = 1 WHERE relname = 'secret'",
      ];
      assert.deepEqual(await sides.differences(steps), []);
      if (extended)
        assert.deepEqual(
          await sides.differences([
            ['UPDATE pg_class SET reltuples = $1 WHERE relname = $2 RETURNING reltuples', '12', 'secret'],
            shown,
          ]),
          [],
        );
    });

  test('go with their transaction', async () => {
    const set = "UPDATE pg_class SET reltuples = 77 WHERE relname = 'secret'";
    for (const end of ['ROLLBACK', 'COMMIT']) {
      const steps = ['BEGIN', 'CREATE TABLE made (id int)', 'SAVEPOINT a', set, 'ROLLBACK TO a', shown];
      const read = 'SELECT upper(name) FROM secret ORDER BY 1';
      assert.deepEqual(await sides.differences([...steps, set, shown, read, end, shown, read]), []);
    }
    await sides.both('DROP TABLE made');
    await sides.ours.query('BEGIN');
    assert.equal((await sides.outcome(sides.ours, set)).code, '0A000');
    await sides.ours.query('ROLLBACK');
  });

  test('nothing else of it is changed, nor anything of Clarus', async () => {
    for (const sql of [
      "UPDATE pg_class SET relname = 'x' WHERE relname = 'secret'",
      "UPDATE pg_class SET reltuples = 1, relkind = 'v' WHERE relname = 'secret'",
      "DELETE FROM pg_class WHERE relname = 'secret'",
    ])
      assert.equal((await sides.outcome(sides.ours, sql)).code, '42501', sql);
    const own = "UPDATE pg_class SET reltuples = 1 WHERE relnamespace = 'clarus'::regnamespace";
    assert.equal((await sides.outcome(sides.ours, own)).rowCount ?? 0, 0);
  });

  test('the cloud sees no protected value', () => {
    assert.ok(!sides.recorded.sent().includes('Trillian'));
  });
});
