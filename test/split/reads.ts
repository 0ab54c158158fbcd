/** Reads that no encoding answers, by theme: each must give through Clarus what a plain PostgreSQL gives. */

/** Tables and rows that they read; the words in `sentinels` stand in protected columns only. */
export const tables: readonly string[] = [
  `CREATE TABLE patient (id int PRIMARY KEY, name text, born date, weight numeric(6,2), ward text, tags text[], doc jsonb,
     seen timestamptz, active boolean, score float8)`,
  'CREATE TABLE visit (id int PRIMARY KEY, who text, patient int, cost numeric, day date, note text)',
  'CREATE TABLE ward (code text PRIMARY KEY, beds int, floor int)',
  `INSERT INTO patient VALUES
    (1, 'Ann Targaryen', '1970-01-01', 61.50, 'a', '{x,y}', '{"k": 1, "l": [1, 2]}', '2020-01-01 10:00+01', true, 1.5),
    (2, 'Bob Lannister', '1980-02-03', 80.00, 'b', '{}', '{"k": 2}', '2020-01-02 10:00+01', false, -2.25),
    (3, 'Cyd Baratheon', NULL, NULL, 'a', NULL, NULL, NULL, NULL, NULL),
    (4, 'Dan Greyjoy', '1999-12-31', 70.25, NULL, '{z}', '{"k": "text"}', '2021-06-01 00:00+00', true, 3),
    (5, NULL, '2001-01-01', 55.00, 'b', '{x}', '[]', '2020-01-01 09:00+00', false, 0),
    (6, 'Ann Targaryen', '1970-01-01', 62.00, 'c', '{y,x}', '{"k": 1}', '2019-01-01 10:00+01', true, 1e10)`,
  `INSERT INTO visit VALUES
    (1, 'Ann Targaryen', 1, 10, '2020-01-01', 'fever'), (2, 'Ann Targaryen', 1, 20.5, '2020-01-02', NULL),
    (3, 'Bob Lannister', 2, 7, '2020-01-03', 'cough'), (4, 'Eve Nobody', NULL, 99, '2020-02-01', 'lost'),
    (5, NULL, 5, 0, '2020-03-01', 'fever'), (6, 'Dan Greyjoy', 4, 15, '2020-01-02', '100% well_done')`,
  "INSERT INTO ward VALUES ('a', 3, 1), ('b', 5, 2), ('d', 1, 2)",
  'CREATE VIEW heavy AS SELECT id, name, weight FROM patient WHERE weight > 60',
  'CREATE VIEW heavier AS SELECT name, weight FROM heavy WHERE weight > 61',
];

