/** What a session remembers stays in step on both sides, and is what PostgreSQL would remember. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import type { FrontendMessage } from '../src/wire/messages.js';
import { type Pipe, startPipe } from './heavy/support/pipe.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      birth: { protect: encrypt, queries: [equality] }
  s2.vis:
    columns:
      id: { protect: none }
      name: { protect: encrypt, queries: [equality] }
`;

suite('sessions', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    proxy = await startProxy({ policy });
    clarus = await RawClient.connect(proxy);
    plain = await RawClient.connect(proxy.plain);
    for (const sql of [
      'CREATE TABLE patient (id int PRIMARY KEY, birth date)',
      'CREATE TABLE open (id int, d date)',
      'CREATE TABLE deferred (id int, CONSTRAINT one UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)',
      'INSERT INTO open VALUES (1)',
    ])
      await same(sql);
  });
  after(async () => {
    await clarus?.close();
    await plain?.close();
    await proxy?.stop();
  });

  /** Sends the same to both. @returns what both answered */
  async function both(messages: FrontendMessage[], to = { clarus, plain }): Promise<string[]> {
    to.clarus.send(...messages);
    to.plain.send(...messages);
    const [ours, theirs] = await Promise.all([to.clarus.until(), to.plain.until()]);
    assert.deepEqual(told(ours), told(theirs), JSON.stringify(messages));
    return told(ours);
  }

  const same = (sql: string, to = { clarus, plain }): Promise<string[]> => both([say.query(sql)], to);

  const day = async (id: number): Promise<string | undefined> =>
    (await same(`SELECT birth FROM patient WHERE id = ${id}`)).find(line => line.startsWith('DataRow'));

  const sequence: FrontendMessage[] = [
    say.query("SET datestyle = 'ISO, DMY'; SELECT id / 0 FROM open"),
    say.query("SELECT set_config('datestyle', 'ISO, DMY', false); SELECT id / 0 FROM open"),
  ];

  test('a setting that its message took back is taken back on both sides', async () => {
    let id = 100;
    const unchanged = async (): Promise<void> => {
      id++;
      await same(`INSERT INTO patient VALUES (${id}, '01/02/2020')`);
      assert.equal(await day(id), 'DataRow 2020-01-02');
      await same("SELECT '01/02/2020'::date");
      await same('SHOW datestyle');
    };
    await same("SELECT '03/04/2020'::date");
    for (const message of sequence) {
      clarus.send(message);
      plain.send(message);
      assert.equal(told(await clarus.until()).at(-1), told(await plain.until()).at(-1));
      await unchanged();
    }
    for (const set of ["SET datestyle = 'ISO, DMY'", "SELECT set_config('datestyle', 'ISO, DMY', false)"]) {
      await both([...say.run(set), ...say.run('SELECT id / 0 FROM open'), say.sync]);
      await unchanged();
      await both([...say.run(set), ...say.run('INSERT INTO deferred VALUES (1), (1)'), say.sync]);
      await unchanged();
      const message = say.query(`${set}; INSERT INTO deferred VALUES (1), (1)`);
      clarus.send(message);
      plain.send(message);
      assert.match(told(await clarus.until()).join('\n'), /23505/);
      await plain.until();
      await unchanged();
      await same('BEGIN');
      await same(set);
      await same('INSERT INTO deferred VALUES (1), (1)');
      await same('COMMIT');
      await unchanged();
    }
  });

  test('a setting that its message keeps is kept on both sides', async () => {
    let id = 200;
    for (const set of ["SET datestyle = 'ISO, DMY'", "SELECT set_config('datestyle', 'ISO, DMY', false)"]) {
      for (const messages of [
        [say.query(set)],
        [say.query(`${set}; INSERT INTO open VALUES (2)`)],
        [...say.run(set), say.sync],
        [...say.run(set), ...say.run('INSERT INTO open VALUES (2)'), say.sync],
        [...say.run('INSERT INTO open VALUES (2)'), ...say.run(set), say.sync],
      ]) {
        id++;
        await both(messages);
        await same(`INSERT INTO patient VALUES (${id}, '01/02/2020')`);
        assert.equal(await day(id), 'DataRow 2020-02-01');
        await same('RESET datestyle');
      }
    }
    // a literal of the same message is read as the setting says, and no other session's plan with it
    const insert = "INSERT INTO patient VALUES (299, '01/02/2020')";
    await same(`SET datestyle = 'ISO, DMY'; ${insert}`);
    assert.equal(await day(299), 'DataRow 2020-02-01');
    const other = { clarus: await RawClient.connect(proxy), plain: await RawClient.connect(proxy.plain) };
    await same('DELETE FROM patient WHERE id = 299');
    await same(insert, other);
    await same('RESET datestyle');
    assert.equal(await day(299), 'DataRow 2020-01-02');
    await other.clarus.close();
    await other.plain.close();
  });

  test('a local setting lasts as long as its message', async () => {
    await same("SET LOCAL datestyle = 'ISO, DMY'");
    await same("SET LOCAL datestyle = 'ISO, DMY'; SELECT '01/02/2020'::date");
    await same("SELECT '01/02/2020'::date");
    await both([...say.run("SET LOCAL datestyle = 'ISO, DMY'"), say.sync]);
    await same("SELECT '01/02/2020'::date");
  });

  test('a search_path that its message took back leads to no other table', async () => {
    await same('CREATE SCHEMA s2');
    await same('CREATE TABLE vis (id int, name text)');
    await same('CREATE TABLE s2.vis (id int, name text)');
    await same('SET search_path = s2');
    await same("INSERT INTO vis VALUES (1, 'first')");
    const message = say.query('SET search_path = public; SELECT id / 0 FROM public.open');
    clarus.send(message);
    plain.send(message);
    await clarus.until();
    await plain.until();
    await same('SHOW search_path');
    await same("INSERT INTO vis VALUES (2, 'second')");
    await same('SELECT id, name FROM s2.vis ORDER BY id');
    await same('SELECT id, name FROM public.vis');
    await same('RESET search_path');
    // neither does one that ended with its transaction
    await same('BEGIN');
    await same('SET LOCAL search_path = s2');
    await same('SELECT name FROM vis WHERE id = 1');
    await same('COMMIT');
    await same('SELECT name FROM vis WHERE id = 1');
  });

  test('several statements in one message are one implicit block', async () => {
    for (const sql of [
      'VACUUM open; SELECT 1',
      'SELECT 1; VACUUM open',
      'CREATE TABLE made (id int); SAVEPOINT s; SELECT 1',
      'SELECT 1; RELEASE SAVEPOINT s',
      'SELECT 1; ROLLBACK TO SAVEPOINT s',
      'SELECT 1; COMMIT AND CHAIN',
      'SELECT 1; ROLLBACK AND CHAIN',
      'CREATE TABLE made (id int); INSERT INTO made VALUES (1); ROLLBACK',
      'CREATE TABLE made (id int); COMMIT; VACUUM made',
      'DROP TABLE made; ROLLBACK',
      'SELECT 1; COMMIT',
      'INSERT INTO open VALUES (7); ROLLBACK; INSERT INTO open VALUES (8)',
      'SELECT id FROM open ORDER BY id',
      'LOCK TABLE open; SELECT 1',
      'DECLARE c CURSOR FOR SELECT 1; FETCH c',
      'BEGIN; SELECT 1; COMMIT; SELECT 2',
      'INSERT INTO open VALUES (9); BEGIN ISOLATION LEVEL SERIALIZABLE',
      'ROLLBACK',
      'SELECT count(*) FROM patient; START TRANSACTION READ ONLY',
      'INSERT INTO patient VALUES (400, NULL)',
      'ROLLBACK',
      'SHOW datestyle; BEGIN READ ONLY; COMMIT',
      'DISCARD ALL; SELECT 1',
    ])
      await same(sql);
  });

  test('application_name goes back to what the client began with', async () => {
    for (const application_name of ["it's mine", undefined]) {
      const ours = new pg.Client({ ...proxy, application_name });
      const theirs = new pg.Client({ ...proxy.plain, application_name });
      await Promise.all([ours.connect(), theirs.connect()]);
      for (const reset of [
        'SELECT 1',
        'RESET ALL',
        'DISCARD ALL',
        'RESET application_name',
        'SET application_name TO DEFAULT',
        'BEGIN; RESET ALL; ROLLBACK',
      ]) {
        const names: string[] = [];
        for (const client of [ours, theirs]) {
          await client.query("SET application_name = 'other'");
          await client.query(reset);
          names.push((await client.query('SHOW application_name')).rows[0].application_name);
        }
        assert.equal(names[0], names[1], reset);
      }
      await Promise.all([ours.end(), theirs.end()]);
    }
  });

  test('the modes of a transaction cannot be set after a query, whichever side answered it', async () => {
    for (const query of [
      'SELECT 1',
      "SELECT relname FROM pg_class WHERE relname = 'open'",
      'SELECT count(*) FROM open',
      'SELECT birth FROM patient WHERE id = 1',
    ]) {
      await same('BEGIN');
      await same(query);
      await same('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
      await same('ROLLBACK');
    }
    // the first query takes the snapshot, though the cloud does not get to see it
    const writer = { clarus: await RawClient.connect(proxy), plain: await RawClient.connect(proxy.plain) };
    for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
      await same(`BEGIN ISOLATION LEVEL ${level}`);
      await same('SELECT 1');
      await same('INSERT INTO open VALUES (1000)', writer);
      await same('SELECT count(*) FROM open WHERE id = 1000');
      await same('COMMIT');
      await same('DELETE FROM open WHERE id = 1000');
    }
    await writer.clarus.close();
    await writer.plain.close();
  });

  test('EXECUTE converts its arguments as an assignment does', async () => {
    const placeless = (lines: string[]): string[] => lines.map(line => line.replace(/ \d+$/, ' '));
    await same('PREPARE number (int) AS SELECT $1 + 0 AS x');
    await same('PREPARE letters (char, varchar, date) AS SELECT $1, $2, $3');
    await same('PREPARE put (int, date) AS INSERT INTO patient VALUES ($1, $2)');
    for (const sql of [
      'EXECUTE number(5)',
      "EXECUTE number('5')",
      'EXECUTE number(5.4)',
      'EXECUTE number(NULL)',
      'EXECUTE number(2147483648)',
      "EXECUTE number('5'::text)",
      "EXECUTE number('five')",
      'EXECUTE number(true)',
      "EXECUTE number(date '2020-01-02')",
      "EXECUTE letters('abc', 12, '2020-01-02')",
      "EXECUTE letters(1, date '2020-01-02', timestamp '2020-01-02 03:04')",
      "EXECUTE put(500, '2020-01-02'::text)",
      "EXECUTE put(500, '2020-01-02'::timestamp)",
      'SELECT birth FROM patient WHERE id = 500',
    ]) {
      const [ours, theirs] = await Promise.all([clarus.query(sql), plain.query(sql)]);
      assert.deepEqual(placeless(told(ours)), placeless(told(theirs)), sql);
    }
    await same('DEALLOCATE ALL');
  });

  test('errors of planning and of Bind come when and as PostgreSQL words them', async () => {
    await same('SELECT 1/0');
    await same('SELECT 1; SELECT 1/0; SELECT 2');
    await same("SET datestyle = 'ISO, DMY'; SELECT 1/0");
    for (const sql of [
      'SELECT birth FROM patient WHERE id = $1',
      'SELECT d FROM open WHERE id = $1',
      'SELECT $1::int',
    ]) {
      await both([say.parse(sql, 'named', [23]), say.bind('named', '', ['1', '2']), say.execute(), say.sync]);
      await both([say.bind('named'), say.execute(), say.sync]);
      await both([say.close('statement', 'named'), say.parse(sql), say.bind(), say.sync]);
    }
  });
});

