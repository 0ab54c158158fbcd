import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT dept, active, sum(salary), grouping(dept, active) FROM staff GROUP BY GROUPING SETS ((dept), (active), ()) ORDER BY 1, 2, 4',
    'SELECT dept, active, count(*) FROM staff GROUP BY ROLLUP (dept, active) ORDER BY 1, 2, 3',
    'SELECT name, born, count(*) FROM staff GROUP BY CUBE (name, born) ORDER BY 1, 2, 3',
    'SELECT grade, count(*) FROM staff GROUP BY grade HAVING count(*) > 1 ORDER BY 1',
    'SELECT name, count(*) FROM staff GROUP BY name HAVING max(salary) > 1200 ORDER BY 1',
    'SELECT upper(name), sum(salary) FROM staff GROUP BY 1 ORDER BY 1',
    'SELECT dept, name FROM staff GROUP BY DISTINCT ROLLUP (dept, name), ROLLUP (dept) ORDER BY 1, 2',
    'SELECT extract(year FROM born), count(*) FROM staff GROUP BY extract(year FROM born) ORDER BY 1',
    'SELECT s.id, s.name, count(e.id) FROM staff s LEFT JOIN event e ON e.who = s.name GROUP BY s.id ORDER BY 1',
    'SELECT name, salary FROM staff GROUP BY name',
  ],
};
