/** Scripts over tables with triggers: each runs from fresh tables; steps are statements, or statements with values. */

import type { Step } from '../support/outcome.js';

/** Functions of the triggers. */
export const functions: readonly string[] = [
  `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % % %.% % % depth %', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_NARGS, TG_ARGV[0], pg_trigger_depth();
     IF TG_LEVEL = 'STATEMENT' THEN RAISE NOTICE 'rows % %', OLD IS NULL, NEW IS NULL; RETURN NULL; END IF;
     RAISE NOTICE 'old % new %', OLD, NEW;
     RETURN COALESCE(NEW, OLD); END $$`,
  `CREATE FUNCTION args() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % %', TG_ARGV, TG_ARGV[1], TG_ARGV[9]; RETURN NEW; END $$`,
  `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     NEW.touched := now(); RETURN NEW; END $$`,
  `CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     NEW.name := upper(NEW.name); RETURN NEW; END $$`,
  `CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF TG_OP = 'DELETE' THEN IF OLD.name = 'Marvin' THEN RETURN NULL; END IF; RETURN OLD; END IF;
     IF NEW.name = 'Ford' THEN RETURN NULL; END IF; RETURN NEW; END $$`,
  `CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF TG_OP = 'DELETE' THEN INSERT INTO log (op, person, was) SELECT 'D', OLD.id, OLD.name; RETURN OLD;
     ELSIF TG_OP = 'UPDATE' THEN INSERT INTO log (op, person, was, becomes) VALUES ('U', NEW.id, OLD.name, NEW.name); RETURN NEW;
     END IF;
     INSERT INTO log (op, person, becomes) SELECT 'I', NEW.id, NEW.name; RETURN NEW; END $$`,
  `CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF TG_OP <> 'INSERT' THEN UPDATE tally SET n = n - 1, sum = sum - coalesce(OLD.amount, 0) WHERE id = 1; END IF;
     IF TG_OP <> 'DELETE' THEN UPDATE tally SET n = n + 1, sum = sum + coalesce(NEW.amount, 0) WHERE id = 1; END IF;
     RETURN NULL; END $$`,
  `CREATE FUNCTION validate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF NEW.amount < 0 THEN RAISE EXCEPTION 'amount of % is negative', NEW.name USING ERRCODE = 'check_violation', HINT = 'more'; END IF;
     RETURN NEW; END $$`,
  `CREATE FUNCTION unique_names() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
     SELECT count(*) INTO n FROM person WHERE name = NEW.name;
     RAISE NOTICE 'seen %', n;
     IF n > 0 THEN NEW.name := NEW.name || '-' || n; END IF; RETURN NEW; END $$`,
  `CREATE FUNCTION recurse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF NEW.id < 100 THEN INSERT INTO person (id, name) VALUES (NEW.id + 50, NEW.name || '+'); END IF; RETURN NULL; END $$`,
  `CREATE FUNCTION forever() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     UPDATE person SET name = name || 'x' WHERE id = NEW.id; RETURN NULL; END $$`,
  `CREATE FUNCTION row_of() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r person; BEGIN
     r := NEW; r.name := r.name || '!'; NEW := r; RAISE NOTICE '% % %', to_jsonb(NEW), OLD IS DISTINCT FROM NEW, r.id; RETURN r; END $$`,
  `CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RETURN ROW(NEW.id, NEW.open, 'other'::text, NEW.amount, NEW.touched); END $$`,
  `CREATE FUNCTION wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN ROW(1, 2); END $$`,
  `CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$`,
  `CREATE FUNCTION modify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     UPDATE person SET amount = 0 WHERE id = OLD.id; RETURN COALESCE(NEW, OLD); END $$`,
];

const on = (name: string, when: string, routine: string, rest = ''): string =>
  `CREATE TRIGGER ${name} ${when} ON person ${rest} EXECUTE FUNCTION ${routine}`;
const row = 'FOR EACH ROW';
const all = 'INSERT OR UPDATE OR DELETE';

