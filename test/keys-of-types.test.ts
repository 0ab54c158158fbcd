/** Keys, references and comparisons of protected columns whose types are enums and domains. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const steps: readonly Step[] = [
  "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
  "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
  'CREATE DOMAIN work_email AS email',
  'CREATE DOMAIN positive AS int CHECK (VALUE > 0)',
  'CREATE DOMAIN feeling AS mood',
  'CREATE TABLE person (id positive PRIMARY KEY, mail work_email UNIQUE, kind mood, f feeling, UNIQUE (id, kind))',
  "INSERT INTO person VALUES (1, 'a@b', 'sad', 'sad'), (2, 'c@d', 'ok', NULL), (3, NULL, NULL, 'happy')",
  "INSERT INTO person VALUES (1, 'x@b', 'sad')",
  "INSERT INTO person VALUES (7, 'a@b', 'sad')",
  "INSERT INTO person VALUES (0, 'z@b', 'sad')",
  "INSERT INTO person VALUES (8, 'zb', 'sad')",
  "SELECT * FROM person WHERE mail = 'a@b' ORDER BY id",
  'SELECT * FROM person WHERE id = 2',
  ['SELECT * FROM person WHERE id = $1', 2],
  ['SELECT * FROM person WHERE mail = $1', 'c@d'],
  ['SELECT * FROM person WHERE kind = $1', 'ok'],
  "SELECT * FROM person WHERE kind = 'ok' ORDER BY id",
  "SELECT * FROM person WHERE kind IN ('ok', 'sad') ORDER BY id",
  "SELECT * FROM person WHERE kind <> 'ok' ORDER BY id",
  "SELECT * FROM person WHERE f = 'happy' ORDER BY id",
  'SELECT * FROM person WHERE f = kind ORDER BY id',
  'SELECT * FROM person WHERE kind = ANY ($$ {ok,happy} $$) ORDER BY id',
  'SELECT kind, count(*) FROM person GROUP BY kind ORDER BY kind',
  'SELECT p.id, q.id FROM person p JOIN person q ON p.kind = q.kind ORDER BY 1, 2',
  'CREATE TABLE visit (n serial, mail work_email REFERENCES person (mail) ON UPDATE CASCADE ON DELETE CASCADE, p int REFERENCES person (id), kind mood, FOREIGN KEY (p, kind) REFERENCES person (id, kind))',
  "INSERT INTO visit (mail, p, kind) VALUES ('a@b', 1, 'sad'), ('c@d', 2, 'ok')",
  "INSERT INTO visit (mail, p, kind) VALUES ('a@c', 1, 'sad')",
  "INSERT INTO visit (mail, p, kind) VALUES ('a@b', 1, 'ok')",
  "UPDATE person SET mail = 'new@b' WHERE id = 1",
  'SELECT * FROM visit ORDER BY n',
  'DELETE FROM person WHERE id = 2',
  "INSERT INTO person VALUES (1, 'q@b', 'happy') ON CONFLICT (id) DO UPDATE SET kind = EXCLUDED.kind, mail = EXCLUDED.mail RETURNING *",
  "INSERT INTO person (id, kind) VALUES (5, 'happy') ON CONFLICT (id, kind) DO NOTHING",
  "INSERT INTO person (id, kind) VALUES (5, 'happy') ON CONFLICT (id, kind) DO NOTHING",
  "INSERT INTO person (id, mail) VALUES (6, 'new@b') ON CONFLICT (mail) DO UPDATE SET f = 'ok' RETURNING *",
  'SELECT * FROM person ORDER BY id',
  "ALTER TYPE mood ADD VALUE 'great'",
  "INSERT INTO person VALUES (9, 'i@b', 'great')",
  "SELECT * FROM person WHERE kind >= 'happy' ORDER BY id",
  'ALTER TABLE person ADD CONSTRAINT m UNIQUE (f)',
  'CREATE UNIQUE INDEX u ON person (kind)',
  'ALTER TABLE person ALTER COLUMN mail TYPE text',
  "SELECT * FROM person WHERE mail = 'new@b'",
];

/** What Clarus says beside PostgreSQL: that tags are added. */
const isOfTags = (notice: string): boolean =>
  /^NOTICE 00000 (?:column .* gets|the) equality tags/.test(notice);

suite('keys of enums and domains', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt');

  for (const extended of [false, true])
    test(`keep rows apart, are referred to and compared as in PostgreSQL (${extended ? 'extended' : 'simple'})`, async () => {
      const found = await sides.differences(steps, async (client, step) => {
        const { notices, detail: _detail, ...told } = await sides.outcome(client, step, extended);
        return { ...told, notices: notices?.filter(notice => !isOfTags(notice)) };
      });
      assert.deepEqual(found, []);
      await sides.both(
        'DROP TABLE visit, person',
        'DROP DOMAIN work_email, email, positive, feeling',
        'DROP TYPE mood',
      );
    });

  test('are looked for by tags', async () => {
    await sides.both(
      "CREATE TYPE mood AS ENUM ('sad', 'ok')",
      'CREATE DOMAIN email AS text',
      'CREATE TABLE person (mail email PRIMARY KEY, kind mood UNIQUE)',
      "INSERT INTO person VALUES ('Trillian@example.org', 'ok'), ('Zaphod@example.org', 'sad')",
    );
    for (const condition of [
      "mail = 'Zaphod@example.org'",
      "kind = 'sad'",
      "kind IN ('sad')",
      "mail = ANY ('{Zaphod@example.org}')",
    ]) {
      const { rows } = await sides.ours.query(`EXPLAIN (CLARUS) SELECT mail FROM person WHERE ${condition}`);
      const said = rows.map(row => Object.values(row).join()).join('\n');
      assert.match(said, /^Push/, `${condition}: ${said}`);
      const { rows: found } = await sides.ours.query(`SELECT mail FROM person WHERE ${condition}`);
      assert.deepEqual(found, [{ mail: 'Zaphod@example.org' }]);
    }
    await assert.rejects(sides.ours.query("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"), { code: '0A000' });
    for (const name of ['Zaphod', 'Trillian']) assert.ok(!sides.recorded.sent().includes(name));
  });
});
