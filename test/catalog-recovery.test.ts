/** Cloud, shadow schema and catalogue agree again after a crash at any point of a commit, and after changes past Clarus. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { bringUp } from '../src/catalog/bring-up.js';
import type { Catalog, CatalogChange, Redo } from '../src/catalog/catalog.js';
import { Commits } from '../src/catalog/commit.js';
import { compareWithCloud } from '../src/catalog/compare.js';
import { describeDatabase } from '../src/catalog/describe.js';
import { type Queryable, readerOf } from '../src/catalog/reader.js';
import { recover } from '../src/catalog/recover.js';
import { loadCatalog, saveChanges } from '../src/catalog/store.js';
import { encodingRegistry } from '../src/encodings/registry.js';
import type { ColumnPolicy, Policy, Unlisted } from '../src/policy/policy.js';
import { spellingOf } from '../src/sql/opaque/index.js';
import { openJournal } from '../src/trusted/journal.js';
import { migrate } from '../src/trusted/migrations.js';
import { inTransaction } from '../src/trusted/server.js';
import { count, seed } from './heavy/support/scale.js';
import { makeDatabases, openDdlSession, testNumbers } from './support/ddl-session.js';
import { startServer, type TestServer } from './support/server.js';

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

const registry = encodingRegistry();
const keys = { destroyTableKey: async () => undefined, forgetTable: () => undefined };
const column = (name: string, rest: Partial<ColumnPolicy> = {}): ColumnPolicy => ({
  name,
  class: undefined,
  protect: 'encrypt',
  queries: [],
  domain: undefined,
  position: undefined,
  ...rest,
});
const policy = (unlisted: Unlisted, tables: Record<string, readonly ColumnPolicy[]> = {}): Policy => ({
  unlisted,
  declassify: [],
  tables: Object.entries(tables).map(([name, columns]) => ({
    schema: 'public',
    name,
    columns,
    position: undefined,
  })),
});

/** A cloud, a shadow and a state database on one server. */
class Installation {
  readonly numbers = testNumbers();
  private constructor(
    readonly name: string,
    readonly state: pg.Pool,
    readonly cloud: pg.Pool,
    readonly shadow: pg.Pool,
  ) {}

  static async make(name: string, first: Policy): Promise<Installation> {
    await makeDatabases(server, name);
    const admin = new pg.Client({ ...server });
    await admin.connect();
    await admin.query(`CREATE DATABASE ${name}_state`);
    await admin.end();
    const pool = (side: string): pg.Pool => {
      const made = new pg.Pool({ ...server, database: `${name}_${side}`, max: 3 });
      made.on('error', () => undefined);
      return made;
    };
    const made = new Installation(name, pool('state'), pool('cloud'), pool('shadow'));
    await inTransaction(made.state, client => migrate(client, false));
    await made.save([{ kind: 'put-policy', policy: first, origin: 'test' }]);
    return made;
  }

  save(changes: readonly CatalogChange[]): Promise<number> {
    return inTransaction(this.state, client => saveChanges(client, 'main', changes, keys));
  }

  catalog(): Promise<Catalog> {
    return loadCatalog(this.state, 'main');
  }

  services() {
    return { state: this.state, journal: openJournal<Redo>(this.state), keys, cloud: 'main' };
  }

  recover() {
    return recover({ ...this.services(), cloudConnection: this.cloud, shadow: this.shadow });
  }

  bringUp(proposed: Policy) {
    return bringUp({
      ...this.services(),
      proxy: 'test',
      cloudPool: this.cloud,
      shadow: this.shadow,
      owner: 'postgres',
      registry,
      numbers: this.numbers,
      policy: proposed,
      origin: 'file',
      spellingOf,
    });
  }

  /** A start with the policy in force. */
  async takeIn() {
    return this.bringUp((await this.catalog()).policy);
  }

