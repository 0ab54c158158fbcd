import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "WITH x AS (SELECT name, salary FROM staff WHERE born > '1975-01-01') SELECT count(*), sum(salary) FROM x",
    'WITH x AS MATERIALIZED (SELECT * FROM staff) SELECT a.id FROM x a JOIN x b ON a.name = b.name AND a.id < b.id',
    "WITH x AS NOT MATERIALIZED (SELECT * FROM staff) SELECT id FROM x WHERE name = 'Bob Bolton'",
    'WITH RECURSIVE r (id, name, d) AS (SELECT id, name, 1 FROM staff WHERE id = 1 UNION ALL SELECT s.id, s.name, d + 1 FROM staff s JOIN r ON s.id = r.id + 1) SELECT * FROM r ORDER BY d',
    'WITH RECURSIVE r (n) AS (SELECT 1 UNION SELECT n + 1 FROM r WHERE n < (SELECT count(*) FROM staff WHERE salary > 0)) SELECT n FROM r ORDER BY n',
    'WITH a AS (SELECT who FROM event), b AS (SELECT name FROM staff WHERE name IN (SELECT who FROM a)) SELECT count(*) FROM b',
    'WITH RECURSIVE t (id, path) AS (SELECT id, ARRAY[name] FROM staff WHERE id = 1 UNION ALL SELECT s.id, path || s.name FROM staff s, t WHERE s.id = t.id + 1) SEARCH DEPTH FIRST BY id SET o SELECT id, path FROM t ORDER BY id',
    'WITH RECURSIVE t (id, n) AS (SELECT id, name FROM staff WHERE id = 1 UNION ALL SELECT s.id, s.name FROM staff s, t WHERE s.name = t.n) CYCLE id SET c USING p SELECT id, c FROM t ORDER BY id, c',
  ],
};