/** Statements that write in all ways; of each the order of the rows is known. */
const writes: readonly Step[] = [
  "UPDATE person SET name = name || 'x', open = 'new' WHERE id <= 3 RETURNING *",
  "INSERT INTO person (id, open, name, amount) VALUES (10, 'x', 'Arthur', 42)",
  "INSERT INTO person (id, name) VALUES (11, 'Ford'), (12, 'Fenchurch') RETURNING *",
  [
    'INSERT INTO person (id, open, name, amount) VALUES ($1, $2, $3, $4) RETURNING id, name, amount + 1 AS more',
    13,
    'o',
    'Agrajag',
    '7.25',
  ],
  'INSERT INTO person (id, name, amount) SELECT id + 20, word, id FROM secret ORDER BY id RETURNING id, name',
  "UPDATE person SET amount = amount + 1 WHERE name = 'Zaphodx'",
  [
    'UPDATE person AS p SET amount = $2 FROM secret s WHERE s.word || $3 = p.name AND p.id = $1',
    1,
    '99',
    'x',
  ],
  'UPDATE person SET open = DEFAULT, (name, amount) = (open, 3) WHERE id = 4',
  'UPDATE person SET amount = 1 WHERE false',
  'DELETE FROM person WHERE id = 2 RETURNING name, id',
  "DELETE FROM person USING secret s WHERE s.word || 'x' = person.name",
  ['DELETE FROM person WHERE name = $1', 'Agrajag'],
];

