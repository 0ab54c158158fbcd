/** Where several things of a statement are wrong, a client hears of the one that a plain PostgreSQL names. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { count, seed } from '../heavy/support/scale.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { told } from '../support/raw-client.js';
import { binaryCopyData, CopySide, copyData } from './copy.js';
import { Side } from './sides.js';
import { written } from './statements.js';
import {
  type Standing,
  type WrongCopy,
  wrongCopy,
  wrongPolicy,
  wrongStatement,
  wrongTablesSql,
} from './wrong.js';

let proxy: TestProxy;

before(async () => {
  proxy = await startProxy({ policy: wrongPolicy });
  for (const target of [proxy.plain, proxy]) {
    const side = await Side.connect(target);
    await side.client.query(wrongTablesSql);
    await side.client.query("INSERT INTO parent VALUES ('a'), ('b')");
    await side.client.query(
      "INSERT INTO mixed (id, label, secret, amount, word) VALUES (1, 'l', 's', 1, 'a'), (2, 'l', '1', 2, 'b')",
    );
    await side.close();
  }
});

after(() => proxy?.stop());

const begins: Readonly<Record<Standing, readonly string[]>> = {
  alone: [],
  block: ['BEGIN'],
  savepoint: ['BEGIN', 'SAVEPOINT s'],
  joined: ['BEGIN', 'SET LOCAL extra_float_digits = 1'],
};
const ends: Readonly<Record<Standing, readonly string[]>> = {
  alone: [],
  block: ['COMMIT'],
  savepoint: ['ROLLBACK TO s', 'SELECT count(*) FROM mixed', 'COMMIT'],
  joined: ['COMMIT'],
};

test('a statement with several wrong values is refused for the same one', async t => {
  const sides = [await Side.connect(proxy.plain), await Side.connect(proxy)] as const;
  const codes = new Map<string, number>();
  try {
    const compare = async (statement: typeof wrongStatement extends fc.Arbitrary<infer S> ? S : never) => {
      const answers = [];
      for (const side of sides) {
        const around: string[] = [];
        const say = async (sql: string): Promise<void> => {
          const { command, rows } = await side.client.query({ text: sql, rowMode: 'array' });
          around.push(`${command} ${rows.flat().join()}`);
        };
        for (const sql of begins[statement.standing]) await say(sql);
        const answer = await side.run(statement);
        for (const sql of ends[statement.standing]) await say(sql);
        answers.push({ ...answer, around });
      }
      const [expected, given] = answers;
      const code = expected && 'failed' in expected ? String(expected.failed.code) : 'none';
      codes.set(code, (codes.get(code) ?? 0) + 1);
      const { sql, values } = written(statement);
      assert.deepEqual(given, expected, [sql, JSON.stringify(values), ...proxy.log.slice(-1)].join('\n'));
    };
    const numRuns = count('statements with several wrong values', 20_000, 250);
    await fc.assert(fc.asyncProperty(wrongStatement, compare), {
      numRuns,
      seed,
      endOnFailure: true,
      includeErrorInReport: true,
    });
  } finally {
    for (const side of sides) await side.close();
  }
  t.diagnostic(`seed ${seed}: ${JSON.stringify(Object.fromEntries(codes))}`);
  for (const code of ['none', '22P02', '22001', '23502'])
    assert.ok(codes.has(code), `no statement was answered by ${code}`);
});

test('COPY with several things wrong is refused for the same one, at the same place', async t => {
  const sides = [await CopySide.connect(proxy.plain), await CopySide.connect(proxy)];
  const codes = new Map<string, number>();
  const compare = async (
    rows: WrongCopy,
    format: 'text' | 'csv' | 'binary',
    standing: Standing,
    piece: number,
  ): Promise<void> => {
    const data = format === 'binary' ? binaryCopyData(rows) : Buffer.from(copyData(rows, format));
    const answers = [];
    for (const side of sides) {
      const answer: string[] = [];
      for (const sql of begins[standing]) answer.push(...told(await side.client.query(sql)));
      const sql = `COPY mixed (${rows.columns.join(', ')}) FROM STDIN (FORMAT ${format})`;
      answer.push(...(await side.in(sql, data, piece)));
      for (const sql of ends[standing]) answer.push(...told(await side.client.query(sql)));
      answers.push(answer);
    }
    const [expected, given] = answers;
    const code = expected!.flatMap(line => /^ErrorResponse ERROR (\w+)/.exec(line)?.[1] ?? [])[0] ?? 'none';
    codes.set(code, (codes.get(code) ?? 0) + 1);
    assert.deepEqual(given, expected, [data.toString('latin1'), ...proxy.log.slice(-1)].join('\n'));
  };
  const standings = fc.constantFrom<Standing>('alone', 'block', 'savepoint', 'joined');
  const pieces = fc.constantFrom(7, 10_000);
  const texts = fc.constantFrom<'text' | 'csv'>('text', 'csv');
  const settings = { seed, endOnFailure: true, includeErrorInReport: true };
  try {
    await fc.assert(fc.asyncProperty(wrongCopy(false), texts, standings, pieces, compare), {
      ...settings,
      numRuns: count('COPY with several things wrong', 10_000, 120),
    });
    await fc.assert(
      fc.asyncProperty(wrongCopy(true), fc.constant('binary' as const), standings, pieces, compare),
      { ...settings, numRuns: count('binary COPY with several things wrong', 5_000, 60) },
    );
  } finally {
    for (const side of sides) await side.close();
  }
  t.diagnostic(`seed ${seed}: ${JSON.stringify(Object.fromEntries(codes))}`);
  for (const code of ['none', '22P02', '22001', '23502'])
    assert.ok(codes.has(code), `no COPY was answered by ${code}`);
});

/** COPY looks at keys when it has read 1,000 rows, or lines of 65,535 bytes. */
const lots: readonly {
  readonly name: string;
  readonly rows: number;
  readonly line_bytes: number;
  readonly wrong: Lot;
}[] = [
  {
    name: 'a duplicate before and a wrong value within the first rows',
    rows: 990,
    line_bytes: 0,
    wrong: { duplicate: 5, value: 900 },
  },
  {
    name: 'a duplicate whose rows were inserted before the wrong value',
    rows: 1200,
    line_bytes: 0,
    wrong: { duplicate: 5, value: 1100 },
  },
  {
    name: 'a duplicate among the rows that wait',
    rows: 2500,
    line_bytes: 0,
    wrong: { duplicate: 2005, value: 2400 },
  },
  {
    name: 'a duplicate in a later batch',
    rows: 5000,
    line_bytes: 0,
    wrong: { duplicate: 3005, value: 4400 },
  },
  {
    name: 'a NULL before a duplicate is inserted',
    rows: 990,
    line_bytes: 0,
    wrong: { duplicate: 5, none: 300, value: 900 },
  },
  {
    name: 'a NULL after a duplicate was inserted',
    rows: 2000,
    line_bytes: 0,
    wrong: { duplicate: 5, none: 1300, value: 1400 },
  },
  {
    name: 'long lines: a duplicate that was inserted',
    rows: 900,
    line_bytes: 400,
    wrong: { duplicate: 5, value: 300 },
  },
  {
    name: 'long lines: a duplicate that waits',
    rows: 900,
    line_bytes: 400,
    wrong: { duplicate: 290, value: 300 },
  },
  {
    name: 'long lines: a duplicate that waits behind 1,000 rows',
    rows: 1100,
    line_bytes: 400,
    wrong: { duplicate: 990, value: 1005 },
  },
  {
    name: 'long lines: a NULL behind rows that were inserted',
    rows: 900,
    line_bytes: 400,
    wrong: { none: 299, value: 300 },
  },
  {
    name: 'long lines: a NULL behind an inserted duplicate',
    rows: 900,
    line_bytes: 400,
    wrong: { duplicate: 100, none: 299, value: 300 },
  },
  {
    name: 'long lines: many batches and a duplicate',
    rows: 9000,
    line_bytes: 400,
    wrong: { duplicate: 8000 },
  },
  {
    name: 'long lines: a duplicate in the cloud before it counts, then nothing wrong',
    rows: 1040,
    line_bytes: 400,
    wrong: { duplicate: 995 },
  },
  {
    name: 'a reference that is missing, then a wrong value',
    rows: 2500,
    line_bytes: 0,
    wrong: { reference: 3, value: 2400 },
  },
  {
    name: 'long lines: a reference that is missing, then a wrong value',
    rows: 900,
    line_bytes: 400,
    wrong: { reference: 3, value: 300 },
  },
];

