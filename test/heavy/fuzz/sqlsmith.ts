/** Statements of Debian's sqlsmith, which knows nothing of Clarus: it reads a catalogue, and asks what that allows. */
import type pg from 'pg';
import type { Target } from '../../support/proxy.js';
import { run } from '../support/command.js';
import { isOurs } from './run.js';
import type { Schema } from './schema.js';
import { type Answer, difference, type Side } from './sides.js';
import type { Statement } from './statements.js';

/** What became of statements. */
export interface SmithTally {
  made: number;
  /** whose answer depends on the server, or on the moment, and not on the tables alone */
  unsteady: number;
  failedOnBoth: number;
  /** by a value that a plan meets and another does not */
  failedOnPlain: number;
  answered: number;
  withRows: number;
  refused: number;
}

/**
 * @param target whose catalogue is read
 * @param learns it runs what it makes, to make more of what succeeds
 */
export async function smithStatements(
  target: Target,
  seed: number,
  count: number,
  learns: boolean,
): Promise<readonly string[]> {
  const { host, port, user, password, database } = target;
  const connection = `host=${host} port=${port} user=${user} password=${password} dbname=${database}`;
  const { status, stdout, stderr } = await run('sqlsmith', [
    `--target=${connection}`,
    '--exclude-catalog',
    `--seed=${seed}`,
    `--max-queries=${count}`,
    learns ? '--dump-all-queries' : '--dry-run',
  ]);
  if (status !== 0) throw new Error(`sqlsmith ended with ${status}: ${stderr}`);
  return stdout
    .split(/;\n/)
    .map(text => text.trim())
    .filter(text => text !== '');
}

/** A statement without what leaves it open which rows it gives. */
const steady = (text: string, unsteady: Unsteady): string =>
  text
    .replace(/\btablesample (system|bernoulli) \([\d.]+\)/g, '')
    // equal values may be told apart in print: 1 day, 24:00:00
    .replace(
      /\bselect (\w+) from ([\w.]+)\s+(limit \d+ offset \d+)/g,
      'select $1 from $2 order by $1, $1::text $3',
    )
    .replace(/(?<!::text )\blimit (\d+)( offset \d+)?/g, (whole, _count, offset) =>
      offset === undefined ? '' : `order by 1 ${whole}`,
    )
    .replace(/\bpg_catalog\.(\w+)\(\)/g, (whole, name) => {
      const type = unsteady.get(name);
      return type === undefined ? whole : `cast(null as ${type})`;
    });

/** Functions whose result is of the server or of the moment: their names, and the types of what they return. */
export type Unsteady = ReadonlyMap<string, string>;

export async function unsteadyFunctions(plain: pg.Client): Promise<Unsteady> {
  const { rows } = await plain.query<{ proname: string; type: string }>(
    `SELECT proname, format_type(prorettype, NULL) AS type FROM pg_proc
      WHERE provolatile = 'v' OR provolatile = 's'
        AND proname ~ '^(pg_|has_|inet_|current_|txid_|row_security|version$|now$|.*_timestamp$|to_reg|reg|obj_|col_|shobj_|format_type|ts_stat|.*_to_xml)'`,
  );
  return new Map(rows.map(({ proname, type }) => [proname, type]));
}

/** How PostgreSQL may be made to plan otherwise. */
const ways: readonly string[] = [
  '',
  'SET LOCAL enable_hashjoin = off; SET LOCAL enable_hashagg = off; SET LOCAL enable_mergejoin = off',
  'SET LOCAL enable_nestloop = off; SET LOCAL enable_material = off; SET LOCAL enable_memoize = off',
  'SET LOCAL from_collapse_limit = 1; SET LOCAL join_collapse_limit = 1',
  'SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off',
];

/**
 * Runs statements on both copies.
 * @returns how those answers differ that PostgreSQL gives in no way
 */
export async function compareSmith(
  plain: Side,
  clarus: Side,
  { tables }: Schema,
  statements: readonly string[],
  unsteady: Unsteady,
  tell: { readonly tally: SmithTally; refusal(message: string, sql: string): void },
): Promise<string[]> {
  const { tally } = tell;
  const found: string[] = [];
  const writable = tables.filter(t => t.writable).map(t => t.name);
  for (const text of statements) {
    tally.made++;
    const sql = steady(text, unsteady);
    const calls = [...sql.matchAll(/\b(\w+)\(/g)].map(([, name]) => name!);
    if (calls.some(name => unsteady.has(name))) {
      tally.unsteady++;
      continue;
    }
    const statement = asStatement(sql, writable);
    const expected = await plain.run(statement);
    const given = await clarus.run(statement);
    if (expected.kind === 'failed' && given.kind === 'failed') {
      tally.failedOnBoth++;
      continue;
    }
    if (given.kind === 'failed' && isOurs(given.code)) {
      tally.refused++;
      tell.refusal(given.message, statement.sent.sql);
      continue;
    }
    const differs = difference(statement, expected, given);
    if (differs === undefined) {
      tally.answered++;
      if (given.kind === 'rows' && given.rows.length > 0) tally.withRows++;
      continue;
    }
    const others: Answer[] = [];
    for (const way of ways) others.push(await plain.run(statement, way));
    if (others.some(other => difference(statement, other, given) === undefined)) tally.unsteady++;
    else if (expected.kind === 'failed' && isOfValues(expected.code)) tally.failedOnPlain++;
    else found.push(`${statement.sent.sql}\n${differs}`);
  }
  return found;
}

/** Errors that a row makes which another plan may never come to. */
const isOfValues = (code: string): boolean => code.startsWith('22');

function asStatement(sql: string, writable: readonly string[]): Statement {
  const written = /\b(?:insert into|update|delete from|merge into)\s+public\.(\w+)/i.exec(sql)?.[1];
  const isWrite = written !== undefined && writable.includes(written);
  return {
    way: 'simple',
    ordered: false,
    loose: true,
    sent: { sql, values: [] },
    state: isWrite ? `SELECT * FROM ${written} ORDER BY id` : undefined,
    changes: true,
    compared: true,
    constructs: new Set(),
  };
}