/** Triggers, and what is done then. */
export const scripts: Readonly<Record<string, readonly Step[]>> = {
  'all moments are told in order': [
    on('b_row', `BEFORE ${all}`, `tell('a', 'b')`, row),
    on('a_row', `BEFORE ${all}`, `tell('it''s "x"')`, row),
    on('z_row', `AFTER ${all}`, 'tell()', row),
    on('y_row', `AFTER ${all}`, 'tell()', row),
    on('m_before', `BEFORE ${all}`, 'tell()'),
    on('n_after', `AFTER ${all}`, 'tell()', 'FOR EACH STATEMENT'),
    ...writes,
  ],
  'columns that are set by BEFORE': [
    on('louder', 'BEFORE INSERT OR UPDATE', 'louder()', row),
    on('skips', `BEFORE ${all}`, 'skip()', row),
    ...writes,
  ],
  'the time of a change': [
    on('touched', 'BEFORE UPDATE', 'touch()', row),
    'BEGIN',
    "UPDATE person SET name = 'Z' WHERE id = 1",
    'SELECT id, touched = now() FROM person ORDER BY id',
    'COMMIT',
    'SELECT id, touched IS NULL FROM person ORDER BY id',
    'UPDATE person SET touched = NULL',
    'UPDATE person SET touched = NULL WHERE false',
  ],
  'an audit table': [on('audits', `AFTER ${all}`, 'audit()', row), ...writes, 'SELECT * FROM log ORDER BY n'],
  counters: [on('counts', `AFTER ${all}`, 'count_up()', row), ...writes, 'SELECT * FROM tally'],
  validation: [
    on('validates', 'BEFORE INSERT OR UPDATE', 'validate()', row),
    "INSERT INTO person (id, name, amount) VALUES (9, 'Vogon', -1)",
    ['INSERT INTO person (id, name, amount) VALUES ($1, $2, $3)', 9, 'Vogon', '-2'],
    'UPDATE person SET amount = amount - 15 WHERE id = 1',
    'UPDATE person SET amount = amount + 15 WHERE id = 1',
  ],
  'functions that look at the table': [
    on('unique_names', 'BEFORE INSERT', 'unique_names()', row),
    "INSERT INTO person (id, name) VALUES (5, 'Zaphod'), (6, 'Zaphod'), (7, 'new')",
    "INSERT INTO person (id, name) SELECT 30 + id, 'new' FROM secret RETURNING name",
  ],
  conditions: [
    on('w1', 'AFTER UPDATE', "tell('changed')", `${row} WHEN (OLD.* IS DISTINCT FROM NEW.*)`),
    on('w2', 'BEFORE UPDATE OF amount, name', "tell('of')", row),
    on('w3', 'BEFORE INSERT', "tell('big')", `${row} WHEN (NEW.amount > 10 AND NEW.name LIKE 'A%')`),
    on('w4', 'AFTER INSERT', "tell('top')", `${row} WHEN (pg_trigger_depth() = 0)`),
    on('w5', 'AFTER UPDATE OF open', "tell('open')"),
    'UPDATE person SET open = open',
    "UPDATE person SET open = 'q' WHERE id = 1",
    'UPDATE person SET name = name',
    ...writes,
  ],
  'ON CONFLICT': [
    on('b_update', 'BEFORE UPDATE', 'tell()', row),
    on('louder', 'BEFORE UPDATE', 'louder()', row),
    on('skips', 'BEFORE UPDATE', 'skip()', row),
    on('a_row', 'AFTER INSERT OR UPDATE', 'tell()', row),
    on('audits', 'AFTER INSERT OR UPDATE', 'audit()', row),
    on('m_before', 'BEFORE INSERT OR UPDATE', 'tell()'),
    on('n_after', 'AFTER INSERT OR UPDATE', 'tell()'),
    "INSERT INTO person (id, name, amount) VALUES (1, 'again', 5), (40, 'Hotblack', 6), (2, 'twice', 7) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || '/' || person.name, amount = EXCLUDED.amount RETURNING *",
    [
      'INSERT INTO person (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name WHERE person.amount > $3 RETURNING name, amount',
      4,
      'none',
      100,
    ],
    "INSERT INTO person (id, name) VALUES (3, 'Ford'), (41, 'Ford') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "INSERT INTO person (id, name) VALUES (3, 'Ford'), (42, 'new') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO person (id, name) VALUES (43, 'one'), (43, 'two') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    'SELECT * FROM log ORDER BY n',
  ],
  'ON CONFLICT of rows that BEFORE INSERT triggers make': [
    on('a_tell', 'BEFORE INSERT OR UPDATE', 'tell()', row),
    on('louder', 'BEFORE INSERT', 'louder()', row),
    on('skips', 'BEFORE INSERT', 'skip()', row),
    on('validates', 'BEFORE INSERT OR UPDATE', 'validate()', row),
    on('touches', 'BEFORE INSERT OR UPDATE', 'touch()', row),
    on('z_tell', 'AFTER INSERT OR UPDATE', 'tell()', `${row} WHEN (NEW.touched IS NULL)`),
    on('audits', 'AFTER INSERT OR UPDATE', 'audit()', row),
    on('m_before', 'BEFORE INSERT OR UPDATE', 'tell()'),
    'ALTER TABLE person ADD CHECK (amount < 100), ADD CHECK (open <> name)',
    "INSERT INTO person (id, name, amount) VALUES (1, 'again', 5) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || '/' || person.name, amount = EXCLUDED.amount, touched = NULL RETURNING id, open, name, amount",
    "INSERT INTO person (id, name, amount) VALUES (60, 'Hotblack', 6) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING id, open, name, amount",
    [
      'INSERT INTO person AS p (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name WHERE p.amount > $3 RETURNING p.name, amount',
      4,
      'none',
      100,
    ],
    "INSERT INTO person (id, name) VALUES (3, 'Ford') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    // constraints are looked at before conflicts, of what the triggers have made
    'INSERT INTO person (id, amount) VALUES (1, 100) ON CONFLICT (id) DO NOTHING',
    "INSERT INTO person (id, open, name) VALUES (1, 'SAME', 'same') ON CONFLICT (id) DO NOTHING",
    "INSERT INTO person (id, open, name) VALUES (1, 'same', 'same') ON CONFLICT (id) DO NOTHING",
    'INSERT INTO person (id, amount) VALUES (1, -1) ON CONFLICT (id) DO NOTHING',
    'INSERT INTO person (id) VALUES (NULL) ON CONFLICT (id) DO NOTHING',
    "WITH w AS (SELECT 'of w' AS word) INSERT INTO person (id, name) SELECT 2, word || '!' FROM w ON CONFLICT (id) DO UPDATE SET name = (SELECT word FROM w) || EXCLUDED.name RETURNING name",
    'DROP TRIGGER a_tell ON person',
    "INSERT INTO person (id, name) VALUES (3, 'Ford'), (61, 'new'), (62, 'Ford') ON CONFLICT DO NOTHING RETURNING id, name",
    "INSERT INTO person (id, name) VALUES (1, 'one'), (63, 'two'), (2, 'three') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || person.name RETURNING id, name",
    "INSERT INTO person (id, name) VALUES (64, 'one'), (64, 'two') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "INSERT INTO person (id, name) SELECT id, name || 'x' FROM person WHERE id < 4 ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING id, name",
    'SELECT * FROM log ORDER BY n',
    'DROP TRIGGER louder ON person',
    on('b_names', 'BEFORE INSERT', 'unique_names()', row),
    "INSERT INTO person (id, name) VALUES (70, 'HOTBLACK') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING id, name",
    "INSERT INTO person (id, name) VALUES (70, 'HOTBLACK') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING id, name",
    'ALTER TABLE person DROP CONSTRAINT person_amount_check, DROP CONSTRAINT person_check',
  ],
  MERGE: [
    on('b_row', `BEFORE ${all}`, 'tell()', row),
    on('louder', 'BEFORE INSERT OR UPDATE', 'louder()', row),
    on('skips', `BEFORE ${all}`, 'skip()', row),
    on('of_open', 'BEFORE UPDATE OF open', "tell('open')", row),
    on('audits', `AFTER ${all}`, 'audit()', row),
    on('m_before', `BEFORE ${all}`, 'tell()'),
    on('n_after', `AFTER ${all}`, 'tell()'),
    "MERGE INTO person p USING (VALUES (1, 'Ford'), (2, 'x'), (4, 'z'), (50, 'Hotblack')) AS s (id, word) ON p.id = s.id WHEN MATCHED AND s.word = 'x' THEN DELETE WHEN MATCHED AND p.id = 1 THEN UPDATE SET open = 'merged' WHEN MATCHED THEN UPDATE SET name = s.word || p.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.word)",
    'SELECT * FROM log ORDER BY n',
  ],
  recursion: [
    on('recurses', 'AFTER INSERT', 'recurse()', row),
    "INSERT INTO person (id, name) VALUES (60, 'Eddie')",
    on('tells', 'BEFORE INSERT', 'tell()', row),
    "INSERT INTO person (id, name) VALUES (20, 'Marvin')",
  ],
  'rows as a whole': [
    on('rows', 'BEFORE INSERT OR UPDATE', 'row_of()', row),
    "INSERT INTO person (id, name) VALUES (7, 'Ford') RETURNING name",
    'UPDATE person SET amount = 3 WHERE id = 1 RETURNING name',
    'DROP TRIGGER rows ON person',
    on('others', 'BEFORE INSERT', 'other()', row),
    "INSERT INTO person (id, name) VALUES (8, 'Ford') RETURNING name",
  ],
  'wrong functions': [
    on('wrong', 'BEFORE INSERT', 'wrong()', row),
    on('endless', 'BEFORE DELETE', 'endless()', row),
    on('modifies', 'BEFORE UPDATE', 'modify()', `${row} WHEN (pg_trigger_depth() = 0)`),
    "INSERT INTO person (id, name) VALUES (8, 'Ford')",
    'DELETE FROM person WHERE id = 1',
    "UPDATE person SET name = 'x' WHERE id = 1",
  ],
  'switched on and off': [
    on('tells', `BEFORE ${all}`, 'tell()', row),
    'ALTER TABLE person DISABLE TRIGGER tells',
    'UPDATE person SET amount = 2 WHERE id = 1',
    'ALTER TABLE person ENABLE REPLICA TRIGGER tells',
    'UPDATE person SET amount = 3 WHERE id = 1',
    'ALTER TABLE person ENABLE ALWAYS TRIGGER tells',
    'UPDATE person SET amount = 4 WHERE id = 1',
    'ALTER TABLE person DISABLE TRIGGER USER',
    'UPDATE person SET amount = 5 WHERE id = 1',
    'ALTER TABLE person ENABLE TRIGGER USER',
    'ALTER TRIGGER tells ON person RENAME TO told',
    'UPDATE person SET amount = 6 WHERE id = 1',
    "SELECT tgname, tgenabled, tgtype, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal",
    "COMMENT ON TRIGGER told ON person IS 'words'",
    `CREATE OR REPLACE TRIGGER told AFTER UPDATE ON person ${row} EXECUTE FUNCTION tell('again')`,
    'UPDATE person SET amount = 7 WHERE id = 1',
    'DROP TRIGGER tells ON person',
    'DROP TRIGGER IF EXISTS tells ON person',
    'BEGIN',
    'DROP TRIGGER told ON person',
    'ROLLBACK',
    'UPDATE person SET amount = 8 WHERE id = 1',
    'DROP TRIGGER told ON person',
    'UPDATE person SET amount = 9 WHERE id = 1',
    'CREATE TRIGGER none BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION nothing()',
    'CREATE TRIGGER none BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION now()',
  ],
  'transactions and savepoints': [
    on('audits', `AFTER ${all}`, 'audit()', row),
    on('validates', 'BEFORE INSERT OR UPDATE', 'validate()', row),
    'BEGIN',
    "INSERT INTO person (id, name) VALUES (9, 'Vogon')",
    'SAVEPOINT s',
    "INSERT INTO person (id, name, amount) VALUES (10, 'Vogon', -1)",
    'ROLLBACK TO s',
    'UPDATE person SET amount = 1 WHERE id = 9',
    'COMMIT',
    "DO $$ BEGIN UPDATE person SET name = name || 'y' WHERE id < 3; BEGIN UPDATE person SET amount = -1 WHERE id = 3; EXCEPTION WHEN check_violation THEN RAISE NOTICE 'caught %', SQLERRM; END; END $$",
    'SELECT * FROM log ORDER BY n',
  ],
  'constraint triggers': [
    `CREATE CONSTRAINT TRIGGER b_constraint AFTER ${all} ON person ${row} EXECUTE FUNCTION tell('constraint')`,
    `CREATE CONSTRAINT TRIGGER d_when AFTER UPDATE OF name ON person NOT DEFERRABLE ${row} WHEN (NEW.name LIKE 'Z%') EXECUTE FUNCTION tell()`,
    on('a_plain', `AFTER ${all}`, 'tell()', row),
    on('c_plain', `AFTER ${all}`, 'tell()', row),
    on('c_statement', `AFTER ${all}`, 'tell()'),
    ...writes,
    'CREATE CONSTRAINT TRIGGER e_valid AFTER INSERT OR UPDATE ON person FROM secret FOR EACH ROW EXECUTE FUNCTION validate()',
    "INSERT INTO person (id, name, amount) VALUES (60, 'Prosser', -1)",
    'BEGIN',
    'SET CONSTRAINTS ALL DEFERRED',
    "INSERT INTO person (id, name, amount) VALUES (61, 'Prosser', 1)",
    "INSERT INTO person (id, name, amount) VALUES (62, 'Prosser', -1)",
    'ROLLBACK',
    "SELECT conname, contype, condeferrable FROM pg_constraint WHERE conrelid = 'person'::regclass AND contype = 't' ORDER BY 1",
    'ALTER TABLE person DISABLE TRIGGER e_valid',
    "INSERT INTO person (id, name, amount) VALUES (63, 'Prosser', -1)",
    'ALTER TABLE person ADD COLUMN more text',
    "INSERT INTO person (id, name, amount) VALUES (64, 'Prosser', 1)",
    'ALTER TABLE person DROP COLUMN more',
    'DROP TRIGGER b_constraint ON person',
    "INSERT INTO person (id, name) VALUES (65, 'Prosser')",
  ],
  arguments: [
    on('args', 'BEFORE INSERT', `args('plain', '', 'null', 'a b', 'a,b', '{x}', 'it''s "x"', '\\')`, row),
    "INSERT INTO person (id, name) VALUES (8, 'Ford')",
    'DROP TRIGGER args ON person',
    on('args', 'BEFORE INSERT', 'args()', row),
    "INSERT INTO person (id, name) VALUES (9, 'Ford')",
  ],
};
