/** Triggers with transition tables, and what is done then. Each script runs from fresh tables. */
import type { Step } from '../support/outcome.js';

export const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      open: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.secret:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt, queries: [equality] }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      person: { protect: none }
      was: { class: identifier, protect: encrypt }
      becomes: { class: identifier, protect: encrypt }
  public.tally:
    columns:
      id: { protect: none }
      n: { protect: none }
      sum: { class: confidential, protect: encrypt }`;

export const ddl: readonly string[] = [
  "CREATE TABLE person (id int PRIMARY KEY, open text DEFAULT 'd', name varchar(30), amount numeric(10, 2))",
  'CREATE TABLE secret (id int PRIMARY KEY, word text)',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, person int, was text, becomes text)',
  'CREATE TABLE tally (id int PRIMARY KEY, n int, sum numeric)',
  'CREATE TABLE seen (id int, note text)',
  `CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r record; who person; BEGIN
     RAISE NOTICE '% % %', TG_NAME, TG_LEVEL, TG_OP;
     FOR r IN SELECT * FROM n ORDER BY id LOOP RAISE NOTICE 'new %', r; END LOOP;
     SELECT n.* INTO who FROM n ORDER BY id LIMIT 1;
     RAISE NOTICE '% % %', who.name, FOUND, (SELECT count(*) FROM n);
     RETURN NULL; END $$`,
  `CREATE FUNCTION tells_old() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % %', TG_NAME, TG_LEVEL, TG_OP, (SELECT string_agg(name || '=' || coalesce(amount, 0), ', ' ORDER BY id) FROM o);
     RETURN NULL; END $$`,
  `CREATE FUNCTION tells_both() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % %', TG_NAME, TG_LEVEL, TG_OP,
       (SELECT jsonb_agg(jsonb_build_array(o.id, o.name, n.name, n.amount - o.amount) ORDER BY o.id) FROM o FULL JOIN n USING (id));
     IF TG_LEVEL = 'ROW' THEN RAISE NOTICE 'row % %', OLD.name, (SELECT count(*) FROM n WHERE n.name = NEW.name); END IF;
     RETURN NULL; END $$`,
  `CREATE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c int; BEGIN
     IF TG_OP = 'INSERT' THEN INSERT INTO log (op, person, becomes) SELECT 'I', id, name FROM n ORDER BY id;
     ELSIF TG_OP = 'DELETE' THEN INSERT INTO log (op, person, was) SELECT 'D', x.id, x.name FROM o AS x ORDER BY x.id;
     ELSE INSERT INTO log (op, person, was, becomes) SELECT 'U', id, o.name, n.name FROM o JOIN n USING (id) WHERE o.* IS DISTINCT FROM n.* ORDER BY id;
     END IF;
     GET DIAGNOSTICS c = ROW_COUNT; RAISE NOTICE '% rows', c; RETURN NULL; END $$`,
  `CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     UPDATE tally SET n = tally.n + c.n, sum = tally.sum + c.s FROM (SELECT count(*) AS n, coalesce(sum(amount), 0) AS s FROM n) AS c WHERE tally.id = 1;
     RETURN NULL; END $$`,
  `CREATE FUNCTION joins() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c int; BEGIN
     SELECT count(*) INTO c FROM n JOIN secret s ON s.word = n.name; RAISE NOTICE 'known %', c;
     SELECT count(*) INTO c FROM person p WHERE p.id IN (SELECT id FROM n WHERE amount > 5); RAISE NOTICE 'rich %', c;
     IF EXISTS (SELECT FROM n a JOIN n b ON a.name = b.name AND a.id < b.id) THEN RAISE EXCEPTION 'twice' USING ERRCODE = 'unique_violation'; END IF;
     UPDATE secret SET word = word || '!' FROM n WHERE n.name = secret.word;
     DELETE FROM secret USING n WHERE n.id = secret.id AND n.open = 'gone';
     MERGE INTO secret s USING n ON n.id + 100 = s.id WHEN NOT MATCHED THEN INSERT VALUES (n.id + 100, n.name);
     RETURN NULL; END $$`,
  `CREATE FUNCTION opens() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
     INSERT INTO seen (id, note) SELECT id, open FROM n;
     FOR r IN SELECT id, name FROM n ORDER BY id LOOP
       IF r.name IS NOT NULL THEN INSERT INTO seen VALUES (r.id, 'named'); END IF;
     END LOOP;
     FOR r IN SELECT n.id + 1 AS id, p.name FROM n JOIN person p USING (id) ORDER BY 1 LOOP INSERT INTO seen VALUES (r.id, 'next'); END LOOP;
     RETURN NULL; END $$`,
  `CREATE FUNCTION runs() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c int; r record; t text; BEGIN
     EXECUTE 'SELECT count(*) FROM n WHERE id > $1' INTO c USING 10; RAISE NOTICE '%', c;
     EXECUTE 'INSERT INTO log (op, person, becomes) SELECT $1, id, name FROM n' USING 'x';
     FOR r IN EXECUTE 'SELECT name FROM n ORDER BY id DESC' LOOP RAISE NOTICE '%', r.name; END LOOP;
     SELECT json_agg(x ORDER BY x.id) INTO t FROM n AS x (id, first) WHERE x.first IS NOT NULL; RAISE NOTICE '%', t;
     SELECT to_jsonb(n) INTO t FROM n ORDER BY id LIMIT 1; RAISE NOTICE '%', t;
     WITH w AS (SELECT max(id) AS m FROM n) SELECT m INTO c FROM w; RAISE NOTICE '%', c;
     t := (SELECT name FROM n ORDER BY id LIMIT 1); RAISE NOTICE '%', t;
     PERFORM FROM n WHERE amount IS NULL; RAISE NOTICE '%', FOUND;
     RETURN NULL; END $$`,
  `CREATE FUNCTION writes_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO n VALUES (1); RETURN NULL; END $$`,
  `CREATE FUNCTION deletes_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM n; RETURN NULL; END $$`,
  `CREATE FUNCTION hidden() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% %', (SELECT count(*) FROM secret), (SELECT count(*) FROM public.secret); RETURN NULL; END $$`,
  `CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CALL names_n(); RETURN NULL; END $$`,
  `CREATE PROCEDURE names_n() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (op) SELECT 'x' FROM n; END $$`,
  `CREATE FUNCTION deeper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF EXISTS (SELECT FROM n WHERE id < 100) THEN INSERT INTO person SELECT id + 100, open, name, amount FROM n; END IF;
     RAISE NOTICE 'depth % rows %', pg_trigger_depth(), (SELECT array_agg(id ORDER BY id) FROM n); RETURN NULL; END $$`,
  `CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF NEW.name = 'Vogon' THEN RETURN NULL; END IF; NEW.name := upper(NEW.name); RETURN NEW; END $$`,
];

