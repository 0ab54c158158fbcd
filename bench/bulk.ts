/** COPY in and full SELECT of laboratory values with three protected columns; results are decoded and compared. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { BackendClient, QueryResult } from '../src/clouds/backend-client.js';
import { type Report, timed } from './report.js';
import { connect, type Target } from './servers.js';

const table =
  'CREATE TABLE lab ("row" integer PRIMARY KEY, id integer, days integer, test text, value numeric)';
const csv = /\r?\n/;

/** Rows in the shape of a cohort's laboratory values: row, id, days, test, value. */
function laboratory(count: number): Buffer {
  const file = new URL('../../shared/data/nafld2.csv.gz', import.meta.url);
  if (existsSync(file)) {
    const lines = gunzipSync(readFileSync(file))
      .toString()
      .split(csv)
      .slice(1, count + 1);
    if (lines.length === count) return Buffer.from(`${lines.join('\n')}\n`);
  }
  const tests = ['hdl', 'chol', 'sbp', 'dbp', 'smoke', 'fib4'];
  const lines = Array.from(
    { length: count },
    (_, i) =>
      `${i + 1},${(i * 7919) % 17_549},${((i * 104_729) % 9_000) - 4_000},${tests[i % tests.length]},${(((i * 31) % 2_000) / 10).toFixed(1)}`,
  );
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** Leaves the table loaded on both sides. @throws Error when the two sides give different rows */
export async function bulk(report: Report, clarus: Target, direct: Target, rows: number): Promise<void> {
  const data = laboratory(rows);
  const clients = [await connect(clarus), await connect(direct)] as const;
  const copy = (client: BackendClient) => async (): Promise<number> => {
    await client.simple('DROP TABLE IF EXISTS lab');
    await client.simple(table);
    return timed(() => client.copyIn('COPY lab FROM STDIN (FORMAT csv)', [data]));
  };
  const [ours, plain] = clients;
  const what = `of ${rows} rows, 3 of 5 columns protected`;
  await report.compare({
    what: `COPY in ${what}`,
    unit: 'ms',
    goal: 'at most 3',
    ours: copy(ours),
    direct: copy(plain),
  });
  const digests: string[] = [];
  const select = (client: BackendClient, at: number) => async (): Promise<number> => {
    const hash = createHash('sha256');
    const took = await timed(() =>
      client.query('SELECT * FROM lab', [], {
        resultFormat: 0,
        onRows: (columns, count) => {
          for (const { data, offsets } of columns) hash.update(data.subarray(offsets[0], offsets[count]));
        },
      }),
    );
    digests[at] = hash.digest('hex');
    return took;
  };
  await report.compare({
    what: `full SELECT ${what}`,
    unit: 'ms',
    goal: 'at most 2',
    ours: select(ours, 0),
    direct: select(plain, 1),
  });
  if (digests[0] !== digests[1]) throw new Error('the two sides give different rows');
  for (const client of clients) await client.close();
}

/** Bytes that a protected cell takes in the cloud beyond its value, and what a tag takes. */
export async function storage(report: Report, behind: Target): Promise<void> {
  const client = await connect(behind);
  const names = await client.query(
    "SELECT attname::text FROM pg_attribute WHERE attrelid = 'lab'::regclass AND attnum > 0 AND attname ~ '_(sealed|equality)[0-9]+$' ORDER BY attnum",
    [],
    { resultFormat: 0 },
  );
  for (const [name] of textRows(names)) {
    const size = await client.query(
      `SELECT avg(pg_column_size("${name}"))::numeric(9, 1)::text FROM lab`,
      [],
      {
        resultFormat: 0,
      },
    );
    const kind = name!.replace(/^(\w+)_(sealed|equality)\d+$/, (_, column, form) =>
      form === 'sealed' ? `a cell of column ${column}` : `a tag of column ${column}`,
    );
    report.add(`bytes stored for ${kind}`, `${textRows(size)[0]![0]} bytes`, {
      goal: kind.startsWith('a cell') ? 'at most its value and 32, and 1 of header' : '',
    });
  }
  await client.close();
}

const textRows = ({ columns, rows }: QueryResult): string[][] =>
  Array.from({ length: rows }, (_, row) =>
    columns.map(({ data, offsets }) => Buffer.from(data.subarray(offsets[row], offsets[row + 1])).toString()),
  );
