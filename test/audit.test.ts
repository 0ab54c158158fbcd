/** The audit journal of a real proxy: what left, under which protection, for whom, and what became of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { scanJournal } from '../src/audit/record.js';
import { ClarusError } from '../src/errors.js';
import { emptyCatalog, startGateway } from './support/gateway.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, told } from './support/raw-client.js';
import { standInPlanner } from './support/stand-in-planner.js';

interface Line {
  readonly sequence: number;
  readonly kind: string;
  readonly session?: number;
  readonly number?: number;
  readonly [member: string]: unknown;
}

/** Values that no line may hold, in any form. */
const secrets = ['Zaphod Beeblebrox', 'Trillian Astra', 'Marvin'];

let proxy: TestProxy;
let client: pg.Client;

before(async () => {
  proxy = await startProxy({
    policy: `unlisted: pass
declassify: [public.released]
tables:
  patients:
    columns:
      id: { protect: none }
      name: { queries: [equality] }
      note: {}
`,
  });
  client = await connect();
  await client.query('CREATE TABLE patients (id int PRIMARY KEY, name text UNIQUE, note text)');
  await client.query('CREATE TABLE wards (id int PRIMARY KEY)');
});

after(async () => {
  await client?.end();
  await proxy?.stop();
});

async function connect(credentials: { user?: string; password?: string } = {}): Promise<pg.Client> {
  const made = new pg.Client({ ...proxy, ...credentials });
  await made.connect();
  return made;
}

const path = (): string => join(proxy.directory, 'audit', 'journal-worker-0.jsonl');

const lines = (): Line[] =>
  readFileSync(path(), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Line);

/** Lines after `from`, once `enough` is there. */
async function linesAfter(from: number, enough: (found: Line[]) => boolean): Promise<Line[]> {
  for (let waited_ms = 0; ; waited_ms += 20) {
    const found = lines().filter(line => line.sequence > from);
    if (enough(found)) return found;
    assert.ok(waited_ms < 5_000, `the journal holds only ${JSON.stringify(found)}`);
    await sleep(20);
  }
}

const last = (): number => lines().at(-1)!.sequence;
const ended = (found: Line[], count: number): boolean =>
  found.filter(line => line.kind === 'statement-end').length >= count;

/** What one statement leaves in the journal: its line, and the line of its end. */
async function recordOf(run: () => Promise<unknown>): Promise<{ said: Line; end: Line }> {
  await sleep(150); // what ran before is in the file
  const from = last();
  await run();
  const found = await linesAfter(from, all => ended(all, 1));
  const said = found.filter(line => line.kind === 'statement');
  const ends = found.filter(line => line.kind === 'statement-end');
  assert.equal(said.length, 1);
  assert.equal(ends.length, 1);
  assert.deepEqual(
    [ends[0]!.session, ends[0]!.number, ends[0]!.user],
    [said[0]!.session, said[0]!.number, said[0]!.user],
  );
  assert.ok(said[0]!.sequence < ends[0]!.sequence);
  return { said: said[0]!, end: ends[0]! };
}

test('the journal holds what left before the answer does', async () => {
  const slow = [
    { sql: 'SELECT pg_sleep(0.6)', tables: [] as string[] },
    { sql: 'SELECT name, pg_sleep(0.6) FROM patients', tables: ['public.patients'] },
    {
      sql: `UPDATE patients SET name = '${secrets[0]}' WHERE pg_sleep(0.6) IS NULL`,
      tables: ['public.patients'],
    },
  ];
  await client.query(`INSERT INTO patients VALUES (1, '${secrets[1]}', '${secrets[2]}')`);
  await sleep(150);
  for (const { sql, tables } of slow) {
    const from = last();
    let answered = false;
    const answer = client.query(sql).then(
      () => {
        answered = true;
      },
      error => assert.fail(error),
    );
    const found = await linesAfter(from, all => all.some(line => line.kind === 'statement'));
    assert.ok(!answered, 'the line is in the file while the cloud still works on the statement');
    assert.ok(!ended(found, 1));
    assert.deepEqual(found.find(line => line.kind === 'statement')!.tables, tables);
    await answer;
    const all = await linesAfter(from, more => ended(more, 1));
    const end = all.find(line => line.kind === 'statement-end')!;
    assert.ok((end.duration_ms as number) >= 500, `it took ${end.duration_ms} ms`);
  }
});

test('the end of a split statement says what was fetched of each table', async () => {
  await client.query('INSERT INTO wards VALUES (1), (2), (3)');
  const { said, end } = await recordOf(() =>
    client.query('SELECT upper(p.note), w.id FROM patients p JOIN wards w ON w.id >= p.id WHERE p.id = 1'),
  );
  assert.equal(said.plan, 'split');
  assert.deepEqual(end.fetched, [
    { table: 'public.patients', columns: ['id', 'note'], rows: 1 },
    { table: 'public.wards', columns: ['id'], rows: 3 },
  ]);
  const pushed = await recordOf(() => client.query('SELECT note FROM patients'));
  assert.ok(!('fetched' in pushed.end));
  await client.query('DELETE FROM wards');
});

