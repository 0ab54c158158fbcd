/** MERGE in all its forms, and OLD and NEW in RETURNING, over protected tables: what is written and returned is what PostgreSQL does. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { townsPolicy } from './support/people.js';
import type { TextStep } from './support/steps.js';

const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2) DEFAULT 7)',
  'CREATE TABLE counted (id serial PRIMARY KEY, name text)',
  'CREATE TABLE visit (id int, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20)',
  'CREATE TABLE made (id int PRIMARY KEY, name text, loud text GENERATED ALWAYS AS (upper(name)) STORED)',
  'CREATE TABLE watched (id int PRIMARY KEY, name text)',
  'CREATE TABLE seen (place int GENERATED ALWAYS AS IDENTITY, what text)',
  `CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO seen (what) VALUES (TG_OP || ' ' || coalesce(OLD.name, '-') || ' ' || coalesce(NEW.name, '-')); RETURN NULL; END $$`,
  'CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION see()',
  "INSERT INTO watched VALUES (1, 'Zaphod'), (5, 'Marvin'), (6, 'Arthur')",
  'CREATE VIEW rich AS SELECT id, name FROM person WHERE amount > 5',
  "INSERT INTO place VALUES (1, 'Ulm'), (2, 'Bonn'), (3, NULL), (7, 'Graz')",
  "INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 10.5), (2, 'Bonn', 'Trillian', 20), (3, 'Ulm', NULL, NULL), (4, NULL, 'Marvin', -3)",
  "INSERT INTO visit VALUES (1, 'Zaphod'), (2, 'Arthur'), (12, 'Marvin'), (13, NULL)",
];

const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Arthur', 'Fenchurch'];

/** Rows in an order: those of RETURNING have none. */
const ordered = (write: string): string => `WITH w AS (${write}) SELECT * FROM w ORDER BY w::text`;
const again = ['ROLLBACK', 'BEGIN'];
const rows = 'SELECT * FROM person ORDER BY id';

