import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id, doc -> 'k', doc ->> 'k', doc #> '{l,0}', doc #>> '{n,m}' FROM staff ORDER BY id",
    'SELECT id FROM staff WHERE doc @> \'{"k": 1}\' ORDER BY id',
    "SELECT id FROM staff WHERE doc ? 'k' ORDER BY id",
    "SELECT id FROM staff WHERE doc ?| '{l,n}' OR doc ?& '{k}' ORDER BY id",
    "SELECT id, jsonb_path_query_array(doc, '$.l[*] ? (@ > 1)') FROM staff ORDER BY id",
    "SELECT id FROM staff WHERE doc @? '$.l' OR doc @@ '$.k == 2' ORDER BY id",
    "SELECT id, key, value FROM staff, jsonb_each(CASE jsonb_typeof(doc) WHEN 'object' THEN doc END) ORDER BY 1, 2",
    'SELECT row_to_json(s) FROM staff s ORDER BY id',
    "SELECT to_jsonb(s) - 'doc' FROM staff s ORDER BY id",
    "SELECT json_build_object('n', name, 's', salary, 't', tags) FROM staff ORDER BY id",
    "SELECT id, doc || '{\"z\": 1}', doc - 'k', jsonb_set(doc, '{k}', '9') FROM staff WHERE id < 3 ORDER BY id",
    "SELECT t.* FROM staff, JSON_TABLE(doc, '$' COLUMNS (k text PATH '$.k', l jsonb PATH '$.l')) AS t WHERE id = 1",
    "SELECT id, JSON_VALUE(doc, '$.k'), JSON_EXISTS(doc, '$.l') FROM staff ORDER BY id",
  ],
};
