/** `clarus copy` where other things hang on the table: they come along, or it refuses before anything changes; and back. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { secrets, Workplace } from '../../support/command-line.js';
import { freePort, startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let place: Workplace;
let cloud: pg.Client;

before(async () => {
  server = await startServer();
  place = new Workplace();
  chmodSync(place.directory, 0o755);
  place.write('root.key', `${'ab'.repeat(32)}\n`);
  place.write(
    'clarus.yaml',
    `clarus: 1
trusted: { database: embedded, directory: ./data, key: { file: ./root.key } }
clouds:
  main: { postgres: "postgres://app@127.0.0.1:${server.port}/hospital", password: "env:CLOUD_PASSWORD" }
listen: { postgres: "127.0.0.1:${await freePort()}" }
tls: off
workers: 1
users: { app: { password: "env:APP_PASSWORD" } }
tables:
  public.ward: { columns: { id: { protect: none }, code: { queries: [equality], domain: code } } }
  public.bed: { columns: { id: { protect: none }, ward: { protect: none } } }
  public.stay: { columns: { id: { protect: none }, ward: { protect: none } } }
  public.checked: { columns: { id: { protect: none } } }
  public.acting: { columns: { id: { protect: none }, code: { queries: [equality], domain: code } } }
  public.counted: { columns: { id: { protect: none } } }
  public.seen: { columns: { id: { protect: none } } }
  public.computed: { columns: { id: { protect: none } } }
  public.fired: { columns: { id: { protect: none } } }
`,
  );
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${secrets.CLOUD_PASSWORD}'`);
  await admin.query('CREATE DATABASE hospital OWNER app');
  await admin.end();
  cloud = new pg.Client({
    host: server.host,
    port: server.port,
    user: 'app',
    password: secrets.CLOUD_PASSWORD,
    database: 'hospital',
  });
  await cloud.connect();
  await cloud.query(`
    CREATE TABLE ward (id int PRIMARY KEY, code text UNIQUE, secret text);
    CREATE TABLE bed (id int PRIMARY KEY, ward int REFERENCES ward(id) ON DELETE CASCADE);
    CREATE TABLE stay (id int PRIMARY KEY, ward int REFERENCES ward(id), secret text);
    CREATE TABLE checked (id int PRIMARY KEY, secret text, CONSTRAINT whole CHECK (checked IS NOT NULL));
    CREATE TABLE acting (id int PRIMARY KEY, code text REFERENCES ward(code) ON DELETE CASCADE);
    CREATE TABLE seen (id int PRIMARY KEY, secret text);
    CREATE TABLE counted (id serial PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3), secret text);
    CREATE VIEW first_view AS SELECT id FROM seen;
    CREATE VIEW second_view AS SELECT id FROM seen;
    CREATE TABLE computed (id int PRIMARY KEY, secret text, loud text GENERATED ALWAYS AS (upper(secret)) STORED);
    CREATE TABLE fired (id int PRIMARY KEY, secret text);
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER fires BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION fire();
    INSERT INTO ward VALUES (1, 'a', 'x'), (2, 'b', 'y');
    INSERT INTO counted (secret) SELECT 's' FROM generate_series(1, 5);
    INSERT INTO bed VALUES (1, 1);
    INSERT INTO stay VALUES (1, 1, 's');`);
});

after(async () => {
  await cloud?.end();
  place?.remove();
  await server?.stop();
});

/** Every table with what its foreign keys refer to. */
const standing = async (): Promise<readonly string[]> =>
  (
    await cloud.query<{ line: string }>(
      `SELECT c.relname || coalesce(' -> ' || string_agg(k.confrelid::regclass::text, ', '), '') AS line
         FROM pg_class c LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY c.oid ORDER BY 1`,
    )
  ).rows.map(({ line }) => line);

test('what a copy cannot have is told with what to do, before anything is changed', async () => {
  const before = await standing();
  for (const [table, expected] of [
    ['stay', /"stay_ward_fkey" refers to public\.ward, which waits.* First: clarus copy public\.ward/],
    ['checked', /check constraint "whole" reads the whole row.* DROP CONSTRAINT "whole"/],
    ['acting', /foreign key "acting_code_fkey" has an action on a protected column.* make it NO ACTION/],
    ['seen', /view public\.first_view depends on it; view public\.second_view depends on it; .* drop them/],
    ['computed', /generated column "loud" .* DROP COLUMN "loud"/],
    ['fired', /trigger fires on table fired depends on it.* drop them in the cloud/],
  ] as const) {
    const { code, output, errors } = await place.run(['copy', table]);
    assert.equal(code, 1, table);
    assert.equal(output, '');
    assert.match(errors, /^clarus: [^\n]*cannot be copied: [^\n]*; nothing was changed\. First: [^\n]*\n$/);
    assert.match(errors, expected);
  }
  assert.deepEqual(await standing(), before);
});

