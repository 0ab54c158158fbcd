import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ConfigError, parseConfig } from './parse.js';
import { type ColumnPolicy, type Config, defaultLimits } from './policy.js';

const example = readFileSync(new URL('./fixtures/example.yaml', import.meta.url), 'utf8');
const head =
  'clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\nusers: { app: { password: "env:P" } }\n';
const parse = (text: string): Config => parseConfig(text, '/etc/clarus/clarus.yaml');

const withoutPlace = ({ position, ...rest }: ColumnPolicy): Omit<ColumnPolicy, 'position'> => rest;

test('the example of the design means what it says', () => {
  const { policy, ...config } = parse(example);
  assert.deepEqual(config, {
    file: '/etc/clarus/clarus.yaml',
    trusted: {
      database: 'embedded',
      directory: '/etc/clarus/clarus-data',
      key: { kind: 'file', path: '/etc/clarus/clarus-data/root.key' },
    },
    clouds: [
      {
        name: 'main',
        host: '127.0.0.1',
        port: 5432,
        user: 'app',
        database: 'hospital',
        password: { kind: 'env', name: 'CLOUD_PASSWORD' },
        tls: 'off',
        ca: undefined,
      },
    ],
    listen: { postgres: { host: '127.0.0.1', port: 6432 } },
    tls: 'self-made',
    audit: 'statements',
    users: [{ name: 'app', password: { kind: 'env', name: 'APP_PASSWORD' }, cloud: undefined }],
    limits: defaultLimits,
    workers: undefined,
    warnings: [],
  });
  assert.equal(policy.unlisted, 'refuse');
  assert.deepEqual(policy.declassify, []);
  assert.equal(policy.tables.length, 1);
  const [table] = policy.tables;
  assert.deepEqual([table?.schema, table?.name], ['public', 'covid_test']);
  const none = { class: undefined, protect: 'encrypt', queries: [], domain: undefined };
  assert.deepEqual(table?.columns.map(withoutPlace), [
    { ...none, name: 'fake_first_name', class: 'identifier', queries: ['equality'] },
    { ...none, name: 'fake_last_name', class: 'identifier', queries: ['equality', 'substring'] },
    { ...none, name: 'subject_id', class: 'identifier', queries: ['equality'], domain: 'person' },
    { ...none, name: 'age', class: 'quasi-identifier', queries: ['range', 'sum'] },
    { ...none, name: 'gender', class: 'quasi-identifier' },
    { ...none, name: 'result', class: 'confidential' },
    { ...none, name: 'pan_day', protect: 'none' },
  ]);
  const line = example.split('\n').findIndex(text => text.includes('age:')) + 1;
  assert.deepEqual(table?.columns[3]?.position, { file: '/etc/clarus/clarus.yaml', line, column: 7 });
});

test('the least file takes every default', () => {
  const config = parse('clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\n');
  assert.deepEqual(config.trusted, parse(example).trusted);
  assert.deepEqual(config.policy, { unlisted: 'refuse', declassify: [], tables: [] });
  assert.deepEqual(config.clouds[0]?.password, undefined);
  assert.deepEqual(
    config.warnings.map(warning => warning.message),
    ['no users are named: nobody can connect'],
  );
});

