import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id FROM staff WHERE (name, born) = ('Ann Arryn', '1970-01-01') ORDER BY id",
    "SELECT id FROM staff WHERE (name, born) <> ('Ann Arryn', '1970-01-01') ORDER BY id",
    'SELECT id FROM staff WHERE (salary, id) > (1000.50, 1) ORDER BY id',
    "SELECT id FROM staff WHERE (name, born) IN (('Ann Arryn', '1970-01-01'), ('Bob Bolton', '1999-01-01')) ORDER BY id",
    "SELECT id FROM staff WHERE ROW(name, salary) IS NOT DISTINCT FROM ROW('Bob Bolton', 2000.00)",
    'SELECT a.id, b.id FROM staff a, staff b WHERE ROW(a.name, a.born) = ROW(b.name, b.born) AND a.id < b.id',
    ['SELECT id FROM staff WHERE (name, grade) = ($1, $2)', 'Bob Bolton', 'B'],
    "SELECT id FROM staff WHERE (name, born) = ('Ann Arryn')",
    'SELECT a.id FROM staff a JOIN staff b ON a = b ORDER BY 1',
  ],
};
