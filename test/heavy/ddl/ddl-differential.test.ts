/** Random DDL: the shadow schema becomes what a plain PostgreSQL makes of the same statements, errors included. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { compareWithCloud } from '../../../src/catalog/compare.js';
import { describeDatabase } from '../../../src/catalog/describe.js';
import type { DatabaseDescription } from '../../../src/catalog/description.js';
import { type Queryable, readerOf } from '../../../src/catalog/reader.js';
import { encodingRegistry } from '../../../src/encodings/registry.js';
import type { Policy, Unlisted } from '../../../src/policy/policy.js';
import { openDdlSession } from '../../support/ddl-session.js';
import { startServer, type TestServer } from '../../support/server.js';
import { count, seed } from '../support/scale.js';

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

const table = fc.constantFrom('a', 'b', 's.c', '"Ta ble"');
const column = fc.constantFrom('x', 'y', 'z', '"Co lumn"');
const type = fc.constantFrom('int', 'text', 'varchar(9)', 'date', 'numeric(8,2)', 'bool', 'jsonb');
const some = fc.constantFrom('', 'IF EXISTS ');
const definition = fc
  .tuple(column, type, fc.constantFrom('', ' NOT NULL', ' UNIQUE', ' PRIMARY KEY', ' DEFAULT NULL'))
  .map(([name, of, rest]) => `${name} ${of}${rest}`);
const statement: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(table, fc.array(definition, { minLength: 1, maxLength: 4 }))
    .map(([t, d]) => `CREATE TABLE ${t} (${d.join(', ')})`),
  fc
    .tuple(table, fc.array(definition, { maxLength: 3 }))
    .map(([t, d]) => `CREATE TABLE IF NOT EXISTS ${t} (${['i int', ...d].join(', ')})`),
  fc.tuple(table, definition).map(([t, d]) => `ALTER TABLE ${t} ADD COLUMN ${d}`),
  fc.tuple(table, column, some).map(([t, c, e]) => `ALTER TABLE ${t} DROP COLUMN ${e}${c}`),
  fc.tuple(table, column, column).map(([t, c, d]) => `ALTER TABLE ${t} RENAME COLUMN ${c} TO ${d}`),
  fc.tuple(table, fc.constantFrom('a', 'b', 'd')).map(([t, u]) => `ALTER TABLE ${t} RENAME TO ${u}`),
  fc
    .tuple(
      table,
      column,
      fc.constantFrom('SET NOT NULL', 'DROP NOT NULL', 'SET DEFAULT NULL', 'DROP DEFAULT'),
    )
    .map(([t, c, w]) => `ALTER TABLE ${t} ALTER COLUMN ${c} ${w}`),
  fc.tuple(table, column, column).map(([t, c, d]) => `ALTER TABLE ${t} ADD CONSTRAINT k UNIQUE (${c}, ${d})`),
  fc.tuple(table, some).map(([t, e]) => `ALTER TABLE ${t} DROP CONSTRAINT ${e}k`),
  fc.tuple(table, column).map(([t, c]) => `ALTER TABLE ${t} ADD PRIMARY KEY (${c})`),
  fc
    .tuple(table, column, fc.constantFrom('', 'UNIQUE '))
    .map(([t, c, u]) => `CREATE ${u}INDEX ON ${t} (${c})`),
  fc.tuple(table, column).map(([t, c]) => `CREATE INDEX IF NOT EXISTS named ON ${t} (${c})`),
  fc.constantFrom(
    'DROP INDEX named',
    'DROP INDEX IF EXISTS named',
    'ALTER INDEX named RENAME TO other',
    'ALTER TABLE s.c SET SCHEMA public',
  ),
  fc
    .tuple(table, table, fc.constantFrom('', ' CASCADE'))
    .map(([t, u, c]) => `DROP TABLE IF EXISTS ${t}, ${u}${c}`),
  fc.tuple(table).map(([t]) => `DROP TABLE ${t}`),
  fc.tuple(table).map(([t]) => `TRUNCATE ${t}`),
  fc.tuple(table, column).map(([t, c]) => `COMMENT ON COLUMN ${t}.${c} IS 'words'`),
);

/** Something to alter from the start. */
const first = ['a', 'b', 's.c', '"Ta ble"'].map(
  name => `CREATE TABLE ${name} (x int, y text, z date, "Co lumn" numeric(8,2))`,
);

/** A description without what differs between two databases that say the same. */
function essence({ tables }: DatabaseDescription): unknown {
  const names = new Map(tables.map(({ oid, schema, name }) => [oid, `${schema}.${name}`]));
  return tables
    .map(({ schema, name, columns, constraints, indexes }) => ({
      name: `${schema}.${name}`,
      columns: columns.map(({ name: own, typeName, notNull, default: given }) => [
        own,
        typeName,
        notNull,
        given,
      ]),
      constraints: constraints
        .map(c => [c.name, c.kind, c.definition, names.get(c.references?.table ?? 0)])
        .sort(),
      indexes: indexes.map(({ name: own, definition: text }) => [own, text]).sort(),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const describe = async (client: pg.Client): Promise<DatabaseDescription> => {
  await client.query('BEGIN');
  const described = await describeDatabase(readerOf(client as Queryable));
  await client.query('COMMIT');
  return described;
};

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'ok';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
};

let databases = 0;
for (const unlisted of ['encrypt', 'pass'] as const)
  test(`random DDL has the effects and errors of a plain PostgreSQL (unlisted: ${unlisted})`, async () => {
    const counts = { all: 0, succeeded: 0, ours: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(statement, { minLength: 15, maxLength: 30 }), async statements => {
        const name = `differential${++databases}`;
        const admin = new pg.Client({ ...server });
        await admin.connect();
        await admin.query(`CREATE DATABASE ${name}_plain`);
        await admin.end();
        const plain = new pg.Client({ ...server, database: `${name}_plain` });
        await plain.connect();
        const session = await openDdlSession(server, name, policyOf(unlisted));
        try {
          await plain.query('CREATE SCHEMA s');
          await session.run('CREATE SCHEMA s');
          for (const sql of [...first, ...statements]) {
            // Ours first: what we refuse, the plain side does not run either.
            const ours = await codeOf(session.run(sql));
            counts.all++;
            if (ours === '0A000' || ours === '55000') {
              counts.ours++;
              continue;
            }
            assert.equal(ours, await codeOf(plain.query(sql)), sql);
            if (ours === 'ok') counts.succeeded++;
          }
          const shadow = await describe(session.shadow);
          assert.deepEqual(essence(shadow), essence(await describe(plain)));
          const cloud = await describe(session.cloud);
          if (unlisted === 'pass') assert.deepEqual(essence(cloud), essence(shadow));
          const compared = compareWithCloud(
            cloud,
            shadow,
            session.catalog().tables.values(),
            encodingRegistry(),
          );
          assert.deepEqual(
            [compared.unknown, compared.changed, compared.missing, compared.damaged],
            [[], [], [], []],
          );
        } finally {
          await session.close();
          await plain.end();
        }
      }),
      { numRuns: count('random DDL', 1_000, 6), seed },
    );
    assert.ok(counts.succeeded > counts.all / 4, JSON.stringify(counts));
    assert.ok(counts.ours < counts.all / 10, JSON.stringify(counts));
  });

const policyOf = (unlisted: Unlisted): Policy => ({
  unlisted,
  declassify: [],
  // A listed name, so that the database is not passed through.
  tables: [{ schema: 'public', name: 'listed', columns: [], position: undefined }],
});