export const fresh: readonly string[] = [
  'DELETE FROM person',
  'DELETE FROM secret',
  'DELETE FROM log',
  'DELETE FROM tally',
  'DELETE FROM seen',
  'ALTER SEQUENCE log_n_seq RESTART',
  "INSERT INTO person VALUES (1, 'a', 'Zaphod', 10.5), (2, 'b', 'Trillian', 20), (3, 'a', NULL, NULL), (4, NULL, 'Marvin', -3)",
  "INSERT INTO secret VALUES (1, 'Slartibartfast'), (2, 'Zaphod')",
  'INSERT INTO tally VALUES (1, 0, 0)',
];

export const contents: readonly string[] = [
  'SELECT * FROM person ORDER BY id',
  'SELECT * FROM secret ORDER BY id',
  'SELECT * FROM log ORDER BY n',
  'SELECT * FROM tally',
  'SELECT * FROM seen ORDER BY id, note',
];

export const sentinels: readonly string[] = [
  'Zaphod',
  'Trillian',
  'Marvin',
  'Slartibartfast',
  'Agrajag',
  'Fenchurch',
  'Vogon',
];

const on = (event: string, routine: string, level = 'STATEMENT', names?: string): string => {
  const tables =
    names ??
    { INSERT: 'NEW TABLE AS n', DELETE: 'OLD TABLE AS o', UPDATE: 'OLD TABLE AS o NEW TABLE n' }[event];
  return `CREATE TRIGGER ${routine}_${event.toLowerCase()} AFTER ${event} ON person REFERENCING ${tables} FOR EACH ${level} EXECUTE FUNCTION ${routine}()`;
};

const writes: readonly Step[] = [
  "INSERT INTO person VALUES (10, 'x', 'Agrajag', 42), (11, 'y', 'Vogon', NULL) RETURNING id",
  ['INSERT INTO person (id, name) VALUES ($1, $2)', 12, 'it\'s "Fenchurch", \\ {she}'],
  'INSERT INTO person SELECT id + 20, open, name, amount FROM person WHERE amount > 15 ORDER BY id',
  'INSERT INTO person SELECT 99 WHERE false',
  "UPDATE person SET name = name || 'x', amount = amount + 1 WHERE id <= 3",
  ['UPDATE person SET amount = $1 WHERE name = $2', '7.25', 'Marvin'],
  'UPDATE person SET open = open WHERE id = 1',
  'UPDATE person SET amount = 1 WHERE false',
  'DELETE FROM person WHERE id IN (2, 10)',
  'DELETE FROM person WHERE false',
];