  /** Everything that would differ if the three did not agree. */
  async disagreements(): Promise<unknown[]> {
    const catalog = await this.catalog();
    const describe = (pool: pg.Pool) =>
      inTransaction(pool, client => describeDatabase(readerOf(client as Queryable)));
    const [cloud, shadow] = [await describe(this.cloud), await describe(this.shadow)];
    const { unknown, changed, missing, damaged } = compareWithCloud(
      cloud,
      shadow,
      catalog.tables.values(),
      registry,
    );
    const inShadow = shadow.tables.map(({ oid, schema, name, columns }) => [
      oid,
      schema,
      name,
      columns.map(c => [c.attnum, c.name, c.typeName]),
    ]);
    const inCatalog = [...catalog.tables.values()]
      .sort((a, b) => a.oid - b.oid)
      .map(({ oid, schema, name, columns }) => [
        oid,
        schema,
        name,
        columns.map(c => [c.attnum, c.name, c.typeName]),
      ]);
    const open = await this.state.query('SELECT FROM clarus.journal');
    const types = cloud.objects.filter(({ kind }) => kind === 'enum');
    const found: unknown[] = [
      ...types.filter(({ ddl }) => shadow.objects.every(object => object.ddl !== ddl)),
      ...unknown.map(t => t.name),
      ...changed,
      ...missing,
      ...damaged,
      ...(open.rowCount ? ['journal'] : []),
    ];
    if (JSON.stringify(inShadow) !== JSON.stringify(inCatalog)) found.push({ inShadow, inCatalog });
    return found;
  }

  async close(): Promise<void> {
    for (const pool of [this.state, this.cloud, this.shadow]) await pool.end();
  }
}

class Crash extends Error {}
const points = ['none', 'before the note', 'after the note', 'after the cloud', 'after the shadow'] as const;

/** One session that runs statements and commits them as the gateway does, until it dies at a point. */
async function runAndCrash(
  installation: Installation,
  sql: readonly string[],
  point: (typeof points)[number],
): Promise<void> {
  const commits = new Commits({ ...installation.services(), proxy: 'test' });
  const catalog = await installation.catalog();
  const reach = (here: (typeof points)[number]): void => {
    if (here === point) throw new Crash();
  };
  const session = await openDdlSession(server, installation.name, catalog.policy, {
    catalog,
    numbers: installation.numbers,
    async commit(redo, cloud, shadow) {
      const idOf = async (client: pg.Client): Promise<string> =>
        (await client.query('SELECT pg_current_xact_id()::text AS xid')).rows[0].xid;
      reach('before the note');
      const entry = await commits.prepare(redo, await idOf(cloud), await idOf(shadow));
      reach('after the note');
      await cloud.query('COMMIT');
      reach('after the cloud');
      await shadow.query('COMMIT');
      reach('after the shadow');
      await commits.finish(entry);
    },
  });
  try {
    await session.begin();
    for (const statement of sql) {
      await session.cloud.query('SAVEPOINT s');
      await session.shadow.query('SAVEPOINT s');
      await session.run(statement);
    }
    await session.commit();
  } catch (error) {
    if (!(error instanceof Crash) && !(error instanceof Error && 'code' in error)) throw error;
  } finally {
    await session.close();
  }
}

const statements = [
  'CREATE TABLE a (x int PRIMARY KEY, y text, plain int)',
  'CREATE TABLE b (x int, z varchar(9) DEFAULT $$secret$$, plain int UNIQUE)',
  'ALTER TABLE a ADD COLUMN w text',
  'ALTER TABLE a RENAME TO c',
  'ALTER TABLE b RENAME COLUMN z TO zz',
  'ALTER TABLE a DROP COLUMN y',
  'DROP TABLE a',
  'DROP TABLE IF EXISTS b, c',
  'CREATE INDEX i ON b (plain)',
  'CREATE SCHEMA s',
  'ALTER TABLE b SET SCHEMA s',
  "CREATE TYPE mood AS ENUM ('sad')",
  'CREATE TABLE m (x mood, plain mood)',
  "ALTER TYPE mood ADD VALUE 'ok'",
  'ALTER TABLE m DROP COLUMN plain',
  'DROP TYPE mood CASCADE',
];

test('after a crash at any point of a commit, cloud, shadow and catalogue agree', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(fc.subarray(statements, { minLength: 1, maxLength: 3 }), fc.constantFrom(...points)),
        { minLength: 1, maxLength: 4 },
      ),
      async transactions => {
        const installation = await Installation.make(
          `recovery${++run}`,
          policy('encrypt', {
            a: [column('plain', { protect: 'none' })],
            b: [column('plain', { protect: 'none' })],
            m: [column('plain', { protect: 'none' })],
          }),
        );
        try {
          for (const [sql, point] of transactions) {
            await runAndCrash(installation, sql, point);
            await installation.recover();
            assert.deepEqual(await installation.disagreements(), []);
          }
        } finally {
          await installation.close();
        }
      },
    ),
    { numRuns: count('crashes in commits of DDL', 500, 8), seed },
  );
});

