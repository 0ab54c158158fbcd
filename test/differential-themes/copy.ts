import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "COPY (SELECT id, name FROM staff WHERE name = 'Ann Arryn' ORDER BY id) TO STDOUT",
    'COPY (SELECT id, upper(name), salary * 2 FROM staff ORDER BY id) TO STDOUT (FORMAT csv, HEADER)',
    'COPY staff (id, name, doc) TO STDOUT',
    "COPY (SELECT id, name FROM staff ORDER BY id) TO STDOUT (FORMAT csv, NULL 'nil', FORCE_QUOTE *)",
    'COPY (SELECT * FROM staff WHERE salary > 1 ORDER BY id) TO STDOUT (FORMAT binary)',
    'COPY (SELECT 1 / (id - 1) FROM staff WHERE salary > 0 ORDER BY id) TO STDOUT',
    'COPY (SELECT nosuch FROM staff) TO STDOUT',
    "COPY (VALUES ((SELECT name FROM staff WHERE id = 2), 1)) TO STDOUT (DELIMITER ';')",
  ],
};
