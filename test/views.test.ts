/** Writes through views that PostgreSQL updates by itself, over protected tables. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.person:
    columns:
      id: { protect: none }
      town: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      born: { class: confidential, protect: encrypt }`;

const tables = [
  "CREATE TABLE person (id int PRIMARY KEY, town text DEFAULT 'Ulm', name text UNIQUE DEFAULT 'Nobody', weight numeric CHECK (weight > 0), number serial, born date)",
  'CREATE TABLE allowed (town text)',
  "INSERT INTO allowed VALUES ('Ulm'), ('Bonn')",
  "INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 70), (2, 'Bonn', 'Trillian', 55)",
  'CREATE VIEW plainly AS SELECT name AS label, id AS key, weight, upper(name) AS loud FROM person',
  'CREATE VIEW defaulted AS SELECT id, name AS label, weight, town FROM person',
  "ALTER VIEW defaulted ALTER COLUMN label SET DEFAULT 'Marvin'",
  'ALTER VIEW defaulted ALTER weight SET DEFAULT 1.5',
  'CREATE VIEW light AS SELECT id, name, weight FROM person WHERE weight < 60 WITH CHECK OPTION',
  "CREATE VIEW named AS SELECT id AS i, name AS n FROM light WHERE name LIKE 'A%' WITH LOCAL CHECK OPTION",
  "CREATE VIEW below AS SELECT id, name, weight, town FROM person WHERE town = 'Ulm'",
  'CREATE VIEW above AS SELECT * FROM below AS b WHERE b.weight > 10 WITH CASCADED CHECK OPTION',
  'CREATE VIEW loosely AS SELECT * FROM below WHERE weight > 10 WITH LOCAL CHECK OPTION',
  'CREATE VIEW permitted AS SELECT id, town, name FROM person p WHERE EXISTS (SELECT FROM allowed a WHERE a.town = p.town) WITH CHECK OPTION',
];

const writes: Readonly<Record<string, readonly Step[]>> = {
  'ON CONFLICT': [
    "INSERT INTO plainly (key, label) VALUES (1, 'Arthur') ON CONFLICT (key) DO NOTHING",
    "INSERT INTO plainly (key, label) VALUES (1, 'Arthur'), (5, 'Ford') ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO plainly (key, label, weight) VALUES (1, 'Arthur', 9) ON CONFLICT (key) DO UPDATE SET label = excluded.label, weight = plainly.weight + excluded.weight RETURNING label, weight",
    [
      'INSERT INTO plainly AS p (key, label) VALUES ($1, $2) ON CONFLICT (label) DO UPDATE SET weight = p.weight * 2 WHERE p.weight > 10 RETURNING p.key, weight, loud',
      7,
      'Trillian',
    ],
    "INSERT INTO plainly (key, label) SELECT id, name || 'x' FROM person ON CONFLICT (key) DO UPDATE SET (label, weight) = (excluded.label, 3)",
    'INSERT INTO plainly (key) VALUES (1) ON CONFLICT (nothing) DO NOTHING',
    'INSERT INTO plainly (key) VALUES (1) ON CONFLICT (weight) DO NOTHING',
  ],
  'defaults of views': [
    'INSERT INTO defaulted (id) VALUES (10) RETURNING *',
    "INSERT INTO defaulted VALUES (11, DEFAULT, DEFAULT, DEFAULT), (12, 'Ford', 2, 'Bonn')",
    "INSERT INTO defaulted (label, id) VALUES ('Arthur', 13) RETURNING label, weight, town",
    'INSERT INTO defaulted (id, label) SELECT id + 20, name FROM allowed, (SELECT 1 AS id, NULL AS name) AS x LIMIT 1',
    'INSERT INTO defaulted (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET label = excluded.label RETURNING label',
  ],
  'WITH CHECK OPTION': [
    "INSERT INTO light VALUES (10, 'Arthur', 50) RETURNING *",
    "INSERT INTO light VALUES (11, 'Ford', 60)",
    "INSERT INTO light VALUES (11, 'Ford', NULL)",
    "INSERT INTO light VALUES (11, 'Ford', -1)",
    "INSERT INTO light (id, name, weight) SELECT id + 30, name || 'x', weight FROM person WHERE weight < 60",
    "INSERT INTO light SELECT id + 60, name || 'y', weight FROM person",
    "INSERT INTO named VALUES (12, 'Agrajag')",
    "INSERT INTO named VALUES (12, 'Ford')",
    "INSERT INTO above VALUES (13, 'Benjy', 20, 'Ulm')",
    "INSERT INTO above VALUES (14, 'Frankie', 20, 'Bonn')",
    "INSERT INTO above VALUES (14, 'Frankie', 5, 'Ulm')",
    "INSERT INTO loosely VALUES (14, 'Frankie', 20, 'Bonn')",
    "INSERT INTO loosely VALUES (15, 'Eddie', 5, 'Ulm')",
    "INSERT INTO permitted VALUES (16, 'Ulm', 'Eddie')",
    "INSERT INTO permitted VALUES (17, 'Köln', 'Gag')",
    "UPDATE light SET weight = weight + 1 WHERE name = 'Trillian'",
    "UPDATE light SET weight = 100 WHERE name = 'Trillian'",
    "UPDATE above SET town = 'Bonn' WHERE id = 1",
    "UPDATE named SET n = 'Bert' WHERE n = 'Arthur'",
    "UPDATE permitted SET town = 'Wien', name = 'Vogon' WHERE id = 1",
    'DELETE FROM above WHERE id = 1',
  ],
};
const sentinels = [
  'Zaphod',
  'Trillian',
  'Arthur',
  'Fenchurch',
  'Agrajag',
  'Benjy',
  'Frankie',
  'Vogon',
  'Marvin',
];

suite('writes through views', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);

  for (const [theme, steps] of Object.entries(writes))
    test(`write what PostgreSQL writes: ${theme}`, async () => {
      for (const step of steps) {
        await sides.alike(step);
        const all = 'SELECT id, town, name, weight, born FROM person ORDER BY id';
        await sides.alike(all, step);
      }
      await sides.both(
        'DELETE FROM person WHERE id > 2',
        "UPDATE person SET name = 'Zaphod', weight = 70, town = 'Ulm' WHERE id = 1",
      );
    });

  test('are of a view under another name, of other columns and in another schema too', async () => {
    for (const step of [
      'CREATE SCHEMA elsewhere',
      'CREATE VIEW renamed AS SELECT id, name FROM person',
      'CREATE VIEW places AS SELECT town FROM allowed',
      'ALTER VIEW renamed RENAME COLUMN name TO called',
      'ALTER VIEW renamed RENAME TO moved',
      'ALTER VIEW moved SET SCHEMA elsewhere',
      'ALTER VIEW elsewhere.moved SET (security_barrier = true)',
      'ALTER VIEW places RENAME TO towns',
      "ALTER VIEW towns ALTER town SET DEFAULT 'Ulm'",
      'ALTER VIEW IF EXISTS nothing RENAME TO something',
      'ALTER VIEW nothing RENAME TO something',
      "INSERT INTO elsewhere.moved (id, called) VALUES (70, 'Agrajag') RETURNING called",
      'INSERT INTO towns DEFAULT VALUES',
      'SELECT * FROM towns',
      'SELECT called FROM elsewhere.moved',
    ])
      await sides.alike(step);
  });

  test('show the cloud no protected value', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), `${sentinel} was sent`);
  });
});
