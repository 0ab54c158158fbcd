/** EXPLAIN (CLARUS): what each table is asked of the cloud, what stays here and why, and what came of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { parse } from 'yaml';
import { beside } from './support/beside.js';

const policy = `unlisted: encrypt
tables:
  public.ward:
    columns:
      id: { protect: none }
      beds: { protect: none }
  public.patient:
    columns:
      id: { protect: none }
      ward: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      weight: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE TABLE ward (id int PRIMARY KEY, beds int)',
  'CREATE TABLE patient (id int PRIMARY KEY, ward int REFERENCES ward, name text UNIQUE, weight numeric)',
  'INSERT INTO ward VALUES (1, 10), (2, 20)',
  "INSERT INTO patient VALUES (1, 1, 'Zaphod', 70), (2, 1, 'Trillian', 55), (3, 2, 'Marvin', 900)",
  'CREATE VIEW heavy AS SELECT id, name FROM patient WHERE weight > 60.125',
];

/** Split statements of every kind. */
const statements: readonly string[] = [
  "SELECT upper(name) FROM patient WHERE name = 'Zaphod' AND weight > 60.125",
  'SELECT name FROM patient WHERE weight = 60.125 LIMIT 2',
  'SELECT p.name, beds FROM patient p JOIN ward w ON w.id = p.ward WHERE weight > 60.125 AND beds > 5',
  "SELECT p.name, beds FROM patient p LEFT JOIN ward w ON w.id = p.ward AND beds > 5 WHERE p.name <> 'Marvin' AND weight < 60.125",
  'SELECT name, (SELECT max(weight) FROM patient q WHERE q.ward = p.ward AND q.id > 1) FROM patient p',
  'SELECT max(name) FROM heavy WHERE id < 3',
  'WITH w AS (SELECT max(weight) AS m FROM patient) SELECT name FROM patient, w WHERE weight = m',
  "SELECT name FROM patient WHERE name LIKE 'Z%' UNION ALL SELECT beds::text FROM ward WHERE beds > 15",
  'UPDATE patient SET weight = weight * 2 WHERE weight < 60.125',
  "UPDATE patient SET weight = weight + 60.125 WHERE name = 'Zaphod'",
  'UPDATE patient p SET weight = weight * 2 WHERE weight < 60.125 RETURNING *',
  "DELETE FROM patient USING ward WHERE ward.id = ward AND name LIKE 'Mar%'",
  "DELETE FROM patient WHERE name LIKE 'Mar%'",
  "MERGE INTO patient p USING ward w ON w.id = p.id WHEN MATCHED THEN UPDATE SET weight = weight + 1 WHEN NOT MATCHED THEN INSERT VALUES (w.id, 1, 'Benjy', 2)",
  "INSERT INTO patient VALUES (1, 1, 'Zaphod', 70) ON CONFLICT (id) DO UPDATE SET weight = patient.weight + 60.125",
  "INSERT INTO patient VALUES (7, 1, 'Trillian', 70) ON CONFLICT (name) DO UPDATE SET weight = patient.weight + 60.125",
  'INSERT INTO patient (id, name) SELECT id + 20, upper(name) FROM patient WHERE id < 3',
  'DECLARE c CURSOR FOR SELECT name FROM patient ORDER BY name',
  'CREATE TABLE made AS SELECT name FROM patient',
];
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Benjy', '60.125', 'Mar%'];

/** A condition that stays, or that the cloud answers. */
interface Condition {
  readonly Condition: string;
  readonly By?: readonly string[];
  readonly Because?: string;
  readonly Policy?: string;
  readonly Hint?: string;
}
interface Told {
  readonly Way: string;
  readonly Why?: readonly string[];
  readonly Table?: readonly {
    readonly Name: string;
    readonly Rows: string;
    readonly Columns: readonly string[];
    readonly Cloud: string;
    readonly 'Cloud Answers'?: readonly Condition[];
    readonly Stays?: readonly Condition[];
  }[];
  readonly Query?: Told;
  readonly Joins?: readonly string[];
  readonly Fetched?: readonly Fetched[];
  readonly 'Actual Rows'?: number;
}
interface Fetched {
  readonly Name: string;
  readonly Rows: number;
  readonly Columns: readonly string[];
  readonly Bytes: number;
}

