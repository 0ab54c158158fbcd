import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT name FROM staff UNION SELECT who FROM event ORDER BY 1',
    'SELECT name FROM staff UNION ALL SELECT who FROM event ORDER BY 1 NULLS FIRST',
    'SELECT name FROM staff INTERSECT SELECT who FROM event ORDER BY 1',
    'SELECT name FROM staff INTERSECT ALL SELECT who FROM event ORDER BY 1',
    'SELECT name FROM staff EXCEPT SELECT who FROM event ORDER BY 1',
    'SELECT name FROM staff EXCEPT ALL SELECT boss FROM department ORDER BY 1',
    '(SELECT id, salary FROM staff ORDER BY salary DESC NULLS LAST LIMIT 2) UNION ALL (SELECT id, amount FROM event ORDER BY amount LIMIT 1) ORDER BY 1',
    "SELECT 'x' AS tag, name FROM staff UNION SELECT title, boss FROM department ORDER BY 1, 2",
    "SELECT salary FROM staff UNION SELECT 'abc' FROM event",
    'SELECT name, id FROM staff UNION SELECT boss FROM department',
  ],
};
