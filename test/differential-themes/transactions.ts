import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    {
      steps: [
        'BEGIN',
        "INSERT INTO staff (id, name, salary) VALUES (50, 'Own Write', 1)",
        'SELECT upper(name) FROM staff WHERE salary < 100',
        'SAVEPOINT s',
        "UPDATE staff SET name = 'Own Other' WHERE id = 50",
        'SELECT upper(name) FROM staff WHERE id = 50',
        'ROLLBACK TO s',
        'SELECT upper(name) FROM staff WHERE id = 50',
        'RELEASE s',
        'ROLLBACK',
        "SELECT count(*) FROM staff WHERE upper(name) LIKE 'OWN%'",
      ],
    },
    {
      steps: [
        'BEGIN',
        'SELECT 1 / (id - 1) FROM staff WHERE salary > 0',
        'SELECT 1',
        'ROLLBACK',
        'SELECT count(*) FROM staff WHERE salary > 0',
      ],
    },
    {
      steps: [
        'BEGIN',
        'SAVEPOINT a',
        'SELECT name::int FROM staff',
        'ROLLBACK TO a',
        'SELECT max(salary) FROM staff',
        'COMMIT',
      ],
    },
    {
      steps: [
        'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
        'SELECT sum(salary) FROM staff',
        'INSERT INTO staff (id) VALUES (51)',
        'ROLLBACK',
      ],
    },
    {
      steps: [
        'BEGIN ISOLATION LEVEL SERIALIZABLE',
        'SELECT sum(salary) FROM staff',
        'SHOW transaction_isolation',
        'COMMIT',
      ],
    },
    {
      steps: [
        'BEGIN',
        "INSERT INTO event (id, who, amount) VALUES (60, 'Tmp', 1.50)",
        'SELECT s.id, e.amount FROM event e LEFT JOIN staff s ON upper(s.name) = upper(e.who) WHERE e.amount = 1.5',
        "DELETE FROM event WHERE who = 'Tmp'",
        "SELECT count(*) FROM event WHERE who LIKE 'Tmp%'",
        'COMMIT',
      ],
    },
    {
      steps: [
        'COMMIT',
        'ROLLBACK',
        'BEGIN',
        'BEGIN',
        "SELECT count(*) FROM staff WHERE name LIKE 'A%'",
        'END',
      ],
    },
    { steps: ['SAVEPOINT x', 'BEGIN', 'RELEASE nosuch', 'ROLLBACK'] },
  ],
};
