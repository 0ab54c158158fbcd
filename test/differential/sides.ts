/** The two sides of the differential test: each statement's answer as data to compare. */
import pg from 'pg';
import type { Target } from '../support/proxy.js';
import { type Statement, written } from './statements.js';

/** All that a client sees of an answer. */
export interface Seen {
  readonly tag: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
}

/** What a client sees of an error; `detail` and `message` hold values, which are the client's own. */
export interface Failed {
  readonly code: string | undefined;
  readonly severity: string | undefined;
  readonly message: string;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;
  readonly where: string | undefined;
}

export type Answer = { readonly seen: Seen } | { readonly failed: Failed };

export class Side {
  #names = 0;
  private constructor(readonly client: pg.Client) {}

  static async connect(target: Target): Promise<Side> {
    const client = new pg.Client({ ...target });
    await client.connect();
    // PostgreSQL evaluates constants when it plans; with a plan that it kept, only when it comes to their row.
    await client.query('SET plan_cache_mode = force_custom_plan');
    return new Side(client);
  }

  async run(statement: Statement): Promise<Answer> {
    const { sql, values } = written(statement);
    const { protocol } = statement;
    const name = protocol === 'named' ? { name: `s${this.#names++}` } : {};
    const first = await this.#query(sql, values, protocol === 'binary', statement.ordered, name);
    // A prepared statement may be executed again: a SELECT must answer the same.
    if (protocol !== 'named' || 'failed' in first || !sql.startsWith('SELECT')) return first;
    return this.#query(sql, values, false, statement.ordered, name);
  }

  async #query(
    text: string,
    values: (string | null)[],
    binary: boolean,
    ordered: boolean,
    name: { name?: string },
  ): Promise<Answer> {
    try {
      const { command, rowCount, fields, rows } = await this.client.query<(string | Buffer | null)[]>({
        text,
        ...(values.length ? { values } : {}),
        rowMode: 'array',
        types: { getTypeParser: () => (value: string) => value },
        ...{ binary },
        ...name,
      });
      const shown = rows.map(row =>
        row.map(value => (value instanceof Buffer ? value.toString('hex') : (value ?? 'NULL!'))).join(' | '),
      );
      return {
        seen: {
          tag: `${command} ${rowCount}`,
          columns: fields.map(
            f => `${f.name} ${f.dataTypeID} ${f.dataTypeModifier} ${f.format} ${f.columnID}`,
          ),
          rows: ordered ? shown : shown.sort(),
        },
      };
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      const { code, severity, message, schema, table, column, constraint, where } = error;
      return { failed: { code, severity, message, schema, table, column, constraint, where } };
    }
  }

  close(): Promise<void> {
    return this.client.end();
  }
}
