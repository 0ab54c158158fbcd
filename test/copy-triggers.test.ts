/** COPY FROM into protected tables with triggers does what it does in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { LogicalTable } from '../src/catalog/catalog.js';
import type { TriggeredWrite } from '../src/sql/execute/bodies.js';
import { FiredRows } from '../src/sql/triggers/fired-rows.js';
import { binaryCopyData, CopySide } from './differential/copy.js';
import { beside } from './support/beside.js';
import { told } from './support/raw-client.js';
import { functions } from './triggers/scripts.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      open: { protect: none }
      touched: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.staff:
    columns:
      n: { protect: none }
      mood: { protect: none }
      since: { protect: none }
      boss: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      pay: { class: confidential, protect: encrypt }
  public.secret:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      person: { protect: none }
      was: { class: identifier, protect: encrypt }
      becomes: { class: identifier, protect: encrypt }
  public.tally:
    columns:
      id: { protect: none }
      n: { protect: none }
      sum: { class: confidential, protect: encrypt }`;

const schema = [
  "CREATE TABLE person (id int PRIMARY KEY, open text DEFAULT 'd', name text, amount numeric(10, 2) CHECK (amount < 1000), touched timestamptz)",
  'CREATE TABLE secret (id int PRIMARY KEY, word text)',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, person int, was text, becomes text)',
  'CREATE TABLE tally (id int PRIMARY KEY, n int, sum numeric)',
  "CREATE TYPE mood AS ENUM ('sad', 'glad')",
  `CREATE TABLE staff (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE NOT NULL, pay numeric DEFAULT 7 + 3,
     mood mood DEFAULT 'sad', since date DEFAULT '2020-02-02', boss int REFERENCES staff)`,
  ...functions,
  `CREATE FUNCTION divide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     NEW.amount := 10 / (NEW.amount - 5); RETURN NEW; END $$`,
  `CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE EXCEPTION 'no % %', TG_WHEN, TG_LEVEL USING DETAIL = 'more', HINT = 'help'; END $$`,
];

const row = 'FOR EACH ROW';
const on = (name: string, when: string, routine: string, rest = row, table = 'person'): string =>
  `CREATE TRIGGER ${name} ${when} ON ${table} ${rest} EXECUTE FUNCTION ${routine}`;

type Copy = readonly [string, string | Buffer];
const into = 'COPY person (id, name, amount) FROM STDIN';
const many = (count: number, of: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => `${of(i)}\n`).join('');

/** Triggers, and the COPYs then. */
const scripts: Readonly<
  Record<string, { readonly ddl: readonly string[]; readonly copies: readonly Copy[] }>
