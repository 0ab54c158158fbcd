import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id FROM staff WHERE salary = (SELECT max(salary) FROM staff)',
    'SELECT id FROM staff s WHERE EXISTS (SELECT FROM event e WHERE e.who = s.name AND e.amount > 15) ORDER BY id',
    'SELECT id FROM staff s WHERE NOT EXISTS (SELECT FROM event e WHERE e.who = s.name) ORDER BY id',
    "SELECT id FROM staff WHERE name IN (SELECT who FROM event WHERE kind = 'pay') ORDER BY id",
    'SELECT id FROM staff WHERE name NOT IN (SELECT boss FROM department) ORDER BY id',
    'SELECT id FROM staff WHERE salary >= ALL (SELECT salary FROM staff WHERE salary IS NOT NULL)',
    'SELECT id FROM staff WHERE salary > ANY (SELECT amount * 100 FROM event) ORDER BY id',
    'SELECT id, (SELECT sum(amount) FROM event e WHERE e.who = s.name) FROM staff s ORDER BY id',
    'SELECT id, ARRAY(SELECT e.id FROM event e WHERE e.who = s.name ORDER BY e.id) FROM staff s ORDER BY id',
    'SELECT id FROM event e WHERE (who, amount) = (SELECT name, 20.5 FROM staff WHERE id = 1)',
    'SELECT id FROM event WHERE (who, amount) IN (SELECT name, 10 FROM staff) ORDER BY id',
    'SELECT (SELECT name FROM staff WHERE dept = 1) FROM department',
  ],
};
