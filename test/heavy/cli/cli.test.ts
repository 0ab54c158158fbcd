/** The command line with real servers: what it prints, what it leaves alone, and with which code it ends. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { generate } from 'selfsigned';
import { commands } from '../../../src/cli/commands.js';
import { type Ended, secrets, Workplace } from '../../support/command-line.js';
import { freePort, startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let port: number;
let place: Workplace;

const tables = `
  public.clinic: { columns: { id: { protect: none }, name: { protect: none } } }
  public.patient:
    columns:
      id: { protect: none }
      clinic: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality, substring] }
      code: { class: identifier, protect: encrypt, queries: [equality] }
      born: { class: quasi-identifier, protect: encrypt }
  public.visit:
    columns:
      id: { protect: none }
      patient: { protect: none }
      notes: { class: confidential, protect: encrypt }
`;

interface Settings {
  readonly cloud?: string;
  readonly password?: string;
  readonly listen?: number;
  readonly tables?: string;
}

const configuration = (more: Settings = {}): string => `clarus: 1
trusted:
  database: embedded
  directory: ./data
  key: { file: ./root.key }
clouds:
  main: { postgres: "postgres://app@${more.cloud ?? `127.0.0.1:${server.port}`}/hospital", password: "${more.password ?? 'env:CLOUD_PASSWORD'}" }
listen: { postgres: "127.0.0.1:${more.listen ?? port}" }
tls: off
workers: 1
users:
  app: { password: "env:APP_PASSWORD" }
unlisted: refuse
tables:${more.tables ?? tables}`;

/** A direct connection to the cloud. */
async function cloud<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    user: 'app',
    password: secrets.CLOUD_PASSWORD,
    database: 'hospital',
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A connection of the application. */
async function application<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'app',
    password: secrets.APP_PASSWORD,
    database: 'hospital',
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

before(async () => {
  server = await startServer();
  port = await freePort();
  place = new Workplace();
  chmodSync(place.directory, 0o755);
  place.write('root.key', `${'ab'.repeat(32)}\n`);
  place.write('clarus.yaml', configuration());
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${secrets.CLOUD_PASSWORD}'`);
  await admin.query('CREATE DATABASE hospital OWNER app');
  await admin.end();
  await cloud(client =>
    client.query(`
      CREATE TABLE clinic (id int PRIMARY KEY, name text);
      CREATE TABLE patient (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, clinic int REFERENCES clinic(id),
        name text NOT NULL, code text UNIQUE, born date DEFAULT '2000-01-01');
      CREATE INDEX patient_name ON patient (name);
      CREATE TABLE visit (id serial PRIMARY KEY, patient bigint REFERENCES patient(id), notes text);
      CREATE TABLE loose (a int);
      INSERT INTO clinic SELECT g, 'clinic ' || g FROM generate_series(1, 5) g;
      INSERT INTO patient (clinic, name, code) SELECT g % 5 + 1, E'tab\\t | \\\\ ' || g % 50, nullif('c' || g, 'c7')
        FROM generate_series(1, 500) g;
      INSERT INTO visit (patient, notes) SELECT g % 500 + 1, nullif(repeat('ä' || g, g % 30), '')
        FROM generate_series(1, 20000) g`),
  );
});

after(async () => {
  place.remove();
  await server.stop();
});

/** It failed with one line for people, no stack trace and nothing on standard output; log lines may stand before. */
const oneLine = ({ code, output, errors }: Ended, expected: RegExp): void => {
  assert.equal(code, 1, errors);
  const lines = errors
    .trimEnd()
    .split('\n')
    .filter(line => !line.startsWith('{'));
  assert.equal(lines.length, 1, errors);
  assert.match(lines[0]!, expected);
  assert.equal(output, '');
};

