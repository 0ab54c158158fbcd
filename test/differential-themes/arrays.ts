import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT id, tags[1], array_length(tags, 1), cardinality(tags) FROM staff ORDER BY id',
    "SELECT id FROM staff WHERE 'x' = ANY (tags) ORDER BY id",
    "SELECT id FROM staff WHERE tags @> '{x}' ORDER BY id",
    "SELECT id FROM staff WHERE tags && '{z,y}' ORDER BY id",
    "SELECT id FROM staff WHERE tags = '{y,x}'",
    'SELECT id, unnest(tags) FROM staff',
    'SELECT id, t, n FROM staff, unnest(tags) WITH ORDINALITY AS u (t, n) ORDER BY id, n',
    "SELECT id, tags || 'w'::text, array_remove(tags, 'x'), array_position(tags, 'x'), array_to_string(tags, '/', '-') FROM staff ORDER BY id",
    ['SELECT id FROM staff WHERE name = ANY ($1) ORDER BY id', '{"Ann Arryn",NULL}'],
    "SELECT id FROM staff WHERE name <> ALL ('{Ann Arryn,Bob Bolton}') ORDER BY id",
    'SELECT id, tags[1:1], tags[2:] FROM staff ORDER BY id',
  ],
};
