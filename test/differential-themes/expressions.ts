import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id, upper(name), length(name), reverse(name), md5(name), left(name, 3) FROM staff ORDER BY id',
    "SELECT id, name || '!' || id, concat(name, '/', born), format('%s: %s', name, salary) FROM staff ORDER BY id",
    'SELECT id, salary * 2, salary / 3, salary % 7, -salary, salary ^ 2, round(salary), salary::int FROM staff ORDER BY id',
    "SELECT id, CASE name WHEN 'Ann Arryn' THEN 'ann' WHEN 'Bob Bolton' THEN 'bob' ELSE 'other' END FROM staff ORDER BY id",
    'SELECT id, CASE WHEN salary > 1000 THEN name ELSE grade::text END FROM staff ORDER BY id',
    "SELECT id, name = 'Ann Arryn' AS same, born < '1990-01-01' AS old FROM staff ORDER BY id",
    'SELECT id, name::varchar(3), salary::numeric(12,1), born::timestamp, ratio::int8 FROM staff WHERE id < 3 ORDER BY id',
    ['SELECT $1 || name, $2::int + salary FROM staff ORDER BY id', 'Dr ', '5'],
    "SELECT id, greatest(name, 'B'), least(salary, 1000) FROM staff ORDER BY id",
    "SELECT id, encode(sha256(convert_to(name, 'UTF8')), 'hex') FROM staff ORDER BY id",
    'SELECT id, active AND salary > 1000, active OR NULL, NOT active FROM staff ORDER BY id',
    'SELECT id, width_bucket(salary, 0, 4000, 4), sign(ratio), trunc(salary, 1) FROM staff WHERE id < 7 ORDER BY id',
  ],
};