test('every command explains itself', async () => {
  const general = await place.run(['--help']);
  assert.equal(general.code, 0);
  for (const name of Object.keys(commands)) {
    assert.match(general.output, new RegExp(`^  ${name} `, 'm'));
    const { code, output, errors } = await place.run([name, '--help']);
    assert.equal(code, 0);
    assert.equal(errors, '');
    assert.match(output, new RegExp(`Usage: clarus ${name}`));
  }
  assert.match((await place.run(['--version'])).output, /^clarus \d+\.\d+\.\d+/);
  for (const wrong of [[], ['nonsense'], ['check', '--nonsense'], ['copy'], ['run', 'extra']]) {
    const { code, errors } = await place.run(wrong);
    assert.equal(code, 2, wrong.join(' '));
    if (wrong.length > 0) assert.match(errors, /^clarus[^\n]+--help[^\n]*\n$/);
  }
});

test('init makes what is missing and keeps what is there', async () => {
  const fresh = new Workplace();
  try {
    const url = `postgres://app@127.0.0.1:${server.port}/hospital`;
    const made = await fresh.run(['init', '--cloud', url]);
    assert.equal(made.code, 0, made.errors);
    assert.match(made.output, /root key fingerprint: [0-9a-f-]{16,}/);
    assert.match(made.output, /If it is lost, the data are lost/);
    assert.match(made.output, /proposed public\.patient: \d+ of 5 columns protected/);
    const file = readFileSync(fresh.path('clarus.yaml'), 'utf8');
    assert.match(file, /public\.patient:/);
    const key = fresh.path('clarus-data/root.key');
    const secret = readFileSync(key, 'utf8');
    assert.match(secret, /^[0-9a-f]{64}\n$/);
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.match(file, /born: .*queries: \[range\] \} # a date of birth; range waits/);
    const again = await fresh.run(['init', '--json', '--cloud', url]);
    assert.equal(again.code, 0, again.errors);
    assert.match(again.errors, /clarus\.yaml is there already, so --cloud was not read; [^\n]+\n$/);
    assert.deepEqual(JSON.parse(again.output).made, []);
    assert.equal(readFileSync(fresh.path('clarus.yaml'), 'utf8'), file);
    assert.equal(readFileSync(key, 'utf8'), secret);
  } finally {
    fresh.remove();
  }
});

