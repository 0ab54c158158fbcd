/** State of encodings in the state database. */
import type pg from 'pg';
import type { EncodingState } from '../encodings/encoding.js';

export const encodingState = (state: pg.Pool): EncodingState => ({
  async get({ table, column, generation }, key) {
    const { rows } = await state.query<{ value: Buffer }>(
      'SELECT value FROM clarus.encoding_state WHERE table_number = $1 AND column_number = $2 AND generation = $3 AND key = $4',
      [table, column, generation, key],
    );
    return rows[0]?.value;
  },
  async put({ table, column, generation }, key, value) {
    if (value === undefined)
      await state.query(
        'DELETE FROM clarus.encoding_state WHERE table_number = $1 AND column_number = $2 AND generation = $3 AND key = $4',
        [table, column, generation, key],
      );
    else
      await state.query(
        `INSERT INTO clarus.encoding_state (table_number, column_number, generation, key, value) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (table_number, column_number, generation, key) DO UPDATE SET value = excluded.value`,
        [table, column, generation, key, Buffer.from(value)],
      );
  },
});
