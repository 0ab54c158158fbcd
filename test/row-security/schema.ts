/** Tables, policies and roles of the tests of row level security. */

/** What of them is protected. */
export const policy = `unlisted: pass
tables:
  public.document:
    columns:
      id: { protect: none }
      owner: { class: identifier, protect: encrypt, queries: [equality] }
      level: { class: confidential, protect: encrypt }
      title: { class: confidential, protect: encrypt }
      tenant: { protect: none }
  public.account:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      clearance: { class: confidential, protect: encrypt }
  public.own:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.key:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      word: { class: confidential, protect: encrypt }`;

/** What the session's own role makes. */
export const made = [
  'CREATE TABLE account (id integer PRIMARY KEY, name text, clearance integer)',
  'CREATE TABLE document (id integer, owner text, level integer, title text, tenant text)',
  'CREATE TABLE note (id serial PRIMARY KEY, tenant text, body text, part integer DEFAULT 1)',
  'CREATE TABLE own (id integer, word text)',
  "CREATE TABLE key (id integer PRIMARY KEY, word text CHECK (word <> 'bad'))",
  "INSERT INTO account VALUES (1, 'alice', 2), (2, 'bob', 5), (3, 'carol', 0)",
  `INSERT INTO document VALUES (1, 'alice', 1, 'a one', 'red'), (2, 'alice', 3, 'a three', 'blue'),
    (3, 'bob', 2, 'b two', 'red'), (4, 'bob', 5, 'hidden-five', 'blue'), (5, 'carol', 4, 'c four', 'red'), (6, NULL, 0, 'nobody', NULL)`,
  "INSERT INTO note (tenant, body) VALUES ('red', 'r1'), ('red', 'r2'), ('blue', 'b1')",
  "INSERT INTO own VALUES (1, 'one'), (2, 'two'), (3, 'three')",
  "INSERT INTO key VALUES (1, 'one'), (2, 'two'), (3, 'three')",
  'CREATE ROLE alice',
  'CREATE ROLE bob',
  'CREATE ROLE staff',
  'CREATE ROLE outsider',
  'GRANT staff TO alice',
  'GRANT alice, bob, staff, outsider TO CURRENT_USER',
  'GRANT SELECT, INSERT, UPDATE, DELETE ON document, note, own, key TO alice, bob, staff',
  'GRANT SELECT ON account TO alice, bob, staff',
  'GRANT USAGE ON SEQUENCE note_id_seq TO alice, bob',
  'GRANT SELECT ON document TO outsider',
  'CREATE VIEW every AS SELECT id, owner, title FROM document',
  'CREATE VIEW mine WITH (security_invoker) AS SELECT id, owner, title FROM document',
  'CREATE VIEW quotient WITH (security_invoker) AS SELECT id FROM document WHERE 1 / (level - 5) < 100',
  'CREATE FUNCTION over(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS $$SELECT 1 / ($1 - 5)$$',
  'GRANT SELECT ON every, mine, quotient TO alice, bob',
  'GRANT UPDATE ON mine TO alice',
  'ALTER TABLE document ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY see ON document FOR SELECT USING (owner = current_user OR level < 3)',
  'CREATE POLICY add ON document FOR INSERT WITH CHECK (owner = current_user)',
  'CREATE POLICY change ON document FOR UPDATE USING (owner = current_user) WITH CHECK (owner = current_user AND level < 9)',
  'CREATE POLICY drop_own ON document FOR DELETE TO staff USING (owner = current_user)',
  "CREATE POLICY no_blue ON document AS RESTRICTIVE TO bob USING (tenant <> 'blue' OR level < 9) WITH CHECK (tenant = 'red')",
  'ALTER TABLE note ENABLE ROW LEVEL SECURITY',
  "CREATE POLICY tenants ON note USING (tenant = current_setting('app.tenant', true))",
  'ALTER TABLE account ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY myself ON account USING (name = current_user)',
  'ALTER TABLE own ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
  'CREATE POLICY few ON own USING (id < 3)',
  `CREATE FUNCTION leaks(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$BEGIN RAISE NOTICE 'level %', $1; RETURN true; END$$`,
  `CREATE FUNCTION tenant() RETURNS text STABLE LANGUAGE sql AS $$SELECT current_setting('app.tenant', true)$$`,
  `CREATE FUNCTION lodges(text) RETURNS boolean STABLE LANGUAGE plpgsql AS
    $$BEGIN RETURN current_setting('app.floor', true) IS NULL OR $1 = tenant(); END$$`,
  'CREATE FUNCTION read_setting(name text) RETURNS text STABLE LANGUAGE sql AS $$SELECT current_setting(name, true)$$',
  `CREATE FUNCTION clarus_version() RETURNS text STABLE LANGUAGE sql AS $$SELECT current_setting('clarus.version', true)$$`,
  'CREATE TABLE room (id integer, tenant text)',
  "INSERT INTO room VALUES (1, 'red'), (2, 'blue'), (3, NULL)",
  'GRANT SELECT, INSERT, UPDATE ON room TO alice, bob',
  'ALTER TABLE room ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY lodgers ON room TO alice USING (tenant = tenant())',
  'CREATE POLICY floor ON room TO bob USING (lodges(tenant))',
  'ALTER TABLE key ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY known ON key USING (EXISTS (SELECT FROM account a WHERE a.clearance >= key.id))',
];