suite('EXPLAIN (CLARUS)', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);

  const asText = async (client: pg.Client, sql: string, values?: unknown[]): Promise<string> => {
    const { rows } = await client.query<[string]>({
      text: sql,
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
      ...(values ? { values } : {}),
    });
    return rows.flat().join('\n');
  };
  const told = async (sql: string, options = '', values?: unknown[]): Promise<Told> => {
    const text = await asText(sides.ours, `EXPLAIN (CLARUS, FORMAT JSON${options}) ${sql}`, values);
    return (JSON.parse(text) as [{ Plan: Told }])[0].Plan;
  };
  const contents = async (client: pg.Client): Promise<unknown> =>
    (await client.query('SELECT * FROM patient ORDER BY id')).rows;
  const inTransaction = async (client: pg.Client, work: () => Promise<void>): Promise<void> => {
    await client.query('BEGIN');
    await work();
    await client.query('ROLLBACK');
  };

  test('says of a table what the cloud is asked for, what stays, and why', async () => {
    const sql = "SELECT upper(name) FROM patient WHERE name = 'Zaphod' AND weight = 60.125 AND id > 0";
    const lines = (await asText(sides.ours, `EXPLAIN (CLARUS) ${sql}`)).split('\n');
    assert.deepEqual(lines.slice(0, -1), [
      'Split: the trusted database runs the statement over rows that the cloud delivers',
      '  Why: an expression in the select list needs protected column "name", and no encoding of it answers that',
      lines[2],
      '  Reads: public.patient',
      '  Table: public.patient',
      '    Rows: those that meet what the cloud answers',
      '    Columns: name, weight',
      '    Cloud Answers: name = ?',
      '      By: equality of "name"',
      '    Cloud Answers: id > ?',
      '      By: "id" in the clear',
      '    Stays: weight = ?',
      '      Because: a comparison by "=" needs protected column "weight", and no encoding of it answers that',
      lines[13],
      '      Hint: Grant it: "weight": { queries: [equality] }; "clarus check" says what the cloud then learns.',
    ]);
    assert.match(
      lines[13]!,
      /^ {6}Policy: public\.patient\.weight: encrypt, no queries \(clarus\.yaml:\d+:\d+\)\.$/,
    );
    assert.match(lines.at(-1)!, /^ {4}Cloud: SELECT .*name_sealed\d+ .* WHERE .*name_equality\d+ = \$1/);
  });

  test('says it of each table that a statement joins or asks again, and of what carriers ask', async () => {
    const join = await told(statements[2]!);
    assert.deepEqual(
      join.Table!.map(({ Name, Columns }) => [Name, Columns]),
      [
        ['public.patient', ['id', 'ward', 'name', 'weight']],
        ['public.ward', ['id', 'beds']],
      ],
    );
    assert.deepEqual(
      join.Table!.map(table => table['Cloud Answers']!.map(({ Condition }) => Condition)),
      [
        ['w.id = p.ward', 'beds > ?'],
        ['w.id = p.ward', 'beds > ?'],
      ],
    );
    const [byName] = (await told(statements[3]!)).Table!.filter(({ Name }) => Name === 'public.patient');
    assert.deepEqual(byName!['Cloud Answers'], [{ Condition: 'name <> ?', By: ['equality of "name"'] }]);
    assert.deepEqual(
      byName!.Stays!.map(({ Condition }) => Condition),
      ['weight < ?'],
    );
    const again = await told(statements[4]!);
    assert.deepEqual(
      again.Table!.map(({ Rows }) => Rows),
      ['all', 'those that meet what the cloud answers'],
    );
    assert.match(again.Table![1]!.Stays![0]!.Because!, /values of rows go to no cloud/);
    const parameters = await told('SELECT id FROM patient WHERE weight > $1 AND id < $2', '', [1, 100]);
    assert.deepEqual(
      parameters.Table!.map(table => [table['Cloud Answers']![0]!.Condition, table.Stays![0]!.Condition]),
      [['id < $2', 'weight > $1']],
    );
  });

  test('agrees with what is fetched when the statement runs, which ANALYZE tells as the journal does', async () => {
    const journal = join(sides.recorded.proxy.directory, 'audit', 'journal-worker-0.jsonl');
    const ends = (): { fetched?: unknown }[] =>
      readFileSync(journal, 'utf8')
        .split('\n')
        .filter(line => line.includes('"statement-end"'))
        .map(line => JSON.parse(line));
    for (const sql of statements)
      await inTransaction(sides.ours, async () => {
        const planned = await told(sql);
        const ran = await told(sql, ', ANALYZE');
        const known = new Map<string, Set<string>>();
        for (const { Name, Columns } of [...(planned.Table ?? []), ...(planned.Query?.Table ?? [])])
          known.set(Name, new Set([...(known.get(Name) ?? []), ...Columns]));
        assert.deepEqual(
          ran.Fetched!.map(({ Name, Columns }) => [Name, Columns]),
          [...known]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, columns]) => [name, [...columns].sort()]),
          sql,
        );
        for (const { Rows, Bytes, Name } of ran.Fetched!) assert.ok(Rows === 0 || Bytes > 0, Name);
        await sides.ours.query('ROLLBACK');
        await sides.ours.query('BEGIN');
        await sleep(150); // what ran before is in the file
        const before = ends().length;
        await sides.ours.query(sql);
        while (ends().length === before) await sleep(20);
        const end = ends()
          .slice(before)
          .find(({ fetched }) => Array.isArray(fetched))!;
        assert.deepEqual(
          ran.Fetched!.map(({ Name, Rows, Columns }) => ({ table: Name, columns: Columns, rows: Rows })),
          end.fetched,
          sql,
        );
      });
  });

  test('ANALYZE does what the statement does, and without it nothing is done', async () => {
    for (const sql of statements) {
      await told(sql);
      assert.deepEqual(await contents(sides.ours), await contents(sides.plain), sql);
      for (const client of sides.clients) await client.query('BEGIN');
      const ran = await told(sql, ', ANALYZE');
      const { rowCount } = await sides.plain.query(sql);
      if (!sql.startsWith('DECLARE')) assert.equal(ran['Actual Rows'], rowCount, sql);
      assert.deepEqual(await contents(sides.ours), await contents(sides.plain), sql);
      for (const client of sides.clients) await client.query('ROLLBACK');
    }
    const pushed = await told("SELECT name FROM patient WHERE name = 'Zaphod'", ', ANALYZE');
    assert.deepEqual([pushed.Way, pushed['Actual Rows'], pushed.Fetched], ['Push', 1, undefined]);
    const passed = await told('SELECT beds FROM ward WHERE beds > $1', ', ANALYZE, SUMMARY off', [15]);
    assert.deepEqual([passed.Way, passed['Actual Rows']], ['Pass', 1]);
    assert.ok(!('Execution Time' in passed));
  });

  test('every format says the same', async () => {
    for (const sql of statements) {
      const explain = (format: string) => asText(sides.ours, `EXPLAIN (CLARUS, FORMAT ${format}) ${sql}`);
      const json = JSON.parse(await explain('JSON'));
      assert.deepEqual(parse(await explain('YAML')), json, sql);
      const xml = await explain('XML');
      assert.match(xml, /^<explain xmlns="http:\/\/www\.postgresql\.org\/2009\/explain">[\s\S]*<\/explain>$/);
      const open: string[] = [];
      for (const [, closes, name] of xml.matchAll(/<(\/?)([\w-]+)[^>]*>/g))
        if (closes) assert.equal(open.pop(), name, xml);
        else open.push(name!);
      assert.deepEqual(open, []);
      const names = (told: unknown): string[] =>
        told === null || typeof told !== 'object'
          ? []
          : Object.entries(told).flatMap(([name, value]) => [
              ...(Array.isArray(told) ? [] : [name]),
              ...names(value),
            ]);
      for (const name of names(json)) assert.ok(xml.includes(`<${name.replaceAll(' ', '-')}>`), name);
      const text = await explain('TEXT');
      for (const table of [...(json[0].Plan.Table ?? [])]) assert.ok(text.includes(table.Cloud), sql);
    }
  });

  test('tells no value that the statement compares protected columns with, and shows the cloud none', async () => {
    let all = '';
    const sent = await sides.recorded.sentWhile(async () => {
      for (const sql of statements)
        await inTransaction(sides.ours, async () => {
          for (const options of ['CLARUS', 'CLARUS, ANALYZE, FORMAT JSON'])
            all += await asText(sides.ours, `EXPLAIN (${options}) ${sql}`);
        });
    });
    for (const word of sentinels) {
      assert.ok(!all.includes(word), word);
      assert.ok(!sent.includes(word), word);
    }
  });

  test('knows the options that PostgreSQL knows', async () => {
    const refused = async (client: pg.Client, options: string): Promise<unknown> =>
      client.query(`EXPLAIN (${options}) SELECT 1`).then(
        () => undefined,
        (error: pg.DatabaseError) => [error.code, error.message],
      );
    for (const options of ['nonsense', 'FORMAT nonsense', 'ANALYZE, GENERIC_PLAN', 'VERBOSE, BUFFERS off'])
      assert.deepEqual(
        await refused(sides.ours, `CLARUS, ${options}`),
        await refused(sides.plain, options),
        options,
      );
  });

  test('needs no values of parameters, and takes those of EXECUTE', async () => {
    const open = await asText(sides.ours, 'EXPLAIN (CLARUS) SELECT upper(name) FROM heavy WHERE name > $1');
    assert.match(open, /Tables: what each is asked for is decided when the parameters have values/);
    await sides.ours.query('PREPARE one AS SELECT upper(name) FROM heavy WHERE name > $1');
    const bound = await asText(sides.ours, "EXPLAIN (CLARUS, ANALYZE) EXECUTE one('Marvin')");
    assert.match(bound, /Stays: name > \?[\s\S]*Fetched: public\.patient\n {4}Rows: 3/);
  });

  test('tells what functions fetch, statement by statement, and which triggers fire', async () => {
    await sides.ours.query(
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.weight := (SELECT max(weight) + NEW.weight FROM patient); RETURN NEW; END'",
    );
    await sides.ours.query(
      'CREATE TRIGGER noted BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION note()',
    );
    await inTransaction(sides.ours, async () => {
      const text = await asText(
        sides.ours,
        "EXPLAIN (CLARUS, ANALYZE) INSERT INTO patient VALUES (30, 1, 'Ford', 1)",
      );
      assert.match(text, /Fires: noted, on INSERT/);
      assert.match(text, /Fetched: public\.patient\n {4}Rows: 3\n {4}Columns: weight/);
    });
    await sides.ours.query('DROP FUNCTION note CASCADE');
  });
});