test('a statement says which columns left and came back, under which protection, and for whom', async () => {
  const { said } = await recordOf(() =>
    client.query('SELECT note FROM patients WHERE name = $1', [secrets[1]]),
  );
  assert.equal(said.user, 'app');
  assert.equal(said.command, 'SELECT');
  assert.equal(said.plan, 'push');
  assert.deepEqual(said.tables, ['public.patients']);
  assert.deepEqual(said.columns, [
    { column: 'public.patients.name', direction: 'to-cloud', protection: ['equality'] },
    { column: 'public.patients.note', direction: 'from-cloud', protection: ['sealed'] },
  ]);
  const written = await recordOf(() =>
    client.query('INSERT INTO patients (id, name) VALUES ($1, $2)', [2, secrets[0]]),
  );
  assert.deepEqual(written.said.columns, [
    { column: 'public.patients.name', direction: 'to-cloud', protection: ['sealed', 'equality'] },
  ]);
  const deleted = await recordOf(() => client.query('DELETE FROM patients WHERE name = $1', [secrets[0]]));
  assert.equal(deleted.said.command, 'DELETE');
  assert.deepEqual(deleted.said.tables, ['public.patients']);
});

test('a split write says what it fetched and what it stores, also by a part that runs first', async () => {
  const stored = (name: string, protection: string[]) => ({
    column: `public.patients.${name}`,
    direction: 'to-cloud',
    protection,
  });
  for (const [sql, columns] of [
    [
      "INSERT INTO patients SELECT id + 100, name || 'x', note FROM patients RETURNING id",
      [stored('name', ['sealed', 'equality']), stored('note', ['sealed'])],
    ],
    ["UPDATE patients SET note = note || 'x'", [stored('note', ['sealed'])]],
    [
      'WITH w AS (UPDATE patients SET name = upper(name) RETURNING id) SELECT count(*) FROM w',
      [stored('name', ['sealed', 'equality'])],
    ],
    ["DELETE FROM patients WHERE upper(note) = 'X'", []],
  ] as const) {
    await client.query('BEGIN');
    const { said } = await recordOf(() => client.query(sql));
    await client.query('ROLLBACK');
    assert.equal(said.plan, 'split', sql);
    assert.deepEqual(said.tables, ['public.patients'], sql);
    const uses = said.columns as { column: string; direction: string; protection: string[] }[];
    assert.deepEqual(
      uses.filter(use => use.direction === 'to-cloud' && use.protection.includes('sealed')),
      columns,
      sql,
    );
    assert.ok(
      uses.some(use => use.direction === 'from-cloud'),
      sql,
    );
  }
});

test('a statement says which declassified columns protected values come to', async () => {
  await client.query('CREATE TABLE released (id int, note text)');
  const { said } = await recordOf(() =>
    client.query('INSERT INTO released SELECT id, lower(note) FROM patients'),
  );
  assert.deepEqual(
    (said.columns as { column: string }[]).find(({ column }) => /released/.test(column)),
    {
      column: 'public.released.note',
      direction: 'to-cloud',
      protection: ['none'],
    },
  );
  await client.query('DROP TABLE released');
});

test('the end of a statement says how many rows, and the SQLSTATE when it failed', async () => {
  const run = (sql: string, values?: unknown[]) => recordOf(() => client.query(sql, values));
  const insert = 'INSERT INTO patients VALUES (11, $1, NULL), (12, $2, NULL), (13, NULL, NULL)';
  assert.equal((await run(insert, ['a', 'b'])).end.rows, 3);
  assert.equal((await run('SELECT name FROM patients WHERE id > 10')).end.rows, 3);
  assert.equal((await run('UPDATE patients SET note = $1 WHERE id > 11', ['n'])).end.rows, 2);
  assert.equal((await run('INSERT INTO wards SELECT generate_series(1, 1234)')).end.rows, 1234);
  assert.equal((await run('SELECT id FROM wards')).end.rows, 1234);
  assert.equal((await run('DELETE FROM patients WHERE id > 10')).end.rows, 3);
  const failing = [
    ['INSERT INTO patients VALUES (1, NULL, NULL)', '23505'],
    [`INSERT INTO patients VALUES (14, '${secrets[1]}', NULL)`, '23505'],
    ['SELECT 1 / (id - 1) FROM wards', '22012'],
    ['SELECT 1 / (id - 1), name FROM patients', '22012'],
  ] as const;
  for (const [sql, code] of failing)
    for (const values of [undefined, []]) {
      const run = (): Promise<unknown> => (values ? client.query(sql, values) : client.query(sql));
      const { end } = await recordOf(() => assert.rejects(run(), { code }));
      assert.equal(end.code, code, sql);
      assert.equal(end.rows, 0);
    }
});

