/** The statements of the probes: steps of one or more statements, each with its parameters. */

/** Statements that are sent one after the other; the rest of each are its parameters. */
export type Steps = readonly (readonly string[])[];

/** Ways to store a value. */
export const writes: Readonly<Record<string, Steps>> = {
  literal: [["INSERT INTO person (name, note, open) VALUES ('Zaphod-w1', 'Zaphod-n1', 'o1')"]],
  'cast literal': [
    ["INSERT INTO person (name, note) VALUES ('Zaphod-w2'::varchar, CAST('Zaphod-n2' AS text))"],
  ],
  parameter: [['INSERT INTO person (name, note, open) VALUES ($1, $2, $3)', 'Zaphod-w3', 'Zaphod-n3', 'o3']],
  RETURNING: [
    ["INSERT INTO person (name, note) VALUES ('Zaphod-w4', 'Zaphod-n4') RETURNING name, upper(note)"],
  ],
  'SELECT source': [
    ["INSERT INTO person (name, note) SELECT 'Zaphod-w5', note FROM person WHERE name = 'Zaphod-1'"],
  ],
  'ON CONFLICT DO UPDATE': [
    [
      "INSERT INTO person (id, name) VALUES (1, 'Zaphod-w6') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    ],
    [
      "INSERT INTO person (id, name) VALUES (1, 'Zaphod-1') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    ],
  ],
  'ON CONFLICT DO NOTHING': [
    ["INSERT INTO person (id, name) VALUES (1, 'Zaphod-w7'), (501, 'Zaphod-w7') ON CONFLICT DO NOTHING"],
  ],
  'second statement of a message': [
    ["SELECT 1; INSERT INTO person (name, note) VALUES ('Zaphod-w8', 'Zaphod-n8')"],
  ],
  'BEGIN; INSERT; COMMIT in one message': [
    ["BEGIN; INSERT INTO person (name, note) VALUES ('Zaphod-w9', 'Zaphod-n9'); COMMIT"],
  ],
  CTE: [["WITH w AS (SELECT 'Zaphod-w10' AS n) INSERT INTO person (name, note) SELECT n, n FROM w"]],
  'DO block': [["DO $$ BEGIN INSERT INTO person (name, note) VALUES ('Zaphod-w11', 'Zaphod-n11'); END $$"]],
  'dollar-quoted literal': [['INSERT INTO person (name, note) VALUES ($$Zaphod-w12$$, $x$Zaphod-n12$x$)']],
  'expression value': [["INSERT INTO person (name, note) VALUES ('Zaphod-' || 'w13', upper('Zaphod-n13'))"]],
  'row assignment': [
    ["UPDATE person SET (name, note) = ('Zaphod-w14', 'Zaphod-n14') WHERE name = 'Zaphod-3'"],
  ],
  MERGE: [
    [
      "MERGE INTO person p USING (VALUES (502, 'Zaphod-w15')) AS s (id, name) ON p.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)",
    ],
  ],
  view: [["INSERT INTO persons (name, note) VALUES ('Zaphod-w16', 'Zaphod-n16')"]],
  COPY: [['COPY person (name, note, open) FROM STDIN']],
  'unnest($1)': [
    ['INSERT INTO person (name) SELECT n FROM unnest($1::text[]) AS n', '{Zaphod-w18,Zaphod-w19}'],
  ],
  'SELECT $1': [['INSERT INTO person (name, note) SELECT $1, $2', 'Zaphod-w20', 'Zaphod-n20']],
};

/** Ways to ask by a value. */
export const reads: Readonly<Record<string, Steps>> = {
  'const = col': [
    ["SELECT id, note FROM person WHERE 'Zaphod-1' = name ORDER BY id"],
    ['SELECT id FROM person WHERE $1 = name ORDER BY id', 'Zaphod-1'],
  ],
  IN: [
    ["SELECT id FROM person WHERE name IN ('Zaphod-1', 'Zaphod-w3') ORDER BY id"],
    ["SELECT id FROM person WHERE note IN ('Zaphod-2') ORDER BY id"],
  ],
  'LIKE with a wildcard': [
    ["SELECT id FROM person WHERE name LIKE 'Zaphod-1%' ORDER BY id"],
    ['SELECT id FROM person WHERE name LIKE $1 ORDER BY id', '%-1'],
  ],
  'LIKE without a wildcard': [["SELECT id FROM person WHERE name LIKE 'Zaphod-1' ORDER BY id"]],
  '= ANY': [
    ["SELECT id FROM person WHERE name = ANY ('{Zaphod-1,Zaphod-w3}') ORDER BY id"],
    ['SELECT id FROM person WHERE name = ANY ($1) ORDER BY id', '{Zaphod-1}'],
  ],
  'IS NOT DISTINCT FROM': [
    ["SELECT id FROM person WHERE name IS NOT DISTINCT FROM 'Zaphod-1' ORDER BY id"],
    ['SELECT id FROM person WHERE name IS NOT DISTINCT FROM NULL ORDER BY id'],
  ],
  'GROUP BY': [['SELECT name, count(*) FROM person GROUP BY name ORDER BY 2 DESC, 1']],
  'COUNT(DISTINCT)': [['SELECT count(DISTINCT name), count(DISTINCT note) FROM person']],
  'JOIN USING': [['SELECT name, person.id, visit.id FROM person JOIN visit USING (name) ORDER BY 2, 3']],
  'predicate inside a CTE': [
    ["WITH w AS (SELECT id FROM person WHERE name = 'Zaphod-1') SELECT * FROM w ORDER BY id"],
  ],
  'predicate inside a scalar subquery': [
    ["SELECT (SELECT count(*) FROM person WHERE name = 'Zaphod-1'), id FROM visit ORDER BY id"],
  ],
  'predicate inside EXISTS': [
    [
      "SELECT id FROM visit WHERE EXISTS (SELECT FROM person WHERE name = 'Zaphod-1' AND person.name = visit.name) ORDER BY id",
    ],
  ],
  'predicate inside a view': [["SELECT id FROM persons WHERE name = 'Zaphod-1' ORDER BY id"]],
  CASE: [["SELECT id, CASE WHEN name = 'Zaphod-1' THEN 'yes' ELSE note END FROM person ORDER BY id"]],
  FILTER: [["SELECT count(*) FILTER (WHERE name = 'Zaphod-1'), count(*) FROM person"]],
  'projected predicate': [["SELECT id, name = 'Zaphod-1' AS same FROM person ORDER BY id"]],
  COALESCE: [
    ["SELECT id, coalesce(name, 'nobody') FROM person ORDER BY id"],
    ["SELECT id FROM person WHERE coalesce(name, '') = 'Zaphod-1' ORDER BY id"],
  ],
  '||': [
    ["SELECT id, name || '!' FROM person ORDER BY id"],
    ["SELECT id FROM person WHERE name || '!' = 'Zaphod-1!' ORDER BY id"],
  ],
  UNION: [['SELECT name FROM person UNION SELECT name FROM visit ORDER BY 1']],
  'cursor FETCH': [
    ['BEGIN'],
    ["DECLARE c CURSOR FOR SELECT id, note FROM person WHERE name = 'Zaphod-1' ORDER BY id"],
    ['FETCH 1 FROM c'],
    ['FETCH ALL FROM c'],
    ['COMMIT'],
  ],
  row_to_json: [['SELECT row_to_json(p) FROM person p ORDER BY id']],
  'COPY TO': [["COPY (SELECT id, name, note FROM person WHERE name = 'Zaphod-1' ORDER BY id) TO STDOUT"]],
};

/** What Clarus refuses with 0A000, and why. The test fails when one of them is answered. */
export const refused: Readonly<Record<string, string>> = {};
