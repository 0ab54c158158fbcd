/** Views with INSTEAD OF triggers: what they are made of, and what is done with them. Each script runs from fresh tables. */
import type { Step } from '../support/outcome.js';

export const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      ward: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.ward:
    columns:
      id: { protect: none }
      title: { class: identifier, protect: encrypt }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      was: { class: identifier, protect: encrypt }
      becomes: { class: identifier, protect: encrypt }`;

export const ddl: readonly string[] = [
  'CREATE TABLE person (id int PRIMARY KEY, ward int, name text, amount numeric(10, 2))',
  'CREATE TABLE ward (id int PRIMARY KEY, title varchar(20))',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, was text, becomes text)',
  'CREATE TABLE noted (note text)',
  'CREATE VIEW staff AS SELECT p.id, p.name, p.amount, (SELECT w.title FROM ward w WHERE w.id = p.ward) AS title, p.ward FROM person p',
  'CREATE VIEW wards AS SELECT p.id, p.name, w.title FROM person p JOIN ward w ON w.id = p.ward',
  'CREATE VIEW everybody AS SELECT id, name, 1 AS kind FROM person UNION ALL SELECT id, title, 2 FROM ward',
  'CREATE VIEW loud AS SELECT id, upper(name) AS name FROM person',
  'CREATE VIEW opened AS SELECT id FROM staff',
  'CREATE VIEW rich AS SELECT id, name, amount FROM person WHERE amount > 10',
  `CREATE FUNCTION staff_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % % % old % new % depth %', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME, OLD, NEW, pg_trigger_depth();
     IF TG_OP = 'DELETE' THEN
       DELETE FROM person WHERE id = OLD.id;
       INSERT INTO log (op, was) VALUES ('D', OLD.name);
       RETURN OLD;
     END IF;
     IF NEW.title IS NOT NULL AND NOT EXISTS (SELECT FROM ward WHERE title = NEW.title) THEN
       INSERT INTO ward SELECT coalesce(max(id), 0) + 1, NEW.title FROM ward;
     END IF;
     SELECT id INTO NEW.ward FROM ward WHERE title = NEW.title;
     IF TG_OP = 'INSERT' THEN
       INSERT INTO person VALUES (NEW.id, NEW.ward, NEW.name, NEW.amount);
       INSERT INTO log (op, becomes) VALUES ('I', NEW.name);
     ELSE
       UPDATE person SET id = NEW.id, name = NEW.name, amount = NEW.amount, ward = NEW.ward WHERE id = OLD.id;
       INSERT INTO log (op, was, becomes) VALUES ('U', OLD.name, NEW.name);
     END IF;
     RETURN NEW; END $$`,
  `CREATE FUNCTION skips() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% %', TG_NAME, COALESCE(NEW, OLD);
     IF TG_OP = 'DELETE' THEN IF OLD.name = 'Marvin' THEN RETURN NULL; END IF; RETURN OLD; END IF;
     IF NEW.name = 'Vogon' THEN RETURN NULL; END IF; NEW.name := NEW.name || '!'; RETURN NEW; END $$`,
  `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % % %', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, (SELECT count(*) FROM person); RETURN NULL; END $$`,
  `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % %', TG_OP, OLD, NEW; RETURN COALESCE(NEW, OLD); END $$`,
  `CREATE FUNCTION checks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF NEW.amount < 0 THEN RAISE EXCEPTION 'amount of % is negative', NEW.name USING ERRCODE = 'check_violation'; END IF;
     INSERT INTO person (id, name, amount) VALUES (NEW.id, NEW.name, NEW.amount); RETURN NEW; END $$`,
  `CREATE FUNCTION wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN ROW(1, 2); END $$`,
  `CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$`,
  `CREATE FUNCTION opens() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO noted VALUES (COALESCE(NEW.name, OLD.name)); RETURN NEW; END $$`,
  `CREATE FUNCTION hides() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     NEW.id := length(NEW.name); RETURN NEW; END $$`,
  `CREATE FUNCTION opens_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO noted VALUES (NEW.id::text); RETURN NEW; END $$`,
];

export const fresh: readonly string[] = [
  'DELETE FROM person',
  'DELETE FROM ward',
  'DELETE FROM log',
  'ALTER SEQUENCE log_n_seq RESTART',
  "INSERT INTO ward VALUES (1, 'Bridge'), (2, 'Galley')",
  "INSERT INTO person VALUES (1, 1, 'Zaphod', 10.5), (2, 1, 'Trillian', 20), (3, 2, NULL, NULL), (4, NULL, 'Marvin', -3)",
];

