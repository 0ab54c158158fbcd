/** DDL over a cloud and a shadow schema: both follow the policy, and nothing of the client's text leaves. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { takeIn } from '../src/catalog/take-in.js';
import type { ColumnPolicy, Policy, Unlisted } from '../src/policy/policy.js';
import { schemaConnection } from '../src/sql/ddl/backends.js';
import { readerOn } from '../src/sql/reading.js';
import { type DdlSession, openDdlSession } from './support/ddl-session.js';
import { startServer, type TestServer } from './support/server.js';

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

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
const open = (name: string): ColumnPolicy => column(name, { protect: 'none' });
const person = (name: string): ColumnPolicy => column(name, { queries: ['equality'], domain: 'person' });

let databases = 0;
async function withSession(given: Policy, work: (session: DdlSession) => Promise<void>): Promise<void> {
  const session = await openDdlSession(server, `ddl${++databases}`, given);
  try {
    await work(session);
  } finally {
    await session.close();
  }
}

async function columnsOf(client: DdlSession['cloud'], table: string): Promise<Record<string, string>> {
  const { rows } = await client.query(
    `SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END AS type
     FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [table],
  );
  return Object.fromEntries(rows.map(row => [row.attname, row.type]));
}

const refused = (code: string, pattern: RegExp) => (error: unknown) => {
  const { code: got, message, fields } = error as { code: string; message: string; fields?: object };
  assert.equal(got, code, message);
  assert.match(`${message} ${JSON.stringify(fields ?? {})}`, pattern);
  return true;
};

test('CREATE TABLE makes the logical table in the shadow and its encodings in the cloud', () =>
  withSession(policy('refuse', { patient: [person('ssn'), column('name'), open('day')] }), async session => {
    await session.run(
      `CREATE TABLE patient (id serial PRIMARY KEY, ssn varchar(20) NOT NULL UNIQUE, name text DEFAULT 'SENTINEL', day date DEFAULT '2020-01-01', note text)`,
    );
    assert.deepEqual(await columnsOf(session.shadow, 'patient'), {
      id: 'integer not null',
      ssn: 'character varying(20) not null',
      name: 'text',
      day: 'date',
      note: 'text',
    });
    const physical = await columnsOf(session.cloud, 'patient');
    assert.deepEqual(
      Object.keys(physical).map(name => name.replace(/\d+$/, '')),
      [
        'clarus_row',
        'id_sealed',
        'id_equality',
        'ssn_sealed',
        'ssn_equality',
        'name_sealed',
        'day',
        'note_sealed',
      ],
    );
    assert.match(session.notices.join(), /column "id" gets equality tags/);
    assert.doesNotMatch(session.sent.join(), /SENTINEL/);
    const [table] = session.catalog().tables.values();
    assert.equal(table?.state, 'protected');
    assert.deepEqual(table.keys, [
      { kind: 'primary', name: 'patient_pkey', columns: [1] },
      { kind: 'unique', name: 'patient_ssn_key', columns: [2] },
    ]);
  }));

test('the cloud refuses text, zeros and cut cells, and forms that are not NULL together', () =>
  withSession(policy('encrypt', { t: [person('a')] }), async session => {
    await session.run('CREATE TABLE t (a text)');
    const [cell, tag] = Object.keys(await columnsOf(session.cloud, 't')).slice(1);
    for (const value of [
      `'text'`,
      `'\\x00'::bytea`,
      `decode(repeat('00', 40), 'hex')`,
      `decode('c1' || repeat('00', 35), 'hex')`,
    ])
      await assert.rejects(
        session.cloud.query(
          `INSERT INTO t (clarus_row, ${cell}, ${tag}) VALUES (1, ${value}, gen_random_uuid())`,
        ),
        refused('23514', /check/),
      );
    await assert.rejects(
      session.cloud.query(`INSERT INTO t (clarus_row, ${tag}) VALUES (1, gen_random_uuid())`),
      refused('23514', /check/),
    );
    await session.cloud.query(
      `INSERT INTO t (clarus_row, ${cell}, ${tag}) VALUES (1, decode('c1000124' || repeat('00', 32), 'hex'), gen_random_uuid())`,
    );
  }));

test('an unlisted table follows the policy: refuse, encrypt, pass', async () => {
  await withSession(policy('refuse', { other: [] }), async session => {
    await assert.rejects(session.run('CREATE TABLE t (a int)'), refused('0A000', /not listed in the policy/));
    await assert.rejects(columnsOf(session.cloud, 't'));
    await assert.rejects(columnsOf(session.shadow, 't'));
  });
  await withSession(policy('encrypt'), async session => {
    await session.run('CREATE TABLE t (a int)');
    assert.deepEqual(Object.values(await columnsOf(session.cloud, 't')), ['bigint not null', 'bytea']);
  });
  await withSession(policy('pass', { other: [] }), async session => {
    await session.run('CREATE TABLE t (a int PRIMARY KEY, b text CHECK (b <> $$x$$))');
    assert.deepEqual(await columnsOf(session.cloud, 't'), { a: 'integer not null', b: 'text' });
    assert.equal([...session.catalog().tables.values()][0]?.state, 'open');
  });
});

test('ALTER TABLE adds, drops and renames columns and constraints on both sides', () =>
  withSession(
    policy('encrypt', { t: [open('plain'), open('other'), open('moved'), person('a')] }),
    async session => {
      await session.run('CREATE TABLE t (a int, plain int, gone text)');
      const [before] = session.catalog().tables.values();
      await session.run(
        `ALTER TABLE t ADD COLUMN b text NOT NULL, ADD COLUMN other int DEFAULT 7, DROP COLUMN gone, ALTER plain SET NOT NULL, ALTER plain SET DEFAULT 3`,
      );
      await session.run('ALTER TABLE t ADD CONSTRAINT k UNIQUE (a, plain)');
      await session.run(
        'ALTER TABLE t RENAME CONSTRAINT k TO k2; ALTER TABLE t RENAME COLUMN a TO z; ALTER TABLE t RENAME plain TO moved',
      );
      await session.run('ALTER TABLE t RENAME TO u');
      const physical = await columnsOf(session.cloud, 'u');
      assert.deepEqual(
        Object.entries(physical).map(([name, type]) => `${name.replace(/\d+$/, '')} ${type}`),
        [
          'clarus_row bigint not null',
          'a_sealed bytea',
          'a_equality uuid',
          'moved integer not null',
          'b_sealed bytea not null',
          'other integer',
        ],
      );
      const [table] = session.catalog().tables.values();
      assert.equal(table?.number, before?.number);
      assert.deepEqual(
        table?.columns.map(({ number, name }) => [number, name]),
        [
          [1, 'z'],
          [2, 'moved'],
          [4, 'b'],
          [5, 'other'],
        ],
      );
      assert.deepEqual(table?.keys, [{ kind: 'unique', name: 'k2', columns: [1, 2] }]);
      assert.deepEqual(
        table?.columns[0]?.protection?.encodings.map(e => e.encoded.name),
        ['z', 'z'],
      );
      const { rows } = await session.cloud.query(
        `SELECT conname FROM pg_constraint WHERE conrelid = 'u'::regclass AND contype = 'u'`,
      );
      assert.deepEqual(rows, [{ conname: 'k2' }]);
      // The policy keeps the names that were written down.
      assert.deepEqual(
        session.catalog().policy.tables.map(({ name }) => name),
        ['t'],
      );
      await session.run('DROP TABLE u');
      assert.equal(session.catalog().tables.size, 0);
      await assert.rejects(columnsOf(session.cloud, 'u'));
      assert.equal(await session.run('DROP TABLE IF EXISTS u'), 'DROP');
    },
  ));

test('foreign keys stand on tags of one domain, and are refused otherwise', () =>
  withSession(
    policy('encrypt', {
      p: [person('id')],
      c: [person('p'), column('q', { queries: ['equality'] }), open('o')],
      o: [open('id')],
    }),
    async session => {
      await session.run('CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE o (id int PRIMARY KEY)');
      await session.run('CREATE TABLE c (p int REFERENCES p, q int, o int REFERENCES o ON DELETE CASCADE)');
      const { rows } = await session.cloud.query(
        `SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f' ORDER BY 1`,
      );
      assert.match(rows[0].definition, /FOREIGN KEY \(o\) REFERENCES o\(id\) ON DELETE CASCADE/);
      assert.match(rows[1].definition, /FOREIGN KEY \(p_equality\d+\) REFERENCES p\(id_equality\d+\)$/);
      await assert.rejects(
        session.run('ALTER TABLE c ADD FOREIGN KEY (q) REFERENCES p'),
        refused('0A000', /one domain in the policy/),
      );
      // a column that no query is granted on has tags for its key only: those of the column that it refers to
      await session.run(
        'CREATE TABLE n (p int REFERENCES p, up int UNIQUE, CHECK (true)); ALTER TABLE n ADD k int',
      );
      await session.run(
        'ALTER TABLE n ADD FOREIGN KEY (k) REFERENCES n (up), ADD FOREIGN KEY (up) REFERENCES p',
      );
      const made = [...session.catalog().tables.values()].find(({ name }) => name === 'n');
      const domains = made?.columns.map(({ protection }) => protection?.domain);
      assert.equal(new Set(domains).size, 1);
      await session.run('DROP TABLE n');
      await assert.rejects(
        session.run('ALTER TABLE c ADD FOREIGN KEY (o) REFERENCES p'),
        refused('0A000', /in the clear/),
      );
      // the trusted side runs the actions, which cannot be done without keys
      await session.run(
        'ALTER TABLE c ADD CONSTRAINT acting FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE ON UPDATE RESTRICT',
      );
      const acting = await session.cloud.query(
        "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'acting'",
      );
      assert.match(acting.rows[0].definition, /p\(id_equality\d+\) ON UPDATE RESTRICT$/);
      await assert.rejects(session.run('DROP TABLE p'), refused('2BP01', /depend/));
      await session.run('DROP TABLE p CASCADE');
      assert.deepEqual(
        [...session.catalog().tables.values()].find(t => t.name === 'c')?.keys.map(k => k.name),
        ['c_o_fkey'],
      );
    },
  ));

test('literals of protected tables stand in the shadow only', () =>
  withSession(policy('encrypt', { t: [open('plain')], o: [open('a')] }), async session => {
    await session.run(`CREATE TYPE mood AS ENUM ('SENTINEL-a', 'SENTINEL-b')`);
    await session.run(`CREATE DOMAIN d AS text CHECK (VALUE <> 'SENTINEL-c')`);
    await session.run(`CREATE TABLE t (a mood DEFAULT 'SENTINEL-a', b d, plain int) -- SENTINEL-d`);
    await session.run(`COMMENT ON TABLE t IS 'SENTINEL-e'; COMMENT ON COLUMN t.a IS 'SENTINEL-f'`);
    await session.run(`CREATE INDEX i ON t (plain) WHERE b <> 'SENTINEL-g'`);
    await session.run(`ALTER TABLE t ALTER b SET DEFAULT 'SENTINEL-h', ADD c text DEFAULT 'SENTINEL-i'`);
    await assert.rejects(
      session.run(`CREATE VIEW v AS SELECT plain FROM t WHERE b = 'SENTINEL-j'`),
      refused('0A000', /not proven/),
    );
    assert.doesNotMatch(session.sent.join('\n'), /SENTINEL/);
    assert.match(session.notices.join(), /index "i" has no effect/);
    // The same again changes nothing in the shadow, and sends nothing either.
    await session.run(
      `ALTER TABLE t ALTER b SET DEFAULT 'SENTINEL-h'; CREATE INDEX IF NOT EXISTS i ON t (plain) WHERE b <> 'SENTINEL-l'`,
    );
    await session.run('CREATE TABLE child () INHERITS (t)');
    assert.doesNotMatch(session.sent.join('\n'), /SENTINEL/);
    // An unprotected column needs its type: the labels follow.
    await session.run('CREATE TABLE o (a mood)');
    assert.deepEqual(await columnsOf(session.cloud, 'o'), { a: 'mood' });
  }));

test('what a protected table cannot have is refused and leaves nothing', () =>
  withSession(policy('encrypt', { t: [open('plain')] }), async session => {
    await session.run('CREATE TABLE t (a int, plain int)');
    for (const [sql, pattern] of [
      ['ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) VIRTUAL', /generated column/],
      ['ALTER TABLE t ADD clarus_row int', /reserved/],
      ['CREATE UNIQUE INDEX ON t (a) NULLS NOT DISTINCT WHERE plain > 1', /takes NULLs for equal/],
      ['CREATE UNIQUE INDEX ON t (int4range(a, NULL))', /unique index .* is not possible/],
      ['CREATE TABLE x AS EXECUTE p', /prepared statement/],
      ['CREATE MATERIALIZED VIEW m AS SELECT * FROM t', /materialised view over protected tables/],
      [`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT a FROM t'`, /not proven/],
      [`CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'x'; END $$`, /not proven/],
      ['GRANT SELECT ON t TO postgres', /rights/],
      ['CREATE RULE r AS ON INSERT TO t DO NOTHING', /CREATE RULE/],
    ] as const)
      await assert.rejects(session.run(sql), error => {
        assert.match((error as Error).message, pattern, sql);
        return true;
      });
    assert.deepEqual(Object.keys(await columnsOf(session.shadow, 't')), ['a', 'plain']);
    assert.equal(Object.keys(await columnsOf(session.cloud, 't')).length, 3);
  }));

test('BEGIN; CREATE TABLE; ROLLBACK leaves nothing on either side', () =>
  withSession(policy('encrypt'), async session => {
    await session.begin();
    await session.run('CREATE TABLE t (a int); ALTER TABLE t ADD b int');
    assert.equal(session.catalog().tables.size, 1);
    await session.rollback();
    assert.equal(session.catalog().tables.size, 0);
    await assert.rejects(columnsOf(session.cloud, 't'));
    await assert.rejects(columnsOf(session.shadow, 't'));
  }));

test('rows stop a change that they do not allow', () =>
  withSession(policy('encrypt', { t: [open('plain')] }), async session => {
    await session.run('CREATE TABLE t (a int, plain int)');
    await session.cloud.query('INSERT INTO t (clarus_row, plain) VALUES (1, 1), (2, 1)');
    await assert.rejects(
      session.run('ALTER TABLE t ADD c int NOT NULL'),
      refused('23502', /column "c" of relation "t" contains null/),
    );
    await assert.rejects(session.run('ALTER TABLE t ADD UNIQUE (plain)'), refused('23505', /t_plain_key/));
    await session.run('ALTER TABLE t ADD b int; TRUNCATE t');
    const { rows } = await session.cloud.query('SELECT count(*)::int AS n FROM t');
    assert.deepEqual(rows, [{ n: 0 }]);
    await session.run('ALTER TABLE t ADD UNIQUE (a)');
  }));

test('a SECURITY LABEL changes the policy and, while empty, the table', () =>
  withSession(policy('pass', { other: [] }), async session => {
    await session.run('CREATE TABLE t (a int PRIMARY KEY, b text)');
    await session.run(
      `SECURITY LABEL FOR clarus ON COLUMN t.b IS 'identifier encrypt queries equality domain person'`,
    );
    assert.deepEqual(
      Object.keys(await columnsOf(session.cloud, 't'))
        .map(n => n.replace(/\d+$/, ''))
        .sort(),
      ['a', 'b_equality', 'b_sealed', 'clarus_row'],
    );
    assert.equal(session.catalog().policyVersion, 2);
    await session.run(`SECURITY LABEL FOR clarus ON COLUMN t.b IS 'none'`);
    assert.deepEqual(await columnsOf(session.cloud, 't'), { a: 'integer not null', b: 'text' });
    await assert.rejects(
      session.run(`SECURITY LABEL FOR clarus ON COLUMN t.b IS 'encrpt'`),
      refused('22023', /encrypt/),
    );
  }));

test('a column that would be encrypted in a table with rows in the clear is refused with both ways out', () =>
  withSession(policy('refuse', { t: [{ ...column('a'), protect: 'none' }, column('c')] }), async session => {
    await session.run('CREATE TABLE t (a int)');
    await session.cloud.query('INSERT INTO t VALUES (1)');
    for (const [name, hint] of [
      [
        'b',
        /does not name column b, so it would be encrypted: add \\"b: \{ protect: none \}\\" under public\.t in clarus\.yaml and restart Clarus\. To encrypt it, stop Clarus, add the column in the cloud itself and run \\"clarus copy public\.t\\"\./,
      ],
      [
        'c',
        /The policy encrypts column c: stop Clarus, add the column in the cloud itself and run \\"clarus copy public\.t\\"\./,
      ],
    ] as const)
      await assert.rejects(session.run(`ALTER TABLE t ADD COLUMN ${name} text`), refused('55000', hint));
  }));

test('the first SECURITY LABEL ends a pass-through database: what stands is taken in', () =>
  withSession(policy('pass'), async session => {
    assert.ok(session.catalog().passThrough);
    await session.cloud.query(
      'CREATE TABLE t (a serial PRIMARY KEY, b text); CREATE TABLE filled (a text); INSERT INTO filled VALUES (1)',
    );
    await assert.rejects(
      session.run(`SECURITY LABEL FOR clarus ON COLUMN filled.a IS 'encrypt'`),
      refused('55000', /protection of empty tables only/),
    );
    assert.ok(session.catalog().passThrough);
    await session.run(`SECURITY LABEL FOR clarus ON COLUMN t.b IS 'encrypt'`);
    assert.ok(!session.catalog().passThrough);
    assert.deepEqual([...session.catalog().tables.values()].map(({ name, state }) => [name, state]).sort(), [
      ['filled', 'open'],
      ['t', 'protected'],
    ]);
    assert.deepEqual(Object.values(await columnsOf(session.cloud, 't')), [
      'integer not null',
      'bigint not null',
      'bytea',
    ]);
    await session.run('ALTER TABLE t ADD c int; DROP TABLE filled');
  }));

test('a blocked table may be dropped, and nothing else', () =>
  withSession(policy('pass'), async session => {
    await session.cloud.query(
      'CREATE TABLE b1 (a int PRIMARY KEY); CREATE TABLE b2 (a int REFERENCES b1, b int REFERENCES b2 (c), c int UNIQUE); CREATE TABLE o (a int REFERENCES b1); INSERT INTO b1 VALUES (1)',
    );
    const listed = policy('pass', { b1: [column('a')], b2: [column('a')] });
    await session.begin();
    session.port.transaction.record(undefined, [{ kind: 'put-policy', policy: listed, origin: 'test' }]);
    const { port, deps } = session;
    const { changes } = await takeIn({
      catalog: port.catalog(),
      ...deps,
      readCloud: readerOn(port.cloud),
      shadow: schemaConnection(port.trusted),
    });
    port.transaction.record(undefined, changes);
    await session.commit();
    for (const sql of [
      'ALTER TABLE b2 ADD d int',
      'CREATE INDEX ON b1 (a)',
      'TRUNCATE b2',
      'ALTER TABLE b1 RENAME TO c',
    ])
      await assert.rejects(session.run(sql), refused('55000', /neither served nor written/), sql);
    await session.run('ALTER TABLE o ADD b int');
    await session.run('DROP TABLE b2');
    await assert.rejects(session.run('DROP TABLE b1'), refused('2BP01', /depend/));
    await session.run('DROP TABLE b1 CASCADE');
    assert.deepEqual(
      [...session.catalog().tables.values()].map(({ name, keys }) => [name, keys]),
      [['o', []]],
    );
    await session.run('DROP TABLE o');
  }));

test('objects over open tables stand on both sides', () =>
  withSession(policy('pass', { secret: [] }), async session => {
    await session.run(
      'CREATE SCHEMA s; CREATE SEQUENCE s.n INCREMENT 2; CREATE TYPE mood AS ENUM ($$x$$)'.replace(
        '$$x$$',
        "'x'",
      ),
    );
    await session.run(
      'CREATE TABLE s.t (a int DEFAULT nextval($$s.n$$), m mood); CREATE TABLE secret (a int)',
    );
    await session.run('CREATE VIEW v AS SELECT a FROM s.t');
    await session.run(
      `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO s.t SELECT 1; RETURN NEW; END $$`,
    );
    await session.run('CREATE TRIGGER g BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION f()');
    await session.run(
      'CREATE FUNCTION h() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM v; SELECT sum(a) FROM s.t; END',
    );
    await assert.rejects(
      session.run(
        'CREATE FUNCTION k() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT count(*) FROM secret; END',
      ),
      refused('0A000', /not proven/),
    );
    await session.run('CREATE TABLE u AS SELECT a, count(*) AS n FROM v GROUP BY a');
    await session.run('CREATE MATERIALIZED VIEW m AS SELECT a FROM s.t; REFRESH MATERIALIZED VIEW m');
    await session.run(
      'CREATE INDEX CONCURRENTLY ui ON u (a); ALTER INDEX ui RENAME TO uj; CREATE TABLE l (LIKE u INCLUDING ALL)',
    );
    const { rows } = await session.cloud.query(
      `SELECT relname FROM pg_class WHERE relnamespace IN ('s'::regnamespace, 'public'::regnamespace) ORDER BY 1`,
    );
    const names = rows.map(({ relname }) => relname);
    for (const name of ['t', 'n', 'v', 'u', 'uj', 'm', 'l', 'secret']) assert.ok(names.includes(name), name);
    await assert.rejects(
      session.run('CREATE TABLE ll (LIKE secret)'),
      refused('0A000', /like the protected table/),
    );
    await session.run(
      'ALTER TYPE mood RENAME TO feeling; ALTER TYPE feeling ADD VALUE $$y$$'.replace('$$y$$', "'y'"),
    );
    assert.deepEqual(await columnsOf(session.cloud, 's.t'), { a: 'integer', m: 'feeling' });
    await session.run('DROP VIEW v CASCADE; DROP SCHEMA s CASCADE; DROP TYPE feeling; DROP FUNCTION f()');
    const left = [...session.catalog().tables.values()].map(({ name }) => name).sort();
    assert.deepEqual(left, ['l', 'secret', 'u']);
    const gone = await session.cloud.query(
      `SELECT to_regclass('s.t') AS t, to_regclass('m') AS m, to_regtype('feeling') AS f`,
    );
    assert.deepEqual(gone.rows, [{ t: null, m: null, f: null }]);
  }));

test('any name and any type may be protected, and the physical form goes with the table', () =>
  withSession(policy('encrypt'), async session => {
    const names = [
      'a"b',
      'Größe mit Leerzeichen',
      'x'.repeat(63),
      'ü'.repeat(31),
      'select',
      "o'neill\\",
      '{cell}',
      '$1',
      'tab\tle',
    ];
    const types = [
      'bool',
      'int2',
      'int4',
      'int8',
      'float4',
      'float8',
      'numeric(10,2)',
      'text',
      'varchar(7)',
      'char(3)',
      'bytea',
      'date',
      'time',
      'timetz',
      'timestamp(3)',
      'timestamptz',
      'interval',
      'uuid',
      'json',
      'jsonb',
      'inet',
      'int4[]',
      'text[]',
      'numeric[]',
      'text COLLATE "C"',
    ];
    const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
    for (const [i, name] of names.entries()) {
      const columns = types.map((type, j) => `${quote(j === 0 ? name : `${name.slice(0, 20)}${j}`)} ${type}`);
      await session.run(
        `CREATE TABLE ${quote(name)} (${columns.join(', ')}, CONSTRAINT ${quote(`k${i}${name}`)} UNIQUE (${quote(`${name.slice(0, 20)}2`)}))`,
      );
      await session.run(
        `ALTER TABLE ${quote(name)} ADD COLUMN "one more" text, DROP COLUMN ${quote(`${name.slice(0, 20)}5`)}`,
      );
    }
    for (const table of session.catalog().tables.values()) {
      assert.equal(table.state, 'protected');
      assert.equal(table.columns.length, types.length);
      assert.equal(Object.keys(await columnsOf(session.cloud, quote(table.name))).length, types.length + 2);
    }
    for (const name of names) await session.run(`DROP TABLE ${quote(name)}`);
    const { rows } = await session.cloud.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
    );
    assert.deepEqual(rows, []);
  }));

test('names are resolved by the search_path of the session', () =>
  withSession(policy('encrypt'), async session => {
    await session.run('CREATE SCHEMA a; CREATE SCHEMA b');
    await session.shadow.query('SET search_path = a, b');
    await session.run('CREATE TABLE b.t (x int)');
    await session.run('CREATE TABLE t (y int)');
    assert.deepEqual([...session.catalog().tables.values()].map(t => t.schema).sort(), ['a', 'b']);
    await session.run('ALTER TABLE t ADD z int; DROP TABLE t; ALTER TABLE t ADD w int');
    const [left] = session.catalog().tables.values();
    assert.deepEqual([left?.schema, left?.columns.map(c => c.name)], ['b', ['x', 'w']]);
    assert.equal((await session.shadow.query('SHOW search_path')).rows[0].search_path, 'a, b');
  }));
