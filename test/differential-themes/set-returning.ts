import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT generate_series(1, 2), name FROM staff WHERE id < 3',
    "SELECT id, regexp_split_to_table(name, ' ') FROM staff",
    "SELECT id, r[1] FROM staff, regexp_matches(name, '(.)n', 'g') r ORDER BY 1, 2",
    'SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY(SELECT name FROM staff ORDER BY id LIMIT 3))) AS r (a, b) ORDER BY a NULLS LAST, b',
    'SELECT id, unnest(tags), unnest(ARRAY[1, 2]) FROM staff WHERE id IN (1, 4)',
    'SELECT id, json_array_elements_text(to_json(tags)) FROM staff',
    'SELECT generate_series(1, 2) AS g, name FROM staff ORDER BY name, g',
    'SELECT count(*) FROM (SELECT unnest(tags) FROM staff) x',
  ],
};