/** Lines, from 1, in which something is wrong. */
interface Lot {
  readonly duplicate?: number;
  readonly none?: number;
  readonly value?: number;
  readonly reference?: number;
}

function lotOf({ rows, line_bytes, wrong }: (typeof lots)[number], format: 'text' | 'csv'): Buffer {
  const lines = Array.from({ length: rows }, (_, i) => {
    const line = i + 1;
    const word = line === wrong.duplicate ? 'a' : `w${line}${'x'.repeat(line_bytes)}`;
    const secret = line === wrong.none ? null : String(line % 7);
    const day = line === wrong.value ? 'never' : '2024-02-29';
    const code = line === wrong.reference ? 'none' : 'a';
    return [String(1_000_000 + line), 'l', secret, '1', word, day, code];
  });
  return Buffer.from(copyData({ columns: [], rows: lines }, format));
}

test('COPY of many rows notices a duplicate when PostgreSQL does', async t => {
  const sides = [await CopySide.connect(proxy.plain), await CopySide.connect(proxy)];
  try {
    for (const side of sides)
      await side.client.query(
        "INSERT INTO mixed (id, label, secret, amount, word) VALUES (999999, 'l', 's', 1, 'a') ON CONFLICT DO NOTHING",
      );
    for (const lot of lots)
      for (const format of ['text', 'csv'] as const)
        for (const begin of ['SELECT 1', 'BEGIN']) {
          const answers = [];
          for (const side of sides) {
            const columns = 'id, label, secret, amount, word, day, code';
            await side.client.query(begin);
            const sql = `COPY mixed (${columns}) FROM STDIN (FORMAT ${format})`;
            const answer = await side.in(sql, lotOf(lot, format), 50_000);
            if (begin === 'BEGIN') await side.client.query('ROLLBACK');
            answers.push(answer);
          }
          assert.deepEqual(answers[1], answers[0], `${lot.name}, ${format}, ${begin}`);
          assert.match(answers[0]!.join(), /ErrorResponse/, lot.name);
        }
  } finally {
    for (const side of sides) await side.close();
  }
  t.diagnostic(`${lots.length} lots`);
});