test('what the cloud committed is completed, what it did not is forgotten', async () => {
  const installation = await Installation.make('judge', policy('encrypt'));
  try {
    await runAndCrash(installation, ['CREATE TABLE a (x int)'], 'after the note');
    assert.deepEqual(await installation.recover(), { completed: 0, forgotten: 1 });
    assert.equal((await installation.catalog()).tables.size, 0);
    for (const point of ['after the cloud', 'after the shadow'] as const) {
      await runAndCrash(installation, [`CREATE TABLE t${point.length} (x int, y text)`], point);
      assert.deepEqual(await installation.recover(), { completed: 1, forgotten: 0 });
      assert.deepEqual(await installation.disagreements(), []);
    }
    assert.equal((await installation.catalog()).tables.size, 2);
  } finally {
    await installation.close();
  }
});

test('tables made past Clarus are taken in as the policy says', async () => {
  const installation = await Installation.make(
    'past',
    policy('pass', { secret: [column('a')], open: [column('a', { protect: 'none' })] }),
  );
  try {
    await installation.cloud.query(`
      CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('x', 'y'); CREATE DOMAIN d AS int CHECK (VALUE > 0);
      CREATE FUNCTION f(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
      CREATE TABLE secret (a text); CREATE TABLE open (a text);
      CREATE TABLE s.parent (id serial PRIMARY KEY, m s.mood DEFAULT 'x', n numeric(10,2) CHECK (n > 0), g int GENERATED ALWAYS AS (id * 2) STORED);
      CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, p int REFERENCES s.parent ON DELETE CASCADE, v d DEFAULT f(1), UNIQUE (p, v));
      CREATE TABLE part (k int, v text) PARTITION BY RANGE (k); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
      CREATE INDEX ON part (k); CREATE UNIQUE INDEX ON child (lower(p::text)) WHERE v > 3;
      CREATE VIEW v AS SELECT count(*) AS n FROM child JOIN s.parent ON p = parent.id;
      CREATE MATERIALIZED VIEW mv AS SELECT * FROM v;
      CREATE VIEW of_secret AS SELECT * FROM secret; CREATE VIEW of_view AS SELECT * FROM of_secret;
      CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER tr BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION t();
      CREATE TRIGGER fires BEFORE INSERT ON secret FOR EACH ROW EXECUTE FUNCTION t();
      INSERT INTO s.parent (n) VALUES (1); INSERT INTO secret VALUES ('x')`);
    const taken = await installation.takeIn();
    assert.deepEqual(taken.underived, []);
    const states = (catalog: Catalog) =>
      Object.fromEntries([...catalog.tables.values()].map(t => [t.name, t.state]));
    assert.deepEqual(states(await installation.catalog()), {
      secret: 'blocked',
      open: 'open',
      parent: 'open',
      child: 'open',
      part: 'open',
      part1: 'open',
      mv: 'open',
    });
    assert.deepEqual(await installation.disagreements(), []);
    const { rows } = await installation.shadow.query('SELECT count(*)::int AS n FROM s.parent');
    assert.deepEqual(rows, [{ n: 0 }]);
    const { version } = await installation.catalog();
    await installation.takeIn();
    assert.equal((await installation.catalog()).version, version);
    // Changed, dropped and made past Clarus again, with policies in the shadow alone.
    await installation.shadow.query(
      `ALTER TABLE s.parent ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY mine ON s.parent TO CURRENT_USER USING (id > 1);
      CREATE POLICY "Less" ON s.parent AS RESTRICTIVE FOR UPDATE USING (n > 1) WITH CHECK (n < 9);
      ALTER TABLE child ENABLE ROW LEVEL SECURITY; CREATE POLICY of_parent ON child AS RESTRICTIVE USING (p IN (SELECT id FROM s.parent));
      ALTER TABLE part ENABLE ROW LEVEL SECURITY; CREATE POLICY lost ON part USING (v IN (SELECT a FROM open))`,
    );
    const policies = async () =>
      (
        await installation.shadow.query(
          `SELECT relname, relrowsecurity, relforcerowsecurity, policyname, permissive, roles::text, cmd, qual, with_check
             FROM pg_class c LEFT JOIN pg_policies p ON p.tablename = relname WHERE relname IN ('parent', 'child') ORDER BY 1, 4`,
        )
      ).rows;
    const secured = await policies();
    await installation.cloud.query(
      'ALTER TABLE s.parent ADD extra text; DROP TABLE secret CASCADE; ALTER TABLE open ADD b text; CREATE TABLE late (a int)',
    );
    const before = [...(await installation.catalog()).tables.values()].find(t => t.name === 'parent');
    // What was dropped in the cloud with its table is not missed.
    assert.deepEqual((await installation.takeIn()).underived, []);
    assert.deepEqual(await policies(), secured);
    assert.equal(secured.length, 3);
    const now = await installation.catalog();
    assert.deepEqual(states(now), {
      parent: 'open',
      child: 'open',
      open: 'blocked',
      part: 'open',
      part1: 'open',
      mv: 'open',
      late: 'open',
    });
    assert.equal([...now.tables.values()].find(t => t.name === 'parent')?.number, before?.number);
    assert.deepEqual(await installation.disagreements(), []);
  } finally {
    await installation.close();
  }
});