export const scripts: Readonly<Record<string, readonly Step[]>> = {
  'what they hold': [
    on('INSERT', 'tells'),
    on('DELETE', 'tells_old'),
    on('UPDATE', 'tells_both'),
    'CREATE TRIGGER louder BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION louder()',
    ...writes,
  ],
  'triggers of rows': [
    on('INSERT', 'tells', 'ROW'),
    on('DELETE', 'tells_old', 'ROW'),
    on('UPDATE', 'tells_both', 'ROW'),
    ...writes,
  ],
  'an audit table': [
    on('INSERT', 'audits'),
    on('DELETE', 'audits'),
    on('UPDATE', 'audits'),
    ...writes,
    "INSERT INTO person VALUES (1, 'again', 'one', 5), (40, 'new', 'two', 6) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "MERGE INTO person p USING (VALUES (1, 'a'), (3, 'x'), (4, 'x'), (50, 'Ford')) AS s (id, word) ON p.id = s.id WHEN MATCHED AND s.word = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.word WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm', s.word)",
  ],
  counters: [on('INSERT', 'counts'), ...writes],
  'joins with protected tables': [
    on('INSERT', 'joins'),
    "INSERT INTO person VALUES (20, 'gone', 'Zaphod', 6), (21, 'x', 'Ford', 2)",
    "INSERT INTO person VALUES (22, 'x', 'Same', 6), (23, 'x', 'Same', 2)",
    "DO $$ BEGIN INSERT INTO person VALUES (22, 'x', 'Same', 6), (23, 'x', 'Same', 2); EXCEPTION WHEN unique_violation THEN RAISE NOTICE '%', SQLERRM; END $$",
    "INSERT INTO person VALUES (1, 'x', 'Same', 6)",
    "INSERT INTO person VALUES (24, 'x', NULL, 6)",
  ],
  'unprotected columns': [
    on('INSERT', 'opens'),
    "INSERT INTO person VALUES (20, 'gone', 'Zaphod', 6), (21, 'x', NULL, 2)",
  ],
  'queries of every kind': [
    on('INSERT', 'runs'),
    "INSERT INTO person VALUES (20, 'gone', 'Zaphod', 6), (21, 'x', NULL, 2), (9, 'x', 'Vogon', NULL)",
    'INSERT INTO person SELECT 99 WHERE false',
  ],
  'what they are not': [
    on('INSERT', 'writes_it'),
    "INSERT INTO person VALUES (20, 'a', 'Ford', 6)",
    'DROP TRIGGER writes_it_insert ON person',
    on('INSERT', 'deletes_it'),
    "INSERT INTO person VALUES (20, 'a', 'Ford', 6)",
    'DROP TRIGGER deletes_it_insert ON person',
    on('INSERT', 'elsewhere'),
    "INSERT INTO person VALUES (20, 'a', 'Ford', 6)",
    'DROP TRIGGER elsewhere_insert ON person',
    on('INSERT', 'hidden', 'STATEMENT', 'NEW TABLE AS secret'),
    "INSERT INTO person VALUES (20, 'a', 'Ford', 6)",
    'SELECT * FROM n',
    'CREATE TRIGGER x BEFORE INSERT ON person REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tells()',
    'CREATE TRIGGER x AFTER INSERT ON person REFERENCING OLD TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tells()',
    'CREATE TRIGGER x AFTER INSERT OR UPDATE ON person REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tells()',
    'CREATE TRIGGER x AFTER UPDATE OF id ON person REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tells()',
    "SELECT tgname, tgoldtable, tgnewtable, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal",
  ],
  'within each other': [
    on('INSERT', 'deeper'),
    "INSERT INTO person VALUES (20, 'a', 'Ford', 6), (21, 'b', 'Eddie', 7)",
    'BEGIN',
    'SAVEPOINT s',
    "INSERT INTO person VALUES (30, 'a', 'Ford', 6)",
    'ROLLBACK TO s',
    "INSERT INTO person VALUES (30, 'a', 'Agrajag', 6)",
    'COMMIT',
  ],
};