suite('a session of a database without protected tables', { timeout: 300_000 }, () => {
  let pipe: Pipe;
  let record: string;
  let proxy: TestProxy;
  before(async () => {
    record = mkdtempSync(join(tmpdir(), 'clarus-sent-'));
    proxy = await startProxy({
      policy: 'unlisted: pass\n',
      between: async cloud => {
        pipe = await startPipe({ ...cloud, recordInto: record });
        return pipe;
      },
    });
  });
  after(async () => {
    await proxy?.stop();
    await pipe?.close();
    rmSync(record, { recursive: true, force: true });
  });

  const sent = (word: string): boolean =>
    readdirSync(record).some(
      name => name.endsWith('.sent') && readFileSync(join(record, name)).includes(word),
    );

  test('goes on untouched after a statement to Clarus, with what it has prepared and set', async () => {
    const client = await RawClient.connect(proxy);
    await client.query('CREATE SCHEMA apart CREATE TABLE inside (id int)');
    await client.query('SET search_path = apart');
    client.send(say.parse('SELECT $1::int + 1', 'sum'), say.sync);
    await client.until();
    const usable = async (): Promise<void> => {
      assert.ok(told(await client.query('SELECT count(*) FROM inside')).includes('DataRow 0'));
      client.send(say.bind('sum', '', ['1']), say.execute(), say.sync);
      assert.ok(told(await client.until()).includes('DataRow 2'));
      assert.ok(
        told(await client.query('CREATE TEMP TABLE t (id int)')).includes('CommandComplete CREATE TABLE'),
      );
      await client.query('DROP TABLE t');
      assert.ok(
        told(await client.query('SELECT count(*) FROM pg_prepared_statements')).includes('DataRow 1'),
      );
    };
    for (let times = 0; times < 2; times++) {
      const explained = told(await client.query('EXPLAIN (CLARUS) SELECT 1'));
      assert.ok(explained.includes('CommandComplete EXPLAIN'), explained.join('\n'));
      await usable();
      const refused = told(await client.query("SECURITY LABEL FOR clarus ON TABLE nosuch IS 'encrypt'"));
      assert.match(refused[0]!, /42P01/);
      await usable();
    }
    // by the extended protocol, prepared in one batch and executed in the next, and all in one write
    client.send(say.parse('EXPLAIN (CLARUS) SELECT 1', 'told'), say.describe('statement', 'told'), say.sync);
    assert.ok(!told(await client.until()).some(line => line.startsWith('Error')));
    client.send(
      say.bind('told'),
      say.execute(),
      say.sync,
      say.query('EXPLAIN (CLARUS) SELECT 2'),
      say.query('SELECT count(*) FROM inside'),
    );
    const answers = told(await client.until('ReadyForQuery', 3));
    assert.equal(answers.filter(line => line === 'CommandComplete EXPLAIN').length, 2, answers.join('\n'));
    assert.ok(answers.includes('DataRow 0'), answers.join('\n'));
    await usable();
    await client.close();
  });

  test('sends nothing more in the clear once the first protected table exists', async () => {
    const owner = await RawClient.connect(proxy);
    const running = await RawClient.connect(proxy);
    const batch = await RawClient.connect(proxy);
    const copying = await RawClient.connect(proxy);
    const open = await RawClient.connect(proxy);
    await owner.query('CREATE TABLE patient (id int, name text)');
    await owner.query('CREATE TABLE other (id int, name text)');
    running.send(say.parse('INSERT INTO patient VALUES (1, $1)', 'insert', [25]), say.sync);
    await running.until();
    running.send(say.query('SELECT pg_sleep(3)'));
    batch.send(say.parse('SELECT $1::text'), say.flush);
    await batch.until('ParseComplete');
    copying.send(say.query('COPY other FROM STDIN'));
    await copying.until('CopyInResponse');
    await open.query('BEGIN');
    const labelled = told(
      await owner.query(
        "SECURITY LABEL FOR clarus ON COLUMN patient.name IS 'identifier encrypt queries equality'",
      ),
    );
    assert.ok(labelled.includes('CommandComplete SECURITY LABEL'), labelled.join('\n'));
    running.send(say.query("INSERT INTO patient VALUES (2, 'SENTINEL-query')"));
    running.send(say.bind('insert', '', ['SENTINEL-bind']), say.execute(), say.sync);
    batch.send(say.bind('', '', ['SENTINEL-batch']), say.execute(), say.sync);
    copying.send(say.copyData('1\tSENTINEL-copy\n'), say.copyDone);
    open.send(say.query("SELECT 'SENTINEL-open'"));
    const after = told(await running.until('ReadyForQuery', 3));
    assert.equal(after.filter(line => line === 'CommandComplete INSERT 0 1').length, 2, after.join('\n'));
    for (const client of [batch, copying, open])
      assert.match(told(await client.until()).join('\n'), /FATAL 57P01 .* protected tables/);
    const kept = told(await owner.query('SELECT name FROM patient'));
    assert.ok(kept.includes('DataRow SENTINEL-query') && kept.includes('DataRow SENTINEL-bind'));
    assert.equal(sent('SENTINEL'), false);
    assert.equal(sent('COPY other'), true);
    for (const client of [owner, running]) await client.close();
  });
});
