/**
 * Details of the protocol and of SQL that a review by PostgreSQL's own rules asked for, each compared with a plain
 * PostgreSQL where one can answer.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FrontendMessage } from '../src/wire/messages.js';
import { startPipe } from './heavy/support/pipe.js';
import { memoryInUse } from './support/memory.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      remark: { class: confidential, protect: encrypt }
  public.patient2:
    columns:
      name: { class: identifier, protect: encrypt }
  public.gen:
    columns:
      a: { protect: none }
      b: { protect: none }
      s: { class: confidential, protect: encrypt }`;

const schema = [
  'CREATE TABLE patient (id int PRIMARY KEY, name text, remark text)',
  'CREATE TABLE open (id int, note text)',
  'CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED, s text)',
  "INSERT INTO open VALUES (1, 'n1'), (2, 'n2')",
];

/** Options of COPY, wrong for at least one direction or right for both. */
const copyOptions: readonly string[] = [
  "FREEZE, NULL 'a|b', DELIMITER '|'",
  '"FORMAT" csv',
  "ENCODING 'latin1x'",
  "HEADER 'OFF'",
  'FORMAT csv, FORCE_NULL (remark)',
  'FORMAT csv, FORCE_NULL (name, name)',
  'FORMAT csv, FORCE_QUOTE (ctid)',
  "DELIMITER 'a'",
  "DELIMITER '.'",
  "DELIMITER E'\\\\'",
  "DELIMITER E'\\n'",
  "DELIMITER 'ab'",
  "DELIMITER ''",
  "DELIMITER 'ä'",
  "NULL E'a\\nb'",
  "NULL 'a|b', DELIMITER '|'",
  "QUOTE '\"'",
  "ESCAPE '\"'",
  'HEADER maybe',
  'HEADER 2',
  'HEADER match',
  'HEADER 0',
  "HEADER 'on'",
  'FORMAT binary, HEADER',
  "FORMAT binary, DELIMITER ','",
  "FORMAT binary, NULL ''",
  "FORMAT csv, QUOTE ''",
  "FORMAT csv, QUOTE 'ab'",
  "FORMAT csv, QUOTE ','",
  "FORMAT csv, DELIMITER '\"'",
  "FORMAT csv, ESCAPE 'ab'",
  "FORMAT csv, DELIMITER 'a'",
  "FORMAT csv, NULL 'x\"y'",
  "FORMAT csv, NULL 'a,b'",
  'FORCE_QUOTE (name)',
  'FORCE_NOT_NULL (name)',
  'FORCE_NULL (name)',
  'FORMAT csv, FORCE_QUOTE (name)',
  'FORMAT csv, FORCE_QUOTE *',
  'FORMAT csv, FORCE_NOT_NULL (name)',
  'FORMAT csv, FORCE_NULL (name)',
  'FORMAT csv, FORCE_NOT_NULL *',
  'FORMAT csv, FORCE_NULL *',
  'FORMAT csv, FORCE_QUOTE name',
  'FORMAT csv, FORCE_QUOTE (nowhere)',
  'FORMAT csv, FORCE_NOT_NULL (nowhere)',
  'FORMAT csv, FORCE_NULL (nowhere)',
  'FORMAT csv, FORCE_QUOTE (remark)',
  'FORMAT csv, FORCE_NOT_NULL (remark)',
  'FORMAT xml',
  'FORMAT CSV',
  'FORMAT csv, FORMAT csv',
  'FREEZE maybe',
  'FREEZE 2',
  'FREEZE false',
  "ENCODING 'nonsense'",
  "ENCODING 'utf8'",
  'NONSENSE 3',
  'DELIMITER',
  'NULL',
  'QUOTE 3, FORMAT csv',
  "FORMAT csv, DELIMITER ',', NULL ','",
  "FORMAT csv, HEADER match, QUOTE E'\\n'",
  "DELIMITER '|', DELIMITER '|'",
  'FORMAT csv, FORCE_QUOTE (name, name)',
  'FORMAT',
  'FORMAT 3',
  "FORMAT csv, DELIMITER E'\\r'",
  'FORMAT binary, FORCE_NULL (name)',
  "FORMAT binary, QUOTE '\"'",
];