const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  'MERGE, rows without a partner in the source': [
    'BEGIN',
    'MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE',
    rows,
    ...again,
    "MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED AND p.amount > 15 THEN UPDATE SET amount = p.amount + 1 WHEN NOT MATCHED BY SOURCE AND p.name = 'Marvin' THEN UPDATE SET name = lower(p.name), town = NULL WHEN NOT MATCHED BY TARGET THEN INSERT (id, town, name) VALUES (s.id, s.town, 'Fenchurch')",
    rows,
    ...again,
    'MERGE INTO person USING place s ON person.id = s.id AND person.town = s.town WHEN NOT MATCHED BY SOURCE THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE',
    rows,
    ...again,
    "MERGE INTO person p USING (VALUES (1, 'Fenchurch'), (9, 'Arthur')) AS s (id, name) ON p.id = s.id WHEN NOT MATCHED BY SOURCE AND amount IS NULL THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = amount * 2 WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, DEFAULT, s.name)",
    rows,
    ...again,
    'MERGE INTO person p USING place s ON false WHEN NOT MATCHED BY SOURCE THEN DELETE',
    rows,
    ...again,
    'MERGE INTO person p USING (SELECT * FROM place WHERE false) s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = 0',
    rows,
    ...again,
    'MERGE INTO person p USING (SELECT NULL::int AS id FROM place) s ON p.id = s.id WHEN NOT MATCHED BY SOURCE AND id = 1 THEN DELETE WHEN NOT MATCHED BY TARGET THEN DO NOTHING',
    rows,
    ...again,
    "MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE AND id = 4 THEN UPDATE SET town = town || $$x$$, name = (SELECT max(lower(q.name)) FROM person q) WHEN NOT MATCHED BY TARGET AND town LIKE $$G%$$ THEN INSERT (id, town, name) VALUES (id, town, id || 'Fenchurch')",
    rows,
    ...again,
    'MERGE INTO person p USING place s ON p.id < s.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET THEN DO NOTHING',
    rows,
    ...again,
    'MERGE INTO person p USING place s ON p.id < s.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (id) VALUES (s.id + 60)',
    ...again,
    'MERGE INTO visit v USING place s ON v.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET id = v.id - 8, name = v.name || $$!$$ WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (s.id + 9, s.town)',
    'SELECT * FROM visit_1 ORDER BY id',
    'SELECT * FROM visit_2 ORDER BY id',
    ...again,
    'MERGE INTO person p USING place s JOIN place q USING (id) ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE',
    rows,
    ...again,
    'MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET name = s.town',
    'ROLLBACK',
  ],
  'MERGE, triggers': [
    'BEGIN',
    "MERGE INTO watched w USING place s ON w.id = s.id WHEN MATCHED THEN UPDATE SET name = w.name || s.town WHEN NOT MATCHED BY SOURCE AND w.id = 5 THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET name = lower(name) WHEN NOT MATCHED AND s.id = 2 THEN INSERT VALUES (id, 'Fenchurch')",
    'SELECT * FROM watched ORDER BY id',
    'SELECT what FROM seen ORDER BY what',
    'ROLLBACK',
  ],
  'MERGE, RETURNING': [
    'BEGIN',
    ordered(
      "MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET name = upper(p.name) || s.town, amount = 1 WHEN NOT MATCHED BY SOURCE THEN UPDATE SET town = 'away' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, 'Fenchurch') RETURNING merge_action(), p.*, s.id AS of, s.town AS there",
    ),
    rows,
    ...again,
    ordered(
      'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET name = lower(p.name), amount = p.amount / 3 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.town) RETURNING merge_action(), old.name AS was, new.name AS is, old.amount AS had, new.amount AS has, p.name, new.amount - old.amount AS more',
    ),
    ...again,
    ordered(
      'MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id) RETURNING WITH (OLD AS o, NEW AS n) merge_action() || $$?$$ AS act, o.id AS a, n.id AS b, n.town AS c, coalesce(o.name, n.name) AS d',
    ),
    ...again,
    "MERGE INTO person p USING (VALUES (1, 'Arthur')) AS s (key, word) ON p.id = s.key WHEN MATCHED THEN UPDATE SET name = word RETURNING *",
    "MERGE INTO person p USING (VALUES (50, 'Arthur')) AS s (key, word) ON p.id = s.key WHEN NOT MATCHED THEN INSERT (id, name) VALUES (key, word || p_no()) RETURNING *",
    ...again,
    "MERGE INTO person p USING (VALUES (50, 'Arthur')) AS s (key, word) ON p.id = s.key WHEN NOT MATCHED THEN INSERT (id, name) VALUES (key, word) RETURNING *, s.key + 1, s",
    ...again,
    "MERGE INTO person p USING (VALUES (50, 'Arthur')) AS s (key, word) ON p.id = s.key WHEN NOT MATCHED THEN INSERT (id, name) VALUES (key, word) RETURNING *, s, s.key + 1, word, amount",
    'MERGE INTO person USING place ON person.id = place.id WHEN MATCHED AND person.id = 1 THEN UPDATE SET name = (SELECT max(name) FROM person) RETURNING person.id, (SELECT count(*) FROM person q WHERE q.name = person.name), (SELECT count(*) FROM place), name, amount',
    'MERGE INTO person USING place ON person.id = place.id WHEN MATCHED AND person.id = 4 THEN DELETE RETURNING person.*',
    'MERGE INTO person USING place ON person.id = place.id WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), person.*',
    [
      'MERGE INTO person p USING (SELECT $1::int AS id, $2 AS name) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name) RETURNING merge_action(), p.name, $3::text',
      '2',
      'Arthur',
      'x',
    ],
    [
      'MERGE INTO person p USING (SELECT $1::int AS id, $2 AS name) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name) RETURNING merge_action(), p.name, $3::text',
      '60',
      'Arthur',
      'x',
    ],
    'MERGE INTO person p USING place s ON p.id = s.id AND s.id = 1 WHEN MATCHED THEN UPDATE SET amount = random() RETURNING p.amount = new.amount, old.amount',
    'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN DELETE RETURNING id',
    ...again,
    'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN DELETE RETURNING nothing',
    ...again,
    'SELECT merge_action() FROM person',
    ...again,
    ordered(
      'MERGE INTO visit v USING place s ON v.id = s.id WHEN MATCHED THEN UPDATE SET id = v.id + 10, name = v.name || s.town WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.town) RETURNING merge_action(), old.id AS a, new.id AS b, v.name',
    ),
    'SELECT * FROM visit_1 ORDER BY id',
    'SELECT * FROM visit_2 ORDER BY id',
    'ROLLBACK',
  ],
  'OLD and NEW': [
    'BEGIN',
    "UPDATE person SET name = name || '!', amount = amount + 1 WHERE id < 3 RETURNING id, old.name, new.name, name, new.amount - old.amount",
    "UPDATE person SET name = 'Fenchurch' WHERE name = 'Marvin' RETURNING old.name, new.name",
    'UPDATE person p SET amount = s.id FROM place s WHERE s.id = p.id AND p.id = 2 RETURNING WITH (OLD AS o) o.amount, p.amount, s.town, new.amount',
    'DELETE FROM person WHERE id = 1 RETURNING old.name, new.name, name, old.id IS NULL, new.id IS NULL',
    "DELETE FROM person WHERE lower(name) = 'fenchurch' RETURNING WITH (OLD AS before, NEW AS after) before.*, after.*",
    rows,
    ...again,
    "INSERT INTO person (id, name) VALUES (20, 'Arthur') RETURNING old.id, old.name, new.id, new.name, name, amount, new.amount",
    "INSERT INTO person (id, name) VALUES (21, 'Arthur'), (22, 'Marvin') RETURNING WITH (NEW AS n) n.*, old.*, n.name || coalesce(old.name, '?')",
    'INSERT INTO person (id, name) SELECT id + 30, upper(name) FROM person WHERE id < 3 ORDER BY id RETURNING new.name, old.id, person.id',
    "INSERT INTO person AS p (id, name) VALUES (1, 'Fenchurch'), (40, 'Arthur') ON CONFLICT (id) DO UPDATE SET name = excluded.name || p.name RETURNING p.id, old.name, new.name, p.name, old.amount, new.amount, old.id IS NULL",
    "INSERT INTO person (id, name) VALUES (1, 'Fenchurch'), (41, 'Arthur') ON CONFLICT DO NOTHING RETURNING old.name, new.name, id",
    'WITH w AS (UPDATE person SET amount = 0 WHERE id IN (1, 2) RETURNING old.amount AS had, new.amount AS has) SELECT * FROM w ORDER BY had',
    'WITH w AS (INSERT INTO person (id, amount) VALUES (70, 3) ON CONFLICT (id) DO UPDATE SET amount = 9 RETURNING old.amount AS had, new.amount AS has) SELECT * FROM w',
    rows,
    ...again,
    "INSERT INTO made (id, name) VALUES (1, 'Arthur'), (2, NULL) RETURNING old.loud, new.loud, loud, new.id",
    'DELETE FROM made RETURNING old.loud, new.loud',
    "INSERT INTO person (id, name) VALUES (80, 'Arthur') RETURNING older.name",
    ...again,
    "INSERT INTO person (id, name) VALUES (80, 'Arthur') RETURNING WITH (OLD AS o) old.name",
    ...again,
    'UPDATE visit SET id = id + 10 WHERE id < 10 RETURNING old.id, new.id, old.name',
    'DELETE FROM visit WHERE id > 11 RETURNING old.name, new.name',
    'ROLLBACK',
  ],
};