test('everything that can be said is taken', () => {
  const config = parse(`clarus: 1
trusted:
  database: postgres://clarus@db.intra:5433/state
  password: file:secrets/trusted
  ca: intra.pem
  directory: /var/lib/clarus
  key: { env: CLARUS_ROOT_KEY }
clouds:
  main: { postgres: "postgresql://a%40b@[2001:db8::1]:6000/hos%20pital?sslmode=verify-full", ca: ca.pem }
  other: { postgres: "postgres://app@db.example.org/second", password: "file:/run/secrets/second" }
listen: { postgres: "[::1]:0" }
tls: { certificate: server.crt, key: server.key }
audit: rows
users:
  app: { password: "env:APP", cloud: { user: app_db, password: "file:app" } }
limits: { message_bytes_max: 65536, idle_timeout_ms: 5000 }
workers: 3
unlisted: encrypt
declassify: [open.covid, "open.covid.day", covid, 'open."a.b"']
tables:
  visits: { columns: { id: { protect: none, class: non-confidential } } }
  'hos."Wei.rd"':
  other.empty: {}
  public.loose: { columns: { note: , Other: {} } }
`);
  const [trusted] = [config.trusted.database];
  assert.deepEqual(trusted, {
    url: 'postgres://clarus@db.intra:5433/state',
    host: 'db.intra',
    port: 5433,
    user: 'clarus',
    database: 'state',
    password: { kind: 'file', path: '/etc/clarus/secrets/trusted' },
    tls: 'verify',
    ca: '/etc/clarus/intra.pem',
  });
  assert.equal(config.trusted.directory, '/var/lib/clarus');
  assert.deepEqual(config.trusted.key, { kind: 'env', name: 'CLARUS_ROOT_KEY' });
  assert.deepEqual(config.clouds, [
    {
      name: 'main',
      host: '2001:db8::1',
      port: 6000,
      user: 'a@b',
      database: 'hos pital',
      password: undefined,
      tls: 'verify',
      ca: '/etc/clarus/ca.pem',
    },
    {
      name: 'other',
      host: 'db.example.org',
      port: 5432,
      user: 'app',
      database: 'second',
      password: { kind: 'file', path: '/run/secrets/second' },
      tls: 'verify',
      ca: undefined,
    },
  ]);
  assert.deepEqual(config.listen.postgres, { host: '::1', port: 0 });
  assert.deepEqual(config.tls, { certificate: '/etc/clarus/server.crt', key: '/etc/clarus/server.key' });
  assert.equal(config.audit, 'rows');
  assert.deepEqual(config.users[0]?.cloud, {
    user: 'app_db',
    password: { kind: 'file', path: '/etc/clarus/app' },
  });
  assert.deepEqual(config.limits, { ...defaultLimits, message_bytes_max: 65536, idle_timeout_ms: 5000 });
  assert.equal(config.workers, 3);
  assert.equal(config.policy.unlisted, 'encrypt');
  assert.deepEqual(config.policy.declassify, ['open.covid', 'open.covid.day', 'public.covid', 'open."a.b"']);
  assert.deepEqual(
    config.policy.tables.map(({ schema, name, columns }) => [
      schema,
      name,
      columns.map(column => column.name),
    ]),
    [
      ['public', 'visits', ['id']],
      ['hos', 'Wei.rd', []],
      ['other', 'empty', []],
      ['public', 'loose', ['note', 'Other']],
    ],
  );
  assert.deepEqual(
    config.policy.tables[3]?.columns.map(column => column.protect),
    ['encrypt', 'encrypt'],
  );
  assert.deepEqual(config.warnings, []);
});

test('query kinds are kept in one order, however they are written', () => {
  const { policy } = parse(`${head}tables: { t: { columns: { c: { queries: [sum, equality, range] } } } }`);
  assert.deepEqual(policy.tables[0]?.columns[0]?.queries, ['equality', 'range', 'sum']);
});

test('an alias repeats what its anchor says', () => {
  const { policy } = parse(
    `${head}tables:\n  t:\n    columns:\n      a: &id { class: identifier, queries: [equality] }\n      b: *id\n`,
  );
  assert.deepEqual(policy.tables[0]?.columns[1], {
    ...policy.tables[0]?.columns[0],
    name: 'b',
    position: { file: '/etc/clarus/clarus.yaml', line: 8, column: 7 },
  });
});

test('names that mean something to JavaScript or YAML are only names', () => {
  const { policy } = parse(
    `${head}tables: { t: { columns: { __proto__: {}, constructor: {}, null: {}, 1.0: {}, true: {} } } }`,
  );
  const names = policy.tables[0]?.columns.map(column => column.name);
  assert.deepEqual(names, ['__proto__', 'constructor', 'null', '1.0', 'true']);
});

