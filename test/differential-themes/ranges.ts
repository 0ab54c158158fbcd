import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id FROM staff WHERE daterange('1970-01-01', '1990-01-01') @> born ORDER BY id",
    'SELECT id FROM staff WHERE numrange(900, 1500) @> salary ORDER BY id',
    'SELECT id, daterange(born, born + 10) FROM staff ORDER BY id',
    "SELECT a.id, b.id FROM event a JOIN event b ON tsrange(a.at, a.at + '1 day') && tsrange(b.at, b.at + '1 day') AND a.id < b.id ORDER BY 1, 2",
    'SELECT int4range(min(id), max(id)) FROM staff WHERE salary > 1',
    'SELECT id, lower(numrange(salary, NULL)), upper_inf(numrange(salary, NULL)) FROM staff ORDER BY id',
    'SELECT id, numrange(salary, 0) FROM staff WHERE salary > 0 ORDER BY id',
  ],
};