export const reads = [
  'SELECT * FROM document ORDER BY id',
  'SELECT count(*) FROM document',
  "SELECT id FROM document WHERE owner = 'bob' ORDER BY id",
  "SELECT id, title FROM document WHERE title LIKE '%o%' ORDER BY id",
  'SELECT d.id, a.name FROM document d JOIN account a ON a.name = d.owner ORDER BY 1',
  'SELECT id FROM document WHERE owner IN (SELECT name FROM account) ORDER BY 1',
  'WITH d AS (SELECT * FROM document) SELECT owner, count(*) FROM d GROUP BY owner ORDER BY 1',
  'SELECT * FROM every ORDER BY id',
  'SELECT * FROM mine ORDER BY id',
  'SELECT name, clearance FROM account ORDER BY id',
  'SELECT id, tenant, body FROM note ORDER BY id',
  'SELECT * FROM room ORDER BY id',
  'SELECT tenant(), name, clearance FROM account ORDER BY id',
  'SELECT * FROM own ORDER BY id',
  'SELECT * FROM key ORDER BY id',
  'SELECT (SELECT max(level) FROM document), current_user',
  'SELECT id FROM document UNION ALL SELECT id FROM own ORDER BY 1',
  ['SELECT id FROM document WHERE owner = $1 ORDER BY id', 'bob'] as const,
  // what is hidden shows by no error
  'SELECT id FROM document WHERE 1 / (level - 5) < 100 ORDER BY id',
  "SELECT id FROM document WHERE title::integer > 0 AND owner = 'bob' AND level > 4",
  'SELECT id FROM document WHERE level > 4 AND 1 / (level - 5) > 0',
  'SELECT id FROM document WHERE 1 / (level - 2) < 100',
  'SELECT id FROM key WHERE 1 / (id - 3) < 5 ORDER BY id',
  'SELECT id FROM document WHERE 1 / (level - 5) = id',
  'SELECT id FROM document WHERE 1 / (level - 5) = (SELECT 1) ORDER BY id',
  'SELECT id FROM document WHERE 1 / (level - 5) IN (VALUES (1), (2)) ORDER BY id',
  'SELECT d.id FROM document d JOIN document e ON 1 / (d.level - 5) = 1 / (e.level - 5) AND e.id = d.id ORDER BY 1',
  'SELECT id FROM document WHERE id IN (SELECT 1 / (level - 5) FROM document) AND id = 3',
  'SELECT d.id FROM document d JOIN document e ON d.id = 1 / (e.level - 5) WHERE d.id = 3 ORDER BY 1',
  "SELECT id FROM note WHERE 1 / (id - 3) = part OR lower(body) = 'r1' ORDER BY id",
  "SELECT id FROM note WHERE lower(body) IN ('r1', 'b1') AND tenant::text LIKE '%e%' ORDER BY id",
  'SELECT id FROM document WHERE over(level) < 100 ORDER BY id',
  'SELECT owner, count(*) FROM document GROUP BY owner, level HAVING 1 / (level - 5) < 100 ORDER BY 1, 2',
];

