/** Transition tables of triggers of protected tables hold what they do in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { contents, ddl, fresh, policy, scripts, sentinels } from './triggers/transitions.js';

suite('transition tables', { timeout: 200_000 }, () => {
  const sides = beside(policy, ddl);
  const clear = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows } = await client.query(
        "SELECT format('DROP TRIGGER %I ON person', tgname) AS sql FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal",
      );
      for (const { sql } of rows) await client.query(sql);
    }
    await sides.both(...fresh);
  };

  for (const [theme, steps] of Object.entries(scripts))
    test(`transition tables do what they do in PostgreSQL: ${theme}`, async () => {
      await clear();
      const extended = Object.keys(scripts).indexOf(theme) % 2 === 0;
      assert.deepEqual(await sides.unorderedDifferences([...steps, ...contents], extended), []);
    });

  test('what transition tables hold of protected columns comes to no open place', async () => {
    const bodies: readonly string[] = [
      'INSERT INTO seen (note) SELECT name FROM n',
      'INSERT INTO seen (note) SELECT note FROM (SELECT id, upper(name) AS note FROM n) x',
      'INSERT INTO seen (id) SELECT length(max(name)) FROM n',
      'INSERT INTO seen (note) SELECT n::text FROM n',
      "EXECUTE 'INSERT INTO seen (note) SELECT x.name FROM n AS x'",
      'FOR r IN SELECT id, name FROM n LOOP INSERT INTO seen (note) VALUES (r.name); END LOOP',
      'SELECT count(*) AS c INTO r FROM n WHERE amount > 1; INSERT INTO seen (id) VALUES (r.c)',
      'UPDATE seen SET note = n.name FROM n',
    ];
    const { ours } = sides;
    await clear();
    await ours.query("INSERT INTO seen VALUES (0, 'stands')");
    for (const body of bodies) {
      await ours.query(
        `CREATE OR REPLACE FUNCTION leaks() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN ${body}; RETURN NULL; END $$`,
      );
      await ours.query(
        'CREATE OR REPLACE TRIGGER t AFTER INSERT ON person REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION leaks()',
      );
      const { code, message } = await sides.outcome(
        ours,
        "INSERT INTO person VALUES (30, 'a', 'Agrajag', 6)",
      );
      assert.equal(code, '0A000', `${body}: ${message}`);
      assert.match(message!, /would flow to|would come to the open/, body);
    }
    assert.deepEqual((await ours.query('SELECT * FROM seen')).rows, [{ id: 0, note: 'stands' }]);
  });

  test('a WITH query of the name of a transition table is refused', async () => {
    const { ours } = sides;
    await clear();
    await ours.query(
      'CREATE OR REPLACE FUNCTION leaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM (WITH n AS (SELECT 1) SELECT FROM n) x, n; RETURN NULL; END $$',
    );
    await ours.query(
      'CREATE OR REPLACE TRIGGER t AFTER INSERT ON person REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION leaks()',
    );
    await assert.rejects(ours.query("INSERT INTO person VALUES (30, 'a', 'Agrajag', 6)"), { code: '0A000' });
  });

  test('nothing of what transition tables hold leaves in the clear', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('INSERT'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
