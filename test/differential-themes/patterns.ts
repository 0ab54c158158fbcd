import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id FROM staff WHERE name LIKE 'Ann%' ORDER BY id",
    "SELECT id FROM staff WHERE name LIKE '%n' AND name NOT LIKE 'B%' ORDER BY id",
    "SELECT id FROM staff WHERE name ILIKE 'ann arryn' ORDER BY id",
    "SELECT id FROM staff WHERE name SIMILAR TO '(Ann|Bob)%' ORDER BY id",
    "SELECT id FROM staff WHERE name ~ '^[A-C]' AND name !~* 'cleg' ORDER BY id",
    "SELECT id FROM event WHERE note LIKE '%100\\% a%' OR note LIKE '%\\_and%' ORDER BY id",
    "SELECT id FROM event WHERE note LIKE '%!_%' ESCAPE '!' ORDER BY id",
    "SELECT id FROM staff WHERE name ^@ 'Dan' ORDER BY id",
    ['SELECT id FROM staff WHERE name LIKE $1 ORDER BY id', '%ann%'],
    "SELECT id FROM staff WHERE name LIKE ANY ('{A%,B%}') ORDER BY id",
    "SELECT id, regexp_replace(name, '(\\w+) (\\w+)', '\\2, \\1'), substring(name FROM 'n+') FROM staff ORDER BY id",
    "SELECT id FROM staff WHERE name ~ '('",
    "SELECT id FROM staff WHERE grade LIKE 'A' ORDER BY id",
  ],
};