test('init says which server it could not read, and what to correct', async () => {
  const fresh = new Workplace();
  const init = (url: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
    fresh.run(['init', '--cloud', url], { env });
  const where = `the cloud \\(127\\.0\\.0\\.1:${server.port}\\)`;
  const closed = await freePort();
  try {
    oneLine(
      await init(`postgres://app@127.0.0.1:${server.port}/hospital`, { CLOUD_PASSWORD: 'wrong' }),
      new RegExp(`${where} refuses the password of user "app"; correct CLOUD_PASSWORD$`),
    );
    oneLine(
      await init(`postgres://app@127.0.0.1:${server.port}/nosuch`),
      new RegExp(`${where} has no database "nosuch"; create it, or correct the URL of --cloud$`),
    );
    oneLine(
      await init(`postgres://app@127.0.0.1:${closed}/hospital`),
      new RegExp(
        `nothing listens at the cloud \\(127\\.0\\.0\\.1:${closed}\\); start the server[^\\n]*--cloud$`,
      ),
    );
  } finally {
    fresh.remove();
  }
});

test('check and run agree about a trusted server that is the cloud’s', async () => {
  const both = configuration().replace(
    'database: embedded',
    `database: "postgres://${server.user}@127.0.0.1:${server.port}/postgres"\n  password: "env:SERVER_PASSWORD"`,
  );
  place.write('both.yaml', both);
  const env = { SERVER_PASSWORD: server.password };
  const taken =
    /the trusted server has a database "hospital" that Clarus did not make; use a trusted server of its own/;
  try {
    const checked = await place.run(['check', '--config', 'both.yaml'], { env });
    assert.equal(checked.code, 1, checked.output);
    assert.match(checked.output, taken);
    oneLine(await place.run(['run', '--config', 'both.yaml'], { env }), taken);
  } finally {
    const admin = new pg.Client({ ...server });
    await admin.connect();
    await admin.query('DROP DATABASE clarus');
    await admin.end();
  }
});

test('what goes wrong is told in one line with cause and remedy', async () => {
  const other = async (file: string, expected: RegExp, command = 'run'): Promise<void> => {
    place.write('other.yaml', file);
    oneLine(await place.run([command, '--config', 'other.yaml']), expected);
  };
  oneLine(
    await place.run(['run', '--config', 'none.yaml']),
    /no configuration file .*none\.yaml; "clarus init"/,
  );
  oneLine(await place.run(['run', '--config', '.']), /is a directory; name a file with --config$/);
  await other(`${configuration()}nonsense: 1\n`, /other\.yaml:\d+:1: /);
  await other(configuration({ password: 'env:NOT_SET' }), /environment variable NOT_SET is not set; set it/);
  await other(configuration({ cloud: 'no-such-host.invalid:5432' }), /no-such-host|is unknown.*[Cc]orrect/);
  await other(configuration({ cloud: `127.0.0.1:${await freePort()}` }), /nothing listens|refused/);
  process.env.WRONG_PASSWORD = 'wrong';
  await other(configuration({ password: 'env:WRONG_PASSWORD' }), /password of user "app"/);
  const busy = createServer();
  await new Promise<void>(resolve => busy.listen(0, '127.0.0.1', resolve));
  try {
    const { port: taken } = busy.address() as { port: number };
    await other(configuration({ listen: taken }), new RegExp(`port ${taken} is in use; stop`));
  } finally {
    busy.close();
  }
  oneLine(
    await place.run(['sql', '-c', 'SELECT 1']),
    /nothing listens on 127\.0\.0\.1:\d+; is .*"clarus run"/,
  );
});

test('a missing or wrong key stops run and check', async () => {
  assert.notEqual((await place.run(['check'])).code, null); // the trusted database is there now
  for (const command of ['run', 'check']) {
    place.write('other.yaml', configuration().replace('./root.key', './missing.key'));
    oneLine(
      await place.run([command, '--config', 'other.yaml']),
      /root key .*missing\.key is missing; put it back/,
    );
    place.write('wrong.key', `${'cd'.repeat(32)}\n`);
    place.write('other.yaml', configuration().replace('./root.key', './wrong.key'));
    oneLine(
      await place.run([command, '--config', 'other.yaml']),
      /is not the one of this trusted database.*[Pp]ut the right key/,
    );
  }
  chmodSync(place.path('wrong.key'), 0o644);
  oneLine(await place.run(['check', '--config', 'other.yaml']), /can be read by others; chmod 600/);
});

test('run ends where the password of a user is missing', async () => {
  for (const workers of [1, 2]) {
    const text = configuration().replace('env:APP_PASSWORD', 'env:NOWHERE_SET');
    place.write('other.yaml', text.replace('workers: 1', `workers: ${workers}`));
    const ended = await place.run(['run', '--config', 'other.yaml']);
    oneLine(ended, /environment variable NOWHERE_SET is not set/);
  }
});

test('run is ready, drains and ends', async () => {
  const running = place.start(['run']);
  try {
    await running.until('ready ');
    const rows = await application(client => client.query('SELECT count(*)::int FROM clinic'));
    assert.deepEqual(rows.rows, [{ count: 5 }]);
  } finally {
    running.child.kill('SIGTERM');
  }
  const { code, output, errors } = await running.ended;
  assert.equal(code, 0, errors);
  assert.equal(output, `ready postgres://127.0.0.1:${port}\n`);
  const lines = errors
    .trimEnd()
    .split('\n')
    .map(line => (JSON.parse(line) as { message: string }).message);
  assert.deepEqual(lines.slice(-2), ['draining', 'stopped']);
});

test('a certificate of the owner is shown to clients, and one that cannot be used is told', async () => {
  const certified = async (names: readonly [string, string]): Promise<void> => {
    const made = await generate([{ name: 'commonName', value: 'clarus.example' }], {
      keyType: 'ec',
      curve: 'P-256',
      algorithm: 'sha256',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'clarus.example' }] }],
    });
    place.write(names[0], made.cert);
    place.write(names[1], made.private);
    chmodSync(place.path(names[1]), 0o600);
  };
  await certified(['server.crt', 'server.key']);
  await certified(['other.crt', 'other.key']);
  const withTls = (certificate: string, key: string): string =>
    configuration().replace('tls: off', `tls: { certificate: ./${certificate}, key: ./${key} }`);
  place.write('tls.yaml', withTls('server.crt', 'server.key'));
  assert.doesNotMatch((await place.run(['check', '--config', 'tls.yaml'])).output, /of tls/);
  const running = place.start(['run', '--config', 'tls.yaml']);
  try {
    await running.until('ready ');
    const target = {
      host: '127.0.0.1',
      port,
      user: 'app',
      password: secrets.APP_PASSWORD,
      database: 'hospital',
    };
    const ca = readFileSync(place.path('server.crt'), 'utf8');
    const client = new pg.Client({ ...target, ssl: { ca, servername: 'clarus.example' } });
    await client.connect();
    assert.deepEqual((await client.query('SELECT count(*)::int FROM clinic')).rows, [{ count: 5 }]);
    await client.end();
    const wrong = new pg.Client({
      ...target,
      ssl: { ca: readFileSync(place.path('other.crt'), 'utf8'), servername: 'clarus.example' },
    });
    await assert.rejects(wrong.connect(), /self-signed certificate/);
  } finally {
    running.child.kill('SIGTERM');
  }
  assert.equal((await running.ended).code, 0);
  place.write('no.pem', 'nothing\n');
  for (const [certificate, key, expected] of [
    [
      'none.crt',
      'server.key',
      /certificate of tls, .*none\.crt, does not exist; name another file under tls:/,
    ],
    [
      'no.pem',
      'server.key',
      /certificate of tls, .*no\.pem, cannot be used; it must hold a certificate chain in PEM/,
    ],
    [
      'server.crt',
      'no.pem',
      /key of tls, .*no\.pem, (cannot be used; it must hold a private key|can be read by everybody)/,
    ],
    [
      'server.crt',
      'other.key',
      /key of tls, .*other\.key, cannot be used; it is not the key of .*server\.crt/,
    ],
  ] as const) {
    place.write('tls.yaml', withTls(certificate, key));
    oneLine(await place.run(['run', '--config', 'tls.yaml']), expected);
    const checked = await place.run(['check', '--config', 'tls.yaml']);
    assert.equal(checked.code, 1);
    assert.match(checked.output, expected);
  }
});

