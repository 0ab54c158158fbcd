import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id, row_number() OVER (ORDER BY salary DESC NULLS LAST, id) FROM staff ORDER BY id',
    'SELECT id, rank() OVER (PARTITION BY dept ORDER BY salary), dense_rank() OVER (ORDER BY grade) FROM staff ORDER BY id',
    "SELECT id, sum(salary) OVER w, lag(name, 1, 'none') OVER w, lead(born) OVER w FROM staff WINDOW w AS (ORDER BY id) ORDER BY id",
    'SELECT id, avg(salary) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM staff ORDER BY id',
    'SELECT id, first_value(name) OVER (PARTITION BY born ORDER BY id), nth_value(name, 2) OVER (PARTITION BY born ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM staff ORDER BY id',
    "SELECT id, count(*) OVER (ORDER BY born RANGE BETWEEN '10 years' PRECEDING AND CURRENT ROW) FROM staff ORDER BY id",
    'SELECT id, percent_rank() OVER (ORDER BY salary), cume_dist() OVER (ORDER BY salary), ntile(3) OVER (ORDER BY salary, id) FROM staff ORDER BY id',
    'SELECT name, sum(sum(salary)) OVER (ORDER BY name) FROM staff GROUP BY name ORDER BY name',
    "SELECT id, count(*) FILTER (WHERE name LIKE 'A%') OVER (ORDER BY id) FROM staff ORDER BY id",
    'SELECT id FROM staff WHERE row_number() OVER () = 1',
  ],
};