> = {
  'all moments': {
    ddl: [
      on('b_row', 'BEFORE INSERT OR DELETE', "tell('a', 'b')"),
      on('a_row', 'BEFORE INSERT', 'tell()', `${row} WHEN (NEW.amount > 5)`),
      on('z_row', 'AFTER INSERT', 'tell()'),
      on('m_before', 'BEFORE INSERT OR UPDATE', 'tell()', ''),
      on('n_after', 'AFTER INSERT', 'tell()', 'FOR EACH STATEMENT'),
      on('not_this', 'AFTER UPDATE', 'tell()'),
    ],
    copies: [
      [into, '10\tZaphod\t1.5\n11\t\\N\t\\N\n12\tMarvin\t20\n'],
      [into, ''],
      [
        'COPY person FROM STDIN (FORMAT csv, HEADER)',
        'id,open,name,amount,touched\n13,o,"Ford, P",3,2020-01-01\n',
      ],
      ['COPY person (name, id) FROM STDIN', 'Agrajag\t14\nFenchurch\t15\n\\.\n'],
    ],
  },
  'rows that are changed and left out': {
    ddl: [
      on('louder', 'BEFORE INSERT', 'louder()'),
      on('skips', 'BEFORE INSERT', 'skip()'),
      on('touched', 'BEFORE INSERT', 'touch()'),
    ],
    copies: [
      [into, '10\tZaphod\t1.5\n11\tFORD\t2\n12\tFord\t20\n'],
      [into, many(1_100, i => `${100 + i}\t${i % 3 === 0 ? 'Ford' : `Name ${i}`}\t${i % 900}`)],
    ],
  },
  'transition tables': {
    ddl: [
      `CREATE OR REPLACE FUNCTION sums() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE NOTICE '% % %', (SELECT count(*) FROM n), (SELECT sum(amount) FROM n), (SELECT max(name) FROM n);
         INSERT INTO log (op, person, becomes) SELECT 'n', id, name FROM n ORDER BY id LIMIT 3; RETURN NULL; END $$`,
      on('sums', 'AFTER INSERT', 'sums()', 'REFERENCING NEW TABLE AS n FOR EACH STATEMENT'),
    ],
    copies: [
      [into, '10\tZaphod\t1.5\n11\tFord\t2\n12\tMarvin\t20\n'],
      [into, many(1_100, i => `${100 + i}\t${i % 3 === 0 ? 'Ford' : `Name ${i}`}\t${i % 900}`)],
      [into, ''],
    ],
  },
  'rows that are written elsewhere': {
    ddl: [
      on('audits', 'AFTER INSERT', 'audit()'),
      on('counts', 'AFTER INSERT', 'count_up()'),
      on('skips', 'BEFORE INSERT', 'skip()'),
    ],
    copies: [
      [into, '10\tZaphod\t1.5\n11\tFord\t2\n12\tMarvin\t20\n'],
      [into, '13\tZaphod\t1.5\n10\tMarvin\t2\n'],
    ],
  },
  'functions that look at the table': {
    ddl: [on('unique_names', 'BEFORE INSERT', 'unique_names()')],
    copies: [
      [into, '10\tZaphod\t1.5\n11\tZaphod\t2\n12\tMarvin\t20\n13\tZaphod\t20\n'],
      [into, '14\tTrillian\t1.5\n10\tZaphod\t2\n16\tx\ty\n'],
      [into, '14\tTrillian\t1.5\n15\tZaphod\tx\n'],
    ],
  },
  'the first of several errors': {
    ddl: [on('validates', 'BEFORE INSERT', 'validate()')],
    copies: [
      [into, '10\tZaphod\t1\n11\tVogon\t-1\n12\tMarvin\tx\n'],
      [into, '10\tZaphod\t1\n12\tMarvin\tx\n11\tVogon\t-1\n'],
      [into, '10\tZaphod\t1\n10\tMarvin\t1\n11\tVogon\t-1\n'],
      [into, '10\tZaphod\t1\n11\tVogon\t-1\n10\tMarvin\t1\n'],
      [into, '10\tZaphod\t1000\n10\tMarvin\t1\n12\tMarvin\tx\n'],
      [into, '\\N\tZaphod\t1\n10\tMarvin\t1\n12\tMarvin\tx\n'],
      [into, '10\tZaphod\t1\n11\tMarvin\n'],
      [into, '10\tVogon\t-1\n11\tMarvin\n'],
      [into, '10\tZaphod\t1\n10\tZaphod\t1\n11\tMarvin\n'],
      [into, many(1_100, i => `${100 + i}\tName ${i}\t${i === 1_050 ? -1 : 1}`)],
      [into, many(1_100, i => `${100 + (i === 1_040 ? 3 : i)}\tName ${i}\t${i === 1_050 ? -1 : 1}`)],
      [into, many(60, i => `${100 + (i === 50 ? 3 : i)}\tName ${i}\t${i === 40 ? 'x' : 1}`)],
      [into, '10\tZaphod\t1\n11\tMarvin\t999999999\n'],
    ],
  },
  'errors of functions': {
    ddl: [on('divides', 'BEFORE INSERT', 'divide()')],
    copies: [
      [into, '10\tZaphod\t1\n11\tVogon\t5\n12\tMarvin\tx\n'],
      [into, '10\tZaphod\t1\n10\tZaphod\t6\n11\tVogon\t5\n'],
      [into, '10\tZaphod\t7\n'],
    ],
  },
  'errors before and after': {
    ddl: [on('fails', 'AFTER INSERT', 'fails()', `${row} WHEN (NEW.id > 11)`)],
    copies: [
      [into, '10\tZaphod\t1\n11\tVogon\t5\n'],
      [into, '12\tZaphod\t1\n13\tVogon\t5\n'],
      [into, '12\tZaphod\t1\n1\tVogon\t5\n'],
      [into, '12\tZaphod\t1\n13\tVogon\t\\x\n'],
    ],
  },
  'errors of statements': {
    ddl: [on('fails', 'BEFORE INSERT', 'fails()', '')],
    copies: [
      [into, '10\tZaphod\t1\n11\tVogon\t5\n'],
      [into, ''],
    ],
  },
  'wrong functions': {
    ddl: [on('others', 'BEFORE INSERT', 'other()')],
    copies: [[into, '10\tZaphod\t1\n11\tVogon\t5\n']],
  },
  'types, defaults and keys': {
    ddl: [
      on('tells', 'BEFORE INSERT', 'tell()', row, 'staff'),
      on('told', 'AFTER INSERT', 'tell()', row, 'staff'),
    ],
    copies: [
      ['COPY staff (name) FROM STDIN', 'Zaphod\nMarvin\n'],
      [
        'COPY staff (n, name, pay, mood, since, boss) FROM STDIN',
        '50\tTrillian\t1e3\tglad\t2021-01-01\t51\n51\tFenchurch\t\\N\t\\N\t\\N\t1\n',
      ],
      ['COPY staff (n, name, mood) FROM STDIN', '60\tAgrajag\tglad\n61\tArthur\tangry\n'],
      ['COPY staff (n, name, boss) FROM STDIN', '60\tAgrajag\t61\n62\tArthur\t1\n'],
      ['COPY staff (n, name, boss) FROM STDIN', '60\tAgrajag\t61\n1\tArthur\t1\n'],
      ['COPY staff (n, name, boss) FROM STDIN', '60\tAgrajag\t61\n62\tArthur\tx\n'],
      ['COPY staff (n, name) FROM STDIN', '60\tAgrajag\n61\t\\N\n'],
      ['COPY staff (n, name) FROM STDIN', '60\tAgrajag\n61\tZaphod\n'],
      [
        'COPY staff (n, name) FROM STDIN (FORMAT binary)',
        binaryCopyData({
          rows: [
            ['70', 'Slartibartfast'],
            ['71', 'Hotblack'],
          ],
        }),
      ],
    ],
  },
};

