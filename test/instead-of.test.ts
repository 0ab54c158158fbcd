/** INSTEAD OF triggers of views over protected tables do what they do in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { contents, ddl, fresh, policy, scripts, sentinels } from './triggers/views.js';

suite('INSTEAD OF triggers', { timeout: 200_000 }, () => {
  const sides = beside(policy, ddl);
  const clear = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows } = await client.query(
        `SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) AS sql FROM pg_trigger
          WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relkind = 'v') AND NOT tgisinternal`,
      );
      for (const { sql } of rows) await client.query(sql);
    }
    await sides.both(...fresh);
  };

  for (const [theme, steps] of Object.entries(scripts))
    test(`INSTEAD OF triggers do what they do in PostgreSQL: ${theme}`, async () => {
      await clear();
      const extended = Object.keys(scripts).indexOf(theme) % 2 === 0;
      assert.deepEqual(await sides.unorderedDifferences([...steps, ...contents], extended), []);
    });

  test('what a view shows of protected columns comes to no open column, and what is not fired says so', async () => {
    const instead = (routine: string, view = 'staff'): string =>
      `CREATE TRIGGER t INSTEAD OF INSERT OR UPDATE OR DELETE ON ${view} FOR EACH ROW EXECUTE FUNCTION ${routine}()`;
    const flows = /would flow to/;
    const kind = /^a write of this kind to the table "staff"/;
    const refused: readonly (readonly [string, string, RegExp])[] = [
      [instead('opens'), "INSERT INTO staff (id, name) VALUES (5, 'Agrajag')", flows],
      [instead('opens'), 'DELETE FROM staff WHERE id = 1', flows],
      [instead('opens', 'loud'), 'UPDATE loud SET id = 9 WHERE id = 1', flows],
      [
        `${instead('hides')}; CREATE TRIGGER u INSTEAD OF INSERT ON staff FOR EACH ROW EXECUTE FUNCTION opens_id()`,
        "INSERT INTO staff (id, name) VALUES (5, 'Agrajag')",
        flows,
      ],
      [instead('nothing'), 'INSERT INTO staff (id) SELECT length(name) FROM person', flows],
      [instead('nothing'), 'UPDATE staff SET ward = amount', flows],
      [
        instead('nothing'),
        'WITH w AS (INSERT INTO staff (id) VALUES (1) RETURNING id) SELECT * FROM w',
        kind,
      ],
      [instead('nothing'), 'INSERT INTO staff (id) VALUES (1) ON CONFLICT DO NOTHING', kind],
      [instead('nothing'), 'MERGE INTO staff s USING ward w ON s.id = w.id WHEN MATCHED THEN DELETE', kind],
      [instead('nothing'), 'INSERT INTO opened VALUES (5)', kind],
      [
        instead('nothing'),
        'COPY (INSERT INTO staff (id) VALUES (1) RETURNING id) TO STDOUT',
        /^COPY of what writes a protected table/,
      ],
      [
        instead('nothing', 'rich'),
        'CREATE OR REPLACE VIEW rich AS SELECT 1 AS id, note AS name, 1.5::numeric(10, 2) AS amount FROM noted',
        /cannot become one over unprotected tables/,
      ],
    ];
    const { ours } = sides;
    for (const [first, then, why] of refused) {
      await clear();
      for (const sql of first.split('; ')) await ours.query(sql);
      const { code, message } = await sides.outcome(ours, then);
      assert.equal(code, '0A000', `${first}; ${then}: ${message}`);
      assert.match(message!, why);
    }
    assert.deepEqual((await ours.query('SELECT * FROM noted')).rows, []);
  });

  test('EXPLAIN of a write to a view tells, and fires nothing', async () => {
    await clear();
    const { ours } = sides;
    await ours.query(
      'CREATE TRIGGER t INSTEAD OF INSERT OR DELETE ON staff FOR EACH ROW EXECUTE FUNCTION nothing()',
    );
    const { rows, notices } = await sides.outcome(
      ours,
      "EXPLAIN INSERT INTO staff (id, name) VALUES (1, 'Vogon')",
    );
    assert.match(JSON.stringify(rows), /Insert on staff/);
    assert.deepEqual(notices, []);
    const analysed = await sides.outcome(
      ours,
      'EXPLAIN (ANALYZE, TIMING off) DELETE FROM staff WHERE id = 1',
    );
    assert.match(JSON.stringify(analysed.rows), /Delete on staff/);
    assert.equal(analysed.notices?.length, 1);
  });

  test('nothing of what triggers of views see leaves in the clear', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('INSERT'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
