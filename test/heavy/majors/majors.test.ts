/**
 * Clouds of earlier major versions than the trusted database's: the same statements through the proxy, and past it on
 * a plain database of the same server, have the same answers. npm brings the servers.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { installLine } from '../../../src/trusted/binaries.js';
import { startProxy } from '../../support/proxy.js';
import { must } from '../support/command.js';

const majors = [14, 15, 16, 17];
let directory: string;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'clarus-majors-'));
  chmodSync(directory, 0o755);
  const packages = majors.map(major => installLine(major)!.split(' ').at(-1)!);
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefix', directory];
  await must('npm', ['install', ...options, ...packages]);
  for (const major of majors) {
    const root = join(directory, 'node_modules', `postgresql-${major}`);
    if (existsSync(join(root, 'scripts/hydrate-symlinks.js')))
      await must(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: root });
  }
});
after(() => rmSync(directory, { recursive: true, force: true }));

const policy = `unlisted: pass
tables:
  public.person:
    columns: { id: { protect: none }, name: { queries: [equality], domain: name }, born: {}, weight: {} }
  public.alias: { columns: { id: { protect: none }, name: { queries: [equality], domain: name } } }
`;

const statements = [
  'CREATE TABLE person (id int PRIMARY KEY, name text UNIQUE NOT NULL, born date, weight numeric(6,2))',
  'CREATE TABLE alias (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text REFERENCES person(name), other text)',
  'CREATE TABLE visit (id serial PRIMARY KEY, person int REFERENCES person(id), at timestamptz)',
  "INSERT INTO person VALUES (1, 'arya', '2001-02-03', 50.5), (2, 'bran', NULL, NULL) RETURNING id, name, born",
  "INSERT INTO alias (name, other) VALUES ('arya', 'no one'), ('bran', 'raven')",
  "INSERT INTO visit (person, at) VALUES (1, '2020-01-01 00:00Z')",
  "INSERT INTO person VALUES (3, 'arya')",
  "INSERT INTO person VALUES (3, 'arya') ON CONFLICT (name) DO NOTHING",
  "INSERT INTO alias (name) VALUES ('nobody')",
  "SELECT id, name, born, weight FROM person WHERE name = 'arya'",
  "SELECT id FROM person WHERE name IN ('arya', 'bran') ORDER BY id",
  'SELECT p.id, a.other FROM person p JOIN alias a ON p.name = a.name ORDER BY p.id',
  'SELECT count(*), count(born) FROM person',
  "UPDATE person SET weight = 51, born = '2002-02-02' WHERE name = 'arya' RETURNING id, weight",
  'ALTER TABLE person ADD COLUMN note text',
  "UPDATE person SET note = 'x' WHERE id = 2",
  'SELECT * FROM person ORDER BY id',
  'ALTER TABLE person RENAME COLUMN note TO remark',
  'SELECT remark FROM person WHERE remark IS NOT NULL',
  'BEGIN',
  'SAVEPOINT s',
  'DELETE FROM alias',
  'ROLLBACK TO s',
  'COMMIT',
  'SELECT count(*) FROM alias',
  'CREATE INDEX person_name ON person (name)',
  "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'person'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
  'DELETE FROM alias WHERE id = 2',
  "DELETE FROM person WHERE name = 'bran' RETURNING name",
  'TRUNCATE alias',
  'DROP TABLE alias, visit, person',
];

for (const major of majors)
  test(`a cloud of PostgreSQL ${major} is served as by itself`, async () => {
    const binaries = join(directory, 'node_modules', `postgresql-${major}`, 'native/bin');
    const proxy = await startProxy({ policy, server: { binaries } });
    try {
      const answers: unknown[][] = [];
      for (const target of [proxy.plain, proxy]) {
        const client = new pg.Client(target);
        await client.connect();
        const told: unknown[] = [];
        for (const sql of statements)
          told.push(
            await client.query({ text: sql, rowMode: 'array' }).then(
              ({ command, rowCount, rows }) => [sql, command, rowCount, rows],
              ({ code, constraint }: pg.DatabaseError) => [sql, code, constraint],
            ),
          );
        await client.end();
        answers.push(told);
      }
      assert.deepEqual(answers[1], answers[0]);
      const version = new pg.Client(proxy.behind);
      await version.connect();
      const { rows } = await version.query('SHOW server_version_num');
      await version.end();
      assert.equal(Math.floor(Number(rows[0].server_version_num) / 10_000), major);
    } finally {
      await proxy.stop();
    }
  });
