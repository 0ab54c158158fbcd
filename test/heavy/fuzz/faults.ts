/** Faults of planning that the fuzzer must find: each a change of one place in the sources. */

import type { Directed } from './directed.js';
import type { StatementKind } from './statements.js';

/** A planted fault. */
export interface Fault {
  readonly name: string;
  readonly file: string;
  /** stands there once */
  readonly from: string;
  readonly to: string;
  /** of the statements among which it is looked for */
  readonly only: StatementKind;
  readonly shown: Directed;
}

export const faults: readonly Fault[] = [
  {
    name: 'NOT IN is asked as IN',
    only: 'read',
    shown: { sql: "SELECT id FROM a WHERE k NOT IN ('zqxvkann', 'zqxvk')" },
    file: 'src/encodings/equality.ts',
    from: "question.negated ? '{tag} <> ALL ({1})' : '{tag} = ANY ({1})'",
    to: "'{tag} = ANY ({1})'",
  },
  {
    name: 'IS DISTINCT FROM forgets NULL',
    only: 'read',
    shown: { sql: "SELECT id FROM a WHERE k IS DISTINCT FROM 'zqxvkann'" },
    file: 'src/encodings/equality.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: text of the sources
    from: "`{tag} IS ${question.negated ? 'NOT ' : ''}DISTINCT FROM {1}`",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: text of the sources
    to: "`{tag} ${question.negated ? '=' : '<>'} {1}`",
  },
  {
    name: 'IS NULL is asked as IS NOT NULL',
    only: 'read',
    shown: { sql: 'SELECT id FROM a WHERE k IS NULL' },
    file: 'src/sql/read/predicate.ts',
    from: "{ kind: 'null', negated }",
    to: "{ kind: 'null', negated: !negated }",
  },
  {
    name: 'a condition that the cloud does not answer is lost',
    only: 'read',
    shown: { sql: 'WITH x AS (SELECT id FROM a WHERE n > 2) SELECT x.id, b.id FROM x, b WHERE b.m < 3' },
    file: 'src/sql/split/delivery.ts',
    from: 'query.conditions.filter(c => !pushed.includes(c));',
    to: 'query.conditions.filter(c => !pushed.includes(c)).slice(1);',
  },
  {
    name: 'OR of a carrier is taken for AND',
    only: 'read',
    shown: { sql: 'SELECT a.id FROM a LEFT JOIN b ON a.id = b.id WHERE a.n > 5 OR a.p = 10' },
    file: 'src/sql/split/carrier-query.ts',
    from: "tree.BoolExpr?.boolop === 'AND_EXPR'",
    to: "tree.BoolExpr !== undefined && tree.BoolExpr.boolop !== 'NOT_EXPR'",
  },
  {
    name: 'rows that were kept for one query serve another',
    only: 'read',
    shown: {
      sql: 'SELECT id, (SELECT max(b.m) FROM b WHERE b.m < a.m), (SELECT max(b.p) FROM b WHERE b.p < a.p) FROM a',
    },
    file: 'src/sql/split/cloud-rows.ts',
    from: 'const bytes = this.#kept.get(sql);',
    to: "const bytes = this.#kept.get(sql) ?? [...this.#kept].find(([known]) => known.split(' FROM ')[1]?.split(' ')[0] === sql.split(' FROM ')[1]?.split(' ')[0])?.[1];",
  },
  {
    name: 'protected values flow to unprotected columns',
    only: 'write',
    shown: { sql: 'UPDATE a SET word = k', state: 'SELECT * FROM a' },
    file: 'src/sql/split/write/flow.ts',
    from: 'if (column?.protection) continue;',
    to: 'if (column) continue;',
  },
  {
    name: 'a join compares otherwise',
    only: 'read',
    shown: { sql: 'SELECT a.id, b.id FROM a JOIN b ON a.k = b.k' },
    file: 'src/encodings/equality.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: text of the sources
    from: "`{tag} ${question.negated ? '<>' : '='} {other:tag}`",
    to: '`{tag} <> {other:tag}`',
  },
  {
    name: 'count counts NULL',
    only: 'read',
    shown: { sql: 'SELECT count(k) FROM a' },
    file: 'src/encodings/sealed.ts',
    from: "'pg_catalog.count({cell})'",
    to: "'pg_catalog.count(*)'",
  },
  {
    name: 'tags of different domains are compared',
    only: 'read',
    shown: { sql: 'SELECT a.id, b.id FROM a JOIN b ON a.k = b.j' },
    file: 'src/encodings/equality.ts',
    from: 'column.domain !== question.other.domain || ',
    to: '',
  },
  {
    name: 'of one table, a condition that the cloud does not answer is lost',
    only: 'read',
    shown: { sql: 'SELECT id, upper(k) FROM a WHERE n > 2' },
    file: 'src/sql/split/given-table.ts',
    from: 'const left = leftOver.map(({ condition }) => condition);',
    to: 'const left = leftOver.map(({ condition }) => condition).slice(1);',
  },
  {
    name: 'of one table, a condition goes to the cloud before one that guards it',
    only: 'special',
    shown: {
      sql: 'SELECT id, upper(k) FROM a WHERE (open <> 0 AND n IS NOT NULL) IS TRUE AND 12 / open > 1',
    },
    file: 'src/sql/split/given-table.ts',
    from: 'leftOver.length > 0 && !comparisonsOnly(each.tree)',
    to: 'false',
  },
  {
    name: 'of one table, parameters of the fetch change places',
    only: 'read',
    shown: { sql: 'SELECT upper(k) FROM a WHERE open > $1 AND open < $2', values: ['1', '5'] },
    file: 'src/sql/split/given-table.ts',
    from: 'parameters.indexOf(number) + 1)',
    to: 'parameters.length - parameters.indexOf(number))',
  },
  {
    name: 'conditions are taken to keep columns apart whatever they say',
    only: 'read',
    shown: {
      sql: "WITH x AS (SELECT id, k FROM a WHERE n > 0) SELECT x.id, c.id FROM x JOIN c ON x.k = c.k WHERE x.k = 'zqxvkann'",
    },
    file: 'src/sql/split/separate.ts',
    from: 'return ![...open].some(name => roots.has(ties.root(name)));',
    to: 'return true;',
  },
  {
    name: 'values of a carrier’s UPDATE change places',
    only: 'write',
    shown: {
      sql: 'UPDATE a SET m = m + 1, p = p * 2 WHERE n > 0 RETURNING id, m, p',
      state: 'SELECT * FROM a',
    },
    file: 'src/sql/split/write/by-carrier.ts',
    from: 'row.slice(columns.length)]);',
    to: 'row.slice(columns.length).reverse()]);',
  },
  {
    name: 'a carrier’s UPDATE returns rows as they were',
    only: 'write',
    shown: { sql: 'UPDATE a SET m = b.m FROM b WHERE a.id = b.id RETURNING a.id, a.m' },
    file: 'src/sql/split/write/by-carrier.ts',
    from: 'const changed = some.map(([, values]) => changes(written, values));',
    to: 'const changed = some.map(() => new Map<string, Uint8Array | null>());',
  },
  {
    name: 'rows that are known by their places lose the last one',
    only: 'write',
    shown: { sql: 'DELETE FROM a USING b WHERE a.id = b.id AND a.n > 0', state: 'SELECT * FROM a' },
    file: 'src/sql/split/write/identified-rows.ts',
    from: 'for (const row of rowsOf(batch))',
    to: 'for (const row of [...rowsOf(batch)].slice(0, -1))',
  },
  {
    name: 'rows are locked in a weaker way than was asked',
    only: 'special',
    shown: {
      sql: 'SELECT id FROM a WHERE n > 0 FOR UPDATE',
      locks: 'SELECT id FROM a ORDER BY id FOR KEY SHARE SKIP LOCKED',
    },
    file: 'src/sql/split/write/locking.ts',
    from: "4: 'UPDATE',",
    to: "4: 'KEY SHARE',",
  },
  {
    name: 'ON CONFLICT DO UPDATE leaves its condition out',
    only: 'write',
    shown: {
      sql: "INSERT INTO a (id, k) VALUES (1, 'zqxvkann') ON CONFLICT (id) DO UPDATE SET k = 'zqxvkb-c' WHERE a.n > 100",
      state: 'SELECT * FROM a',
    },
    file: 'src/sql/split/write/computed-insert.ts',
    from: "conflict.where === undefined ? 'ELSE 1'",
    to: "conflict.set.length > 0 ? 'ELSE 1'",
  },
  {
    name: 'MERGE takes the first of its clauses for matched rows',
    only: 'write',
    shown: {
      sql: "MERGE INTO a AS u USING (SELECT id FROM b) AS s ON u.id = s.id WHEN MATCHED AND u.n > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 'zqxvkb-c'",
      state: 'SELECT * FROM a',
    },
    file: 'src/sql/split/write/computed-merge.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: text of the sources
    from: "WHEN ${clause.condition ?? 'true'} THEN",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: text of the sources
    to: 'WHEN ${clause.kind === kind} THEN',
  },
];
