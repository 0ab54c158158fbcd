/**
 * The sealed form: an AES-256-GCM cell a value (docs/spec/cell.md). Every protected column has it; it gives the
 * value back and answers only what NULLs decide.
 */
import { openCells, sealCells } from '../crypto/cells.js';
import { sealed as asSealed } from '../crypto/column.js';
import type { EncodedColumn, Encoding, Question } from './encoding.js';

/** bytes a cell is longer than its value: header 4, nonce 12, tag 16 */
export const CELL_OVERHEAD_BYTES = 32;

/** Cells that are bound to table, column, epoch and row as associated data: one that is moved does not open. */
export const sealed: Encoding = {
  kind: 'sealed',
  queries: [],
  rejects: () => undefined,

  relations: () => [
    {
      kind: 'column',
      role: 'cell',
      type: 'bytea',
      storage: 'external',
      // Text, zeros and a cell cut short fail here, before any key could tell.
      checks: [
        `octet_length({cell}) >= ${CELL_OVERHEAD_BYTES} AND get_byte({cell}, 0) = 193 AND get_byte({cell}, 3) = octet_length({cell}) % 251`,
      ],
    },
  ],

  async protect(column, { rows, values }, { keys }) {
    const epoch = await keys.sealingEpoch(column, rows.length);
    return {
      columns: { cell: sealCells(keys.cellKey(column, epoch), { ...address(column), epoch }, rows, values) },
    };
  },

  open(column, rows, columns, { keys }) {
    return openCells(epoch => keys.cellKey(column, epoch), address(column), rows, asSealed(columns.cell!));
  },

  answers(_column, question: Question) {
    const none = { exactness: 'exact', operandTypes: [], operands: () => [] } as const;
    if (question.kind === 'null') return { ...none, sql: `{cell} IS ${question.negated ? 'NOT ' : ''}NULL` };
    if (question.kind === 'aggregate' && question.name === 'count' && !question.distinct)
      return { ...none, sql: 'pg_catalog.count({cell})' };
    return undefined;
  },

  leaks: () => ({
    atRest: 'the length of each value and whether it is NULL',
    fromQueries: 'which rows are read and written, and when',
    facts: { length: true, nulls: true, equality: false, frequency: false, order: false },
  }),
};

const address = (column: EncodedColumn): { table: number; column: number } => ({
  table: column.table,
  column: column.column,
});
