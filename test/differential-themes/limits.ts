import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT name FROM staff ORDER BY salary NULLS LAST, id OFFSET 1 LIMIT 3',
    'SELECT id FROM staff ORDER BY salary DESC NULLS LAST FETCH FIRST 2 ROWS ONLY',
    'SELECT salary FROM staff ORDER BY salary FETCH FIRST 2 ROWS WITH TIES',
    "SELECT id, name FROM staff WHERE name = 'Ann Arryn' ORDER BY id DESC LIMIT 1",
    ['SELECT id FROM staff ORDER BY salary DESC NULLS LAST, id LIMIT $1 OFFSET $2', '2', '1'],
    'SELECT id FROM staff ORDER BY id LIMIT (SELECT count(*) FROM staff WHERE salary > 1600)',
    'SELECT upper(name) FROM staff LIMIT 0',
    'SELECT upper(name) FROM staff LIMIT -1',
    'SELECT DISTINCT ON (dept) dept, name FROM staff ORDER BY dept, salary DESC NULLS LAST, id',
    'SELECT DISTINCT name, born FROM staff ORDER BY name, born',
  ],
};