test('a damaged protected table is withheld until it is whole again', async () => {
  const installation = await Installation.make('damage', policy('encrypt'));
  try {
    await runAndCrash(installation, ['CREATE TABLE a (x int PRIMARY KEY)'], 'none');
    await installation.cloud.query('ALTER TABLE a DROP CONSTRAINT a_pkey');
    await installation.takeIn();
    const [damaged] = (await installation.catalog()).tables.values();
    assert.equal(damaged?.state, 'blocked');
    assert.match(damaged.reason ?? '', /lacks the constraint a_pkey/);
    const tag = Object.values(damaged.columns[0]?.protection?.encodings[1]?.encoded.columns ?? {})[0];
    await installation.cloud.query(`ALTER TABLE a ADD CONSTRAINT a_pkey PRIMARY KEY (${tag})`);
    await installation.takeIn();
    assert.equal([...(await installation.catalog()).tables.values()][0]?.state, 'protected');
  } finally {
    await installation.close();
  }
});

test('a policy file changes empty tables in place, blocks open ones with rows, and may not touch protected rows', async () => {
  const installation = await Installation.make(
    'adopt',
    policy('pass', { held: [column('a')], empty: [column('a')] }),
  );
  const adopt = (proposed: Policy) => installation.bringUp(proposed);
  try {
    await runAndCrash(
      installation,
      [
        'CREATE TABLE held (a text)',
        'CREATE TABLE empty (a text)',
        'CREATE TABLE o1 (a text)',
        'CREATE TABLE o2 (a text)',
      ],
      'none',
    );
    const cell = "decode('c1000124' || repeat('00', 32), 'hex')";
    const [held] = (await installation.catalog()).tables.values();
    const name = held?.columns[0]?.protection?.encodings[0]?.encoded.columns.cell;
    await installation.cloud.query(
      `INSERT INTO held (clarus_row, ${name}) VALUES (1, ${cell}); INSERT INTO o1 VALUES ('x')`,
    );
    const tagged = [column('a', { queries: ['equality'] })];
    const refusing = await adopt(policy('pass', { held: tagged }));
    assert.deepEqual(
      refusing.refused.map(({ table, hindrance }) => [table.name, hindrance]),
      [['held', 'rows']],
    );
    assert.equal((await installation.catalog()).policyVersion, 1);
    await adopt(policy('pass', { held: [column('a')], empty: tagged, o1: tagged, o2: tagged }));
    const now = await installation.catalog();
    assert.deepEqual(
      [...now.tables.values()]
        .map(t => [t.name, t.state, t.columns[0]?.protection?.encodings.map(e => e.kind)])
        .sort(),
      [
        ['empty', 'protected', ['sealed', 'equality']],
        ['held', 'protected', ['sealed']],
        ['o1', 'blocked', undefined],
        ['o2', 'protected', ['sealed', 'equality']],
      ],
    );
    assert.equal(now.policyVersion, 2);
    assert.deepEqual(await installation.disagreements(), []);
    assert.equal((await adopt(now.policy)).adopted, false);
  } finally {
    await installation.close();
  }
});

test('a policy file that protects an empty table takes its types out of the cloud, and one that opens it brings them', async () => {
  const installation = await Installation.make('types', policy('pass', { shut: [column('a')] }));
  const standing = async (): Promise<unknown[]> => {
    const { rows } = await installation.cloud.query(
      "SELECT typname FROM pg_type WHERE typname IN ('mood', 'grade') ORDER BY 1",
    );
    return rows.map(({ typname }) => typname);
  };
  try {
    const tables = [
      "CREATE TYPE mood AS ENUM ('sad')",
      "CREATE DOMAIN grade AS text CHECK (VALUE <> 'none')",
      'CREATE TABLE shut (a mood)',
      'CREATE TABLE wide (a grade)',
    ];
    await runAndCrash(installation, tables, 'none');
    assert.deepEqual(await standing(), ['grade']);
    await installation.bringUp(
      policy('pass', { shut: [column('a', { protect: 'none' })], wide: [column('a')] }),
    );
    assert.deepEqual(await standing(), ['mood']);
    assert.deepEqual(await installation.disagreements(), []);
  } finally {
    await installation.close();
  }
});
