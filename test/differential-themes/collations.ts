import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id FROM staff ORDER BY name COLLATE "C", id',
    'SELECT id FROM staff ORDER BY name DESC NULLS FIRST, id',
    'SELECT name < \'B\' COLLATE "C" FROM staff ORDER BY id',
    'SELECT max(name COLLATE "C"), min(name) FROM staff',
    'SELECT id FROM staff WHERE name COLLATE "C" >= \'a\' ORDER BY id',
    'SELECT id FROM staff WHERE name COLLATE "C" < name COLLATE "POSIX"',
    'SELECT DISTINCT name COLLATE "C" FROM staff ORDER BY 1',
    'SELECT pg_collation_for(name), pg_collation_for(name COLLATE "C") FROM staff WHERE id = 1',
  ],
};
