/**
 * What no encoding answers is refused before anything is sent, with the reason, the line of the policy and a hint;
 * and no way of sending a statement gets around its analysis.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import pg from 'pg';
import { startPipe } from './heavy/support/pipe.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      birth: { class: quasi-identifier, protect: encrypt, queries: [equality, order] }
      remark: { class: confidential, protect: encrypt }`;
const secret = 'Sentinel-Targaryen';

suite('refusals', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let recordings: string;
  let pipe: Awaited<ReturnType<typeof startPipe>>;
  let client: pg.Client;

  before(async () => {
    recordings = mkdtempSync(join(tmpdir(), 'clarus-recordings-'));
    proxy = await startProxy({
      policy,
      between: async cloud => {
        pipe = await startPipe({ ...cloud, recordInto: recordings });
        return pipe;
      },
    });
    client = new pg.Client(proxy);
    await client.connect();
    await client.query('CREATE TABLE patient (id int PRIMARY KEY, name text, birth date, remark text)');
    await client.query('CREATE TABLE open (id int, note text)');
    await client.query(`INSERT INTO patient VALUES (1, '${secret}', '1970-01-01', '${secret}')`);
    await client.query('CREATE TABLE open2 (id int, note text)');
  });
  after(async () => {
    await client?.end();
    await proxy?.stop();
    await pipe?.close();
    rmSync(recordings, { recursive: true, force: true });
  });

  /** All bytes that were sent to the cloud, by any connection. */
  const sent = (): number =>
    readdirSync(recordings)
      .filter(name => name.endsWith('.sent'))
      .reduce((sum, name) => sum + readFileSync(join(recordings, name)).length, 0);
  const leaked = (): string[] =>
    readdirSync(recordings).filter(name => readFileSync(join(recordings, name)).includes(secret));
  const quiet = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 100));

  const refused: readonly (readonly [statement: string, policyColumn: string | undefined])[] = [
    [`SELECT cmin FROM patient WHERE birth < '2000-01-01' FOR UPDATE`, 'birth'],
    [`DELETE FROM patient WHERE birth BETWEEN '1970-01-01' AND '1980-01-01' AND cmin = '0'`, 'birth'],
    [`DELETE FROM patient WHERE name LIKE '${secret}%' AND cmin = '0'`, 'name'],
    [`UPDATE patient SET birth = NULL WHERE remark = '${secret}' AND cmin = '0'`, 'remark'],
    ['SELECT ctid, max(birth) FROM patient GROUP BY ctid', 'birth'],
    ['DELETE FROM patient WHERE id IN (1) RETURNING upper(name), cmin', 'name'],
    [`UPDATE patient SET remark = remark || '${secret}' WHERE cmin = '0'`, 'remark'],
    [`DELETE FROM patient WHERE name || '${secret}' = remark AND cmin = '0'`, 'name'],
  ];
  test('a refused statement sends nothing and tells why', async () => {
    for (const [statement, column] of refused) {
      await quiet();
      const before = sent();
      const error: pg.DatabaseError = await client.query(statement).then(
        () => assert.fail(`${statement} was answered`),
        (thrown: pg.DatabaseError) => thrown,
      );
      await quiet();
      assert.equal(sent(), before, statement);
      assert.equal(error.code, '0A000', statement);
      assert.ok(error.message.length > 10, statement);
      const line = new RegExp(`Policy: public\\.patient\\.${column}: .*\\(clarus\\.yaml:\\d+:\\d+\\)`);
      assert.match(error.detail ?? '', line, statement);
      assert.ok((error.hint ?? '').length > 10, `${statement} has no hint`);
    }
  });

  test('the hint of a refusal says what would help, and never to grant what nothing answers', async () => {
    for (const [statement, hint] of [
      [
        `DELETE FROM patient WHERE birth < '2000-01-01' AND cmin = '0'`,
        /^order waits for an encoding of a later version\. /,
      ],
      [
        `DELETE FROM patient WHERE name LIKE 'x%' AND cmin = '0'`,
        /^No query kind of this version answers it\. Select/,
      ],
      [
        `DELETE FROM patient WHERE remark = 'x' AND cmin = '0'`,
        /^Grant it: "remark": \{ queries: \[equality\] \}/,
      ],
    ] as const) {
      const error: pg.DatabaseError = await client.query(statement).then(
        () => assert.fail(`${statement} was answered`),
        (thrown: pg.DatabaseError) => thrown,
      );
      assert.equal(error.code, '0A000', statement);
      assert.match(error.hint ?? '', hint, statement);
    }
  });

  test('what the cloud alone answers is named as the reason where it is', async () => {
    await client.query('CREATE SEQUENCE counted');
    for (const [statement, message] of [
      [
        `SELECT nextval('counted') FROM patient WHERE remark > 'x'`,
        /^a sequence is asked for values in a statement/,
      ],
      [
        `INSERT INTO patient (id, name) SELECT nextval('counted'), name || 'x' FROM patient`,
        /^a sequence is asked/,
      ],
      [
        `SELECT pg_advisory_xact_lock(id) FROM patient WHERE remark > 'x'`,
        /^a function that the cloud alone can run/,
      ],
    ] as const)
      await assert.rejects(client.query(statement), (error: pg.DatabaseError) => {
        assert.equal(error.code, '0A000');
        assert.match(error.message, message);
        assert.match(error.detail ?? '', /^Encodings do not answer it: /);
        assert.match(error.hint ?? '', /in a statement of its own/);
        return true;
      });
  });

  test('values flow only where they are protected at least as well', async () => {
    for (const statement of [
      'INSERT INTO open SELECT id, name FROM patient',
      'UPDATE open SET note = name FROM patient WHERE open.id = patient.id',
      'CREATE TABLE copied AS SELECT name FROM patient',
      'SELECT name INTO copied FROM patient',
      'CREATE MATERIALIZED VIEW seen AS SELECT name FROM patient',
      `SELECT set_config('app.name', name, false) FROM patient`,
      `SELECT pg_notify('channel', name) FROM patient`,
      'WITH moved AS (DELETE FROM patient RETURNING name) INSERT INTO open SELECT 1, name FROM moved',
      'DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM patient; INSERT INTO open VALUES (9, n); END $$',
      'CREATE RULE r AS ON INSERT TO patient DO ALSO INSERT INTO open VALUES (NEW.id, NEW.name)',
      `COPY (SELECT query_to_xml('SELECT name FROM patient', true, true, '')) TO STDOUT`,
      `COPY patient TO '/tmp/copied'`,
      `COPY patient TO PROGRAM 'cat'`,
    ]) {
      await assert.rejects(client.query(statement), (error: pg.DatabaseError) => {
        assert.match(error.code ?? '', /^(0A000|42501)$/, `${statement}: ${error.code} ${error.message}`);
        return true;
      });
      assert.deepEqual(leaked(), [], statement);
    }
    // the view's text stands on the trusted side alone
    await client.query(`CREATE VIEW seen AS SELECT name FROM patient WHERE name > '${secret.slice(0, 9)}'`);
    assert.deepEqual((await client.query('SELECT name FROM seen')).rows, [{ name: secret }]);
    // a row needs its key
    await assert.rejects(client.query(`INSERT INTO seen VALUES ('${secret}')`), { code: '23502' });
    await client.query('DROP VIEW seen');
    assert.deepEqual(leaked(), []);
  });

  suite('no way of sending a statement gets around its analysis', () => {
    const hidden = `INSERT INTO open SELECT id, name FROM patient`;
    const harmless = `INSERT INTO patient VALUES (ID, '${secret}', NULL, '${secret}')`;
    let id = 100;
    const fresh = (): string => harmless.replace('ID', String(id++));
    beforeEach(async () => {
      await client.query('ROLLBACK');
    });
    const stays = async (): Promise<void> => {
      assert.deepEqual(leaked(), []);
      assert.equal(
        (await client.query('SELECT count(*) AS n FROM open WHERE note IS NOT NULL')).rows[0].n,
        '0',
      );
    };

    test('several statements of one message', async () => {
      await client.query(`SELECT 1; ${fresh()}; SELECT 2`);
      await assert.rejects(client.query(`SELECT 1; ${hidden}`), { code: '0A000' });
      await assert.rejects(client.query(`BEGIN; ${fresh()}; ${hidden}; COMMIT`), { code: '0A000' });
      await client.query('ROLLBACK');
      await stays();
    });

    test('statements prepared by name, by SQL, and behind comments', async () => {
      await client.query({
        name: 'by-name',
        text: 'INSERT INTO patient VALUES ($1, $2, NULL, $2)',
        values: [id++, secret],
      });
      await client.query(`PREPARE by_sql AS ${fresh()}`);
      await client.query('EXECUTE by_sql');
      await assert.rejects(
        client.query(`PREPARE hidden AS ${hidden}`).then(() => client.query('EXECUTE hidden')),
        {
          code: '0A000',
        },
      );
      await client.query(`/* ${secret} */ ${fresh()} -- ${secret}`);
      await client.query(`/* /* nested ${secret} */ */ SELECT 1 /* ${secret} */`);
      await assert.rejects(client.query({ name: 'hidden', text: hidden }), { code: '0A000' });
      await stays();
    });

    test('inside transactions and savepoints', async () => {
      await client.query('BEGIN');
      await client.query(fresh());
      await client.query('SAVEPOINT s');
      await assert.rejects(client.query(hidden), { code: '0A000' });
      await client.query('ROLLBACK TO s');
      await client.query(fresh());
      await client.query('COMMIT');
      await stays();
    });

    test('a prepared statement whose table became protected is planned anew', async () => {
      const other = new pg.Client(proxy);
      await other.connect();
      try {
        const insert = { name: 'later', text: 'INSERT INTO open2 VALUES ($1, $2)' };
        await other.query({ ...insert, values: [1, 'not yet'] });
        await other.query('DELETE FROM open2');
        await client.query("SECURITY LABEL FOR clarus ON COLUMN open2.note IS 'encrypt'");
        await other.query({ ...insert, values: [2, secret] });
        assert.deepEqual((await other.query('SELECT note FROM open2')).rows, [{ note: secret }]);
      } finally {
        await other.end();
      }
      await stays();
    });

    test('quoted names, schemas, search paths and unusual spellings', async () => {
      await client.query(fresh().replace('patient', '"public"."patient"'));
      await client.query(fresh().replace('patient', 'U&"p\\0061tient"'));
      await client.query(fresh().replace('INSERT', 'insert').replaceAll(`'${secret}'`, `U&'${secret}'`));
      await client.query(fresh().replaceAll(`'${secret}'`, `$a$${secret}$a$`));
      await client.query(fresh().replaceAll(`'${secret}'`, `E'${secret}'`));
      await client.query("SET search_path = pg_temp, public; SET search_path = 'public'");
      await client.query(fresh());
      await stays();
    });

    test('a statement that cannot be parsed is refused with the syntax error, never forwarded', async () => {
      await quiet();
      const before = sent();
      await assert.rejects(client.query(`SELEC '${secret}'`), { code: '42601' });
      await assert.rejects(client.query(`SELECT '${secret}`), { code: '42601' });
      await assert.rejects(client.query(`SELECT 1; SELEC '${secret}'`), { code: '42601' });
      await quiet();
      assert.equal(sent(), before);
    });

    test('messages of the protocol that carry statements or values otherwise', async () => {
      const raw = await RawClient.connect(proxy);
      raw.send({
        kind: 'FunctionCall',
        functionOid: 1299,
        argumentFormats: [],
        arguments: [Buffer.from(secret)],
        resultFormat: 0,
      });
      assert.match(told(await raw.until()).join('\n'), /0A000/);
      raw.send(
        say.parse('INSERT INTO patient VALUES ($1::int, $2, NULL, $2)', 'unused', []),
        say.bind('unused', 'never executed', [String(id++), secret]),
        say.sync,
      );
      assert.doesNotMatch(told(await raw.until()).join('\n'), /ErrorResponse/);
      await raw.close();
      await stays();
    });
  });
});
