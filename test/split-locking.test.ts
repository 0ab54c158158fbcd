/** SELECT ... FOR UPDATE over joins: PostgreSQL's planner says which rows cannot be locked. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.owner:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }
  public.pet:
    columns:
      id: { protect: none }
      owner: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }`;

suite('rows that a join locks', () => {
  const sides = beside(policy, [
    'CREATE TABLE owner (id int PRIMARY KEY, name text)',
    'CREATE TABLE pet (id int PRIMARY KEY, owner int, name text)',
    "INSERT INTO owner VALUES (1, 'Ada'), (2, 'Bob')",
    "INSERT INTO pet VALUES (1, 1, 'Rex')",
  ]);

  const left = 'SELECT o.id, upper(p.name) AS pet FROM owner o LEFT JOIN pet p ON p.owner = o.id';
  const steps: readonly Step[] = [
    `${left} ORDER BY o.id FOR UPDATE`,
    `${left} ORDER BY o.id FOR SHARE OF p`,
    `${left} ORDER BY o.id FOR UPDATE OF o`,
    `${left} WHERE upper(p.name) = 'REX' FOR UPDATE`,
    [`${left} WHERE upper(p.name) = $1 FOR NO KEY UPDATE`, 'REX'],
    [`${left} WHERE upper(o.name) = $1 FOR NO KEY UPDATE`, 'ADA'],
    "SELECT o.id FROM pet p RIGHT JOIN owner o ON p.owner = o.id AND upper(o.name) = 'ADA' ORDER BY 1 FOR UPDATE OF p",
    'SELECT upper(o.name) FROM owner o FULL JOIN pet p ON p.owner = o.id FOR KEY SHARE OF o',
    `WITH l AS (${left} FOR UPDATE) UPDATE pet SET name = upper(pet.name) FROM l WHERE l.id = pet.owner`,
    `WITH l AS (${left} FOR UPDATE OF o) UPDATE pet SET name = upper(pet.name) FROM l WHERE l.id = pet.owner`,
    'SELECT id, name FROM pet',
    // a parameter that is NULL makes no row of the other side necessary
    [`${left} WHERE upper(p.name) = $1 FOR UPDATE`, null],
    [`${left} WHERE p.name = $1 AND upper(o.name) = 'ADA' FOR UPDATE`, 'Rex'],
    "SELECT o.id, p.id FROM owner o LEFT JOIN pet p ON p.owner = o.id WHERE p.name = 'REX' FOR UPDATE",
    "SELECT o.id, p.id FROM owner o LEFT JOIN pet p ON p.owner = o.id WHERE coalesce(p.name, '') <> 'REX' FOR UPDATE",
    'SELECT o.id, p.id FROM owner o LEFT JOIN pet p ON p.owner = o.id ORDER BY 1 FOR UPDATE',
    'SELECT o.id, p.id FROM owner o LEFT JOIN pet p ON p.owner = o.id ORDER BY 1 FOR UPDATE OF o',
    `${left} JOIN pet q ON q.name = p.name ORDER BY 1 FOR UPDATE`,
    `EXPLAIN ${left} FOR UPDATE`,
    `SELECT id FROM (${left} FOR UPDATE) AS l`,
    'BEGIN READ ONLY',
    `${left} FOR UPDATE`,
    'ROLLBACK',
    'BEGIN READ ONLY',
    `${left} FOR UPDATE OF o`,
    'ROLLBACK',
    'BEGIN',
    'SAVEPOINT before',
    `${left} ORDER BY o.id FOR UPDATE`,
    'ROLLBACK TO before',
    `${left} ORDER BY o.id FOR UPDATE OF o`,
    'COMMIT',
  ];

  for (const extended of [false, true])
    test(`are locked or refused as PostgreSQL does${extended ? ', in the extended protocol' : ''}`, async () => {
      assert.deepEqual(await sides.unorderedDifferences(steps, extended), []);
    });
});
