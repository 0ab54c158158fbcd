/** Scripts over partitions and heirs with triggers: each runs from fresh tables; steps are statements, or statements with values. */
import type { Step } from '../support/outcome.js';

/** Functions of the triggers. */
export const functions: readonly string[] = [
  `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % % %', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME;
     IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;
     RAISE NOTICE 'old % new %', OLD, NEW;
     RETURN COALESCE(NEW, OLD); END $$`,
  `CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$`,
  `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.name || NEW.id; RETURN NEW; END $$`,
  `CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.queue := 'b'; RETURN NEW; END $$`,
  `CREATE FUNCTION nowhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`,
  `CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
     SELECT count(*) INTO n FROM job WHERE name = NEW.name; RAISE NOTICE '% has % of %', TG_TABLE_NAME, n, NEW.name;
     RETURN NEW; END $$`,
  `CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO log (op, place, was, becomes)
       VALUES (TG_OP, TG_TABLE_NAME, CASE WHEN TG_OP <> 'INSERT' THEN OLD.name END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.name END);
     RETURN NULL; END $$`,
  `CREATE FUNCTION both_tables() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% %: % | %', TG_OP, TG_TABLE_NAME, (SELECT string_agg(o::text, ';' ORDER BY id) FROM o), (SELECT string_agg(n::text, ';' ORDER BY id) FROM n);
     RETURN NULL; END $$`,
  `CREATE FUNCTION new_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% %: %', TG_OP, TG_TABLE_NAME, (SELECT string_agg(name, ';' ORDER BY id) FROM n); RETURN NULL; END $$`,
  `CREATE FUNCTION old_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% %: %', TG_OP, TG_TABLE_NAME, (SELECT string_agg(name || loud, ';' ORDER BY id) FROM o); RETURN NULL; END $$`,
];

/** `queue` decides the partition of a row; one partition has its columns in another order, and one is partitioned again. */
export const tables: readonly string[] = [
  `CREATE TABLE job (id int, queue text DEFAULT 'a', name text, note text, n int DEFAULT 1,
     loud text GENERATED ALWAYS AS (upper(name)) STORED, twice int GENERATED ALWAYS AS (n * 2) STORED,
     PRIMARY KEY (queue, id)) PARTITION BY LIST (queue)`,
  "CREATE TABLE job_a PARTITION OF job FOR VALUES IN ('a')",
  `CREATE TABLE job_b (note text, gone int, n int, queue text NOT NULL, id int NOT NULL,
     loud text GENERATED ALWAYS AS (upper(name)) STORED, name text, twice int GENERATED ALWAYS AS (n * 2) STORED)`,
  'ALTER TABLE job_b DROP COLUMN gone',
  "ALTER TABLE job ATTACH PARTITION job_b FOR VALUES IN ('b')",
  "CREATE TABLE job_c PARTITION OF job FOR VALUES IN ('c', 'd') PARTITION BY RANGE (id)",
  'CREATE TABLE job_c1 PARTITION OF job_c FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE job_c2 PARTITION OF job_c FOR VALUES FROM (10) TO (100)',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, place text, was text, becomes text)',
  'CREATE TABLE person (id int, name text)',
  'CREATE TABLE nurse () INHERITS (person)',
  'CREATE TABLE patient (illness text) INHERITS (person)',
];

export const rows: readonly string[] = [
  `INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Zaphod'), (2, 'a', 'Arthur'), (3, 'b', 'Trillian'), (4, 'c', 'Marvin'),
     (14, 'd', 'Ford')`,
  "INSERT INTO person VALUES (1, 'Eddie')",
  "INSERT INTO nurse VALUES (2, 'Poodoo')",
  "INSERT INTO patient VALUES (3, 'Wowbagger', 'flu')",
];

const on = (name: string, when: string, table: string, routine: string, rest = ''): string =>
  `CREATE TRIGGER ${name} ${when} ON ${table} ${rest} EXECUTE FUNCTION ${routine}()`;
const row = 'FOR EACH ROW';
const all = 'INSERT OR UPDATE OR DELETE';

