import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT s.id, e.id FROM staff s JOIN event e ON e.who = s.name ORDER BY 1, 2',
    'SELECT s.id, e.id FROM staff s JOIN event e ON lower(e.who) = lower(s.name) ORDER BY 1, 2',
    'SELECT name, s.id, d.id FROM staff s JOIN (SELECT id, boss AS name FROM department) d USING (name) ORDER BY 2, 3',
    'SELECT s.id, d.title FROM staff s LEFT JOIN department d ON d.id = s.dept AND d.budget > 15 ORDER BY 1',
    'SELECT s.id, d.id FROM staff s RIGHT JOIN department d ON d.boss = s.name ORDER BY 2, 1',
    'SELECT s.id, e.id FROM staff s FULL JOIN event e ON e.who = s.name ORDER BY 1, 2',
    'SELECT a.id, b.id FROM staff a JOIN staff b ON a.salary < b.salary AND a.dept = b.dept ORDER BY 1, 2',
    'SELECT count(*) FROM staff NATURAL JOIN (SELECT id, born FROM staff) x',
    'SELECT s.id, d.id, e.id FROM staff s JOIN department d ON d.id = s.dept LEFT JOIN event e ON e.who = d.boss WHERE s.ratio > -5 ORDER BY 1, 2, 3',
    "SELECT s.id FROM staff s CROSS JOIN department d WHERE s.name = d.boss AND d.title = 'north' ORDER BY 1",
    ['SELECT s.id, e.note FROM staff s JOIN event e ON e.who = s.name AND e.amount = $1 ORDER BY 1', '10'],
    "SELECT * FROM (staff s JOIN department d ON d.id = s.dept) AS j (a, b) WHERE j.b = 'Ann Arryn' ORDER BY 1",
  ],
};