export const contents: readonly string[] = ['person', 'ward', 'log'].map(
  table => `SELECT * FROM ${table} ORDER BY 1`,
);

export const sentinels: readonly string[] = [
  'Zaphod',
  'Trillian',
  'Marvin',
  'Bridge',
  'Galley',
  'Slartibartfast',
  'Agrajag',
  'Fenchurch',
  'Vogon',
];

const on = (view: string, name: string, events: string, routine: string): string =>
  `CREATE TRIGGER ${name} INSTEAD OF ${events} ON ${view} FOR EACH ROW EXECUTE FUNCTION ${routine}()`;
const all = 'INSERT OR UPDATE OR DELETE';

const writes: readonly Step[] = [
  "INSERT INTO staff (id, name, amount, title) VALUES (10, 'Slartibartfast', 42, 'Norway')",
  "INSERT INTO staff VALUES (11, 'Vogon', 1.005, 'Bridge'), (12, 'Fenchurch', NULL, NULL) RETURNING *, amount * 2 AS twice",
  [
    'INSERT INTO staff (id, name, title) VALUES ($1, $2, $3) RETURNING id, name, ward',
    13,
    'Agrajag',
    'Galley',
  ],
  'INSERT INTO staff (id, name, amount) SELECT id + 20, name, amount FROM person WHERE amount > 0 ORDER BY id RETURNING name, ward',
  "UPDATE staff SET name = name || 'x', title = 'Galley' WHERE id <= 2 RETURNING id, name, title, ward",
  [
    'UPDATE staff AS s SET amount = $2 FROM ward w WHERE w.title = s.title AND s.id = $1 RETURNING s.amount',
    3,
    '7.25',
  ],
  'UPDATE staff SET id = id + 100, amount = DEFAULT WHERE id > 11',
  'UPDATE staff SET amount = 1 WHERE false RETURNING *',
  'UPDATE staff SET (name, amount) = (title, 3) WHERE id = 1',
  "DELETE FROM staff WHERE name LIKE '%x' RETURNING name, id",
  ['DELETE FROM staff s USING ward w WHERE w.id = s.ward AND s.name = $1', 'Agrajag'],
  "DELETE FROM staff WHERE name = 'Marvin' RETURNING *",
  'SELECT * FROM staff ORDER BY id',
];

