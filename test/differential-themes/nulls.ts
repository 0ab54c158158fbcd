import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id, name IS NULL, born IS NOT NULL, (name, born) IS NULL FROM staff ORDER BY id',
    "SELECT id FROM staff WHERE name IS DISTINCT FROM 'Ann Arryn' ORDER BY id",
    'SELECT id FROM staff WHERE name IS NOT DISTINCT FROM NULL',
    "SELECT id FROM staff WHERE NOT (name = 'Ann Arryn') ORDER BY id",
    'SELECT id FROM staff WHERE (salary > 1000) IS NOT TRUE ORDER BY id',
    'SELECT id FROM staff WHERE name = NULL',
    "SELECT id, coalesce(name, 'nobody'), nullif(grade, 'B') FROM staff ORDER BY id",
    'SELECT id FROM staff ORDER BY salary NULLS FIRST, id LIMIT 2',
    'SELECT count(*), count(salary), count(NULL) FROM staff',
    ['SELECT id FROM staff WHERE name = $1', null],
    ['SELECT id FROM staff WHERE name IS NOT DISTINCT FROM $1', null],
    "SELECT id FROM staff WHERE name NOT IN ('Ann Arryn', NULL)",
    'SELECT num_nulls(name, born, salary), greatest(salary, NULL, 5) FROM staff ORDER BY id',
  ],
};
