/** COPY ... FROM into partitioned tables and partitions with protected columns: what PostgreSQL takes and refuses, row by row. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { binaryCopyData, CopySide } from './differential/copy.js';
import { beside } from './support/beside.js';
import { told } from './support/raw-client.js';

const policy = `unlisted: refuse
tables:
  public.visit:
    columns:
      day: { protect: none }
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      cost: { class: confidential, protect: encrypt }
      at: { protect: none }
  public.visit_21_rest:
    columns:
      day: { protect: none }
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      cost: { class: confidential, protect: encrypt }
      at: { protect: none }
  public.ward:
    columns:
      id: { protect: none }
      town: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }`;

const schema = [
  `CREATE TABLE visit (day date, id int, name text NOT NULL, cost numeric(6,2) DEFAULT 7 CHECK (cost < 1000), at int DEFAULT 3,
     PRIMARY KEY (day, id)) PARTITION BY RANGE (day)`,
  "CREATE TABLE visit_20 PARTITION OF visit FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
  "CREATE TABLE visit_21 PARTITION OF visit FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (id)",
  'CREATE TABLE visit_21_few PARTITION OF visit_21 FOR VALUES IN (1, 2)',
  'CREATE TABLE visit_21_rest (at int DEFAULT 3, cost numeric(6,2), name text NOT NULL, id int NOT NULL, day date NOT NULL CHECK (day < $$2021-12-01$$), CONSTRAINT visit_cost_check CHECK (cost < 1000))',
  'ALTER TABLE visit_21 ATTACH PARTITION visit_21_rest DEFAULT',
  'CREATE TABLE ward (id int, town text, name text) PARTITION BY LIST (town)',
  "CREATE TABLE ward_u PARTITION OF ward FOR VALUES IN ('Ulmopolis', NULL)",
  'CREATE TABLE ward_rest PARTITION OF ward DEFAULT PARTITION BY HASH (id)',
  'CREATE TABLE ward_rest_0 PARTITION OF ward_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  'CREATE TABLE ward_rest_1 PARTITION OF ward_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
];

const copies: readonly (readonly [string, string | Buffer])[] = [
  [
    'COPY visit (day, id, name, cost) FROM STDIN',
    '2020-02-02\t1\tZaphod\t10\n2021-02-02\t1\tMarvin\t\\N\n2021-03-03\t7\tZaphod\t30.5\n2020-12-31\t2\tArthur\t40\n',
  ],
  [
    'COPY visit (day, id, name) FROM STDIN',
    '2020-02-03\t1\tZaphod\n2021-02-03\t2\tMarvin\n2021-03-04\t7\tZaphod\n',
  ],
  ['COPY visit (day, id, name) FROM STDIN', ''],
  [
    'COPY visit_21 (id, name, day) FROM STDIN (FORMAT csv, HEADER)',
    'id,name,day\n2,"Ma,rvin",2021-05-05\n9,Ulm,2021-05-06\n',
  ],
  // wrong: a value, no partition, NULL, checks, keys, in every order
  ['COPY visit (day, id, name) FROM STDIN', '2020-03-03\t1\tZaphod\n2020-03-04\tx\tMarvin\n'],
  [
    'COPY visit (day, id, name) FROM STDIN',
    '2020-03-03\t1\tZaphod\n2019-03-04\t1\tMarvin\n2020-03-04\tx\tMarvin\n',
  ],
  [
    'COPY visit (day, id, name) FROM STDIN',
    '2020-03-03\t1\tZaphod\n2021-03-04\t1\t\\N\n2019-03-04\t1\tMarvin\n',
  ],
  [
    'COPY visit (day, id, name, cost) FROM STDIN',
    '2020-03-03\t1\tZaphod\t1\n2021-03-04\t8\tArthur\t1000\n2021-03-04\t1\t\\N\t1\n',
  ],
  [
    'COPY visit (day, id, name, cost) FROM STDIN',
    '2020-02-02\t1\tZaphod\t1\n2021-03-04\t8\tArthur\t1\n2021-03-04\t1\t\\N\t1\n',
  ],
  ['COPY visit (day, id, name, cost) FROM STDIN', '2020-03-03\t1\tZaphod\t1\n2020-02-02\t1\tArthur\t1\n'],
  ['COPY visit (day, id, name, cost) FROM STDIN', '2020-03-03\t1\tZaphod\t1\n2021-12-02\t9\tArthur\t1\n'],
  ['COPY visit (day, id, name, cost) FROM STDIN', '2020-03-03\t1\tZaphod\t1\n2020-03-03\t1\tZaphod\n'],
  ['COPY visit_21 (day, id, name) FROM STDIN', '2021-03-03\t1\tZaphod\n2020-03-04\t1\tMarvin\n'],
  // many rows: PostgreSQL inserts a thousand at a time
  [
    'COPY visit (day, id, name) FROM STDIN',
    many(2_500, i => (i === 2_400 ? '2020-02-02\t1\tZaphod' : row(i))),
  ],
  [
    'COPY visit (day, id, name) FROM STDIN',
    many(2_500, i => (i === 1_400 ? row(7) : i === 2_400 ? 'x' : row(i))),
  ],
  [
    'COPY visit (day, id, name) FROM STDIN',
    many(2_500, i => (i === 1_400 ? row(1_007) : i === 1_900 ? 'x' : row(i))),
  ],
  ['COPY visit (day, id, name) FROM STDIN', many(2_500, row)],
  [
    'COPY ward FROM STDIN',
    '1\tUlmopolis\tZaphod\n2\tBonnville\tMarvin\n3\t\\N\t\\N\n4\tTown\tArthur\n5\tTown\tTrillian\n',
  ],
  ['COPY ward (name, id) FROM STDIN', 'Zaphod\t6\nMarvin\t7\n'],
  ['COPY ward_u FROM STDIN', '10\tUlmopolis\tZaphod\n11\t\\N\tMarvin\n'],
  ['COPY ward_u FROM STDIN', '12\tUlmopolis\tZaphod\n13\tBonnville\tMarvin\n'],
  ['COPY ward_rest_0 (id, town) FROM STDIN', '12\tTown\n14\tTown\n13\tTown\n15\tTown\n16\tUlmopolis\n'],
  [
    'COPY ward (id, town, name) FROM STDIN (FORMAT binary)',
    binaryCopyData({
      rows: [
        ['20', 'Ulmopolis', 'Zaphod'],
        ['21', 'Bonnville', null],
        ['22', null, 'Arthur'],
      ],
    }),
  ],
];

function row(i: number): string {
  return `${2020 + (i % 2)}-06-${String(1 + (i % 28)).padStart(2, '0')}\t${i + 10}\tName ${i}`;
}
function many(count: number, of: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => `${of(i)}\n`).join('');
}

suite('COPY FROM into partitioned tables', { timeout: 400_000 }, () => {
  const sides = beside(policy, schema);
  let copying: readonly [CopySide, CopySide];

  before(async () => {
    const { proxy } = sides.recorded;
    copying = [await CopySide.connect(proxy), await CopySide.connect(proxy.plain)];
  });
  after(async () => {
    for (const side of copying ?? []) await side.close();
  });

  const contents = async (): Promise<void> => {
    for (const sql of [
      'SELECT tableoid::regclass::text, * FROM visit ORDER BY day, id',
      'SELECT tableoid::regclass::text, * FROM ward ORDER BY id, name',
    ])
      assert.deepEqual((await sides.ours.query(sql)).rows, (await sides.plain.query(sql)).rows);
  };

  test('takes and refuses the rows that PostgreSQL does, at the same line', async () => {
    for (const [sql, data] of copies) {
      const [ours, theirs] = [
        await copying[0].in(sql, Buffer.from(data)),
        await copying[1].in(sql, Buffer.from(data)),
      ];
      assert.deepEqual(ours, theirs, `${sql} ${String(data).slice(0, 100)}`);
      await contents();
    }
  });

  test('is undone with its transaction, and its rows are seen in it', async () => {
    await sides.both('DELETE FROM visit');
    for (const side of copying) {
      await side.client.query('BEGIN');
      await side.in(
        'COPY visit (day, id, name) FROM STDIN',
        Buffer.from('2020-02-03\t1\tZaphod\n2021-02-03\t2\tMarvin\n'),
      );
    }
    const seen = [];
    for (const side of copying)
      seen.push(told(await side.client.query('SELECT count(*), max(name) FROM visit')));
    assert.deepEqual(seen[0], seen[1]);
    for (const side of copying) await side.client.query('ROLLBACK');
    await contents();
  });

  test('shows the cloud no protected value', () => {
    for (const sentinel of ['Zaphod', 'Marvin', 'Trillian', 'Ulmopolis', 'Bonnville', 'Arthur'])
      assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
  });
});
