/** Errors that PostgreSQL words of the whole statement, of which Clarus runs parts: it says the same. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.patient:
    columns:
      town: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }`;

/** Each fails in a transaction that may not write. */
const writes: readonly Step[] = [
  "INSERT INTO patient (name) VALUES ('Ford')",
  ['INSERT INTO patient (name, town) VALUES ($1, $2) RETURNING id', 'Ford', 'Ulm'],
  "INSERT INTO patient (name) SELECT 'Ford'",
  "INSERT INTO patient (name) VALUES ('Zaphod') ON CONFLICT (name) DO UPDATE SET town = 'Bonn'",
  "UPDATE patient SET name = 'Ford'",
  "UPDATE patient SET name = 'Ford' WHERE name = 'Zaphod' RETURNING id",
  "UPDATE patient SET town = 'Bonn' WHERE name = 'Nobody'",
  'UPDATE patient SET name = upper(name)',
  "DELETE FROM patient WHERE name = 'Zaphod'",
  'DELETE FROM patient WHERE upper(name) = name',
  'MERGE INTO patient p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN DELETE',
  'WITH gone AS (DELETE FROM patient RETURNING *) SELECT upper(name) FROM gone',
  'SELECT id FROM patient FOR UPDATE',
  'SELECT upper(name) FROM patient FOR SHARE',
  "EXPLAIN ANALYZE UPDATE patient SET name = 'Ford'",
  'CREATE TABLE other (id int)',
  'CREATE TABLE other AS SELECT * FROM patient',
  'ALTER TABLE patient ADD COLUMN more int',
  'ALTER TABLE patient RENAME COLUMN town TO place',
  'ALTER TABLE patient RENAME TO person',
  'ALTER TABLE patient SET SCHEMA pg_catalog',
  'CREATE INDEX ON patient (town)',
  'CREATE TRIGGER notes BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION note()',
  'DROP TABLE patient',
  'DROP INDEX bytown',
  'DROP MATERIALIZED VIEW seen',
  'ALTER MATERIALIZED VIEW seen RENAME TO looked',
  'REFRESH MATERIALIZED VIEW seen',
  'TRUNCATE patient',
  "COMMENT ON TABLE patient IS 'patients'",
];

/** In a Query they have a parameter that nobody gives. */
const missing: readonly string[] = [
  'SELECT $1',
  'SELECT $1::int',
  "SELECT 'ä', id FROM patient WHERE name = $1",
  'SELECT upper(name) FROM patient WHERE id = $2',
  'INSERT INTO patient (name) VALUES ($1)',
  'UPDATE patient SET name = $1',
  'DELETE FROM patient WHERE id = $3',
  'SELECT town FROM open WHERE town = $1',
  'SELECT 1; SELECT name FROM patient WHERE name = $1',
];

suite('errors of whole statements', () => {
  const sides = beside(policy, [
    'CREATE TABLE patient (id serial PRIMARY KEY, town text, name text UNIQUE)',
    'CREATE INDEX bytown ON patient (town)',
    'CREATE TABLE open (town text)',
    'CREATE MATERIALIZED VIEW seen AS SELECT name FROM patient',
    'CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
    "INSERT INTO patient (town, name) VALUES ('Ulm', 'Zaphod')",
  ]);

  for (const extended of [false, true])
    test(`a transaction that may not write says so of the statement${extended ? ', in the extended protocol' : ''}`, async () => {
      const steps = writes.flatMap(step => ['BEGIN READ ONLY', step, 'ROLLBACK']);
      assert.deepEqual(
        await sides.differences(steps, (client, step) => sides.outcome(client, step, extended)),
        [],
      );
    });

  test('a statement that may not write takes no number from a sequence', async () => {
    const steps: readonly Step[] = [
      ...['BEGIN', 'SET TRANSACTION READ ONLY', "INSERT INTO patient (name) VALUES ('Ford')", 'ROLLBACK'],
      ...[
        'BEGIN READ ONLY',
        'SET TRANSACTION READ WRITE',
        "INSERT INTO patient (name) VALUES ('Trillian') RETURNING id",
        'COMMIT',
      ],
      "INSERT INTO patient (name) VALUES ('Arthur') RETURNING id",
    ];
    assert.deepEqual(await sides.differences(steps), []);
  });

  test('a parameter that nobody gives is not there', async () => {
    const { clarus, plain } = await sides.sessions();
    for (const sql of missing) {
      const [ours, theirs] = [clarus, plain].map(async client => {
        const told = await client.query(sql);
        return told.flatMap(message =>
          message.kind === 'ErrorResponse'
            ? [message.diagnostic.code, message.diagnostic.message, message.diagnostic.position]
            : [message.kind],
        );
      });
      assert.deepEqual(await ours, await theirs, sql);
    }
  });

  test('a materialised view is locked by nobody, in a transaction block and outside', async () => {
    const steps = [
      'LOCK TABLE seen',
      'BEGIN',
      'LOCK TABLE seen',
      'ROLLBACK',
      'BEGIN',
      'LOCK seen IN ACCESS SHARE MODE',
      'ROLLBACK',
    ];
    assert.deepEqual(await sides.differences(steps), []);
  });
});