/** Listed in the policy; `ward` and the columns not named here are open. */
export const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
      born: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      ward: { protect: none }
  public.visit:
    columns:
      id: { protect: none }
      who: { class: identifier, protect: encrypt, queries: [equality], domain: person }
      patient: { protect: none }
      day: { protect: none }`;

/** What may never reach the cloud. */
export const sentinels: readonly string[] = [
  'Targaryen',
  'Lannister',
  'Baratheon',
  'Greyjoy',
  'fever',
  'cough',
];

/** A statement, with parameters in text form where it has some. */
export type Read = string | readonly [string, ...(string | null)[]];

export const reads: Readonly<Record<string, readonly Read[]>> = {
  expressions: [
    'SELECT upper(name), length(name), weight * 2, born + 1 FROM patient',
    "SELECT name || '!', coalesce(name, '-'), nullif(ward, 'a') FROM patient ORDER BY id",
    "SELECT CASE WHEN weight > 65 THEN 'heavy' WHEN weight IS NULL THEN '?' ELSE 'light' END FROM patient",
    'SELECT name = name, name IS NULL, born < weight::int::text::date FROM patient WHERE false',
    "SELECT extract(year FROM born), to_char(born, 'DD.MM.YYYY'), age('2020-01-01', born) FROM patient ORDER BY id",
    'SELECT weight::int, weight::text, round(weight, 1), score::numeric FROM patient ORDER BY id',
    "SELECT doc->'k', doc->>'k', doc #> '{l,0}', doc ? 'k' FROM patient ORDER BY id",
    "SELECT tags[1], array_length(tags, 1), 'x' = ANY (tags), tags || 'w'::text FROM patient ORDER BY id",
    'SELECT greatest(weight, 70), least(score, 0) FROM patient ORDER BY id',
    'SELECT (name, weight) FROM patient ORDER BY id',
    'SELECT row_to_json(p) FROM patient p ORDER BY id',
    'SELECT p FROM patient p ORDER BY id',
    ['SELECT name LIKE $1 FROM patient ORDER BY id', 'A%'],
    ['SELECT $1 || name FROM patient ORDER BY id', 'Dr '],
    "SELECT seen AT TIME ZONE 'UTC', date_trunc('day', seen) FROM patient ORDER BY id",
    'SELECT pg_typeof(name), pg_typeof(weight), name::varchar(3) FROM patient ORDER BY id',
  ],
  conditions: [
    "SELECT id FROM patient WHERE 'Bob Lannister' = name",
    "SELECT id FROM patient WHERE name LIKE 'Ann%'",
    "SELECT id FROM patient WHERE name LIKE 'Bob Lannister'",
    "SELECT id FROM patient WHERE name NOT LIKE '%a%'",
    "SELECT id FROM patient WHERE name ILIKE '%TARG%'",
    "SELECT id FROM patient WHERE name SIMILAR TO '(Ann|Bob)%'",
    "SELECT id FROM patient WHERE name ~ '^A' AND name !~* 'x'",
    "SELECT id FROM visit WHERE note LIKE '100\\% well\\_done'",
    'SELECT id FROM patient WHERE weight BETWEEN 60 AND 75',
    "SELECT id FROM patient WHERE born > '1975-01-01' OR born IS NULL",
    "SELECT id FROM patient WHERE (name, born) = ('Ann Targaryen', '1970-01-01')",
    'SELECT id FROM patient WHERE (weight, id) > (61.5, 1)',
    "SELECT id FROM patient WHERE name = ANY ('{Ann Targaryen,Dan Greyjoy}')",
    'SELECT id FROM patient WHERE weight IN (61.5, 80)',
    "SELECT id FROM patient WHERE name IS NOT DISTINCT FROM 'Bob Lannister' AND weight > 1",
    "SELECT id FROM patient WHERE NOT (weight > 60) OR score = 'Infinity'",
    'SELECT id FROM patient WHERE length(name) > 11 AND id < 6',
    'SELECT id FROM patient WHERE active AND weight IS NOT NULL',
    'SELECT id FROM patient WHERE active IS NOT TRUE',
    "SELECT id FROM patient WHERE 'x' = ANY (tags)",
    'SELECT id FROM patient WHERE doc @> \'{"k": 1}\'',
    "SELECT id FROM patient WHERE tags && '{x}'",
    "SELECT id FROM patient WHERE seen > '2020-01-01 10:00+01' AND seen < '2022-01-01'",
    ['SELECT id FROM patient WHERE name = $1 AND weight > $2', 'Ann Targaryen', '61.75'],
    ['SELECT id FROM patient WHERE name LIKE $1 AND ward = $2', 'A%', 'a'],
    ['SELECT id FROM patient WHERE id = $1 AND upper(name) = $2', '1', 'ANN TARGARYEN'],
    ['SELECT id FROM patient WHERE name = ANY ($1)', '{"Ann Targaryen",x}'],
    'SELECT id, weight > 60 AND ward IS NOT NULL FROM patient ORDER BY id',
    "SELECT upper(name) FROM patient WHERE id = 2 AND ward = 'b'",
    "SELECT id FROM patient WHERE (CASE WHEN ward = 'a' THEN weight ELSE 0 END) > 1",
  ],
  joins: [
    'SELECT p.id, v.id FROM patient p JOIN visit v ON v.who = p.name AND v.cost > 10',
    'SELECT p.id, v.cost FROM patient p LEFT JOIN visit v ON v.patient = p.id AND v.cost > 10 ORDER BY 1, 2',
    'SELECT p.id, v.id FROM patient p FULL JOIN visit v ON v.who = p.name ORDER BY 1, 2',
    'SELECT p.name, w.beds FROM patient p JOIN ward w ON w.code = p.ward WHERE p.weight > 60',
    "SELECT w.beds FROM ward w, patient p WHERE w.code = p.name AND p.name = 'Ann Targaryen'",
    'SELECT a.id, b.id FROM patient a JOIN patient b ON a.weight < b.weight',
    'SELECT a.id, b.id FROM patient a JOIN patient b USING (name, born) WHERE a.id < b.id',
    'SELECT count(*) FROM patient NATURAL JOIN (SELECT id, name FROM patient) x',
    'SELECT p.id, x.c FROM patient p, LATERAL (SELECT sum(cost) c FROM visit v WHERE v.who = p.name) x ORDER BY 1',
    'SELECT p.id, x.cost FROM patient p CROSS JOIN LATERAL (SELECT cost FROM visit v WHERE v.patient = p.id ORDER BY cost DESC LIMIT 1) x',
    'SELECT p.id, v.id FROM patient p CROSS JOIN visit v WHERE p.born = v.day',
    'SELECT p.id, g FROM patient p, generate_series(1, length(p.name) / 5) g ORDER BY 1, 2',
    'SELECT v.id, w.floor FROM visit v JOIN patient p ON v.who = p.name LEFT JOIN ward w ON w.code = p.ward AND w.beds > 3 ORDER BY 1, 2',
  ],
  subqueries: [
    [
      'SELECT w.beds FROM ward w WHERE w.code = ANY (SELECT p.name FROM heavy p WHERE p.name = $1)',
      'Ann Targaryen',
    ],
    [
      'SELECT id, upper(name) FROM patient WHERE ward IN (SELECT name FROM patient WHERE name = $1)',
      'Ann Targaryen',
    ],
    'SELECT id FROM patient WHERE weight = (SELECT max(weight) FROM patient)',
    'SELECT id FROM patient p WHERE EXISTS (SELECT FROM visit v WHERE v.who = p.name)',
    'SELECT id FROM patient p WHERE NOT EXISTS (SELECT FROM visit v WHERE v.who = p.name)',
    'SELECT id FROM patient WHERE name IN (SELECT who FROM visit WHERE cost > 9)',
    'SELECT id FROM patient WHERE name NOT IN (SELECT who FROM visit WHERE who IS NOT NULL)',
    'SELECT p.id, (SELECT sum(cost) FROM visit v WHERE v.who = p.name) FROM patient p ORDER BY id',
    'SELECT p.id, (SELECT beds FROM ward w WHERE w.code = p.ward) FROM patient p WHERE weight > 1 ORDER BY id',
    'SELECT id FROM patient p WHERE weight > ALL (SELECT cost FROM visit v WHERE v.patient = p.id)',
    'SELECT x.n, count(*) FROM (SELECT upper(name) n FROM patient) x GROUP BY x.n',
    'SELECT (SELECT name FROM patient WHERE id = 2), (SELECT count(*) FROM visit)',
    'SELECT ARRAY(SELECT name FROM patient WHERE name IS NOT NULL ORDER BY name, id)',
    'SELECT id FROM visit v WHERE (who, cost) IN (SELECT name, 10 FROM patient)',
    'SELECT id FROM ward w JOIN patient p ON p.ward = w.code WHERE (SELECT count(*) FROM visit v WHERE v.who = p.name) = 2',
    'SELECT code FROM ward w WHERE EXISTS (SELECT FROM patient p WHERE p.ward = w.code AND p.weight > 70)',
  ],
  ctes: [
    "WITH x AS (SELECT name FROM patient WHERE born > '1975-01-01') SELECT count(*) FROM x",
    'WITH x AS MATERIALIZED (SELECT name, weight FROM patient) SELECT a.name FROM x a JOIN x b ON a.weight < b.weight',
    'WITH RECURSIVE r(n, d) AS (SELECT name, 1 FROM patient WHERE id = 1 UNION ALL SELECT p.name, d + 1 FROM patient p, r WHERE p.name > r.n) SELECT n, d FROM r',
    'WITH a AS (SELECT who FROM visit), b AS (SELECT name FROM patient) SELECT count(*) FROM a, b WHERE a.who = b.name',
    'WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < (SELECT count(*) FROM patient WHERE weight > 0)) SELECT sum(n) FROM t',
  ],
  views: [
    'SELECT * FROM heavy ORDER BY id',
    'SELECT name FROM heavier WHERE weight < 75',
    'SELECT h.id, v.cost FROM heavy h JOIN visit v ON v.who = h.name',
    'SELECT count(*) FROM heavy',
    "SELECT id FROM heavy WHERE name = 'Ann Targaryen'",
  ],
  sets: [
    'SELECT name FROM patient UNION SELECT who FROM visit',
    'SELECT name FROM patient UNION ALL SELECT who FROM visit ORDER BY 1 NULLS FIRST',
    'SELECT name FROM patient INTERSECT SELECT who FROM visit',
    'SELECT name FROM patient EXCEPT ALL SELECT who FROM visit',
    "SELECT 1, name FROM patient UNION SELECT 2, 'constant' ORDER BY 1, 2",
    'VALUES (1, (SELECT max(name) FROM patient)), (2, NULL)',
  ],
  groups: [
    'SELECT ward, avg(weight), count(DISTINCT name), max(born), bool_or(active) FROM patient GROUP BY ward ORDER BY ward',
    'SELECT name, count(*) FROM patient GROUP BY name HAVING count(*) > 1',
    'SELECT upper(name) u, sum(weight) FROM patient GROUP BY u',
    'SELECT p.name, sum(v.cost) FROM patient p JOIN visit v ON p.name = v.who GROUP BY p.id ORDER BY p.id',
    'SELECT ward, active, sum(weight) FROM patient GROUP BY GROUPING SETS ((ward), (active), ()) ORDER BY 1, 2, 3',
    'SELECT ward, active, count(*), grouping(ward, active) FROM patient GROUP BY ROLLUP (ward, active) ORDER BY 1, 2, 3, 4',
    'SELECT DISTINCT name FROM patient',
    'SELECT DISTINCT ON (ward) ward, name FROM patient ORDER BY ward, name, id',
    'SELECT count(DISTINCT (name, born)) FROM patient',
    "SELECT string_agg(name, ',' ORDER BY name DESC, id) FILTER (WHERE ward = 'a') FROM patient",
    'SELECT array_agg(weight ORDER BY weight NULLS LAST), json_agg(born ORDER BY id) FROM patient',
    'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY weight), mode() WITHIN GROUP (ORDER BY name) FROM patient',
    'SELECT count(*), count(weight), stddev(weight), corr(weight, score) FROM patient',
    'SELECT every(weight > 50), min(name), max(tags) FROM patient',
    'SELECT rank(60) WITHIN GROUP (ORDER BY weight) FROM patient',
    "SELECT count(*) FILTER (WHERE name LIKE 'A%') FROM patient",
  ],
  windows: [
    'SELECT id, row_number() OVER (ORDER BY weight DESC NULLS LAST, id) FROM patient ORDER BY id',
    'SELECT id, rank() OVER (PARTITION BY ward ORDER BY weight) FROM patient ORDER BY id',
    'SELECT id, sum(weight) OVER w, lag(name) OVER w FROM patient WINDOW w AS (ORDER BY id) ORDER BY id',
    'SELECT id, avg(weight) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM patient ORDER BY id',
    'SELECT id, first_value(name) OVER (PARTITION BY born ORDER BY id), ntile(2) OVER (ORDER BY score, id) FROM patient ORDER BY id',
  ],
  order: [
    'SELECT name FROM patient ORDER BY weight OFFSET 1 FETCH FIRST 2 ROWS WITH TIES',
    'SELECT id, name FROM patient ORDER BY name DESC NULLS FIRST, id LIMIT 3',
    'SELECT id FROM patient ORDER BY weight USING >, id',
    'SELECT id FROM patient ORDER BY name COLLATE "C", id',
    'SELECT id FROM patient ORDER BY upper(name), born DESC, id OFFSET 2',
    'SELECT id FROM patient ORDER BY score NULLS FIRST LIMIT 2',
    ['SELECT id FROM patient ORDER BY weight DESC NULLS LAST LIMIT $1', '2'],
    'SELECT id, name FROM patient WHERE weight > 0 ORDER BY id DESC LIMIT 2',
  ],
  sets_of_rows: [
    'SELECT generate_series(1, 2), upper(name) FROM patient WHERE id < 3',
    'SELECT unnest(tags), id FROM patient',
    'SELECT p.id, generate_series(1, 2) g FROM patient p ORDER BY id DESC',
    'SELECT p.id, generate_series(1, 2) g FROM patient p ORDER BY weight, id, g DESC',
    'SELECT p.id, generate_series(1, p.id) g FROM patient p ORDER BY weight, id',
    'SELECT p.id, v.note, unnest(tags) FROM patient p LEFT JOIN visit v ON upper(v.who) = upper(p.name) ORDER BY lower(p.name), p.id, v.id',
    'SELECT ward, count(*), min(weight), generate_series(1, 3) FROM patient GROUP BY ward ORDER BY 4, 1',
    'SELECT ward, generate_series(1, 2) g, count(*) FROM patient GROUP BY CUBE (ward, g) ORDER BY g, ward, count(*)',
    'SELECT id, weight, generate_series(1, 10) FROM patient ORDER BY weight, id LIMIT 7 OFFSET 2',
    'SELECT generate_series(1, id), array(SELECT generate_series(1, id)) FROM patient ORDER BY weight, id',
    'SELECT id FROM patient ORDER BY weight, id, generate_series(1, 3) DESC',
    'SELECT s.g, count(*) FROM (SELECT upper(name), generate_series(1, 3) g FROM patient ORDER BY weight, g LIMIT 5) s GROUP BY s.g ORDER BY s.g DESC',
    "SELECT id, t FROM patient, unnest(string_to_array(name, ' ')) t ORDER BY 1, 2",
    'SELECT id, key, value FROM patient, jsonb_each(CASE jsonb_typeof(doc) WHEN $$object$$ THEN doc END) ORDER BY 1, 2',
    "SELECT id, r[1] FROM patient, regexp_matches(name, '(.)a', 'g') r ORDER BY 1, 2",
  ],
  time: [
    'SELECT id FROM patient WHERE seen < now()',
    'SELECT id FROM patient WHERE born < CURRENT_DATE - 8000 ORDER BY born',
    "SELECT id FROM patient WHERE seen + interval '1 day' < CURRENT_TIMESTAMP",
    'SELECT count(*) FROM patient WHERE born < LOCALTIMESTAMP',
  ],
  errors: [
    'SELECT 1 / (id - 2), upper(name) FROM patient',
    'SELECT nosuch(name) FROM patient',
    'SELECT name::int FROM patient',
    "SELECT name FROM patient WHERE born = 'x'::text::date",
    'SELECT upper(name) FROM patient GROUP BY weight',
    'SELECT nosuch FROM patient WHERE weight > 1',
    'SELECT (SELECT name FROM patient) FROM visit',
    ['SELECT upper(name) FROM patient WHERE weight > $1', 'x'],
    'SELECT sum(name) FROM patient',
    'SELECT weight / 0 FROM patient',
  ],
};
