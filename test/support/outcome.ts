/** What a statement comes to, as two servers must agree on it. */
import type pg from 'pg';

/** A statement, with parameters where it has some. */
export type Step = string | readonly [string, ...unknown[]];

/** Its command, number of rows and rows in any order, or the fields of its error. */
export async function outcomeOf(client: pg.Client, step: Step): Promise<object> {
  const [text, ...values] = typeof step === 'string' ? [step] : step;
  try {
    const { command, rowCount, rows } = await client.query({ text, values, rowMode: 'array' });
    return { command, rowCount, rows: rows.map(row => JSON.stringify(row)).sort() };
  } catch (error) {
    const { code, schema, column, constraint, table, message } = error as pg.DatabaseError;
    return { code, schema, column, constraint, table, message };
  }
}

/** What a client is told, under the names that `pg` gives it: of a result or of an error. */
export interface FullOutcome {
  readonly command?: string;
  readonly rowCount?: number | null;
  /** of columns, with the OIDs of their types where these are PostgreSQL's own */
  readonly names?: readonly string[];
  readonly rows?: readonly (readonly unknown[])[];
  readonly code?: string | undefined;
  readonly message?: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly notices?: readonly string[];
}

/** Its command, columns and rows in their order, or the words of its error. */
export async function fullOutcomeOf(client: pg.Client, step: Step, extended = false): Promise<FullOutcome> {
  const [text, ...values] = typeof step === 'string' ? [step] : step;
  try {
    const { command, rowCount, rows, fields } = await client.query<unknown[]>({
      text,
      values,
      ...(extended ? { queryMode: 'extended' } : {}),
      rowMode: 'array',
    } as pg.QueryArrayConfig);
    const names = fields.map(({ name, dataTypeID }) => `${name} ${dataTypeID < 16384 ? dataTypeID : ''}`);
    return { command, rowCount, names, rows };
  } catch (error) {
    const { code, message, detail, hint } = error as pg.DatabaseError;
    return { code, message, detail, hint };
  }
}
