/**
 * What no encoding answers is finished on the trusted side: the answers are PostgreSQL's, and the cloud sees nothing of
 * protected values.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import type { FrontendMessage } from '../src/wire/messages.js';
import { policy, type Read, reads, sentinels, tables } from './split/reads.js';
import type { Target, TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

suite('split', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let proxy: TestProxy;
  let ours: pg.Client;
  let plain: pg.Client;

  before(async () => {
    recorded = await startRecordedProxy(`${policy}\nlimits: { split_rows_max: 5000 }`);
    ({ proxy, ours, plain } = recorded);
    for (const client of [ours, plain]) {
      await client.query("SET TimeZone = 'Europe/Berlin'");
      for (const sql of tables) await client.query(sql);
    }
  });
  after(() => recorded?.stop());

  /** Rows or SQLSTATE, message and position, as one text. */
  const answer = async (client: pg.Client, read: Read, prepared: boolean): Promise<string> => {
    const [text, ...values] = typeof read === 'string' ? [read] : read;
    const name = prepared ? { name: text.slice(0, 60) + text.length } : {};
    try {
      const result = await client.query<unknown[]>({
        text,
        ...(prepared || values.length > 0 ? { values } : {}),
        ...name,
        rowMode: 'array',
        types: { getTypeParser: () => (value: string) => value },
      });
      const rows = result.rows.map(row => JSON.stringify(row));
      if (!/ORDER BY/i.test(text)) rows.sort();
      return `${result.command} ${result.rowCount} ${result.fields.map(f => `${f.name} ${f.dataTypeID < 16384 ? f.dataTypeID : 'own'} ${f.dataTypeModifier}`).join()}\n${rows.join('\n')}`;
    } catch (error) {
      const { code, message, position } = error as pg.DatabaseError;
      return `${code} ${message} ${position}`;
    }
  };

  for (const [theme, list] of Object.entries(reads))
    test(`gives PostgreSQL's answers: ${theme}`, async () => {
      for (const read of list)
        for (const prepared of [false, true])
          assert.equal(
            await answer(ours, read, prepared),
            await answer(plain, read, prepared),
            `${read}${prepared ? ', prepared' : ''}`,
          );
    });

  test('shows the cloud no protected value', () => {
    const sent = recorded.sent();
    for (const sentinel of sentinels)
      for (const form of [
        sentinel,
        Buffer.from(sentinel).toString('hex'),
        Buffer.from(sentinel).toString('base64').slice(0, -2),
      ])
        assert.ok(!sent.includes(form), `${sentinel} was sent`);
  });

  test('lets the cloud choose rows by what the statement itself compares with unprotected columns', async () => {
    const sent = await recorded.sentWhile(() =>
      ours.query("SELECT upper(name) FROM patient WHERE ward = 'b' AND id > 1 AND weight > 1"),
    );
    assert.match(sent, /ward = 'b'/);
    assert.match(sent, /id > 1/);
    assert.ok(!sent.includes('weight >'));
    const bound = await recorded.sentWhile(() =>
      ours.query('SELECT upper(name) FROM patient WHERE ward = $1 AND id = $2', ['b', 2]),
    );
    assert.match(bound, /ward = \$1/);
    const joined = await recorded.sentWhile(() =>
      ours.query('SELECT upper(name) FROM patient p, ward w WHERE p.ward = $1 AND p.id > $2 AND beds > 1', [
        'b',
        1,
      ]),
    );
    assert.match(joined, /p\.ward = \$1/);
    const listed = await recorded.sentWhile(async () => {
      await ours.query(
        "SELECT upper(name) FROM patient, LATERAL (SELECT 1) AS one WHERE id IN (1, 2) AND name LIKE 'A%'",
      );
      await ours.query(
        'SELECT upper(name) FROM patient, LATERAL (SELECT 1) AS one WHERE id = ANY ($1) AND weight > 1',
        [[4, 5]],
      );
      await ours.query(
        "SELECT upper(name) FROM patient, LATERAL (SELECT 1) AS one WHERE (id = 3 OR ward = 'c') AND weight > 1",
      );
      await ours.query(
        "SELECT upper(name) FROM patient, LATERAL (SELECT 1) AS one WHERE lower(ward) = 'x' OR ward || 'y' = 'z'",
      );
    });
    assert.match(listed, /id = ANY \(CAST\('\{1,2\}'/);
    assert.match(listed, /id = ANY \(CAST\('\{4,5\}'/);
    assert.match(listed, /id = 3 OR ward = 'c'/);
    assert.doesNotMatch(listed, /lower\(|\|\|/);
  });

  test('asks for the rows of one table in one query, and runs the statement over them', async () => {
    for (const read of [
      'SELECT upper(name), p.* FROM patient AS p WHERE ward = $1 OR weight > 60 ORDER BY born DESC, 1',
      'SELECT ward, max(lower(name)), count(*) FILTER (WHERE weight > 61) FROM patient WHERE id < 6 AND $1 IS NOT NULL GROUP BY ward ORDER BY 1',
      "SELECT DISTINCT ON (ward) ward, length(name) FROM public.patient WHERE name <> $1 || '!' ORDER BY ward, 2",
      'SELECT p, row_to_json(p) FROM patient p WHERE ward = $1',
      'SELECT upper(public.patient.name) FROM public.patient WHERE public.patient.ward = $1 ORDER BY public.patient.id',
      'SELECT upper(name) FROM patient WHERE (patient IS NOT NULL OR id > 1) AND public.patient.ward = $1 ORDER BY 1',
      'SELECT id, upper(name) FROM patient WHERE ward <> $1 GROUP BY id ORDER BY id',
    ])
      for (const prepared of [false, true])
        assert.equal(
          await answer(ours, [read, 'b'], prepared),
          await answer(plain, [read, 'b'], prepared),
          read,
        );
    const sent = await recorded.sentWhile(() =>
      ours.query("SELECT upper(name) FROM patient WHERE ward = 'b' AND weight > 60"),
    );
    assert.ok(!/BEGIN|LOCK TABLE|snapshot/.test(sent), sent);
    // more than can be given at once
    await ours.query(
      "INSERT INTO visit (id, who, day) SELECT g, 'many', '2020-01-01' FROM generate_series(1000, 1039) g",
    );
    await ours.query('UPDATE visit SET note = $1 WHERE id >= 1000', ['x'.repeat(2 ** 20)]);
    for (let times = 0; times < 2; times++)
      assert.deepEqual((await ours.query('SELECT sum(length(note)) AS n FROM visit WHERE id >= 1000')).rows, [
        { n: String(40 * 2 ** 20) },
      ]);
    await ours.query('DELETE FROM visit WHERE id >= 1000');
  });

  test('does not show an unprotected column the value of a protected one', async () => {
    const inlined =
      "SELECT w.beds FROM ward w JOIN patient p ON p.name = w.code WHERE p.name = 'hidden-constant'";
    await ours.query(`CREATE FUNCTION hidden_beds() RETURNS SETOF int LANGUAGE sql STABLE AS $$${inlined}$$`);
    const sent = await recorded.sentWhile(async () => {
      await ours.query('SELECT * FROM hidden_beds()');
      await ours.query("SELECT count(*) FROM ward w, hidden_beds() h WHERE h = w.beds AND w.code > 'a'");
      for (const sql of [
        "SELECT id FROM patient WHERE ward = $1 AND name || '' = $1",
        'SELECT id, lower(name) = $1 FROM patient WHERE ward >= $1',
        'SELECT id FROM patient WHERE 1 / (id - 7) < 1 AND lower(name) <> $1 AND ward = $1',
      ])
        await ours.query(sql, ['hidden-parameter']);
      await ours.query('DROP FUNCTION hidden_beds()');
      await ours.query(
        "SELECT w.beds FROM ward w, patient p WHERE w.code = p.name AND p.name = 'hidden-constant'",
      );
      await ours.query('SELECT w.beds FROM ward w, patient p WHERE w.code = p.name AND p.name = $1', [
        'hidden-parameter',
      ]);
      await ours.query('SELECT (SELECT beds FROM ward w WHERE w.code = p.name) FROM patient p');
      for (const [sql, ...values] of [
        ["SELECT w.beds FROM ward w, patient p WHERE w.code || 'x' = p.name AND p.name = 'hidden-constant'"],
        [
          "SELECT w.beds FROM ward w, patient p WHERE w.code || 'x' = p.name AND p.name = $1",
          'hidden-parameter',
        ],
        [
          "SELECT w.beds FROM ward w, (SELECT 'hidden-constant'::text AS n) x, patient p WHERE p.name = x.n AND (w.code > x.n) IS NULL",
        ],
        [
          "SELECT w.beds FROM ward w JOIN (SELECT name AS code, weight FROM patient) p USING (code) WHERE code = 'hidden-constant'",
        ],
        [
          "SELECT w.beds FROM ward w JOIN (VALUES ('hidden-constant')) AS x(n) ON (w.code > x.n) IS NOT NULL JOIN patient p ON p.name = x.n",
        ],
        [
          'SELECT w.beds FROM ward w, patient p WHERE p.name = $1 AND (w.code || $1) IS NOT NULL AND p.weight > 1',
          'hidden-parameter',
        ],
        ["SELECT v.id FROM visit v, patient p WHERE p.ward || 'x' = v.who AND v.who = 'hidden-constant'"],
        [
          "SELECT u.x FROM (SELECT name AS x FROM patient UNION ALL SELECT code FROM ward) u WHERE u.x = 'hidden-constant'",
        ],
        ["SELECT w.beds FROM ward w LEFT JOIN patient p ON p.name = w.code WHERE p.name = 'hidden-constant'"],
        [
          "WITH x AS (SELECT 'hidden-constant'::text AS n) SELECT w.beds FROM ward w, patient p, x WHERE p.name = x.n AND w.code >= x.n",
        ],
        ["SELECT beds FROM ward WHERE code IN (SELECT name FROM patient WHERE name = 'hidden-constant')"],
        [
          "SELECT beds FROM ward w WHERE EXISTS (SELECT FROM patient p WHERE p.name = w.code AND p.name = 'hidden-constant')",
        ],
        [
          "SELECT count(*) FROM ward w JOIN LATERAL (SELECT p.name AS n FROM patient p WHERE p.name = 'hidden-constant') l ON l.n = w.code",
        ],
        [
          "SELECT w.beds FROM ward w, patient p WHERE (w.code, 1) = (p.name, 1) AND p.name = 'hidden-constant'",
        ],
        [
          "SELECT w.beds FROM ward w JOIN patient p ON w.code = p.name WHERE p.name = ANY (ARRAY['hidden-constant', 'b'])",
        ],
        ["UPDATE ward SET beds = 1 FROM patient p WHERE p.name = ward.code AND p.name = 'hidden-constant'"],
        ["DELETE FROM ward USING patient p WHERE p.name = ward.code AND p.name IN ('hidden-constant')"],
        [
          "SELECT w.beds FROM ward w, patient p, (SELECT 'hidden-constant'::text x) s WHERE p.name = s.x AND w.code = 'a' AND ((w.code = 'a') <> (lower(w.code) = s.x))",
        ],
      ] as string[][])
        await ours.query(sql!, values);
    });
    for (const value of ['hidden-constant', 'hidden-parameter', 'Targaryen'])
      assert.ok(!sent.includes(value), value);
  });

  test('sees the own writes of a transaction', async () => {
    await ours.query('BEGIN');
    await ours.query("INSERT INTO patient (id, name, weight) VALUES (100, 'Zoe', 1)");
    const { rows } = await ours.query(
      'SELECT upper(name) u, (SELECT count(*) FROM visit WHERE cost > 5) c FROM patient WHERE id = 100',
    );
    assert.deepEqual(rows, [{ u: 'ZOE', c: '5' }]);
    await ours.query('ROLLBACK');
    assert.equal((await ours.query('SELECT upper(name) FROM patient WHERE id = 100')).rowCount, 0);
  });

  test('follows the settings of a session and of its transaction', async () => {
    for (const sql of [
      'BEGIN',
      "SET LOCAL DateStyle = 'German'",
      "SET LOCAL TimeZone = 'America/New_York'",
      'SELECT born::text, seen::text, upper(name) FROM patient ORDER BY id',
      "SELECT id FROM patient WHERE seen::text LIKE '01.01.2020%'",
      'SAVEPOINT s',
      "SET LOCAL bytea_output = 'escape'",
      "SELECT convert_to(name || E'\\x01', 'UTF8')::text FROM patient ORDER BY id",
      'ROLLBACK TO s',
      "SELECT convert_to(name || E'\\x01', 'UTF8')::text FROM patient ORDER BY id",
      'COMMIT',
      'SELECT born::text, seen::text, upper(name) FROM patient ORDER BY id',
      "SET DateStyle = 'SQL, DMY'",
      'SELECT born::text, seen::text, upper(name) FROM patient ORDER BY id',
      "SELECT count(*) FROM patient WHERE born > '02/01/1980'",
      'RESET DateStyle',
      "SELECT count(*) FROM patient WHERE born > '02/01/1980'",
    ])
      assert.equal(await answer(ours, sql, false), await answer(plain, sql, false), sql);
  });

  test('fetches all tables of a statement in one snapshot', async () => {
    const writer = new pg.Client(proxy);
    await writer.connect();
    await ours.query('CREATE TABLE IF NOT EXISTS ledger (id int, amount int)');
    await ours.query('INSERT INTO ledger VALUES (1, 0), (2, 0)');
    await ours.query('CREATE TABLE mirror AS SELECT * FROM ledger');
    let stop = false;
    const writing = (async () => {
      while (!stop) {
        await writer.query('BEGIN');
        await writer.query('UPDATE ledger SET amount = amount + 1 WHERE id = 1');
        await writer.query('UPDATE ledger SET amount = amount - 1 WHERE id = 2');
        await writer.query('UPDATE mirror SET amount = CASE id WHEN 1 THEN amount - 1 ELSE amount + 1 END');
        await writer.query('COMMIT');
      }
    })();
    for (let i = 0; i < 40; i++) {
      const { rows } = await ours.query(
        'SELECT (SELECT amount FROM ledger WHERE id = 1) + (SELECT amount FROM ledger WHERE id = 2) AS sum, upper(name) FROM patient WHERE id = 1',
      );
      assert.equal(rows[0].sum, 0);
    }
    // in READ COMMITTED each query of the cloud has a snapshot of its own: what is not of one is read again
    const sums = [
      'SELECT (SELECT amount FROM ledger WHERE id = 1) + (SELECT amount FROM ledger WHERE id = 2) AS sum, upper(name) FROM patient WHERE id = 1',
      'SELECT a.amount + b.amount AS sum FROM ledger a CROSS JOIN ledger b WHERE (a.id, b.id) = (1, 2) AND length(a.amount::text) > 0',
      "SELECT a.amount + b.amount AS sum FROM ledger a JOIN ledger b ON a.id = b.id - 1 WHERE upper('x') <> b.amount::text",
      'SELECT l.amount + m.amount AS sum FROM ledger l JOIN mirror m ON l.id = m.id WHERE l.amount::text <> m.amount::text || $1',
    ];
    await ours.query('BEGIN');
    for (let i = 0; i < 10; i++)
      for (const sql of sums) {
        const { rows } = await ours.query(sql, sql.includes('$1') ? ['x'] : []);
        assert.deepEqual([...new Set(rows.map(row => Number(row.sum)))], [0], sql);
      }
    for (let i = 0; i < 5; i++) {
      await ours.query(`DECLARE c CURSOR FOR ${sums[0]}`);
      const { rows } = await ours.query('FETCH ALL FROM c');
      assert.equal(Number(rows[0].sum), 0);
      await ours.query('CLOSE c');
    }
    await ours.query('ROLLBACK');
    stop = true;
    await writing;
    await writer.end();
  });

  /** What COPY sends, as text. */
  const copied = async (target: Target, sql: string): Promise<string> => {
    const raw = await RawClient.connect(target);
    const messages = await raw.query(sql);
    await raw.close();
    // where one message ends is the server's own affair
    return told(messages).join('\n').replaceAll('\nCopyData ', '');
  };

  test('copies the rows of a query out, in every format', async () => {
    for (const options of ['', ' WITH (FORMAT csv, HEADER)', ' WITH (FORMAT binary)']) {
      const sql = `COPY (SELECT id, upper(name), weight * 2, tags FROM patient WHERE weight > 60 ORDER BY id) TO STDOUT${options}`;
      assert.equal(await copied(proxy, sql), await copied(proxy.plain, sql), sql);
    }
  });

  test('gives rows in the parts that are asked for, beside other statements', async () => {
    const parts = async (target: Target): Promise<string> => {
      const raw = await RawClient.connect(target);
      const lines: string[] = [];
      const step = async (...messages: FrontendMessage[]): Promise<void> => {
        raw.send(...messages, say.sync);
        lines.push(...told(await raw.until()));
      };
      await step(say.parse('BEGIN', '', []), say.bind('', '', []), say.execute('', 0));
      await step(
        say.parse('SELECT id, upper(name) FROM patient ORDER BY weight, id', 'a', []),
        say.bind('a', 'a', []),
        say.execute('a', 2),
      );
      await step(
        say.parse(
          'SELECT v.id, lower(who) FROM visit v JOIN ward w ON w.beds > v.cost ORDER BY 1, 2',
          'b',
          [],
        ),
        say.bind('b', 'b', []),
        say.execute('b', 1),
      );
      await step(
        ...say.run('DELETE FROM visit WHERE id = 3'),
        ...say.run("INSERT INTO visit (id, who, cost) VALUES (50, 'late', 0)"),
      );
      await step(say.execute('a', 3), say.execute('b', 0));
      // what fails in a savepoint takes no other portal with it
      await step(
        ...say.run('SAVEPOINT s'),
        say.parse('SELECT 1 / (id - 1), upper(name) FROM patient', 'c', []),
        say.bind('c', 'c', []),
        say.execute('c', 0),
      );
      await step(...say.run('ROLLBACK TO s'));
      await step(...say.run('SELECT max(upper(name)) FROM patient'));
      await step(say.execute('a', 0), say.execute('a', 0));
      await step(
        say.parse('ROLLBACK', '', []),
        say.bind('', '', []),
        say.execute('', 0),
        say.execute('a', 0),
      );
      await raw.close();
      return lines.join('\n');
    };
    assert.equal(await parts(proxy), await parts(proxy.plain));
  });

  test('leaves the session usable whenever it is cancelled', async () => {
    const raw = await RawClient.connect(proxy);
    const sql =
      'SELECT count(*), max(upper(a.who)) FROM visit a JOIN visit b ON a.cost < b.cost JOIN patient p ON p.name LIKE a.who || $$%$$';
    for (let i = 0; i < 25; i++) {
      raw.send({ kind: 'Query', sql });
      await new Promise(resolve => setTimeout(resolve, i));
      await raw.backend.cancel();
      assert.match(told(await raw.until()).join('\n'), /CommandComplete SELECT 1|ErrorResponse ERROR 57014/);
      const after = told(await raw.query('SELECT upper(name) FROM patient WHERE id = 2')).join('\n');
      assert.match(after, /DataRow BOB LANNISTER/);
    }
    await raw.close();
  });

  test('ends the session when one of its servers goes', async () => {
    for (const [server, query] of [
      [
        'cloud',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'hospital' AND usename = 'app' AND pid <> pg_backend_pid()",
      ],
      [
        'trusted',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%patient zz%' AND pid <> pg_backend_pid()",
      ],
    ] as const) {
      const raw = await RawClient.connect(proxy);
      await raw.query('SELECT upper(name) FROM patient');
      raw.send({
        kind: 'Query',
        sql: 'SELECT count(*) FROM patient zz, patient b, patient c, patient d, patient e, patient f, patient g, patient h, patient i, patient j, patient k WHERE zz.name < b.name OR upper(c.name) > k.name',
      });
      await new Promise(resolve => setTimeout(resolve, 300));
      if (server === 'trusted') await proxy.trusted.shadowAdmin(proxy.database).query(query);
      else {
        const admin = new pg.Client({ ...proxy.cloud, database: 'hospital' });
        await admin.connect();
        await admin.query(query);
        await admin.end();
      }
      assert.match(told(await raw.until()).join('\n'), /ErrorResponse FATAL 57P01/, server);
    }
    ours = await recorded.reconnect();
    await ours.query("SET TimeZone = 'Europe/Berlin'");
    assert.equal((await ours.query('SELECT upper(name) FROM patient')).rowCount, 6);
  });

  test('ends when it is cancelled, times out, or its client goes', async () => {
    const endless =
      'SELECT count(*) FROM patient a, patient b, patient c, patient d, patient e, patient f, patient g, patient h, patient i, patient j, patient k WHERE a.name < b.name OR upper(c.name) > k.name';
    const raw = await RawClient.connect(proxy);
    raw.send({ kind: 'Query', sql: endless });
    await new Promise(resolve => setTimeout(resolve, 300));
    await raw.backend.cancel();
    assert.match(told(await raw.until()).join('\n'), /ErrorResponse ERROR 57014/);
    await raw.query("SET statement_timeout = '300ms'");
    assert.match(told(await raw.query(endless)).join('\n'), /ErrorResponse ERROR 57014/);
    await raw.query('RESET statement_timeout');
    raw.send({ kind: 'Query', sql: endless });
    await new Promise(resolve => setTimeout(resolve, 300));
    raw.backend.socket.destroy();
    const shadow = proxy.trusted.shadowAdmin(proxy.database);
    for (let i = 0; ; i++) {
      const { rows } = await shadow.query(
        "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%patient k%' AND pid <> pg_backend_pid()",
      );
      if (rows.length === 0) break;
      assert.ok(i < 100, 'the statement goes on without its client');
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  });

  test('leaves its snapshot to no other statement of a batch', async () => {
    const raw = await RawClient.connect(proxy);
    await ours.query('BEGIN');
    await ours.query('SELECT pg_advisory_xact_lock(7)');
    await ours.query("UPDATE ward SET beds = 100 WHERE code = 'a'");
    raw.send(
      ...say.run('SELECT upper(name) FROM patient WHERE id = 2'),
      ...say.run('SELECT pg_advisory_xact_lock(7)'),
      ...say.run("SELECT beds FROM ward WHERE code = 'a'"),
      say.sync,
    );
    await new Promise(resolve => setTimeout(resolve, 300));
    await ours.query('COMMIT');
    assert.match(told(await raw.until()).join('\n'), /DataRow 100/);
    await raw.close();
    await ours.query("UPDATE ward SET beds = 3 WHERE code = 'a'");
  });

  test('sorts by no set that is made of columns', async () => {
    for (const sql of [
      'SELECT id, unnest(tags) g FROM patient ORDER BY g, upper(name)',
      'SELECT upper(name) FROM patient ORDER BY unnest(tags)',
      'SELECT unnest(tags) g, max(upper(name)) FROM patient GROUP BY g ORDER BY 2',
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
  });

  test('does not take for valid what is not', async () => {
    await ours.query('ALTER TABLE ward ADD CONSTRAINT many CHECK (beds > 2) NOT VALID');
    const joined = 'SELECT w.beds, upper(p.name) FROM ward w, patient p WHERE w.beds < 2';
    assert.equal((await ours.query(joined)).rowCount, 6);
    const carried =
      'SELECT upper(name) FROM patient WHERE EXISTS (SELECT FROM ward WHERE beds < 2 AND length(name) > 0)';
    await assert.rejects(ours.query(carried), { code: '0A000' });
    await ours.query('ALTER TABLE ward DROP CONSTRAINT many');
    assert.equal((await ours.query(carried)).rowCount, 5);
  });

  test('is bounded in what it fetches', async () => {
    await ours.query('CREATE TABLE many (id int, secret text)');
    await ours.query("INSERT INTO many SELECT g, 'open' FROM generate_series(1, 6000) g");
    await assert.rejects(
      ours.query('SELECT count(*) FROM many m JOIN patient p ON m.secret = p.name'),
      (error: pg.DatabaseError) => error.code === '54000' && /split_rows_max/.test(error.detail ?? ''),
    );
    assert.equal((await ours.query('SELECT upper(name) FROM patient WHERE id = 1')).rowCount, 1);
  });

  test('goes on after DDL changed a table that it reads', async () => {
    for (const ddl of [
      'ALTER TABLE patient ADD COLUMN extra text',
      'ALTER TABLE patient RENAME COLUMN extra TO more',
      'ALTER TABLE visit ALTER COLUMN day SET NOT NULL',
      'ALTER TABLE ward RENAME TO wards',
      'CREATE INDEX ON patient (name)',
      'TRUNCATE visit',
      'DROP TABLE visit',
    ]) {
      await ours.query(ddl);
      await plain.query(ddl);
      for (const read of [
        'SELECT upper(name), patient.* FROM patient ORDER BY id',
        'SELECT upper(who), count(*) FROM visit GROUP BY 1',
        'SELECT id, (SELECT max(beds) FROM wards) FROM patient WHERE weight > 0 ORDER BY 1',
      ])
        assert.equal(
          await answer(ours, read, false),
          await answer(plain, read, false),
          `${read} after ${ddl}`,
        );
    }
  });

  test('shows an application nothing of what it needs', async () => {
    for (const read of [
      "SELECT relname, relkind, relhassubclass FROM pg_class WHERE relname ~ '^t[0-9]' OR relname = 'patient' OR relnamespace = to_regnamespace('clarus')",
      "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = 'patient'::regclass",
      'SELECT nspname FROM pg_namespace ORDER BY 1',
      'SELECT extname FROM pg_extension',
      'SELECT srvname FROM pg_foreign_server',
      "SELECT tableoid = 'pg_class'::regclass, relname FROM pg_class WHERE relname ~ '^t[0-9]'",
      "SELECT table_name FROM information_schema.tables WHERE table_schema <> 'pg_catalog' AND table_name ~ '^t[0-9]'",
      "SELECT schema_name FROM information_schema.schemata WHERE schema_name !~ '^pg_' ORDER BY 1",
      "SELECT routine_name FROM information_schema.routines WHERE routine_schema <> 'pg_catalog' ORDER BY 1",
      'WITH pg_class AS (SELECT 1 AS relname) SELECT relname FROM pg_class',
      "SELECT tableoid::regclass, * FROM pg_namespace WHERE nspname = 'information_schema' AND false",
      "SELECT table_name FROM information_schema.table_privileges WHERE table_schema = 'clarus'",
      "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname LIKE 'pat\\_%' UNION ALL SELECT nspname FROM pg_catalog . \"pg_namespace\" WHERE nspname LIKE E'clar\\\\_%'",
      "SELECT 'é', relname FROM /* ü */ PG_CLASS WHERE relname = 'patient'",
      "SELECT pg_catalog.pg_class.relhassubclass FROM pg_catalog.pg_class WHERE pg_catalog.pg_class.relname = 'nothing'",
    ])
      assert.equal(await answer(ours, read, false), await answer(plain, read, false), String(read));
  });

  test('holds no row on the trusted side afterwards', async () => {
    const shadow = proxy.trusted.shadowAdmin(proxy.database);
    const { rows } = await shadow.query<{ name: string }>(
      "SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables",
    );
    for (const { name } of rows)
      assert.equal((await shadow.query(`SELECT FROM ONLY ${name} LIMIT 1`)).rowCount, 0, name);
  });

  test('says which way a statement takes, and why', async () => {
    const { rows } = await ours.query('EXPLAIN (CLARUS) SELECT upper(name) FROM patient');
    const lines = rows.map(row => row['QUERY PLAN'] as string);
    assert.match(lines[0]!, /^Split: /);
    assert.ok(lines.some(line => /Why: .*protected column "name"/.test(line)));
    assert.ok(lines.includes('  Reads: public.patient'));
  });
});
