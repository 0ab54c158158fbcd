/** Random histories: what sessions do to a few rows at the same time. */
import type { Random } from '../../support/random.js';
import type { Spec, Step } from './spec.js';

export const policy = `unlisted: pass
tables:
  public.account:
    columns:
      id: { protect: none }
      owner: { class: identifier, protect: encrypt, queries: [equality] }
      balance: { class: confidential, protect: encrypt }
      note: { class: confidential, protect: encrypt }
  public.job:
    columns:
      id: { protect: none }
      state: { class: confidential, protect: encrypt, queries: [equality] }
      worker: { class: confidential, protect: encrypt }
  public.person:
    columns:
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
  public.visit:
    columns:
      id: { protect: none }
      who: { class: identifier, protect: encrypt, queries: [equality], domain: person }`;

export const schema: readonly string[] = [
  'CREATE TABLE account (id int PRIMARY KEY, owner text UNIQUE, balance int NOT NULL, note text)',
  'CREATE TABLE job (id int PRIMARY KEY, state text, worker text)',
  'CREATE TABLE person (name text PRIMARY KEY)',
  'CREATE TABLE visit (id int PRIMARY KEY, who text REFERENCES person)',
];

const names = ['Ann', 'Bob', 'Cyd'] as const;

/** Each history begins with these rows. */
const rows = [
  'DELETE FROM visit; DELETE FROM person; DELETE FROM job; DELETE FROM account',
  `INSERT INTO account VALUES ${names.map((name, i) => `(${i + 1}, '${name}', ${100 * (i + 1)}, '${name[0]!.toLowerCase()}')`).join(', ')}`,
  "INSERT INTO job VALUES (1, 'new', NULL), (2, 'new', NULL), (3, 'done', 'w')",
  "INSERT INTO person VALUES ('Ann'), ('Bob')",
  "INSERT INTO visit VALUES (1, 'Ann')",
] as const;

/** A statement, of what a row of an application may ask. */
type Statement = (random: Random) => string;

const id = (random: Random): number => random.integer(1, 3);
const name = (random: Random): string => random.pick(names);
/** Of a row that may be new. */
const another = (random: Random): number => random.integer(10, 12);
const amount = (random: Random): number => random.integer(1, 50);

export const statements: Readonly<Record<string, Statement>> = {
  'split UPDATE by key': r => `UPDATE account SET balance = balance + ${amount(r)} WHERE id = ${id(r)}`,
  'split UPDATE by tag': r =>
    `UPDATE account SET balance = balance - ${amount(r)} WHERE owner = '${name(r)}'`,
  'split UPDATE by a pattern': r =>
    `UPDATE account SET balance = balance * 2 WHERE note LIKE '${name(r)[0]!.toLowerCase()}%' RETURNING id, balance`,
  'UPDATE by tag': r => `UPDATE account SET note = '${name(r)}' WHERE owner = '${name(r)}'`,
  'UPDATE of a key': r => `UPDATE account SET owner = '${name(r)}' WHERE id = ${id(r)}`,
  'ON CONFLICT DO UPDATE': r =>
    `INSERT INTO account VALUES (${id(r)}, 'x' || ${id(r)}, ${amount(r)}, 'n') ON CONFLICT (id) DO UPDATE SET balance = account.balance + excluded.balance`,
  'ON CONFLICT DO NOTHING': r =>
    `INSERT INTO account VALUES (${id(r)}, '${name(r)}', 1, 'n') ON CONFLICT DO NOTHING RETURNING id`,
  MERGE: r =>
    `MERGE INTO account a USING (VALUES (${id(r)}, ${amount(r)})) AS s (k, v) ON a.id = s.k WHEN MATCHED THEN UPDATE SET balance = a.balance + s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, 'm' || s.k, s.v, 'm')`,
  DELETE: r => `DELETE FROM account WHERE id = ${id(r)} RETURNING owner, balance`,
  'split DELETE': r => `DELETE FROM account WHERE lower(owner) = '${name(r).toLowerCase()}'`,
  'split read': () => 'SELECT sum(balance), max(upper(note)) FROM account',
  read: r => `SELECT balance, note FROM account WHERE owner = '${name(r)}'`,
  'FOR UPDATE': r => `SELECT balance FROM account WHERE id = ${id(r)} FOR UPDATE`,
  'split FOR UPDATE': r =>
    `SELECT id FROM account WHERE upper(owner) = '${name(r).toUpperCase()}' FOR UPDATE`,
  'FOR SHARE NOWAIT': r => `SELECT note FROM account WHERE id = ${id(r)} FOR SHARE NOWAIT`,
  'a queue': r =>
    `UPDATE job SET state = 'done', worker = 'w${amount(r)}' WHERE id = (SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id`,
  'SKIP LOCKED': () =>
    "SELECT id FROM job WHERE state || '' = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
  'a job': r => `INSERT INTO job VALUES (${another(r)}, 'new', NULL)`,
  'a referenced row goes': r => `DELETE FROM person WHERE name = '${name(r)}'`,
  'a referenced row comes': r => `INSERT INTO person VALUES ('${name(r)}')`,
  'a referring row': r => `INSERT INTO visit VALUES (${another(r)}, '${name(r)}')`,
  'a referring row changes': r => `UPDATE visit SET who = '${name(r)}' WHERE id = 1`,
};

const begins = [
  'BEGIN',
  'BEGIN',
  'BEGIN ISOLATION LEVEL REPEATABLE READ',
  'BEGIN ISOLATION LEVEL SERIALIZABLE',
] as const;

/** A specification of so many sessions, with steps in an order that is yet to be found. */
export function history(
  random: Random,
  sessions: number,
): { readonly spec: Spec; readonly queues: readonly (readonly Step[])[] } {
  const kinds = Object.keys(statements);
  const queues = Array.from({ length: sessions }, (_, session): readonly Step[] => {
    const sql: string[] = [];
    for (let i = random.integer(1, 2); i > 0; i--) {
      const inside = Array.from({ length: random.integer(2, 4) }, () =>
        statements[random.pick(kinds)]!(random),
      );
      if (random.next() < 0.1) sql.push(...inside);
      else sql.push(random.pick(begins), ...inside, random.next() < 0.8 ? 'COMMIT' : 'ROLLBACK');
    }
    return sql.map((text, i) => ({ name: `s${session + 1}.${i + 1}`, sql: text, session }));
  });
  const ends = queues.map((_, i) => ({ name: `s${i + 1}`, setup: undefined, teardown: 'ROLLBACK' }));
  return { spec: { setup: rows, teardown: undefined, sessions: ends, permutations: [] }, queues };
}

/** What the tables hold. */
export const contents: readonly string[] = ['account', 'job', 'person', 'visit'].map(
  table => `SELECT * FROM ${table} ORDER BY 1`,
);