export const writes = [
  "INSERT INTO document VALUES (10, 'alice', 1, 'new', 'red')",
  "INSERT INTO document VALUES (11, 'bob', 1, 'new', 'red')",
  "INSERT INTO document VALUES (12, 'bob', 1, 'new', 'blue')",
  "INSERT INTO document VALUES (13, NULL, 1, 'new', 'red')",
  "INSERT INTO document VALUES (14, current_user, 7, 'new', 'red') RETURNING id, title",
  'INSERT INTO document SELECT id + 20, owner, level, title, tenant FROM document WHERE owner = current_user',
  "INSERT INTO document (id, owner) VALUES (15, 'carol') RETURNING id",
  'UPDATE document SET level = level + 1',
  'UPDATE document SET level = 9 WHERE id = 1',
  'DELETE FROM note WHERE 1 / (id - 3) = part',
  'UPDATE document SET level = 1 / (level - 5) WHERE 1 / (level - 5) = (SELECT 0)',
  "UPDATE document SET owner = 'bob' WHERE id = 1",
  "UPDATE document SET owner = 'carol' WHERE id = 3",
  "UPDATE document SET tenant = 'blue' WHERE owner = current_user",
  "UPDATE document SET title = 'x' WHERE id = 4 RETURNING id, title, level",
  "UPDATE document SET title = upper(title) WHERE title LIKE '%o%' RETURNING id, title",
  'DELETE FROM document WHERE id = 4',
  'DELETE FROM document RETURNING id',
  "INSERT INTO note (tenant, body) VALUES ('red', 'x')",
  "INSERT INTO note (tenant, body) VALUES ('blue', 'y')",
  "UPDATE note SET body = body || '!'",
  "UPDATE note SET tenant = 'green'",
  "DELETE FROM note WHERE body LIKE 'b%'",
  "INSERT INTO room VALUES (4, 'red')",
  "INSERT INTO room VALUES (4, 'blue')",
  'UPDATE room SET id = id + 10',
  'INSERT INTO own VALUES (1, tenant())',
  'UPDATE own SET word = word || tenant() WHERE id = 1',
  "INSERT INTO own VALUES (9, 'nine')",
  "INSERT INTO own VALUES (0, 'zero')",
  'UPDATE own SET id = id + 1 WHERE id = 1',
  'UPDATE own SET id = id + 5',
  'DELETE FROM own',
  "INSERT INTO key VALUES (7, 'seven')",
  "INSERT INTO key VALUES (4, 'four')",
  "INSERT INTO key VALUES (1, 'other')",
  "INSERT INTO key VALUES (3, 'other')",
  "INSERT INTO key VALUES (5, 'bad')",
  "INSERT INTO key VALUES (9, 'bad')",
  'UPDATE key SET id = id + 10',
  'UPDATE key SET id = 2 WHERE id = 1',
  "UPDATE key SET word = 'w' WHERE id = 3",
];

/** How policies come and go, and who is exempt from them. */
export const changes = [
  "SET app.tenant = 'red'",
  'PREPARE some AS SELECT count(*) FROM document',
  'EXECUTE some',
  'SET ROLE bob',
  'EXECUTE some',
  'SELECT row_security_active($$document$$)',
  'SELECT * FROM room ORDER BY id',
  "SET app.floor = 'first'",
  'SELECT * FROM room ORDER BY id',
  "SET app.tenant = 'blue'",
  'SELECT * FROM room ORDER BY id',
  'RESET app.tenant',
  'SELECT * FROM room ORDER BY id',
  "SET app.tenant = 'red'",
  'SET row_security = off',
  'EXECUTE some',
  'SELECT count(*) FROM document',
  'SELECT count(*) FROM every',
  'RESET row_security',
  'EXECUTE some',
  'RESET ROLE',
  'EXECUTE some',
  'SET row_security = off',
  'SELECT count(*) FROM own',
  'RESET row_security',
  'SELECT count(*) FROM own',
  'CREATE POLICY more ON document TO bob USING (tenant = $$blue$$)',
  'SET ROLE bob',
  'EXECUTE some',
  'RESET ROLE',
  'ALTER POLICY more ON document TO alice',
  'SET ROLE bob',
  'EXECUTE some',
  'CREATE POLICY own ON document USING (true)',
  'ALTER TABLE document DISABLE ROW LEVEL SECURITY',
  'RESET ROLE',
  'ALTER POLICY more ON document RENAME TO less',
  'SELECT policyname, permissive, roles, cmd, qual, with_check FROM pg_policies ORDER BY tablename, policyname',
  'DROP POLICY more ON document',
  'DROP POLICY less ON document',
  'DROP POLICY IF EXISTS less ON document',
  'CREATE POLICY see ON document USING (true)',
  'CREATE POLICY wrong ON document USING (nothing = 1)',
  'CREATE POLICY wrong ON document FOR INSERT USING (true)',
  'CREATE POLICY wrong ON every USING (true)',
  'CREATE POLICY wrong ON nothing USING (true)',
  'ALTER TABLE document DISABLE ROW LEVEL SECURITY',
  'SET ROLE bob',
  'EXECUTE some',
  'RESET ROLE',
  'ALTER TABLE document ENABLE ROW LEVEL SECURITY',
  'SET ROLE bob',
  'EXECUTE some',
  'RESET ROLE',
  'BEGIN',
  'ALTER TABLE document DISABLE ROW LEVEL SECURITY',
  'SET LOCAL ROLE bob',
  'EXECUTE some',
  'ROLLBACK',
  'SET ROLE bob',
  'EXECUTE some',
  'RESET ROLE',
  'ALTER TABLE own NO FORCE ROW LEVEL SECURITY',
  'SELECT count(*) FROM own',
  'ALTER TABLE own FORCE ROW LEVEL SECURITY',
  'SELECT count(*) FROM own',
  'ALTER TABLE note FORCE ROW LEVEL SECURITY',
  'CREATE TABLE kept AS SELECT * FROM note',
  'SELECT * FROM kept ORDER BY id',
  'SELECT id, body INTO chosen FROM note',
  'SELECT * FROM chosen ORDER BY id',
  'ALTER TABLE note NO FORCE ROW LEVEL SECURITY',
  'SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname IN ($$own$$, $$document$$) ORDER BY 1',
];