/** Statements that write in all ways; of each the order of the rows is known. */
const writes: readonly Step[] = [
  "INSERT INTO job (id, queue, name) VALUES (20, 'a', 'Eins'), (21, 'b', 'Zwei'), (22, 'c', 'Drei') RETURNING *",
  ['INSERT INTO job (id, queue, name) VALUES ($1, $2, $3)', 23, 'd', 'Vier'],
  "INSERT INTO job (id, queue, name) SELECT id + 10, queue, name || 's' FROM job WHERE id = 20 RETURNING loud",
  "INSERT INTO job (id, queue, name) VALUES (24, 'a', 'Gut'), (25, 'z', 'Weg'), (26, 'a', 'Nie')",
  "INSERT INTO job_b (id, queue, name) VALUES (27, 'b', 'Selbst')",
  "INSERT INTO job_b (id, queue, name) VALUES (28, 'a', 'Falsch')",
  "INSERT INTO job_c (id, queue, name) VALUES (9, 'd', 'Unten')",
  "UPDATE job SET name = name || 'x' WHERE id = 1 RETURNING *",
  'UPDATE job SET n = 5 WHERE id IN (1, 3, 4)',
  ['UPDATE job SET name = $1 WHERE id = $2 RETURNING name, loud', 'Slart', 14],
  "UPDATE job SET queue = 'b' WHERE id = 2 RETURNING *",
  "UPDATE job SET queue = 'a', name = 'Tricia' WHERE name = 'Trillian' RETURNING id, queue, loud",
  "UPDATE job SET queue = 'z' WHERE id = 4",
  "UPDATE job_a SET queue = 'b' WHERE id = 1",
  'UPDATE job_c SET id = 40 WHERE id = 4',
  "UPDATE job j SET name = l.name FROM (VALUES (20, 'Von')) AS l (id, name) WHERE l.id = j.id",
  "MERGE INTO job USING (VALUES (20, 'a', 'M'), (50, 'b', 'N')) AS s (id, q, name) ON job.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name, queue = 'd' WHEN NOT MATCHED THEN INSERT (id, queue, name) VALUES (s.id, s.q, s.name)",
  'MERGE INTO job USING (VALUES (50)) AS s (id) ON job.id = s.id WHEN MATCHED THEN DELETE',
  'DELETE FROM job WHERE id = 21 RETURNING name, loud, twice',
  "DELETE FROM job_b WHERE name = 'Selbst'",
  'DELETE FROM job WHERE id = 1000',
  'BEGIN',
  "INSERT INTO job (id, queue, name) VALUES (60, 'a', 'Im'), (61, 'b', 'Block')",
  "UPDATE job SET queue = 'c' WHERE id = 60",
  'ROLLBACK',
];