/** Stand in protected columns only. */
const sentinels = [
  'Zaphod',
  'Trillian',
  'Marvin',
  'Agrajag',
  'Fenchurch',
  'Slartibartfast',
  'Hotblack',
  'Name 12',
];

suite('COPY FROM into tables with triggers', { timeout: 300_000 }, () => {
  const sides = beside(policy, schema);
  let copying: readonly [CopySide, CopySide];

  before(async () => {
    const { proxy } = sides.recorded;
    copying = [await CopySide.connect(proxy), await CopySide.connect(proxy.plain)];
  });
  after(async () => {
    for (const side of copying ?? []) await side.close();
  });

  /** What both are told, with the line of the data; what functions tell of their own lines is left out. */
  const copied = async (side: CopySide, [sql, data]: Copy): Promise<readonly string[]> => {
    const lines = await side.in(sql, Buffer.from(data), 700).catch(error => [(error as Error).message]);
    return lines.map(line =>
      /^(PL\/pgSQL|SQL (statement|expression)) /.test(line)
        ? (/^COPY \w+, line \d+/m.exec(line)?.[0] ?? 'nowhere')
        : line,
    );
  };
  const alike = async (copy: Copy): Promise<void> => {
    const [ours, theirs] = [await copied(copying[0], copy), await copied(copying[1], copy)];
    assert.deepEqual(ours, theirs, `${copy[0]} ${String(copy[1]).slice(0, 100)}`);
  };
  const contents = async (): Promise<void> => {
    for (const sql of [
      'SELECT id, open, name, amount, touched IS NULL FROM person ORDER BY id',
      'SELECT op, person, was, becomes FROM log ORDER BY n',
      'SELECT * FROM tally',
      'SELECT name, pay, mood, since, boss FROM staff ORDER BY name',
    ])
      assert.deepEqual((await sides.ours.query(sql)).rows, (await sides.plain.query(sql)).rows, sql);
  };
  const fresh = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows } = await client.query<{ name: string; on: string }>(
        `SELECT quote_ident(tgname) AS name, tgrelid::regclass::text AS on FROM pg_trigger WHERE NOT tgisinternal`,
      );
      for (const trigger of rows) await client.query(`DROP TRIGGER ${trigger.name} ON ${trigger.on}`);
    }
    await sides.both(
      'DELETE FROM person',
      'DELETE FROM log',
      'DELETE FROM tally',
      "INSERT INTO person (id, name, amount) VALUES (1, 'Zaphod', 10.5), (2, 'Trillian', 20)",
      'INSERT INTO tally VALUES (1, 2, 30.5)',
    );
  };

  for (const [theme, { ddl, copies }] of Object.entries(scripts))
    test(`takes rows, fires triggers and refuses as PostgreSQL does: ${theme}`, async () => {
      await fresh();
      await sides.both(...ddl);
      for (const copy of copies) {
        await alike(copy);
        await contents();
      }
    });

  test('is undone with its transaction, and its rows are seen in it', async () => {
    await fresh();
    await sides.both(on('louder', 'BEFORE INSERT', 'louder()'), on('audits', 'AFTER INSERT', 'audit()'));
    const seen: string[][] = [];
    for (const side of copying) {
      const { client } = side;
      await client.query('BEGIN');
      await side.in(into, Buffer.from('10\tZaphod\t1\n11\tMarvin\t2\n'));
      const lines = told(await client.query('SELECT max(name), count(*) FROM person'));
      await client.query('SAVEPOINT s');
      lines.push(...(await side.in(into, Buffer.from('12\tZaphod\t1\n10\tMarvin\t2\n'))));
      await client.query('ROLLBACK TO s');
      lines.push(...told(await client.query('SELECT becomes FROM log ORDER BY n')));
      await client.query('ROLLBACK');
      await client.query('BEGIN READ ONLY');
      lines.push(...told(await client.query('COPY person FROM STDIN')));
      await client.query('ROLLBACK');
      seen.push(lines);
    }
    assert.deepEqual(seen[0], seen[1]);
    await contents();
  });

  test('is given up by its client after the triggers of the statement', async () => {
    await fresh();
    await sides.both(on('tells', 'BEFORE INSERT', 'tell()', ''), on('louder', 'BEFORE INSERT', 'louder()'));
    const seen: string[][] = [];
    for (const { client } of copying) {
      client.send({ kind: 'Query', sql: into });
      await client.until('CopyInResponse');
      client.send({ kind: 'CopyData', data: Buffer.from('10\tZaphod\t1\n') });
      client.send({ kind: 'CopyFail', message: 'no more' });
      seen.push(told(await client.until()));
    }
    assert.deepEqual(seen[0], seen[1]);
    await contents();
  });

  test('refuses FREEZE', async () => {
    await fresh();
    await sides.ours.query(on('louder', 'BEFORE INSERT', 'louder()'));
    await assert.rejects(sides.ours.query('COPY person FROM STDIN (FREEZE)'), { code: '0A000' });
  });

  test('keeps rows for AFTER triggers up to a limit of memory', () => {
    const table = { columns: [{ type: { oid: 25, modifier: -1 } }] } as unknown as LogicalTable;
    const triggered = { table, fired: [], below: [] } as unknown as TriggeredWrite;
    const kept = new FiredRows(triggered, sides as never, sides as never);
    const row = [new Uint8Array(100 * 1024 * 1024)];
    kept.row(row);
    kept.row(row);
    assert.throws(() => kept.row(row), { code: '54000' });
    kept.forget();
    kept.row(row);
  });

  test('shows the cloud no protected value', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('INSERT'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
