import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    {
      steps: [
        'PREPARE p (text) AS SELECT id FROM staff WHERE name = $1 ORDER BY id',
        "EXECUTE p('Ann Arryn')",
        "EXECUTE p('Bob Bolton')",
        'DEALLOCATE p',
        "EXECUTE p('x')",
      ],
    },
    {
      steps: [
        'PREPARE q (numeric, text) AS SELECT id FROM staff WHERE salary > $1 AND name LIKE $2 ORDER BY id',
        "EXECUTE q(900, 'A%')",
        "EXECUTE q(NULL, 'A%')",
        'EXECUTE q(1)',
        'DEALLOCATE q',
      ],
    },
    {
      steps: [
        'PREPARE r AS INSERT INTO event (id, who, amount) VALUES ($1, $2, $3)',
        'BEGIN',
        "EXECUTE r(70, 'Pre Pared', 1.0)",
        'SELECT who, amount FROM event WHERE id = 70',
        'ROLLBACK',
        'DEALLOCATE r',
      ],
    },
    {
      steps: [
        'PREPARE u AS SELECT upper(name) FROM staff WHERE id = $1',
        'EXECUTE u(1)',
        "EXECUTE u('x')",
        "EXECUTE u('2')",
        'PREPARE u AS SELECT 1',
        'DEALLOCATE ALL',
      ],
    },
    ['SELECT id, $1::text FROM staff WHERE name = $1 ORDER BY id', 'Ann Arryn'],
    ['SELECT id FROM staff WHERE born = $1 OR salary = $2 ORDER BY id', '1980-02-03', '900'],
    ['SELECT id FROM staff WHERE salary BETWEEN $1 AND $2 AND dept = $3 ORDER BY id', '500', '5000', '2'],
  ],
};
