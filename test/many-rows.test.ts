/** Statements that return more rows at once than a function of JavaScript takes arguments. */
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';

const policy = `unlisted: pass
tables:
  public.big:
    columns:
      id: { protect: none }
      v: { class: confidential, protect: encrypt }`;

suite('many rows', () => {
  const sides = beside(policy, [
    'CREATE TABLE big (id int, v text)',
    'CREATE TABLE found (n int)',
    "INSERT INTO big SELECT i, 'v' FROM generate_series(1, 150000) AS i",
  ]);

  test('are returned to a body', async () => {
    await sides.alike(
      'DO $$ DECLARE n int := 0; r record; BEGIN FOR r IN SELECT id FROM big LOOP n := n + 1; EXIT WHEN n > 3; END LOOP; INSERT INTO found VALUES (n); END $$',
    );
    await sides.alike('SELECT n FROM found');
  });

  test('are locked by a query within another', async () => {
    await sides.alike(
      'WITH q AS (SELECT id FROM big WHERE length(v) = 1 FOR UPDATE) SELECT count(*), sum(id) FROM q',
    );
  });
});