/** What runs statements within others. */
export const bodies = [
  `DO $$DECLARE n integer; BEGIN
    SELECT count(*) INTO n FROM document;
    UPDATE document SET title = 'seen ' || n WHERE owner = current_user;
    RAISE NOTICE 'sees %', n;
    BEGIN UPDATE document SET owner = 'nobody' WHERE owner = current_user;
    EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE 'not permitted: %', SQLERRM; END;
  END$$`,
  'SELECT id, title FROM document ORDER BY id',
  'BEGIN',
  'DECLARE c CURSOR FOR SELECT id, level FROM document ORDER BY id',
  'FETCH 2 FROM c',
  'RESET ROLE',
  'FETCH ALL FROM c',
  'ROLLBACK',
  'SELECT id FROM document WHERE leaks(level) ORDER BY id',
  'SELECT id FROM document WHERE leaks(level) AND 1 / (level - 5) <= 100 ORDER BY id',
  'SELECT id FROM document ORDER BY lower(title), id',
  'SELECT count(*), sum(level) FROM (SELECT * FROM document OFFSET 0) d WHERE 1 / (level - 5) < 100',
  'SELECT a.id FROM document a JOIN document b ON a.level + 1 = b.level OR 1 / (b.level - 5) > 7 ORDER BY 1',
  'SELECT d.id FROM document d LEFT JOIN account a ON a.name = d.owner AND 10 / (a.clearance - 5) < 100 ORDER BY 1',
];

/** What the cloud runs by itself, and what reads the open table `note` there. */
export const fired = [
  'CREATE TABLE gathered (LIKE note)',
  'CREATE FUNCTION notes() RETURNS bigint STABLE LANGUAGE sql AS $$SELECT count(*) FROM note$$',
  `CREATE FUNCTION gather() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO gathered SELECT * FROM note; RETURN NULL; END$$`,
  'CREATE MATERIALIZED VIEW shown_notes AS SELECT * FROM note',
  'CREATE TABLE written (id integer)',
  'CREATE TRIGGER g AFTER INSERT ON written EXECUTE FUNCTION gather()',
  'CREATE TABLE emptied (id integer)',
  'CREATE TRIGGER g AFTER TRUNCATE ON emptied EXECUTE FUNCTION gather()',
  'CREATE TABLE parent (id integer PRIMARY KEY)',
  'CREATE TABLE child (parent integer REFERENCES parent ON DELETE CASCADE)',
  'CREATE TRIGGER g AFTER DELETE ON child EXECUTE FUNCTION gather()',
  'CREATE TABLE listed (id integer) PARTITION BY LIST (id)',
  'CREATE TABLE listed_1 PARTITION OF listed DEFAULT',
  'CREATE TRIGGER g AFTER INSERT ON listed_1 FOR EACH ROW EXECUTE FUNCTION gather()',
  'CREATE TABLE checked (id bigint CHECK (notes() >= 0))',
];

/** Refused as long as policies of `note` are applied. */
export const firing = [
  'COPY written FROM STDIN',
  'INSERT INTO written VALUES (1)',
  'TRUNCATE emptied',
  'DELETE FROM parent',
  'INSERT INTO listed VALUES (1)',
  'INSERT INTO checked VALUES (1)',
  'ALTER TABLE checked ALTER COLUMN id TYPE bigint USING notes()',
  'ALTER TABLE written ADD COLUMN more bigint DEFAULT notes()',
  'CREATE INDEX ON written ((notes()))',
  'CREATE TABLE counted AS SELECT notes()',
  'SELECT notes()',
  'REFRESH MATERIALIZED VIEW shown_notes',
  'CREATE MATERIALIZED VIEW others AS SELECT * FROM note',
];