test('a table that stands unprotected is told by check and by the error', async () => {
  const { code, output } = await place.run(['check']);
  assert.equal(code, 1);
  assert.match(output, /public\.patient is neither served nor written: .*clarus copy public\.patient/);
  assert.match(output, /public\.loose: every column \(stands unprotected; not served\)/);
  await place.serving(() =>
    application(async client => {
      for (const statement of ['SELECT * FROM patient', 'DELETE FROM patient'])
        await assert.rejects(client.query(statement), {
          code: '55000',
          message: /public\.patient.* is neither served nor written/,
        });
    }),
  );
  assert.equal((await cloud(client => client.query('SELECT count(*)::int FROM patient'))).rows[0].count, 500);
});

test('a name in the policy that nothing answers to is told with its place', async () => {
  place.write(
    'other.yaml',
    configuration({
      tables: `${tables.replace('born:', 'bron:').replace('public.visit:', 'public.vist:')}  public.later: {}\n`,
    }),
  );
  const { code, output } = await place.run(['check', '--config', 'other.yaml']);
  assert.equal(code, 1);
  const problems = output.slice(output.indexOf(' problem'));
  assert.match(problems, /other\.yaml:\d+:7: public\.patient has no column "bron" \(did you mean "born"\?\)/);
  assert.match(
    output,
    /warning: .*other\.yaml:\d+:3: there is no table public\.vist \(did you mean "public\.visit"\?\)/,
  );
  assert.match(output, /warning: .*there is no table public\.later \(CREATE TABLE through Clarus/);
  oneLine(
    await place.run(['copy', 'patient', '--config', 'other.yaml']),
    /other\.yaml:\d+:7: public\.patient has no column "bron" \(did you mean "born"\?\)/,
  );
});

test('copy protects a table that stands unprotected in the cloud', async () => {
  oneLine(await place.run(['copy', 'public.loose']), /policy does not list public\.loose; list it/);
  oneLine(await place.run(['copy', 'public.clinic']), /protects no column of public\.clinic/);
  await cloud(client => client.query('CREATE VIEW names AS SELECT name FROM patient'));
  oneLine(await place.run(['copy', 'patient']), /cannot be copied: view public\.names depends on it/);
  await cloud(client => client.query('DROP VIEW names'));

  const { code, output, errors } = await place.run(['copy', 'public.patient', '--json']);
  assert.equal(code, 0, errors);
  const copied = JSON.parse(output) as { rows: number; digest: string; original: string };
  assert.equal(copied.rows, 500);
  assert.equal(copied.original, 'public.patient_clarus_original');
  oneLine(await place.run(['copy', 'public.patient']), /is protected already/);

  const [kept, stored] = await cloud(async client => [
    (await client.query('SELECT id, clinic, name, code, born FROM patient_clarus_original ORDER BY id')).rows,
    (await client.query("SELECT string_agg(p::text, '') AS everything FROM patient p")).rows[0]
      .everything as string,
  ]);
  assert.ok(!/tab\t|74616209207c/.test(stored), 'the copy holds values in the clear');
  await place.serving(() =>
    application(async client => {
      const served = await client.query('SELECT id, clinic, name, code, born FROM patient ORDER BY id');
      assert.deepEqual(served.rows, kept);
      const added = await client.query(
        "INSERT INTO patient (clinic, name) VALUES (1, 'new') RETURNING id, born",
      );
      assert.deepEqual(added.rows, [{ id: '501', born: new Date(2000, 0, 1) }]);
      for (const [statement, sqlstate] of [
        ["INSERT INTO patient (name, code) VALUES ('x', 'c1')", '23505'],
        ["INSERT INTO patient (clinic, name) VALUES (99, 'x')", '23503'],
        ['INSERT INTO patient (clinic) VALUES (1)', '23502'],
      ] as const)
        await assert.rejects(client.query(statement), { code: sqlstate });
      const indexes = await client.query(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'patient' ORDER BY 1",
      );
      assert.deepEqual(
        indexes.rows.map(row => row.indexname),
        ['patient_code_key', 'patient_name', 'patient_pkey'],
      );
    }),
  );
});

test('a copy that is killed leaves the original whole, and begins anew', async () => {
  const running = place.start(['copy', 'public.visit']);
  const aside = "SELECT FROM pg_class WHERE relname = 'visit_clarus_original'";
  let ended = false;
  void running.ended.then(() => {
    ended = true;
  });
  await cloud(async client => {
    while ((await client.query(aside)).rowCount === 0) {
      assert.ok(!ended, 'the copy ended before it set the original aside');
      await new Promise(done => setTimeout(done, 20));
    }
  });
  running.child.kill('SIGKILL');
  await running.ended;
  assert.match(
    (await place.run(['check'])).output,
    /the copy of public\.visit was cut short: run "clarus copy public\.visit" again/,
  );
  const { code, output, errors } = await place.run(['copy', 'public.visit']);
  assert.equal(code, 0, errors);
  assert.match(output, /an earlier copy was cut short; it begins anew/);
  assert.match(output, /public\.visit: 20000 rows are protected; count and digest agree/);
  const keys =
    "SELECT conname, confrelid::regclass::text AS target FROM pg_constraint WHERE conrelid = 'visit'::regclass AND contype = 'f'";
  const found = await cloud(client => client.query(keys));
  assert.deepEqual(found.rows, [{ conname: 'visit_patient_fkey', target: 'patient' }]);
});

test('a password that is not the one of the proxy is told with what it is read from', () =>
  place.serving(async () =>
    oneLine(
      await place.run(['sql', '--command', 'SELECT 1'], { env: { APP_PASSWORD: 'other' } }),
      /^clarus: password authentication failed for user "app"; the password is read from the environment variable APP_PASSWORD, as users\.app\.password says/,
    ),
  ));

test('check tells what the cloud learns, column by column', async () => {
  const { code, output } = await place.run(['check']);
  assert.equal(code, 0, output);
  const patient = output.slice(output.indexOf('public.patient: protected'), output.indexOf('public.visit'));
  assert.match(
    patient,
    /name: text, identifier, encrypted, queries equality, substring\n {4}forms: sealed, equality\n/,
  );
  assert.match(patient, /waits: substring/);
  assert.doesNotMatch(patient.slice(patient.indexOf('born:')), /equality/);
  const learned = output.slice(output.indexOf('What the cloud learns of a column by its forms:'));
  for (const said of [
    / {2}sealed: the length of each value[^\n]*\n {4}from queries /g,
    / {2}equality: which rows hold equal values, and how often each value occurs/g,
  ])
    assert.equal([...learned.matchAll(said)].length, 1, learned);
  const ending = output.slice(output.indexOf('In the clear:'));
  assert.match(ending, /public\.clinic: every column\n.*public\.loose: every column/);
  assert.match(ending, /public\.patient: id, clinic\n/);
  assert.match(
    ending,
    /public\.patient_clarus_original: the plaintext original of public\.patient, until you drop it/,
  );
  assert.match(
    ending,
    /Not reached by the policy[\s\S]*how many rows each table has[\s\S]*\nEverything would work\.\n$/,
  );

  const asJson = await place.serving(() => place.run(['check', '--json']));
  assert.equal(asJson.code, 0, asJson.errors);
  const report = JSON.parse(asJson.output);
  assert.equal(report.trusted.running, true);
  assert.equal(report.works, true);
  const { columns } = report.clouds[0].tables.find((t: { name: string }) => t.name === 'public.patient');
  assert.deepEqual(columns.find((c: { name: string }) => c.name === 'name').waiting, ['substring']);

  place.write(
    'other.yaml',
    configuration({
      tables: tables.replace(
        'born: { class: quasi-identifier, protect: encrypt }',
        'born: { protect: none }',
      ),
    }),
  );
  const changed = await place.run(['check', '--config', 'other.yaml']);
  assert.equal(changed.code, 1);
  assert.match(changed.output, /public\.patient\.born: .*encrypt becomes none: in the clear/);
  assert.match(
    changed.output,
    /would change protected tables that hold rows: public\.patient; .*protection of empty tables without triggers only/,
  );
  oneLine(
    { ...(await place.run(['run', '--config', 'other.yaml'])) },
    /would change protected tables that hold rows: public\.patient/,
  );
});

test('policy export writes the version in force as a file', async () => {
  const { code, output, errors } = await place.run(['policy', 'export']);
  assert.equal(code, 0, errors);
  place.write('exported.yaml', output);
  const { output: report } = await place.run(['check', '--config', 'exported.yaml']);
  assert.match(report, /policy in force: version \d+, as the file says/);
  const running = await place.serving(() => place.run(['policy', 'export', '--config', 'exported.yaml']));
  assert.equal(running.output, output);
});

test('sql answers statements of a prompt and of a script', async () => {
  await place.serving(async () => {
    const single = await place.run(['sql', '-c', "SELECT id, code FROM patient WHERE code = 'c3'"]);
    assert.equal(single.code, 0, single.errors);
    assert.match(single.output, / id \| code\n-+\+-+\n 3 {2}\| c3\n\(1 row\)/);
    const input = "SELECT count(*) FROM patient\n  WHERE name = 'new';\nSELECT nonsense;\n\\q\n";
    const script = await place.run(['sql'], { input });
    assert.equal(script.code, 1);
    assert.match(script.output, /count\n-+\n 1\n/);
    assert.match(script.errors, /^ERROR: {2}column "nonsense" does not exist/);
  });
});

test('explain shows which way a statement takes, and why', async () => {
  await place.serving(async () => {
    const plan = await place.run(['explain', "SELECT born FROM patient WHERE code = 'c3'"]);
    assert.equal(plan.code, 0, plan.errors);
    assert.match(plan.output, /code/);
    assert.doesNotMatch(plan.output, /c3/);
    const split = await place.run(['explain', 'SELECT * FROM patient ORDER BY born']);
    assert.equal(split.code, 0, split.errors);
    assert.match(split.output, /^Split: [\s\S]*Why: ORDER BY needs protected column "born"/);
    const sorted = 'SELECT ctid, * FROM patient ORDER BY born';
    const refused = await place.run(['explain', sorted]);
    assert.equal(refused.code, 1);
    assert.equal(refused.output, '');
    assert.match(
      refused.errors,
      /^ERROR: {2}ORDER BY needs protected column "born".*\nDETAIL: {2}Policy: public\.patient\.born: encrypt, no queries \(clarus\.yaml:\d+:\d+\)\.\nHINT: {2}No query kind of this version answers it\. .*\n$/,
    );
    const told = await place.run(['explain', '--json', 'SELECT * FROM patient ORDER BY born']);
    assert.equal(told.code, 0, told.errors);
    const { plan: way } = JSON.parse(told.output);
    assert.deepEqual([way.Way, way.Table[0].Name], ['Split', 'public.patient']);
    const asJson = await place.run(['explain', '--json', sorted]);
    assert.equal(asJson.code, 1);
    assert.equal(JSON.parse(asJson.output).refused.code, '0A000');
  });
});

test('a start says what the file takes back of what labels have said', async () => {
  const label = "SECURITY LABEL FOR clarus ON COLUMN patient.born IS 'identifier encrypt'";
  await place.serving(async () => {
    const said = await place.run(['sql', '-c', label]);
    assert.equal(said.code, 0, said.errors);
  });
  const starts: string[] = [];
  for (let i = 0; i < 2; i++) {
    const running = place.start(['run']);
    await running.until('ready ');
    running.child.kill('SIGTERM');
    starts.push((await running.ended).errors);
  }
  assert.match(
    starts[0]!,
    /"message":"the policy of the file is in force","changes":".*born: class identifier becomes/,
  );
  assert.doesNotMatch(starts[1]!, /is in force/);
});

test('a label on a table with rows does not keep the next start from serving', async () => {
  const label = (text: string) => `SECURITY LABEL FOR clarus ON COLUMN patient.name IS '${text}'`;
  await place.serving(async () => {
    const said = await place.run(['sql', '-c', label('identifier encrypt queries range, sum')]);
    assert.equal(said.code, 0, said.errors);
  });
  const stands =
    /the security label of \d{4}-\d\d-\d\d by "?\\?"?app.* stands: it changed public\.patient\.name/;
  const checked = await place.run(['check']);
  assert.equal(checked.code, 0, checked.output);
  assert.match(checked.output, /the file differs:\n {2}public\.patient\.name: queries gains equality/);
  assert.match(checked.output, stands);
  const running = place.start(['run']);
  await running.until('ready ');
  const back = await place.run(['sql', '-c', label('identifier encrypt queries equality, substring')]);
  running.child.kill('SIGTERM');
  assert.match((await running.ended).errors, stands);
  assert.equal(back.code, 0, back.errors);
  const after = await place.run(['check']);
  assert.match(after.output, /, as the file says/);
  assert.doesNotMatch(after.output, stands);
});
