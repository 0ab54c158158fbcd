import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'VALUES (1, (SELECT max(name) FROM staff)), (2, NULL)',
    "SELECT x.a, s.name FROM (VALUES (1, 'a'), (2, 'b')) AS x (a, b) JOIN staff s ON s.id = x.a ORDER BY 1",
    "SELECT id FROM staff WHERE (name, id) IN (VALUES ('Ann Arryn', 1), ('Bob Bolton', 9))",
    'TABLE department',
    'SELECT s.*, d.title FROM staff s JOIN department d ON d.id = s.dept ORDER BY s.id',
    'SELECT s FROM staff s ORDER BY id',
    'SELECT (s).name, (s).salary FROM staff s ORDER BY id',
    'SELECT count(*) FROM staff WHERE true',
    "SELECT 1 FROM staff WHERE name = 'Bob Bolton'",
    'SELECT pg_typeof(name), pg_typeof(salary), pg_typeof(grade), pg_typeof(doc) FROM staff LIMIT 1',
    'SELECT name AS "a name", salary AS salary FROM staff AS "St" WHERE "St".id = 1',
  ],
};