suite('MERGE and RETURNING', { timeout: 300_000 }, () => {
  const sides = beside(townsPolicy, tables);

  for (const extended of [false, true])
    for (const [name, steps] of Object.entries(scripts))
      test(`write and return what PostgreSQL does: ${name}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  test('fail where PostgreSQL does, and write nothing', async () => {
    for (const sql of [
      'UPDATE person SET amount = 1 / (id - 2) RETURNING id',
      'MERGE INTO person p USING place s ON s.id < 3 AND p.id = 1 WHEN MATCHED THEN UPDATE SET amount = 1 RETURNING p.id',
      'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN UPDATE SET amount = 1 RETURNING 1 / (p.id - 2)',
      'MERGE INTO person p USING place s ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) RETURNING p.id',
      'MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = 12345678 RETURNING p.amount',
      'MERGE INTO visit v USING place s ON v.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET id = 99',
      rows,
    ])
      await sides.alike(sql);
  });

  test('give no protected value to columns in the clear, and none to the cloud', async () => {
    for (const sql of [
      'MERGE INTO place USING person p ON place.id = p.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET town = p.name',
      'MERGE INTO person p USING place s ON p.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET town = name',
      'WITH w AS (UPDATE person SET amount = 0 RETURNING old.name AS was, id) UPDATE place SET town = w.was FROM w WHERE w.id = place.id',
      'WITH w AS (MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN DELETE RETURNING old.name AS was, s.id) UPDATE place SET town = w.was FROM w WHERE w.id = place.id',
      'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN DELETE RETURNING p',
      'MERGE INTO person p USING place s ON p.id = s.id WHEN MATCHED THEN DELETE RETURNING p.ctid',
      'MERGE INTO counted c USING place s ON c.id = s.id WHEN NOT MATCHED THEN INSERT (name) VALUES (s.town) RETURNING c.id',
      'INSERT INTO person (id) VALUES (90) RETURNING old',
      'MERGE INTO watched w USING place s ON w.id = s.id WHEN MATCHED THEN DELETE RETURNING w.name',
      'UPDATE watched SET name = name || id RETURNING old.name',
      'INSERT INTO rich (id) VALUES (90) RETURNING old.name',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000' }, sql);
    assert.deepEqual(await sides.differences([rows, 'SELECT * FROM place ORDER BY id']), []);
    for (const sentinel of sentinels) assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
  });
});