test('transactions, cursors and prepared statements of SQL end too, each once', async () => {
  await sleep(150);
  const from = last();
  const statements = [
    'BEGIN',
    'SAVEPOINT s',
    "INSERT INTO patients VALUES (21, 'x', 'y')",
    'ROLLBACK TO s',
    'DECLARE c CURSOR FOR SELECT id FROM wards',
    'FETCH 5 FROM c',
    'COMMIT',
    "SET DateStyle = 'ISO'",
    'PREPARE p AS SELECT name FROM patients WHERE id = 1',
    'EXECUTE p',
    'DEALLOCATE p',
  ];
  for (const sql of statements) await client.query(sql);
  const executed = statements.length + 1; // EXECUTE and what it executes
  const found = await linesAfter(from, all => ended(all, executed));
  const said = found.filter(line => line.kind === 'statement').map(line => line.number);
  const ends = found.filter(line => line.kind === 'statement-end').map(line => line.number);
  assert.equal(said.length, executed);
  assert.deepEqual([...ends].sort(), [...said].sort());
  assert.equal(new Set(said).size, executed);
  assert.ok(found.every(line => line.code === undefined));
  assert.ok(found.some(line => line.kind === 'statement-end' && line.rows === 5));
});

test('what an error keeps from running is not recorded as run', async () => {
  await sleep(150);
  const from = last();
  await assert.rejects(client.query('SELECT 1; SELECT 1/0; INSERT INTO wards VALUES (-1)'), {
    code: '22012',
  });
  const found = await linesAfter(from, all => ended(all, 2));
  const codes = found.filter(line => line.kind === 'statement-end').map(line => line.code);
  assert.deepEqual(codes, [undefined, '22012']);
  const raw = await RawClient.connect(proxy);
  const messages = told(await raw.query('SELECT 1/0'));
  assert.equal(
    messages.filter(message => message.startsWith('ErrorResponse')).length,
    1,
    messages.join('\n'),
  );
  await raw.close();
  const { rows } = await client.query('SELECT count(*)::int AS n FROM wards WHERE id = -1');
  assert.deepEqual(rows, [{ n: 0 }]);
});

test('a session says the address of its client, and a refused login the user that was tried', async () => {
  const from = last();
  const other = await connect();
  await other.end();
  await assert.rejects(connect({ password: 'wrong' }), { code: '28P01' });
  await assert.rejects(connect({ user: 'nobody-here' }), { code: '28P01' });
  const found = await linesAfter(
    from,
    all =>
      all.filter(line => line.kind === 'login-refused').length === 2 &&
      all.some(line => line.kind === 'session-closed'),
  );
  const opened = found.find(line => line.kind === 'session-opened')!;
  assert.deepEqual([opened.user, opened.address], ['app', '127.0.0.1']);
  assert.ok(found.some(line => line.kind === 'session-closed' && line.session === opened.session));
  assert.deepEqual(
    found
      .filter(line => line.kind === 'login-refused')
      .map(({ user, code, address }) => [user, code, address]),
    [
      ['app', '28P01', '127.0.0.1'],
      ['nobody-here', '28P01', '127.0.0.1'],
    ],
  );
});

test('DDL and a new policy are acts', async () => {
  await sleep(150);
  const from = last();
  await client.query('CREATE TABLE visits (id int, born date)');
  await client.query("SECURITY LABEL FOR clarus ON COLUMN visits.born IS 'encrypt queries equality'");
  const found = await linesAfter(from, all => all.some(line => line.kind === 'policy-changed'));
  const ddl = found.find(line => line.kind === 'ddl')!;
  assert.deepEqual([ddl.user, ddl.command, ddl.objects], ['app', 'CREATE TABLE', ['visits']]);
  const changed = found.find(line => line.kind === 'policy-changed')!;
  assert.equal((changed.to as number) - (changed.from as number), 1);
  const started = lines().find(line => line.kind === 'started')!;
  assert.match(started.version as string, /^\d+\.\d+\.\d+/);
});

test('nothing is served that cannot be recorded', async () => {
  let full = false;
  const gateway = await startGateway(proxy.cloud, {
    catalog: () => ({ ...emptyCatalog, passThrough: false }),
    planner: standInPlanner({ protect: /nothing/, fail: /nothing/ }),
    audit: () =>
      full ? Promise.reject(new ClarusError('53100', 'no space left for the journal')) : undefined,
  });
  try {
    const session = new pg.Client(gateway.client);
    await session.connect();
    await session.query('CREATE TABLE unrecorded (id int)');
    full = true;
    for (const values of [undefined, []]) {
      const sql = 'INSERT INTO unrecorded VALUES (1)';
      await assert.rejects(values ? session.query(sql, values) : session.query(sql), { code: '53100' });
    }
    await assert.rejects(new pg.Client(gateway.client).connect(), { code: '53100' });
    full = false;
    const { rows } = await session.query('SELECT count(*)::int AS n FROM unrecorded');
    assert.deepEqual(rows, [{ n: 0 }]);
    await session.end();
  } finally {
    await gateway.stop();
  }
});

test('no line holds a value of a protected column, and every line is whole', async () => {
  await sleep(200);
  const bytes = readFileSync(path());
  const scan = scanJournal(bytes);
  assert.equal(scan.good_bytes, bytes.length);
  assert.ok(!scan.damagedInside);
  for (const secret of secrets)
    for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')])
      assert.ok(!bytes.includes(form), 'the journal holds no value');
});
