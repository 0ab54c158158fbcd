import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT s.id, x.total FROM staff s, LATERAL (SELECT sum(amount) AS total FROM event e WHERE e.who = s.name) x ORDER BY 1',
    'SELECT s.id, x.id FROM staff s CROSS JOIN LATERAL (SELECT id FROM event e WHERE e.who = s.name ORDER BY amount DESC LIMIT 1) x ORDER BY 1',
    'SELECT s.id, x.id FROM staff s LEFT JOIN LATERAL (SELECT id FROM event e WHERE e.amount < s.salary / 100 ORDER BY id LIMIT 2) x ON true ORDER BY 1, 2',
    'SELECT d.id, x.name FROM department d, LATERAL (SELECT name FROM staff s WHERE s.dept = d.id AND s.salary > 950 ORDER BY name, s.id LIMIT 1) x ORDER BY 1',
    'SELECT s.id, g FROM staff s, LATERAL generate_series(1, length(s.name) / 4) g ORDER BY 1, 2',
    'SELECT s.id, x.id FROM staff s CROSS JOIN LATERAL (SELECT id FROM staff o WHERE o.salary IS NOT NULL ORDER BY abs(s.salary * 2 - o.salary - 1), o.id LIMIT 1) x ORDER BY 1',
    'SELECT s.id, x.id FROM staff s CROSS JOIN LATERAL (SELECT id FROM staff o ORDER BY md5(s.name || o.name), o.id LIMIT 2) x ORDER BY 1, 2',
    "SELECT s.id, w FROM staff s, LATERAL string_to_table(s.name, ' ') w ORDER BY 1, 2",
  ],
};
