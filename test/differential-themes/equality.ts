import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id FROM event WHERE amount = 10.00 ORDER BY id',
    'SELECT id FROM event WHERE amount = 10 OR amount = 20.500 ORDER BY id',
    'SELECT DISTINCT trim_scale(amount) FROM event ORDER BY 1',
    'SELECT count(DISTINCT amount) FROM event',
    'SELECT a.id, b.id FROM event a JOIN event b ON a.amount = b.amount AND a.id < b.id ORDER BY 1, 2',
    "SELECT id FROM staff WHERE grade = 'A' ORDER BY id",
    "SELECT id FROM staff WHERE grade = 'A   '::char(4) ORDER BY id",
    "SELECT id FROM staff WHERE grade::text = 'A   ' ORDER BY id",
    'SELECT id FROM staff WHERE ratio = 0 ORDER BY id',
    "SELECT id FROM staff WHERE ratio = '-0' ORDER BY id",
    "SELECT id FROM staff WHERE ratio = 'NaN'",
    'SELECT id FROM staff WHERE ratio = 1.5::float4 ORDER BY id',
    "SELECT id FROM staff WHERE span = '1 day' ORDER BY id",
    "SELECT id FROM staff WHERE span = '30 days' ORDER BY id",
    'SELECT count(DISTINCT span) FROM staff',
    'SELECT id FROM staff WHERE doc = \'{"l": [1, 2.0], "k": 1.0}\'',
    "SELECT id FROM staff WHERE hired = '2020-01-01 09:00Z' ORDER BY id",
    "SELECT id FROM staff WHERE name = 'Ann Arryn '",
    ['SELECT id FROM staff WHERE span = $1 ORDER BY id', '24:00:00'],
    ['SELECT id FROM event WHERE amount = $1 ORDER BY id', '1e1'],
  ],
};
