/** What `clarus check` says of a new policy is what a start then does. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { bringUp } from '../src/catalog/bring-up.js';
import type { Redo } from '../src/catalog/catalog.js';
import type { CatalogNumbers } from '../src/catalog/derive-input.js';
import { readerOf } from '../src/catalog/reader.js';
import { filedPolicy, labelOn, loadCatalog } from '../src/catalog/store.js';
import { encodingRegistry } from '../src/encodings/registry.js';
import { parseConfig } from '../src/policy/parse.js';
import type { Policy } from '../src/policy/policy.js';
import { proposePolicy } from '../src/proxy/policy.js';
import { spellingOf } from '../src/sql/opaque/index.js';
import { openJournal } from '../src/trusted/journal.js';
import { startProxy, type TestProxy } from './support/proxy.js';

const registry = encodingRegistry();
const secret = '{ class: confidential, queries: [equality] }';
const columns = (name: string) => `columns: { id: { protect: none }, name: ${name} }`;
const policyText = (tables: string, unlisted = 'pass') => `unlisted: ${unlisted}\ntables:\n${tables}`;
const standing = ['filled', 'empty', 'fired']
  .map(name => `  public.${name}: { ${columns(secret)} }\n`)
  .join('');

let proxy: TestProxy;
let cloud: pg.Pool;

before(async () => {
  proxy = await startProxy({ policy: policyText(standing) });
  cloud = new pg.Pool({ ...proxy.behind, max: 3 });
  const client = new pg.Client(proxy);
  await client.connect();
  for (const name of ['filled', 'empty', 'clear'])
    await client.query(`CREATE TABLE ${name} (id int PRIMARY KEY, name text)`);
  await client.query('CREATE TABLE numbered (id serial, name text)');
  await client.query("CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
  for (const name of ['fires', 'fired']) {
    await client.query(`CREATE TABLE ${name} (id int PRIMARY KEY, name text)`);
    await client.query(`CREATE TRIGGER t BEFORE INSERT ON ${name} FOR EACH ROW EXECUTE FUNCTION fired()`);
  }
  for (const name of ['filled', 'clear']) await client.query(`INSERT INTO ${name} VALUES (1, 'x')`);
  await client.end();
});

after(async () => {
  await cloud?.end();
  await proxy?.stop();
});

const policyOf = (text: string): Policy =>
  parseConfig(
    `clarus: 1
trusted: { database: embedded, directory: ./t, key: { env: K } }
clouds: { main: { postgres: "postgres://app@127.0.0.1:1/hospital" } }
listen: { postgres: "127.0.0.1:0" }
tls: off
users: { app: { password: "env:P" } }
${text}`,
    '/tmp/clarus.yaml',
  ).policy;

async function proposal(policy: Policy) {
  const { state } = proxy.trusted;
  const shadow = await proxy.trusted.shadowAdmin(proxy.database).connect();
  const client = await cloud.connect();
  try {
    for (const side of [shadow, client]) await side.query('BEGIN READ ONLY');
    return await proposePolicy({
      catalog: await loadCatalog(state, 'main'),
      proposed: policy,
      filed: await filedPolicy(state),
      cloud: 'main',
      registry,
      inCloud: readerOf(client),
      shadow: readerOf(shadow),
    });
  } finally {
    shadow.release(true);
    client.release(true);
  }
}

function start(policy: Policy) {
  let last = 1_000;
  const next = async (): Promise<number> => ++last;
  const numbers: CatalogNumbers = { table: next, generation: next, domain: next };
  const { state } = proxy.trusted;
  return bringUp({
    state,
    journal: openJournal<Redo>(state),
    keys: { destroyTableKey: async () => undefined, forgetTable: () => undefined },
    cloud: 'main',
    proxy: 'start',
    cloudPool: cloud,
    shadow: proxy.trusted.shadowAdmin(proxy.database),
    owner: 'app',
    registry,
    numbers,
    policy,
    origin: 'file',
    spellingOf,
  });
}

const plainName = '{ protect: none }';
const cases: readonly (readonly [what: string, text: string, refused: readonly string[]])[] = [
  ['the same', policyText(standing), []],
  [
    'another protection of a table with rows',
    policyText(standing.replace(`filled: { ${columns(secret)}`, `filled: { ${columns('{}')}`)),
    ['public.filled: rows'],
  ],
  [
    'a table with rows in the clear',
    policyText(standing.replace(`filled: { ${columns(secret)}`, `filled: { ${columns(plainName)}`)),
    ['public.filled: rows'],
  ],
  [
    'another protection of an empty table',
    policyText(standing.replace(`empty: { ${columns(secret)}`, `empty: { ${columns('{}')}`)),
    [],
  ],
  [
    'another class',
    policyText(
      standing.replace(
        'filled: { columns: { id: { protect: none }, name: { class: confidential',
        'filled: { columns: { id: { protect: none }, name: { class: identifier',
      ),
    ),
    [],
  ],
  [
    'a table with rows is no longer listed, and what is unlisted stands in the clear',
    policyText(standing.replace(`  public.filled: { ${columns(secret)} }\n`, '')),
    ['public.filled: rows'],
  ],
  [
    'a table with rows is no longer listed, and what is unlisted is refused',
    policyText(standing.replace(`  public.filled: { ${columns(secret)} }\n`, ''), 'refuse'),
    [],
  ],
  ['a table in the clear is listed', policyText(`${standing}  public.clear: { ${columns(secret)} }\n`), []],
  [
    'an empty table with triggers in the clear',
    policyText(standing.replace(`fired: { ${columns(secret)}`, `fired: { ${columns(plainName)}`)),
    ['public.fired: triggers'],
  ],
  ['unlisted tables are refused', policyText(standing, 'refuse'), []],
];

for (const [what, text, refused] of cases)
  test(`check and start agree: ${what}`, async () => {
    const policy = policyOf(text);
    const said = await proposal(policy);
    const { policyVersion: before } = await loadCatalog(proxy.trusted.state, 'main');
    const done = await start(policy);
    for (const { refused: seen } of [said, done])
      assert.deepEqual(
        seen.map(({ table: { schema, name }, hindrance }) => `${schema}.${name}: ${hindrance}`),
        refused,
      );
    assert.equal(said.takesEffect, done.adopted);
    const { policyVersion: after } = await loadCatalog(proxy.trusted.state, 'main');
    assert.equal(after - before, said.takesEffect ? 1 : 0);
  });

test('an empty table whose sequence has counted in the cloud is not protected by a start', async () => {
  await start(policyOf(policyText(`${standing}  public.numbered: { columns: { id: ${secret} } }\n`)));
  const { tables } = await loadCatalog(proxy.trusted.state, 'main');
  const numbered = [...tables.values()].find(({ name }) => name === 'numbered');
  assert.equal(numbered?.state, 'blocked');
});

test('an empty table with triggers is not protected by a start: the cloud fires them', async () => {
  await start(policyOf(policyText(`${standing}  public.fires: { ${columns(secret)} }\n`)));
  const { tables } = await loadCatalog(proxy.trusted.state, 'main');
  const fires = [...tables.values()].find(({ name }) => name === 'fires');
  assert.equal(fires?.state, 'blocked');
});

test('a label on a table with rows stands at a start whose file asks for nothing new', async () => {
  const client = new pg.Client(proxy);
  await client.connect();
  const label = async (text: string): Promise<void> => {
    await client.query(`SECURITY LABEL FOR clarus ON COLUMN filled.name IS '${text}'`);
  };
  const inForce = async () => {
    const { policy } = await loadCatalog(proxy.trusted.state, 'main');
    const listed = policy.tables.find(({ name }) => name === 'filled');
    return listed?.columns.find(({ name }) => name === 'name')?.queries;
  };
  const started = async (text: string) => {
    const said = await proposal(policyOf(text));
    const done = await start(policyOf(text));
    assert.deepEqual(
      said.kept.map(({ column }) => column),
      done.kept.map(({ column }) => column),
    );
    assert.deepEqual(said.refused.length, done.refused.length);
    return { refused: done.refused.length, kept: done.kept.map(({ column }) => column) };
  };
  const file = policyText(standing);
  const labelled = policyText(
    standing.replace(
      'filled: { columns: { id: { protect: none }, name: { class: confidential, queries: [equality] }',
      'filled: { columns: { id: { protect: none }, name: { class: identifier, queries: [range, sum] }',
    ),
  );
  assert.notEqual(labelled, file);
  const stands = { refused: 0, kept: ['name'] };
  try {
    await start(policyOf(file));
    await label('identifier encrypt queries range, sum');
    for (const text of [file, file, `${file}  public.later: { ${columns(secret)} }\n`, file]) {
      assert.deepEqual(await started(text), stands);
      assert.deepEqual(await inForce(), ['range', 'sum']);
    }
    const origin = await labelOn(proxy.trusted.state, (await start(policyOf(file))).kept[0]!);
    assert.deepEqual(origin, { user: 'app', day: new Date().toISOString().slice(0, 10) });
    assert.deepEqual((await client.query("SELECT id FROM filled WHERE name = 'x'")).rows, [{ id: 1 }]);
    await label('identifier encrypt queries equality domain person');
    assert.deepEqual((await client.query("SELECT id FROM filled WHERE name = 'x'")).rows, [{ id: 1 }]);
    assert.deepEqual(await started(file), stands);
    await label('identifier encrypt queries range, sum');
    // What the file itself asks for anew is refused still.
    const other = standing.replace(`filled: { ${columns(secret)}`, `filled: { ${columns('{}')}`);
    assert.deepEqual(await started(policyText(other)), { refused: 1, kept: [] });
    // Taken into the file, the label is the file's; that it says otherwise again asks for a change.
    assert.deepEqual(await started(labelled), { refused: 0, kept: [] });
    assert.deepEqual(await started(file), { refused: 1, kept: [] });
    await label('confidential encrypt queries equality');
    assert.deepEqual(await started(file), { refused: 0, kept: [] });
  } finally {
    await client.end();
  }
});

test('a column of a table with rows becomes encrypted, or open, by a new one of another name', async () => {
  const client = new pg.Client(proxy);
  await client.connect();
  const file = (name: string): string =>
    policyText(
      `${standing}  public.people: { columns: { id: { protect: none }, name: ${name}, name_new: ${name} } }\n`,
    ).replace('unlisted: pass', 'unlisted: pass\ndeclassify: [public.people.name_new]');
  const [open, encrypted] = [file('{ protect: none }'), file('{ protect: encrypt }')];
  const change = async (from: string, to: string): Promise<void> => {
    const swapped = to.replace(
      /, name: [^}]*\}, name_new/,
      `, name: ${from === open ? '{ protect: none }' : '{ protect: encrypt }'}, name_new`,
    );
    assert.deepEqual((await start(policyOf(swapped))).refused, []);
    await client.query('ALTER TABLE people ADD COLUMN name_new text');
    await client.query('UPDATE people SET name_new = name');
    await client.query('ALTER TABLE people DROP COLUMN name');
    assert.deepEqual((await start(policyOf(to))).refused, []);
    await client.query('ALTER TABLE people RENAME COLUMN name_new TO name');
    assert.deepEqual((await start(policyOf(to))).refused, []);
    assert.deepEqual((await client.query('SELECT id, name FROM people')).rows, [{ id: 1, name: 'sentinel' }]);
  };
  const held = async (): Promise<string> => JSON.stringify((await cloud.query('SELECT * FROM people')).rows);
  try {
    assert.deepEqual((await start(policyOf(open))).refused, []);
    await client.query('CREATE TABLE people (id int, name text, other text)');
    await client.query("INSERT INTO people VALUES (1, 'sentinel', 'o')");
    assert.match(await held(), /sentinel/);
    await change(open, encrypted);
    assert.doesNotMatch(await held(), /sentinel/);
    await change(encrypted, open);
    assert.match(await held(), /sentinel/);
  } finally {
    await client.end();
  }
});
