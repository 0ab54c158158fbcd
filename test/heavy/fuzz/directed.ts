/** For each planted fault, a statement that shows it: what the fuzzer has to come upon by itself. */
import { startRecordedProxy } from '../../support/recorded-proxy.js';
import { isOurs, leak } from './run.js';
import { difference, Side } from './sides.js';
import type { Statement } from './statements.js';

/** What shows a fault. */
export interface Directed {
  readonly sql: string;
  /** it is prepared with these; absent: it is sent as a simple query */
  readonly values?: readonly string[];
  /** a query that shows what it did */
  readonly state?: string;
  /** shows another session what is not locked */
  readonly locks?: string;
}

const tables: readonly string[] = [
  'CREATE TABLE a (id int PRIMARY KEY, k text, m int, n numeric(10,2), p int, open int, word text)',
  'CREATE TABLE b (id int PRIMARY KEY, k text, j text, m int, p int)',
  'CREATE TABLE c (id int PRIMARY KEY, k text)',
];

const labels: readonly string[] = [
  ['a.k', 'encrypt queries equality domain text'],
  ['a.m', 'encrypt queries equality domain int'],
  ['a.n', 'encrypt'],
  ['a.p', 'encrypt'],
  ['b.k', 'encrypt queries equality domain text'],
  ['b.j', 'encrypt queries equality'],
  ['b.m', 'encrypt'],
  ['b.p', 'encrypt'],
].map(([column, words]) => `SECURITY LABEL FOR clarus ON COLUMN ${column} IS '${words}'`);

const rows: readonly string[] = [
  `INSERT INTO a VALUES (1, 'zqxvkann', 1, 1.50, 10, 0, 'x'), (2, 'zqxvkb-c', 2, 2.50, 20, 3, NULL),
     (3, NULL, NULL, NULL, NULL, 4, 'y'), (4, 'zqxvkann', 4, 10, 40, NULL, 'z'), (5, 'zqxvk', 5, -3, 5, 6, 'x')`,
  `INSERT INTO b VALUES (1, 'zqxvkann', 'zqxvkann', 3, 7), (2, 'zqxvk', 'zqxvkb-c', 1, 3), (3, NULL, NULL, NULL, NULL),
     (4, 'zqxvkb-c', 'zqxvk', 2, 30)`,
  "INSERT INTO c VALUES (1, 'ann'), (2, 'b-c'), (3, NULL)",
];

/** @returns how the first of some statements is answered otherwise, or what of it is sent in the clear */
export async function runDirected(statements: readonly Directed[]): Promise<string | undefined> {
  const recorded = await startRecordedProxy('unlisted: pass');
  try {
    const plain = await Side.connect(recorded.proxy.plain);
    const clarus = await Side.connect(recorded.proxy);
    try {
      let found: string | undefined;
      const sent = await recorded.sentWhile(async () => {
        for (const sql of tables) for (const side of [plain, clarus]) await side.client.query(sql);
        for (const sql of labels) await clarus.client.query(sql);
        for (const sql of rows) for (const side of [plain, clarus]) await side.client.query(sql);
        for (const directed of statements) found ??= await compared(plain, clarus, directed);
      });
      return found ?? leak(sent);
    } finally {
      for (const side of [plain, clarus]) await side.close();
    }
  } finally {
    await recorded.stop();
  }
}

async function compared(plain: Side, clarus: Side, directed: Directed): Promise<string | undefined> {
  const statement = asStatement(directed);
  const expected = await plain.run(statement);
  const given = await clarus.run(statement);
  if (given.kind === 'failed' && isOurs(given.code)) return undefined;
  const differs = difference(statement, expected, given);
  return differs === undefined ? undefined : `${directed.sql}\n${differs}`;
}

const asStatement = ({ sql, values, state, locks }: Directed): Statement => ({
  way: values === undefined ? 'simple' : 'prepared',
  sent: { sql, values: values ?? [] },
  ordered: false,
  loose: false,
  state,
  locks,
  changes: true,
  compared: true,
  constructs: new Set(),
});
