/** The audit journal at the level `rows`: which rows were opened and written, by which statement. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say } from './support/raw-client.js';

const policy = `audit: rows
unlisted: pass
tables:
  patients:
    columns:
      id: { protect: none }
      name: { queries: [equality] }
      note: {}
  visits:
    columns:
      id: { protect: none }
      patient: { protect: none }
      reason: {}`;

interface Line {
  readonly sequence: number;
  readonly kind: string;
  readonly session: number;
  readonly number: number;
  readonly table?: string;
  readonly action?: string;
  readonly rows?: readonly number[];
}

suite('audit of rows', { timeout: 120_000 }, () => {
  let proxy: TestProxy;
  let client: pg.Client;
  let behind: pg.Client;

  before(async () => {
    proxy = await startProxy({ policy });
    client = new pg.Client({ ...proxy });
    behind = new pg.Client({ ...proxy.behind });
    await client.connect();
    await behind.connect();
    await client.query('CREATE TABLE patients (id int PRIMARY KEY, name text UNIQUE, note text)');
    await client.query('CREATE TABLE visits (id int PRIMARY KEY, patient int, reason text)');
  });
  after(async () => {
    await client?.end();
    await behind?.end();
    await proxy?.stop();
  });

  const lines = (): Line[] =>
    readFileSync(join(proxy.directory, 'audit', 'journal-worker-0.jsonl'), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as Line);

  /** What was written of rows while something ran, once `ends` statements have ended. */
  async function rowsWhile(run: () => Promise<unknown>, ends = 1): Promise<Line[]> {
    await sleep(150); // what ran before is in the file
    const from = lines().at(-1)!.sequence;
    await run();
    for (let waited_ms = 0; ; waited_ms += 20) {
      const found = lines().filter(line => line.sequence > from);
      if (found.filter(line => line.kind === 'statement-end').length >= ends) return found;
      assert.ok(waited_ms < 5_000, JSON.stringify(found));
      await sleep(20);
    }
  }

  /** Row ids of a table, by the open column `id`. */
  async function ids(table: string): Promise<Map<number, number>> {
    const { rows } = await behind.query(`SELECT id, clarus_row::int AS row FROM ${table} ORDER BY id`);
    return new Map(rows.map(({ id, row }: { id: number; row: number }) => [id, row]));
  }

  const touched = (found: readonly Line[]): unknown =>
    found
      .filter(line => line.kind === 'rows')
      .map(({ table, action, rows }) => [table, action, [...rows!].sort((a, b) => a - b)]);

  test('the journal says which rows are opened and written', async () => {
    const insert = await rowsWhile(() =>
      client.query("INSERT INTO patients VALUES (1, 'Ann', 'a'), (2, 'Bob', NULL), (3, NULL, NULL)"),
    );
    const patients = await ids('patients');
    const of = (...keys: number[]): number[] => keys.map(key => patients.get(key)!).sort((a, b) => a - b);
    assert.deepEqual(touched(insert), [['public.patients', 'written', of(1, 2, 3)]]);
    const [written, end] = ['rows', 'statement-end'].map(kind => insert.find(line => line.kind === kind)!);
    assert.ok(insert.findIndex(line => line.kind === 'statement') < insert.indexOf(written!));
    assert.ok(insert.indexOf(written!) < insert.indexOf(end!));
    assert.equal(written!.number, end!.number);

    await client.query("INSERT INTO visits VALUES (10, 1, 'x'), (11, 1, 'y'), (12, 9, 'z')");
    const visits = await ids('visits');
    const cases: readonly (readonly [string, readonly (readonly [string, string, readonly number[]])[]])[] = [
      ['SELECT name FROM patients WHERE id < 3', [['public.patients', 'opened', of(1, 2)]]],
      ["SELECT note FROM patients WHERE name = 'Ann'", [['public.patients', 'opened', of(1)]]],
      ['SELECT id FROM patients', []],
      [
        'SELECT p.name, v.reason FROM patients p LEFT JOIN visits v ON v.patient = p.id WHERE p.id < 3',
        [
          ['public.patients', 'opened', of(1, 2)],
          ['public.visits', 'opened', [visits.get(10)!, visits.get(11)!]],
        ],
      ],
      ["SELECT id FROM patients WHERE name LIKE 'B%' AND id > 1", [['public.patients', 'opened', of(2, 3)]]],
      ["UPDATE patients SET note = 'n' WHERE id = 2", [['public.patients', 'written', of(2)]]],
      [
        "UPDATE patients SET note = note || '!' WHERE id = 2",
        [
          ['public.patients', 'opened', of(2)],
          ['public.patients', 'written', of(2)],
        ],
      ],
      ['UPDATE patients SET id = 4 WHERE id = 3', []],
      ['COPY patients TO STDOUT', [['public.patients', 'opened', of(1, 2, 3)]]],
      ['DELETE FROM patients WHERE id = 4 RETURNING name', [['public.patients', 'opened', of(3)]]],
    ];
    for (const [sql, wanted] of cases) {
      const found = await rowsWhile(async () => {
        const raw = await RawClient.connect(proxy);
        await raw.query(sql);
        await raw.close();
      });
      assert.deepEqual(touched(found), wanted, sql);
    }
  });

  test('statements that are pipelined are told apart', async () => {
    await client.query('DELETE FROM patients');
    await client.query("INSERT INTO patients VALUES (1, 'Ann', 'a'), (2, 'Bob', 'b')");
    const patients = await ids('patients');
    const raw = await RawClient.connect(proxy);
    const found = await rowsWhile(async () => {
      raw.send(
        ...say.run('SELECT name FROM patients WHERE id = 2'),
        ...say.run('SELECT name FROM patients WHERE id = 1'),
        ...say.run("INSERT INTO patients VALUES (3, 'Cyd', 'c')"),
        say.sync,
      );
      await raw.until();
    }, 3);
    await raw.close();
    const rows = found.filter(line => line.kind === 'rows');
    const numbers = found.filter(line => line.kind === 'statement').map(line => line.number);
    const inserted = (await ids('patients')).get(3)!;
    assert.deepEqual(
      rows.map(line => [line.number, line.rows]).sort(([a], [b]) => Number(a) - Number(b)),
      [patients.get(2)!, patients.get(1)!, inserted].map((row, i) => [numbers[i], [row]]),
    );
  });
});