export const scripts: Readonly<Record<string, readonly Step[]>> = {
  'all writes': [on('staff', 'w', all, 'staff_write'), ...writes],
  'rows that are changed and left out': [
    on('staff', 'w', all, 'staff_write'),
    on('staff', 'a', all, 'skips'),
    ...writes,
  ],
  'triggers of the statement': [
    on('staff', 'w', all, 'staff_write'),
    `CREATE TRIGGER b BEFORE ${all} ON staff EXECUTE FUNCTION tell()`,
    `CREATE TRIGGER c AFTER ${all} ON staff FOR EACH STATEMENT EXECUTE FUNCTION tell()`,
    ...writes,
  ],
  'joins and unions': [
    on('wards', 'n', all, 'nothing'),
    "UPDATE wards SET name = title || '?' WHERE name LIKE 'Z%' RETURNING *",
    'UPDATE wards v SET title = p.name FROM person p WHERE p.id = v.id AND v.id = 2 RETURNING v.title',
    'DELETE FROM wards WHERE name IS NULL RETURNING title',
    on('everybody', 'n', all, 'nothing'),
    "INSERT INTO everybody VALUES (5, 'Ford', 1)",
    'UPDATE everybody SET name = lower(name) WHERE id = 1 RETURNING *',
    'DELETE FROM everybody WHERE id = 2 RETURNING kind, name',
  ],
  'defaults of a view': [
    on('staff', 'n', all, 'nothing'),
    "ALTER VIEW staff ALTER COLUMN name SET DEFAULT 'Somebody'",
    'ALTER VIEW staff ALTER COLUMN amount SET DEFAULT 5',
    'INSERT INTO staff (id) VALUES (7) RETURNING *',
    "INSERT INTO staff (id, name) VALUES (8, DEFAULT), (9, 'x') RETURNING *",
    'INSERT INTO staff DEFAULT VALUES RETURNING *',
    'UPDATE staff SET name = DEFAULT WHERE id = 1 RETURNING *',
    'ALTER VIEW staff ALTER COLUMN name DROP DEFAULT',
    'ALTER VIEW staff ALTER COLUMN amount DROP DEFAULT',
    'INSERT INTO staff (id) VALUES (7) RETURNING *',
  ],
  'errors, transactions and savepoints': [
    on('staff', 'c', 'INSERT', 'checks'),
    'BEGIN',
    "INSERT INTO staff (id, name, amount) VALUES (20, 'Ford', 3)",
    'SAVEPOINT s',
    "INSERT INTO staff (id, name, amount) VALUES (21, 'a', 3), (22, 'b', -1)",
    'ROLLBACK TO s',
    "INSERT INTO staff (id, name, amount) VALUES (1, 'again', 3)",
    'ROLLBACK TO s',
    "INSERT INTO staff (id, name, amount) VALUES ('x', 'a', 3)",
    'ROLLBACK TO s',
    "INSERT INTO staff (id, title) VALUES (30, 'a title that is too long for it')",
    'COMMIT',
    'BEGIN READ ONLY',
    "INSERT INTO staff (id, name) VALUES (40, 'x')",
    'ROLLBACK',
    on('staff', 'e', 'DELETE', 'endless'),
    'BEGIN READ ONLY',
    'DELETE FROM staff',
    'ROLLBACK',
    'DELETE FROM staff',
    'UPDATE staff SET id = 2',
    on('staff', 'r', 'UPDATE', 'wrong'),
    'DELETE FROM staff WHERE id = 1',
    'UPDATE staff SET id = 2 WHERE id = 1',
  ],
  'one event by triggers, another by the view': [
    on('rich', 'n', 'DELETE', 'nothing'),
    "UPDATE rich SET name = 'Rich' WHERE id = 1 RETURNING name",
    "INSERT INTO rich VALUES (50, 'Poor', 1)",
    'DELETE FROM rich RETURNING id',
    'SELECT * FROM rich ORDER BY id',
  ],
  'within bodies': [
    on('staff', 'w', all, 'staff_write'),
    `DO $$ DECLARE n int; who text; BEGIN
       INSERT INTO staff (id, name, title) VALUES (60, 'Eddie', 'Bridge') RETURNING name INTO who;
       GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE '% % %', n, who, FOUND;
       UPDATE staff SET amount = 1 WHERE id > 1; GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE '%', n;
       BEGIN DELETE FROM staff WHERE id = 60; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN RAISE NOTICE 'caught'; END;
     END $$`,
  ],
  'made and dropped': [
    on('staff', 'n', all, 'nothing'),
    "SELECT tgname, tgtype, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'staff'::regclass",
    "SELECT is_trigger_updatable, is_trigger_deletable, is_trigger_insertable_into FROM information_schema.views WHERE table_name = 'staff'",
    'ALTER TRIGGER n ON staff RENAME TO m',
    "COMMENT ON TRIGGER m ON staff IS 'words'",
    'DELETE FROM staff WHERE id = 1',
    `CREATE OR REPLACE TRIGGER m INSTEAD OF DELETE ON staff FOR EACH ROW EXECUTE FUNCTION skips()`,
    'DELETE FROM staff WHERE id = 1',
    'BEGIN',
    'DROP TRIGGER m ON staff',
    'ROLLBACK',
    'DELETE FROM staff WHERE id = 1',
    'CREATE OR REPLACE VIEW rich AS SELECT id, name, amount FROM person WHERE amount > 11',
    on('rich', 'n', all, 'nothing'),
    'CREATE OR REPLACE VIEW rich AS SELECT id, name, amount FROM person WHERE amount > 10',
    'DELETE FROM rich',
    'DROP TRIGGER n ON rich',
    'DROP TRIGGER m ON staff',
    'DROP TRIGGER m ON staff',
    'DROP TRIGGER IF EXISTS m ON staff',
    'CREATE TRIGGER x BEFORE INSERT ON staff FOR EACH ROW EXECUTE FUNCTION nothing()',
    'CREATE TRIGGER x INSTEAD OF INSERT ON person FOR EACH ROW EXECUTE FUNCTION nothing()',
    'CREATE TRIGGER x INSTEAD OF INSERT ON staff EXECUTE FUNCTION nothing()',
    'CREATE TRIGGER x INSTEAD OF UPDATE OF id ON staff FOR EACH ROW EXECUTE FUNCTION nothing()',
    'CREATE TRIGGER x AFTER TRUNCATE ON staff EXECUTE FUNCTION nothing()',
  ],
};