export const scripts: Readonly<Record<string, readonly Step[]>> = {
  'rows of partitions, before and after': [
    on('before_row', `BEFORE ${all}`, 'job', 'tell', row),
    on('after_row', `AFTER ${all}`, 'job', 'tell', row),
    ...writes,
  ],
  'statements, of the table that is named': [
    on('before_stmt', `BEFORE ${all}`, 'job', 'tell'),
    on('after_stmt', `AFTER ${all}`, 'job', 'tell'),
    on('own_stmt', `AFTER ${all}`, 'job_b', 'tell'),
    ...writes,
  ],
  'triggers of one partition': [
    on('own_before', `BEFORE ${all}`, 'job_b', 'tell', row),
    on('own_after', `AFTER ${all}`, 'job_b', 'tell', row),
    on('c_after', `AFTER ${all}`, 'job_c', 'tell', row),
    ...writes,
  ],
  'rows that are changed, and what is written beside them': [
    on('a', 'BEFORE INSERT OR UPDATE', 'job', 'louder', row),
    on('b', 'BEFORE INSERT OR UPDATE', 'job', 'noted', row),
    on('c', `AFTER ${all}`, 'job', 'audit', row),
    ...writes,
    'SELECT op, place, was, becomes FROM log ORDER BY n',
  ],
  'triggers that read the table': [
    on('reads', 'BEFORE INSERT OR UPDATE', 'job', 'counted', row),
    on('tells', 'AFTER INSERT OR UPDATE OR DELETE', 'job', 'tell', row),
    ...writes,
  ],
  'rows that are moved by triggers': [
    on('moves', 'BEFORE INSERT', 'job_a', 'elsewhere', row),
    "INSERT INTO job (id, queue, name) VALUES (30, 'b', 'Bleibt'), (31, 'a', 'Geht')",
    'DROP TRIGGER moves ON job_a',
    on('moves', 'BEFORE INSERT OR UPDATE', 'job', 'elsewhere', row),
    on('tells', `AFTER ${all}`, 'job', 'tell', row),
    "INSERT INTO job (id, queue, name) VALUES (32, 'b', 'Bleibt'), (33, 'a', 'Geht')",
    "INSERT INTO job (id, queue, name) VALUES (32, 'b', 'Bleibt')",
    'UPDATE job SET n = 7 WHERE id = 1 RETURNING *',
    'UPDATE job_a SET n = 8 WHERE id = 2',
    'UPDATE job SET n = 9 WHERE id = 3',
  ],
  'rows that are left out': [
    on('no_delete', 'BEFORE DELETE', 'job_a', 'nowhere', row),
    on('no_insert', 'BEFORE INSERT', 'job_c1', 'nowhere', row),
    on('tells', `AFTER ${all}`, 'job', 'tell', row),
    on('tells_all', `AFTER ${all}`, 'job', 'tell'),
    "UPDATE job SET queue = 'b' WHERE id = 1 RETURNING *",
    "UPDATE job SET queue = 'c' WHERE id = 3 RETURNING *",
    "UPDATE job SET queue = 'd' WHERE id = 14 RETURNING id",
    "INSERT INTO job (id, queue, name) VALUES (5, 'c', 'Nie'), (6, 'b', 'Doch') RETURNING id",
    'DELETE FROM job WHERE id IN (1, 6)',
  ],
  'transition tables': [
    on('ins', 'AFTER INSERT', 'job', 'new_table', 'REFERENCING NEW TABLE AS n'),
    on('upd', 'AFTER UPDATE', 'job', 'both_tables', 'REFERENCING OLD TABLE AS o NEW TABLE AS n'),
    on('del', 'AFTER DELETE', 'job', 'old_table', 'REFERENCING OLD TABLE AS o'),
    ...writes,
    "UPDATE job SET queue = CASE queue WHEN 'a' THEN 'b' ELSE 'a' END WHERE id < 4",
  ],
  'columns and conditions': [
    on('of_loud', 'AFTER UPDATE OF loud', 'job', 'tell', row),
    on('of_twice', 'AFTER UPDATE OF twice', 'job', 'tell'),
    on(
      'when_b',
      'AFTER INSERT OR UPDATE',
      'job',
      'tell',
      `${row} WHEN (NEW.queue = 'b' AND NEW.loud LIKE 'T%')`,
    ),
    'UPDATE job SET n = 4 WHERE id = 3',
    "UPDATE job SET name = 'Tom' WHERE id = 3",
    "UPDATE job SET name = 'Tim', queue = 'b' WHERE id = 1",
    "INSERT INTO job (id, queue, name) VALUES (40, 'b', 'Tam'), (41, 'b', 'Sam')",
    'UPDATE job SET loud = DEFAULT WHERE id = 3',
  ],
  'ON CONFLICT': [
    on('tells', `AFTER ${all}`, 'job', 'tell', row),
    on('before', 'BEFORE UPDATE', 'job', 'louder', row),
    on('tells_all', `AFTER ${all}`, 'job', 'tell'),
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu'), (70, 'b', 'Ganz') ON CONFLICT (queue, id) DO UPDATE SET name = EXCLUDED.name || job.name RETURNING *",
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu'), (71, 'b', 'Ganz') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu') ON CONFLICT (queue, id) DO UPDATE SET queue = 'b'",
  ],
  'ON CONFLICT of rows that BEFORE INSERT triggers make': [
    on('before', 'BEFORE INSERT', 'job', 'louder', row),
    on('notes', 'BEFORE INSERT', 'job_b', 'noted', row),
    on('tells', `AFTER ${all}`, 'job', 'tell', row),
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu'), (70, 'b', 'Ganz') ON CONFLICT (queue, id) DO UPDATE SET name = EXCLUDED.name || job.name RETURNING *",
    "INSERT INTO job (id, queue, name, note) VALUES (3, 'b', 'Neu', 'n') ON CONFLICT (queue, id) DO UPDATE SET note = EXCLUDED.note || EXCLUDED.name RETURNING *",
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu'), (71, 'b', 'Ganz') ON CONFLICT DO NOTHING RETURNING id, note, loud",
    "INSERT INTO job_b (id, queue, name) VALUES (3, 'b', 'Neu'), (72, 'b', 'Ganz') ON CONFLICT (queue, id) DO UPDATE SET name = EXCLUDED.note RETURNING *",
    on('goes', 'BEFORE INSERT', 'job_a', 'elsewhere', row),
    "INSERT INTO job (id, queue, name) VALUES (1, 'a', 'Neu') ON CONFLICT DO NOTHING",
    "INSERT INTO job (id, queue, name) VALUES (1, 'z', 'Neu') ON CONFLICT DO NOTHING",
  ],
  definitions: [
    on('tells', 'AFTER INSERT', 'job', 'tell', row),
    'CREATE TABLE job_e PARTITION OF job FOR VALUES IN ($$e$$)',
    "INSERT INTO job (id, queue, name) VALUES (80, 'e', 'Neu')",
    'ALTER TABLE job DETACH PARTITION job_e',
    "INSERT INTO job_e (id, queue, name) VALUES (81, 'e', 'Alt')",
    on('tells', 'AFTER INSERT', 'job_e', 'tell', row),
    "ALTER TABLE job ATTACH PARTITION job_e FOR VALUES IN ('e')",
    'DROP TRIGGER tells ON job_e',
    'ALTER TABLE job_a DISABLE TRIGGER tells',
    "INSERT INTO job (id, queue, name) VALUES (82, 'a', 'Still'), (83, 'b', 'Laut')",
    'ALTER TABLE job ENABLE TRIGGER tells',
    "INSERT INTO job (id, queue, name) VALUES (84, 'a', 'Laut')",
    'ALTER TRIGGER tells ON job RENAME TO says',
    "INSERT INTO job (id, queue, name) VALUES (85, 'a', 'Laut')",
    'SELECT tgname, tgrelid::regclass::text, tgparentid <> 0 FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2',
    'DROP TRIGGER says ON job',
    "INSERT INTO job (id, queue, name) VALUES (86, 'a', 'Still')",
    'DROP TABLE job_e',
  ],
  heirs: [
    on('tells', `BEFORE ${all}`, 'person', 'tell', row),
    on('tells_all', `AFTER ${all}`, 'person', 'tell'),
    on('nurses', `AFTER ${all}`, 'nurse', 'tell', row),
    on('nurses_all', `AFTER ${all}`, 'nurse', 'tell'),
    on('upd', 'AFTER UPDATE', 'person', 'both_tables', 'REFERENCING OLD TABLE AS o NEW TABLE AS n'),
    "INSERT INTO person VALUES (4, 'Prak')",
    "INSERT INTO nurse VALUES (5, 'Varntvar')",
    "UPDATE person SET name = name || '!' WHERE id = 1",
    "UPDATE person SET name = name || '!' WHERE id = 2 RETURNING *",
    "UPDATE person SET name = name || '?' WHERE id IN (1, 2, 3)",
    'DELETE FROM person WHERE id IN (2, 3)',
    'DELETE FROM nurse WHERE id = 5',
  ],
  TRUNCATE: [
    on('trunc', 'BEFORE TRUNCATE', 'job', 'tell'),
    on('trunc_a', 'AFTER TRUNCATE', 'job_a', 'tell'),
    on('trunc_c1', 'AFTER TRUNCATE', 'job_c1', 'tell'),
    'TRUNCATE job_a',
    'TRUNCATE job_c',
    'TRUNCATE job',
    'SELECT count(*) FROM job',
  ],
};