/** Runs a COPY; one that waits for data is told to fail. */
async function copied(client: RawClient, sql: string): Promise<string[]> {
  client.send({ kind: 'Query', sql });
  const first = (await client.next())!;
  if (first.kind === 'CopyInResponse') client.send({ kind: 'CopyFail', message: 'no data' });
  const rest = first.kind === 'ReadyForQuery' ? [] : await client.until();
  return told([first, ...rest]);
}

const sync: FrontendMessage = { kind: 'Sync' };

suite('what a review asked for', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let recordings: string;
  let pipe: Awaited<ReturnType<typeof startPipe>>;
  let client: RawClient;
  let plain: RawClient;

  before(async () => {
    recordings = mkdtempSync(join(tmpdir(), 'clarus-recordings-'));
    proxy = await startProxy({
      policy,
      between: async cloud => {
        pipe = await startPipe({ ...cloud, recordInto: recordings });
        return pipe;
      },
    });
    client = await RawClient.connect(proxy);
    plain = await RawClient.connect(proxy.plain);
    for (const sql of schema) await both(sql);
  });
  beforeEach(async () => {
    await both('DELETE FROM patient');
    await both("INSERT INTO patient VALUES (1, 'Ann', 'r1'), (2, 'Bob', 'r2'), (3, 'Cyd', NULL)");
  });
  after(async () => {
    await client?.close();
    await plain?.close();
    await proxy?.stop();
    await pipe?.close();
    rmSync(recordings, { recursive: true, force: true });
  });

  const leaked = (words: string): string[] =>
    readdirSync(recordings).filter(
      name => name.endsWith('.sent') && readFileSync(join(recordings, name)).includes(words),
    );

  /** One Query to both; they answer the same. */
  const both = async (sql: string): Promise<string[]> => {
    const [ours, theirs] = await Promise.all([client.query(sql), plain.query(sql)]);
    assert.deepEqual(told(ours), told(theirs), sql);
    return told(ours);
  };
  /** Messages up to a Sync to both; they answer the same. */
  const pipelined = async (...messages: FrontendMessage[]): Promise<string[]> => {
    for (const to of [client, plain]) to.send(...messages, sync);
    const [ours, theirs] = await Promise.all([client.until(), plain.until()]);
    assert.deepEqual(told(ours), told(theirs));
    return told(ours);
  };
  const errorOf = async (sql: string): Promise<string> =>
    told(await client.query(sql)).find(line => line.startsWith('ErrorResponse')) ?? 'no error';

  test('a value beside a protected column never reaches the cloud, wherever the statement holds it', async () => {
    for (const sql of [
      "SELECT p.id FROM patient p CROSS JOIN LATERAL (SELECT p.name = 'SENTINEL') s",
      "SELECT p.id FROM patient p CROSS JOIN LATERAL (SELECT 1 WHERE p.name = 'SENTINEL') s",
      "SELECT p.id FROM patient p LEFT JOIN LATERAL (SELECT 1 WHERE p.remark LIKE 'SENTINEL') s ON true",
      "SELECT p.id FROM patient p, LATERAL (SELECT 1 FROM open o WHERE o.note = p.name || 'SENTINEL') s",
      "SELECT count(*) FROM patient p, LATERAL (VALUES (p.name || 'SENTINEL')) v(x)",
      "SELECT p.id FROM patient p, LATERAL unnest(ARRAY[p.name, 'SENTINEL']) u",
      "SELECT p.id FROM patient p, LATERAL generate_series(1, length(p.name || 'SENTINEL')) g",
      "SELECT p.id FROM patient p, ROWS FROM (upper(p.name || 'SENTINEL'), lower('x')) f",
      "SELECT p.id FROM patient p, JSON_TABLE(('{\"a\":\"SENTINEL' || p.name || '\"}')::jsonb, '$' COLUMNS (a text)) j",
      "SELECT p.id FROM patient p, XMLTABLE('/a' PASSING (('<a>SENTINEL' || p.name || '</a>')::xml) COLUMNS b text) x",
      "SELECT p.id FROM patient p JOIN (open o JOIN LATERAL (SELECT p.name = 'SENTINEL') s ON true) ON true",
    ])
      assert.equal(await errorOf(sql), 'no error', sql);
    for (const sql of [
      "INSERT INTO patient (id) VALUES (9) ON CONFLICT ((name = 'SENTINEL')) DO NOTHING",
      "INSERT INTO patient (id) VALUES (9) ON CONFLICT (id, (name || 'SENTINEL')) DO NOTHING",
    ]) {
      assert.match(await errorOf(sql), /^ErrorResponse ERROR 42P10 /, sql);
    }
    assert.deepEqual(leaked('SENTINEL'), []);
  });

  test('items of FROM that read unprotected columns only are the cloud’s', async () => {
    await both(
      'SELECT p.id, p.name, s.twice FROM patient p, LATERAL (SELECT p.id * 2 AS twice) s WHERE p.id < 3 ORDER BY 1',
    );
    await both("SELECT p.name, g FROM patient p, generate_series(1, p.id) g WHERE p.name = 'Bob' ORDER BY g");
  });

  test('a portal that ran to its end has no more rows, wherever it runs', async () => {
    for (const sql of [
      'SELECT id, name FROM patient WHERE id < 3',
      'SELECT id, note FROM open',
      'SELECT 42 AS x',
      "SELECT relname FROM pg_class WHERE relname = 'open'",
      'SHOW application_name',
      'COPY (SELECT 1) TO STDOUT',
    ])
      for (const limit of [0, 1, 5])
        await pipelined(
          say.parse(sql),
          say.bind('', 'again'),
          say.execute('again', limit),
          say.execute('again', 0),
          say.execute('again', limit),
        );
  });

  test('what is worded for a client that does not read is bounded', async () => {
    const columns = Array.from({ length: 300 }, (_, i) => `c${i} int`).join();
    await client.query(`CREATE TABLE wide (${columns})`);
    const describes = 5_000;
    const describing = Buffer.concat(
      new Array<Buffer>(describes).fill(Buffer.from([0x44, 0, 0, 0, 7, 0x53, 0x77, 0])),
    );
    for (const before of [[], say.run('SELECT pg_sleep(1) FROM open LIMIT 1')]) {
      const lazy = await RawClient.connect(proxy);
      lazy.send(say.parse('SELECT * FROM wide', 'w'), sync);
      await lazy.until();
      const { socket } = lazy.backend as unknown as { socket: Socket };
      socket.pause();
      const before_bytes = memoryInUse();
      lazy.send(...before);
      socket.write(describing);
      lazy.send(sync);
      let most_bytes = 0;
      for (let i = 0; i < 30; i++) {
        await sleep(100);
        most_bytes = Math.max(most_bytes, memoryInUse() - before_bytes);
      }
      // all answers together are 38 MB
      assert.ok(most_bytes < 15e6, `${most_bytes} bytes`);
      socket.resume();
      const answers = await lazy.until();
      assert.equal(answers.filter(({ kind }) => kind === 'RowDescription').length, describes);
      await lazy.close();
    }
  });

  test('rows of the catalogue are bounded for a client that does not read', async () => {
    const lazy = await RawClient.connect(proxy);
    const { socket } = lazy.backend as unknown as { socket: Socket };
    await lazy.query('SELECT 1');
    socket.pause();
    const before_bytes = memoryInUse();
    lazy.send(say.query("SELECT repeat('x', 1000) FROM pg_attribute a, pg_namespace n, pg_am m LIMIT 30000"));
    let most_bytes = 0;
    for (let i = 0; i < 20; i++) {
      await sleep(100);
      most_bytes = Math.max(most_bytes, memoryInUse() - before_bytes);
    }
    // all rows together are 30 MB
    assert.ok(most_bytes < 15e6, `${most_bytes} bytes`);
    socket.resume();
    const answers = await lazy.until();
    assert.equal(told(answers).at(-2), 'CommandComplete SELECT 30000');
    await lazy.close();
  });

  test('options of COPY are refused where PostgreSQL refuses them, in its words', async () => {
    for (const options of copyOptions)
      for (const direction of ['FROM STDIN', 'TO STDOUT']) {
        const sql = `COPY patient (id, name) ${direction} (${options})`;
        const [ours, theirs] = await Promise.all([client, plain].map(one => copied(one, sql)));
        assert.deepEqual(ours, theirs, sql);
      }
    for (const sql of [
      'COPY patient (id, nowhere) TO STDOUT',
      'COPY patient (id, nowhere) FROM STDIN',
      'COPY patient (id, id) TO STDOUT',
      'COPY patient (name, name) FROM STDIN',
      'COPY patient (ctid) TO STDOUT',
      "COPY patient (nowhere) FROM STDIN (DELIMITER 'a')",
      "COPY nowhere FROM STDIN (DELIMITER 'a')",
      'COPY (SELECT name, id FROM patient) TO STDOUT (FORMAT csv, FORCE_QUOTE (remark))',
    ]) {
      const [ours, theirs] = await Promise.all([client, plain].map(one => copied(one, sql)));
      assert.deepEqual(ours, theirs, sql);
    }
  });

  test('COPY of a whole table leaves generated columns out, and takes none by name', async () => {
    await both("INSERT INTO gen (a, s) VALUES (1, 'x'), (2, 'y')");
    await both('COPY gen TO STDOUT');
    await both('COPY gen TO STDOUT (FORMAT csv, HEADER)');
    await both('COPY gen (s, a) TO STDOUT');
    await both('COPY gen (a, b) TO STDOUT');
    await both('COPY gen (b) FROM STDIN');
    for (const one of [client, plain]) {
      one.send(say.query('COPY gen FROM STDIN'));
      await one.until('CopyInResponse');
      one.send({ kind: 'CopyData', data: Buffer.from('5\tzz\n') }, { kind: 'CopyDone' });
      await one.until();
    }
    await both('SELECT * FROM gen ORDER BY a');
  });

  test('a cursor over the system catalogue reads the trusted side’s', async () => {
    await both('BEGIN');
    await both(
      "DECLARE c CURSOR FOR SELECT attname FROM pg_attribute WHERE attrelid = 'open'::regclass ORDER BY 1",
    );
    await both('FETCH ALL FROM c');
    await both(
      "DECLARE d CURSOR FOR SELECT column_name FROM information_schema.columns WHERE table_name = 'patient' ORDER BY 1",
    );
    await both('FETCH ALL FROM d');
    await both('DECLARE o CURSOR FOR SELECT id FROM open ORDER BY id');
    await both('FETCH ALL FROM o');
    await both('COMMIT');
  });

  test('a cursor that SQL declared is described and closed as a portal', async () => {
    for (const end of [
      [],
      [say.describe('portal', 'k')],
      [say.execute('k', 1), say.describe('portal', 'k')],
    ]) {
      await both('BEGIN');
      await both('DECLARE k CURSOR FOR SELECT id FROM open ORDER BY id');
      await pipelined(say.describe('portal', 'k'), ...end);
      await pipelined(say.close('portal', 'k'));
      await both('FETCH ALL FROM k');
      await both('ROLLBACK');
    }
    await both('BEGIN');
    await pipelined(say.describe('portal', 'nowhere'));
    await both('ROLLBACK');
    await pipelined(say.close('portal', 'nowhere'));
  });

  test('portals of Clarus in the cloud are nobody else’s', async () => {
    const open = [say.parse('SELECT id, name FROM patient'), say.bind('', 'own'), say.execute('own', 1)];
    await client.query('BEGIN');
    client.send(...open, sync);
    await client.until();
    for (const [messages, error] of [
      [[say.execute('clarus_p1')], /34000 portal "clarus_p1" does not exist/],
      [[say.describe('portal', 'clarus_p1')], /34000 portal "clarus_p1" does not exist/],
      [[say.execute('')], /34000 portal "" does not exist/],
      [[say.describe('portal', '')], /34000 portal "" does not exist/],
      [[say.parse('SELECT 1'), say.bind('', 'clarus_p9')], /42602/],
    ] as const) {
      await client.query('SAVEPOINT s');
      client.send(...messages, sync);
      assert.match(told(await client.until()).join('\n'), error);
      await client.query('ROLLBACK TO s');
    }
    for (const [sql, error] of [
      ['FETCH ALL FROM clarus_p1', /34000 cursor "clarus_p1" does not exist/],
      ['MOVE ALL FROM clarus_p1', /34000 cursor "clarus_p1" does not exist/],
      ['CLOSE clarus_p1', /34000 cursor "clarus_p1" does not exist/],
      ['UPDATE open SET id = 0 WHERE CURRENT OF clarus_p1', /34000 cursor "clarus_p1" does not exist/],
      ['DECLARE clarus_p7 CURSOR FOR SELECT id FROM open', /42602/],
    ] as const) {
      await client.query('SAVEPOINT s');
      assert.match(await errorOf(sql), error);
      await client.query('ROLLBACK TO s');
    }
    client.send(say.close('portal', 'clarus_p1'), say.execute('own', 0), sync);
    assert.deepEqual(told(await client.until()).slice(0, 4), [
      'CloseComplete',
      'DataRow 2|Bob',
      'DataRow 3|Cyd',
      'CommandComplete SELECT 2',
    ]);
    await client.query('ROLLBACK');
  });

  test('a prepared statement is described as it is now', async () => {
    for (const table of ['shown', 'patient2']) {
      await both(`CREATE TABLE ${table} (id int, name text)`);
      await pipelined(
        say.parse(`SELECT * FROM ${table}`, 'all'),
        say.parse(`SELECT id FROM ${table}`, 'one'),
      );
      await pipelined(say.describe('statement', 'all'));
      await both(`ALTER TABLE ${table} ADD COLUMN more int`);
      await pipelined(say.describe('statement', 'all'));
      await pipelined(say.describe('statement', 'one'));
      await both('BEGIN');
      await both('SELECT length(note) / (id - id) FROM open');
      await pipelined(say.describe('statement', 'one'));
      await both('ROLLBACK');
      await pipelined(say.close('statement', 'all'), say.close('statement', 'one'));
    }
  });

  test('rows of RETURNING come in the parts that the client asks for', async () => {
    for (const [sql, limits] of [
      ["INSERT INTO patient (id, name) VALUES (7, 'a'), (8, 'b') RETURNING id, name", [1, 1, 1, 1]],
      ["UPDATE patient SET name = 'c' WHERE id < 3 RETURNING id, name", [1, 1, 1, 1]],
      ["UPDATE patient SET name = 'd' WHERE id < 3 RETURNING name", [2, 2]],
      ["UPDATE patient SET name = 'e' WHERE id < 3 RETURNING name", [1, 0, 0]],
      ["UPDATE patient SET name = 'f' WHERE id < 3 RETURNING name", [9, 1]],
      ["UPDATE patient SET name = 'g' WHERE id < 3", [1]],
      ["UPDATE patient SET name = 'h' WHERE id < 0 RETURNING name", [1, 1]],
      ['DELETE FROM patient WHERE id < 3 RETURNING name', [1, 0]],
    ] as const)
      await pipelined(
        say.parse(sql),
        say.bind('', 'parts'),
        ...limits.map(limit => say.execute('parts', limit)),
      );
    await both('SELECT id, name FROM patient ORDER BY id');
    await both('BEGIN');
    await pipelined(
      say.parse("UPDATE patient SET name = 'i' RETURNING id, name"),
      say.bind('', 'parts'),
      say.execute('parts', 1),
    );
    await both("SELECT name FROM patient WHERE name = 'i'");
    await pipelined(say.execute('parts', 1));
    await pipelined(say.close('portal', 'parts'));
    await both('COMMIT');
  });

  test('what RETURNING keeps for a client is bounded, and refused as a whole', async () => {
    await client.query(`UPDATE patient SET name = '${'x'.repeat(6_000_000)}'`);
    client.send(
      say.parse("UPDATE patient SET remark = 'new' RETURNING name, remark"),
      say.bind('', 'parts'),
      say.execute('parts', 1),
      sync,
    );
    assert.deepEqual(told(await client.until()).slice(2), [
      'ErrorResponse ERROR 54000 too many rows of RETURNING are to be kept for a client A statement that is executed with a limit of rows may return 16777216 bytes. ',
      'ReadyForQuery I',
    ]);
    assert.deepEqual(told(await client.query('SELECT remark FROM patient WHERE id = 1')).slice(1, 2), [
      'DataRow r1',
    ]);
  });

  test('an UPDATE of more rows than are written at a time writes each once', async () => {
    await both("INSERT INTO patient (id, name) VALUES (100, 'many')");
    const rows = 25_000;
    for (const one of [client, plain]) {
      one.send(say.query('COPY patient (id, name) FROM STDIN'));
      await one.until('CopyInResponse');
      const data = Array.from({ length: rows }, (_, i) => `${i + 1000}\tmany\n`).join('');
      one.send({ kind: 'CopyData', data: Buffer.from(data) }, { kind: 'CopyDone' });
      await one.until();
    }
    assert.deepEqual(await both("UPDATE patient SET name = 'most' WHERE name = 'many'"), [
      'CommandComplete UPDATE 25001',
      'ReadyForQuery I',
    ]);
    await both("SELECT count(*) FROM patient WHERE name = 'most'");
    await both("UPDATE patient SET name = 'all' WHERE name = 'most' AND id >= 11000 AND id < 21000");
    await both("SELECT count(*) FROM patient WHERE name = 'all'");
  });

  test('a result that the cloud describes otherwise is described as the cloud does, or refused before it is written', async () => {
    const behind = await RawClient.connect(proxy.behind);
    await both('CREATE TABLE changed (id int, note text)');
    await both("INSERT INTO changed VALUES (1, 'n1')");
    for (const one of [behind, plain]) await one.query('ALTER TABLE changed ADD COLUMN more int');
    const refused =
      'ErrorResponse ERROR 55000 the cloud returns other columns than the catalogue knows A table was changed past Clarus, or a view of the system differs between the versions. ';
    // the number of an attribute is that of the table in the cloud
    const rows = (messages: string[]): string[] => messages.map(line => line.replace(/:\d+(?=,|$)/g, ''));
    for (const sql of ['SELECT * FROM changed', "INSERT INTO changed VALUES (2, 'n2') RETURNING *"]) {
      const [ours, theirs] = await Promise.all([client, plain].map(async one => told(await one.query(sql))));
      assert.deepEqual(rows(ours!), rows(theirs!));
    }
    const extended = async (...statements: string[]): Promise<string[]> => {
      client.send(...statements.flatMap(sql => say.run(sql)), sync);
      return told(await client.until());
    };
    for (const sql of [
      'SELECT * FROM changed -- parsed',
      "INSERT INTO changed VALUES (3, 'n3') RETURNING *",
      "WITH w AS (INSERT INTO changed VALUES (3, 'n3') RETURNING *) SELECT * FROM w",
    ]) {
      const before = ['ParseComplete'];
      assert.deepEqual(await extended(sql), [...before, refused, 'ReadyForQuery I'], sql);
      assert.deepEqual(
        (await extended(sql, 'SELECT 1')).filter(line => !line.startsWith('Parse')),
        [refused, 'ReadyForQuery I'],
        sql,
      );
      await client.query('BEGIN');
      assert.deepEqual((await extended(sql)).slice(-2), [refused, 'ReadyForQuery E'], sql);
      assert.match(await errorOf('SELECT 1'), /25P02/);
      await client.query('ROLLBACK');
    }
    assert.deepEqual(told(await client.query('SELECT count(*) FROM changed'))[1], 'DataRow 2');
    assert.deepEqual(await extended('SELECT id FROM changed ORDER BY id'), [
      'ParseComplete',
      'BindComplete',
      'DataRow 1',
      'DataRow 2',
      'CommandComplete SELECT 2',
      'ReadyForQuery I',
    ]);
    await behind.close();
  });
});
