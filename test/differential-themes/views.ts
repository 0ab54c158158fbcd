import { type Theme, write } from './theme.js';

export const theme: Theme = {
  setup: [
    'CREATE VIEW rich AS SELECT id, name, salary, dept FROM staff WHERE salary > 1000',
    'CREATE VIEW richer AS SELECT name, salary FROM rich WHERE salary > 1200',
    'CREATE VIEW totals AS SELECT name, sum(salary) FROM staff GROUP BY name',
    'CREATE VIEW open_view AS SELECT id, title FROM department WHERE id > 1',
  ],
  cases: [
    'SELECT * FROM rich ORDER BY id',
    'SELECT name FROM richer WHERE salary < 2500 ORDER BY name',
    'SELECT r.id, e.id FROM rich r JOIN event e ON e.who = r.name ORDER BY 1, 2',
    "SELECT id FROM rich WHERE name = 'Ann Arryn' ORDER BY id",
    'SELECT count(*) FROM totals',
    'SELECT name, sum FROM totals ORDER BY 1',
    'SELECT (SELECT count(*) FROM rich), id FROM department ORDER BY id',
    'SELECT * FROM open_view ORDER BY id',
    write('UPDATE rich SET salary = salary + 1 WHERE id < 3'),
    write('DELETE FROM rich WHERE name = $$Bob Bolton$$'),
    write('UPDATE richer SET name = upper(name)'),
    write("INSERT INTO rich (id, name) VALUES (70, 'New')"),
  ],
};