test('foreign keys of open tables follow to the copy, those of waiting ones when they are copied', async () => {
  for (const table of ['ward', 'stay']) {
    const { code, output, errors } = await place.run(['copy', table]);
    assert.equal(code, 0, errors);
    assert.match(output, new RegExp(`the way back is "clarus copy --undo public\\.${table}"`));
  }
  const found = await standing();
  for (const line of ['bed -> ward', 'stay -> ward', 'stay_clarus_original -> ward_clarus_original'])
    assert.ok(found.includes(line), `${line}: ${found.join('; ')}`);
  await place.serving(async () => {
    const refused = await place.run(['sql', '-c', 'INSERT INTO bed VALUES (2, 99)']);
    assert.match(refused.errors, /violates foreign key constraint "bed_ward_fkey"/);
    await place.run(['sql', '-c', "INSERT INTO ward VALUES (3, 'c', 'z')"]);
    const running = await place.run(['copy', '--undo', 'stay']);
    assert.match(running.errors, /belongs to the Clarus with process number \d+: stop that first/);
  });
});

test('a copy is taken back, and rows written since are not lost unawares', async () => {
  const used = await place.run(['copy', '--undo', 'ward', '--discard-changes']);
  assert.equal(used.code, 1);
  assert.match(
    used.errors,
    /"stay_ward_fkey" of public\.stay refers to it; undo the copy of public\.stay first/,
  );
  const child = await place.run(['copy', '--undo', 'stay']);
  assert.equal(child.code, 0, child.errors);
  const written = await place.run(['copy', '--undo', 'ward']);
  assert.equal(written.code, 1);
  assert.match(written.errors, /rows of the copy differ .* \(3 and 2 rows\).*--discard-changes/);
  assert.equal((await cloud.query('SELECT FROM ward')).rowCount, 3);
  const back = await place.run(['copy', '--undo', '--discard-changes', 'ward']);
  assert.equal(back.code, 0, back.errors);
  const found = await standing();
  for (const line of ['bed -> ward', 'stay -> ward']) assert.ok(found.includes(line), found.join('; '));
  assert.ok(!found.some(line => line.includes('original')), found.join('; '));
  assert.deepEqual((await cloud.query('SELECT code, secret FROM ward ORDER BY id')).rows, [
    { code: 'a', secret: 'x' },
    { code: 'b', secret: 'y' },
  ]);
  const nothing = await place.run(['copy', '--undo', 'ward']);
  assert.match(nothing.errors, /no plaintext original of public\.ward is set aside/);
});

test('sequences of a copy stand and begin where those of the original do', async () => {
  const { code, errors } = await place.run(['copy', 'counted']);
  assert.equal(code, 0, errors);
  await place.serving(async () => {
    const ask = async (sql: string): Promise<string> => {
      const { output, errors: said } = await place.run(['sql', '-c', sql]);
      return said + output;
    };
    const starts =
      "SELECT start_value, increment_by FROM pg_sequences WHERE sequencename ~ '^counted_' ORDER BY 1";
    assert.match(await ask(starts), /\n 1 +\| 1\n 7 +\| 3\n/);
    assert.match(
      await ask("INSERT INTO counted (secret) VALUES ('t') RETURNING id, number"),
      /\n 6 +\| 22\n/,
    );
  });
});

test('the original of a copy is no table of the application, and each start says that it stands', async () => {
  const running = place.start(['run']);
  await running.until('ready ');
  const seen = await place.run(['sql', '-c', "SELECT relname FROM pg_class WHERE relname LIKE '%_original'"]);
  const asked = await place.run(['sql', '-c', 'SELECT * FROM counted_clarus_original']);
  await place.run(['sql', '-c', 'CREATE VIEW of_counted AS SELECT secret FROM counted']);
  running.child.kill('SIGTERM');
  const { errors } = await running.ended;
  assert.match(seen.output, /\(0 rows\)/);
  assert.match(asked.errors, /relation "counted_clarus_original" does not exist/);
  assert.match(
    errors,
    /public\.counted_clarus_original is the plaintext original of public\.counted, set aside by/,
  );
  assert.doesNotMatch(errors, /made past Clarus/);
  const checked = await place.run(['check']);
  assert.match(checked.output, /public\.counted_clarus_original: the plaintext original of public\.counted/);
  assert.doesNotMatch(checked.output, /original: neither served nor written/);
});

test('what keeps a copy from being dropped is told before anything is changed', async () => {
  const { code, errors } = await place.run(['copy', '--undo', '--discard-changes', 'counted']);
  assert.equal(code, 1);
  assert.match(
    errors,
    /^clarus: the copy of public\.counted cannot be dropped: view public\.of_counted depends on it; nothing was changed\. Drop them through Clarus first/,
  );
  await place.serving(() => place.run(['sql', '-c', 'DROP VIEW of_counted']));
  const undone = await place.run(['copy', '--undo', '--discard-changes', 'counted']);
  assert.equal(undone.code, 0, undone.errors);
});