test('what is dangerous but said is taken and warned of, with its place', () => {
  const config = parse(`clarus: 1
clouds:
  main: { postgres: "postgres://app:hunter2@localhost/hospital" }
  far: { postgres: "postgres://app@db.example.org/far", tls: off }
listen: { postgres: "*:6432" }
tls: off
users: { app: { password: "env:P" } }
unlisted: pass
tables:
  t:
    columns:
      name: { class: identifier, protect: none }
      a: { domain: person }
      b: { domain: person }
      c: { domain: persn }
`);
  assert.deepEqual(config.clouds[0]?.password, { kind: 'url', password: 'hunter2' });
  assert.equal(config.clouds[1]?.tls, 'off');
  const said = config.warnings.map(
    ({ message, position }) => `${position?.line}:${position?.column} ${message}`,
  );
  assert.deepEqual(said.sort(), [
    '12:7 the column "name" is an identifier, yet in the clear (protect: none)',
    '15:7 one column only is in the domain persn; did you mean person?',
    '3:21 the URL holds a password in the clear: take it out of the URL and write password: "env:NAME" or "file:PATH"',
    '4:62 the connection to db.example.org is plain: whoever is on the way reads and changes it',
    '5:21 clients of *:6432 speak without TLS (tls: off): whoever is on the way reads everything',
    '8:11 unlisted: pass: every table that is not named under tables: is stored in the clear',
  ]);
  assert.ok(!JSON.stringify(config.warnings).includes('hunter2'));
});

test('clouds whose databases have one name are refused', () => {
  const cloud = '{ postgres: "postgres://a@127.0.0.1/d" }';
  assert.deepEqual(problemsOf(`clarus: 1\nclouds:\n  one: ${cloud}\n  two: ${cloud}\n`), [
    '4:20: the clouds "one" and "two" have databases of one name (a client chooses a cloud by its database, so the names must differ)',
  ]);
});

test('all problems are told at once, in the order of the file, the message being one line', () => {
  const text =
    'clarus: 2\naudit: all\nusers: { app: { password: geheim } }\ntables: { t: { columns: { a: { class: secret } } } }\n';
  const error = errorOf(text);
  assert.equal(error.code, 'F0000');
  assert.deepEqual(problemsOf(text), [
    '1:1: the key "clouds" is missing (add clouds: { main: { postgres: "postgres://app@127.0.0.1:5432/hospital", password: "env:CLOUD_PASSWORD" } })',
    '1:9: "clarus" must be 1, the one version of the file that this release reads',
    '2:8: "audit" must be one of acts, statements, rows',
    '3:27: "users.app.password" must be a reference, "env:NAME" or "file:PATH"; a secret is never written in this file',
    '4:39: "tables.t.columns.a.class" must be one of identifier, quasi-identifier, confidential, non-confidential',
  ]);
  assert.ok(error.message.endsWith(' (and 4 more problems)'));
  assert.ok(!error.message.includes('\n'));
  assert.ok(!error.report().includes('geheim'));
});

test('what is no configuration at all is told, not crashed on', () => {
  assert.deepEqual(problemsOf(''), [
    '1:1: the file has no value (it must be a mapping that begins with clarus: 1)',
  ]);
  assert.deepEqual(problemsOf('hello'), ['1:1: the file must be a mapping that begins with clarus: 1']);
  assert.deepEqual(problemsOf('- 1'), ['1:1: the file must be a mapping that begins with clarus: 1']);
  assert.deepEqual(problemsOf(`${head}? [a]\n: 1\n`), [
    '4:3: a key must be a word (put a key that begins with * & { or [ in quotes)',
  ]);
});

test('a small file cannot grow without end by aliases, nor nest without end', () => {
  let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n';
  for (let i = 1; i < 15; i++)
    bomb += `a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(', ')}]\n`;
  assert.ok(errorOf(bomb).problems.length > 0);
  assert.ok(errorOf('a: &a [*a]').problems.length > 0);
  assert.ok(errorOf('['.repeat(100_000)).problems.length > 0);
  assert.ok(errorOf(`${'['.repeat(200)}${']'.repeat(200)}`).problems.length > 0);
});

function errorOf(text: string): ConfigError {
  try {
    parseConfig(text, 'clarus.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'the text was taken' });
}

function problemsOf(text: string): readonly string[] {
  return errorOf(text)
    .report()
    .split('\n')
    .map(line => line.replace(/^clarus\.yaml:/u, ''));
}
