/** One of the two databases that the fuzzer compares, and what it answers. */
import pg from 'pg';
import type { Target } from '../../support/proxy.js';
import { RawClient, say } from '../../support/raw-client.js';
import type { Statement } from './statements.js';

/** What a client gets of a statement. */
export type Answer =
  | {
      readonly kind: 'rows';
      readonly tag: string;
      readonly columns: readonly string[];
      readonly rows: readonly string[];
      readonly state: readonly string[];
    }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

export class Side {
  #names = 0;

  private constructor(
    readonly client: pg.Client,
    private readonly raw: RawClient,
    /** another session, which finds what the first one has locked */
    private readonly other: pg.Client,
  ) {}

  static async connect(target: Target): Promise<Side> {
    const raw = await RawClient.connect(target);
    return new Side(await connected(target), raw, await connected(target));
  }

  /** @param settings statements that stand before it in its transaction, where it changes something */
  async run(statement: Statement, settings = ''): Promise<Answer> {
    try {
      if (statement.changes) return await this.#rolledBack(statement, settings);
      if (statement.way === 'copy') return await this.#copy(statement);
      return await this.#once(statement);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      return { kind: 'failed', code: error.code ?? '', message: error.message };
    }
  }

  async #rolledBack(statement: Statement, settings: string): Promise<Answer> {
    await this.client.query('BEGIN');
    try {
      if (settings !== '') await this.client.query(settings);
      if (statement.way === 'cursor') return await this.#cursor(statement);
      const answer = await this.#once(statement);
      if (answer.kind === 'failed') return answer;
      if (statement.locks !== undefined) {
        const { rows } = await this.other.query({ text: statement.locks, rowMode: 'array' });
        return { ...answer, state: rows.map(row => JSON.stringify(row)) };
      }
      if (statement.state === undefined) return answer;
      const { rows } = await this.#rows(statement.state, [], {});
      return { ...answer, state: rows };
    } finally {
      await this.client.query('ROLLBACK');
    }
  }

  async #cursor({ sent }: Statement): Promise<Answer> {
    await this.client.query(`DECLARE c SCROLL CURSOR FOR ${sent.sql}`);
    const first = await this.#rows('FETCH 3 FROM c', [], {});
    const moved = await this.client.query('MOVE BACKWARD 2 FROM c');
    const rest = await this.#rows('FETCH ALL FROM c', [], {});
    return {
      kind: 'rows',
      tag: first.tag,
      columns: first.columns,
      rows: first.rows,
      state: [`MOVE ${moved.rowCount}`, ...rest.rows],
    };
  }

  async #once({ way, sent }: Statement): Promise<Answer> {
    if (way !== 'prepared')
      return {
        kind: 'rows',
        ...(await this.#rows(sent.sql, sent.values, { extended: way === 'extended' })),
        state: [],
      };
    const name = `s${this.#names++}`;
    const first = await this.#rows(sent.sql, sent.values, { name });
    if (!/^\s*(SELECT|WITH|VALUES)/i.test(sent.sql) || /INTO|UPDATE|INSERT|DELETE/.test(sent.sql))
      return { kind: 'rows', ...first, state: [] };
    const again = await this.#rows(sent.sql, sent.values, { name });
    return { kind: 'rows', ...first, state: again.rows };
  }

  async #rows(
    text: string,
    values: readonly (string | null)[],
    how: { readonly extended?: boolean; readonly name?: string },
  ) {
    const answer = await this.client.query<(string | null)[]>({
      text,
      ...(values.length > 0 || how.extended === true || how.name !== undefined
        ? { values: [...values], queryMode: 'extended' }
        : {}),
      ...(how.name === undefined ? {} : { name: how.name }),
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    } as pg.QueryArrayConfig);
    // of several statements, each has its answer
    const answers = [answer].flat();
    return {
      tag: answers.map(({ command, rowCount }) => `${command} ${rowCount}`).join('; '),
      columns: answers.flatMap(({ fields }) =>
        fields.map(f => `${f.name} ${f.dataTypeID} ${f.dataTypeModifier}`),
      ),
      rows: answers.flatMap(({ rows }) => rows.map(row => JSON.stringify(row))),
    };
  }

  async #copy({ sent }: Statement): Promise<Answer> {
    this.raw.send(say.query(sent.sql));
    const rows: string[] = [];
    let tag = '';
    for (const message of await this.raw.until()) {
      if (message.kind === 'ErrorResponse')
        return { kind: 'failed', code: message.diagnostic.code, message: message.diagnostic.message };
      if (message.kind === 'CopyData') rows.push(Buffer.from(message.data).toString());
      if (message.kind === 'CommandComplete') tag = message.tag;
    }
    return { kind: 'rows', tag, columns: [], rows: rows.join('').split('\n'), state: [] };
  }

  async close(): Promise<void> {
    for (const client of [this.client, this.other]) await client.end().catch(() => undefined);
    await this.raw.close();
  }
}

async function connected(target: Target): Promise<pg.Client> {
  const client = new pg.Client({ ...target });
  client.on('error', () => undefined);
  await client.connect();
  // what a statement that was made smaller by fast-check may take at most
  await client.query("SET statement_timeout = '20s'");
  return client;
}

/** Numbers without zeros at their end. */
const scaled = (row: string): string => row.replace(/-?\d+\.\d+/g, number => number.replace(/\.?0+$/, ''));

/**
 * How two answers differ.
 * @returns undefined when they are the same
 */
export function difference(statement: Statement, expected: Answer, given: Answer): string | undefined {
  if (expected.kind === 'failed' || given.kind === 'failed') {
    const told = (answer: Answer): string =>
      answer.kind === 'failed' ? `${answer.code} ${answer.message}` : `${answer.tag}`;
    const same = expected.kind === 'failed' && given.kind === 'failed' && expected.code === given.code;
    return same ? undefined : `expected ${told(expected)}\ngiven ${told(given)}`;
  }
  if (!statement.compared) return undefined;
  const forms: ((rows: readonly string[]) => readonly string[])[] = [
    rows => (statement.ordered ? rows : [...rows].sort()),
  ];
  if (statement.loose) forms.push(rows => (statement.ordered ? rows.map(scaled) : rows.map(scaled).sort()));
  const text = (
    answer: Answer & { kind: 'rows' },
    form: (rows: readonly string[]) => readonly string[],
  ): string =>
    [
      answer.tag,
      columnsOf(answer),
      ...form(answer.rows),
      '--',
      ...(statement.changes && statement.way !== 'cursor'
        ? [...form(answer.state)].sort()
        : form(answer.state)),
    ].join('\n');
  if (statement.way === 'cursor' && !statement.ordered)
    return answerCounts(expected) === answerCounts(given)
      ? undefined
      : `expected ${answerCounts(expected)}\ngiven ${answerCounts(given)}`;
  if (forms.some(form => text(expected, form) === text(given, form))) return undefined;
  return `expected ${text(expected, forms[0]!)}\ngiven ${text(given, forms[0]!)}`;
}

/**
 * Columns without the modifiers of their types: PostgreSQL takes those of what it folds, and of set operations, from the
 * plan. The suites by theme compare them.
 */
const columnsOf = (answer: Answer & { kind: 'rows' }): string =>
  answer.columns.map(c => c.replace(/ -?\d+$/, '')).join();

const answerCounts = (answer: Answer & { kind: 'rows' }): string =>
  `${answer.tag} ${columnsOf(answer)} ${answer.rows.length} ${answer.state.length}`;
