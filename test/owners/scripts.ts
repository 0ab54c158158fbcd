/** What the tests of objects that belong to roles of the application run, on both servers. */
import type { Step } from '../support/outcome.js';

/** What of it is protected. */
export const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }
      note: { protect: none }
  ward.bed:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      patient: { class: identifier, protect: encrypt, queries: [equality] }
  public.given:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }
  public.copied:
    columns:
      id: { class: identifier, protect: encrypt }
      name: { class: identifier, protect: encrypt }`;

/** Roles, and what the user of the session makes. */
export const prepared: readonly string[] = [
  'CREATE ROLE maker',
  'CREATE ROLE other',
  'CREATE ROLE nobody',
  'GRANT maker, other, nobody TO CURRENT_USER',
  'GRANT CREATE, USAGE ON SCHEMA public TO maker, other',
  'CREATE TABLE given (id integer, name text)',
  "INSERT INTO given VALUES (1, 'Gil'), (2, 'Gus')",
  'CREATE TABLE open (id integer, note text)',
  "INSERT INTO open VALUES (1, 'x')",
  'CREATE VIEW shown AS SELECT id FROM given',
];

/** What the catalogue says of owners. */
export const owners: readonly Step[] = [
  `SELECT relname, relkind, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace IN ('public'::regnamespace, to_regnamespace('ward'))
    AND pg_get_userbyid(relowner) IN ('maker', 'other') ORDER BY 1`,
  "SELECT schemaname, tablename, tableowner FROM pg_tables WHERE tableowner IN ('maker', 'other') ORDER BY 1, 2",
  "SELECT viewname, viewowner FROM pg_views WHERE viewowner IN ('maker', 'other') ORDER BY 1",
  "SELECT proname, pg_get_userbyid(proowner) FROM pg_proc WHERE pg_get_userbyid(proowner) IN ('maker', 'other') ORDER BY 1",
  "SELECT typname, pg_get_userbyid(typowner) FROM pg_type WHERE pg_get_userbyid(typowner) IN ('maker', 'other') ORDER BY 1",
  "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE pg_get_userbyid(nspowner) IN ('maker', 'other') ORDER BY 1",
];

/** DDL under a role. */
export const made: readonly Step[] = [
  'SET ROLE nobody',
  'CREATE TABLE refused (id integer)',
  'CREATE VIEW refused AS SELECT 1 AS one',
  'CREATE FUNCTION refused() RETURNS integer LANGUAGE sql AS $$SELECT 1$$',
  'CREATE TYPE refused AS ENUM ($$a$$)',
  'CREATE SEQUENCE refused',
  'SET ROLE maker',
  'CREATE TABLE patient (id integer PRIMARY KEY, name text, note text)',
  "INSERT INTO patient VALUES (1, 'Ann', 'a'), (2, 'Bob', 'b')",
  'CREATE TABLE IF NOT EXISTS patient (id integer)',
  'CREATE TABLE plain (id serial, patient integer, at date)',
  "INSERT INTO plain (patient, at) VALUES (1, '2024-01-01'), (2, '2024-02-01')",
  'CREATE INDEX ON plain (patient)',
  'CREATE INDEX ON patient (note)',
  'CREATE VIEW named AS SELECT id, name FROM patient',
  'CREATE VIEW plainly AS SELECT id, at FROM plain',
  'CREATE SEQUENCE counted',
  'CREATE TYPE mood AS ENUM ($$sad$$, $$gay$$)',
  'CREATE DOMAIN positive AS integer CHECK (VALUE > 0)',
  'CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT 2 * $1$$',
  'SELECT * FROM patient ORDER BY id',
  'SELECT name FROM named WHERE id = 2',
  "SELECT id FROM named WHERE name LIKE 'A%'",
  'SELECT * FROM plainly ORDER BY id',
  "SELECT nextval('counted'), twice(4)",
  "SELECT 'gay'::mood, 3::positive",
  'ALTER TABLE patient ADD COLUMN more integer DEFAULT 7',
  'SELECT * FROM patient ORDER BY id',
  'ALTER TABLE plain ALTER COLUMN at TYPE text USING at::text',
  'SELECT * FROM plain ORDER BY id',
  'ALTER TABLE patient ADD CHECK (more > 0)',
  'ALTER TABLE patient ADD CHECK (more > 10)',
  'CREATE TABLE copied AS SELECT id, name FROM patient',
  'SELECT * FROM copied ORDER BY id',
  'CREATE TABLE others AS SELECT * FROM given',
  'CREATE TABLE others AS SELECT id, current_user AS who FROM plain',
  'SELECT * FROM others ORDER BY id',
  'SELECT id, at INTO third FROM plain WHERE id = 2',
  'SELECT * FROM third',
  "COMMENT ON TABLE patient IS 'those who are ill'",
  "SELECT obj_description('patient'::regclass)",
  'ALTER TABLE given ADD COLUMN more integer',
  'DROP TABLE open',
  'DROP VIEW shown',
  'SELECT * FROM shown',
  'TRUNCATE third',
  'TRUNCATE given',
  'RESET ROLE',
];

/** What others may of what a role owns. */
export const foreign: readonly Step[] = [
  'SET ROLE other',
  'SELECT * FROM patient',
  'SELECT * FROM named',
  'SELECT * FROM plain',
  'INSERT INTO patient VALUES (9)',
  "SELECT nextval('counted')",
  'ALTER TABLE patient ADD COLUMN theirs integer',
  'ALTER TABLE patient RENAME TO theirs',
  'ALTER TABLE plain DROP COLUMN at',
  'CREATE INDEX ON plain (at)',
  'DROP TABLE patient',
  'DROP VIEW named',
  'DROP SEQUENCE counted',
  'DROP TYPE mood',
  'DROP DOMAIN positive',
  'ALTER TYPE mood ADD VALUE $$tired$$',
  'DROP FUNCTION twice(integer)',
  'ALTER FUNCTION twice(integer) STABLE',
  'ALTER TABLE patient OWNER TO other',
  'COMMENT ON TABLE patient IS $$theirs$$',
  'GRANT SELECT ON patient TO other',
  'TRUNCATE plain',
  'CREATE POLICY theirs ON patient',
  'ALTER TABLE patient ENABLE ROW LEVEL SECURITY',
  'REINDEX TABLE plain',
  'SET ROLE maker',
  'GRANT SELECT (id, note), UPDATE (note) ON patient TO other',
  'GRANT SELECT ON named TO other',
  'SET ROLE other',
  'SELECT id, note FROM patient ORDER BY id',
  'SELECT name FROM patient',
  'SELECT * FROM named ORDER BY id',
  "UPDATE patient SET note = 'c' WHERE id = 1",
  'SET ROLE maker',
  'SELECT id, note FROM patient ORDER BY id',
  'REVOKE SELECT ON patient FROM maker',
  'SELECT id FROM patient',
  'SELECT * FROM named',
  'SET ROLE other',
  'SELECT * FROM named',
  'RESET ROLE',
  'SELECT * FROM named',
  'SELECT n.name FROM named n JOIN plain p ON p.id = n.id',
  'SET ROLE maker',
  'GRANT SELECT ON patient TO maker',
  'REVOKE ALL ON patient, named FROM other',
  'RESET ROLE',
  'SELECT name FROM named ORDER BY name',
];

/** ALTER ... OWNER TO. */
export const handedOver: readonly Step[] = [
  'ALTER TABLE given OWNER TO maker',
  'ALTER TABLE open OWNER TO other',
  'ALTER VIEW shown OWNER TO other',
  'ALTER SEQUENCE counted OWNER TO other',
  'ALTER TYPE mood OWNER TO other',
  'ALTER DOMAIN positive OWNER TO other',
  'ALTER FUNCTION twice(integer) OWNER TO other',
  ...owners,
  'SET ROLE maker',
  'SELECT * FROM given ORDER BY id',
  'SELECT * FROM shown',
  'ALTER TABLE given OWNER TO other',
  'ALTER TABLE open OWNER TO maker',
  'SET ROLE other',
  'SELECT * FROM shown',
  'SELECT * FROM given',
  'SELECT * FROM open',
  'ALTER TABLE open OWNER TO maker',
  'RESET ROLE',
  'SELECT * FROM shown',
  'ALTER TABLE given OWNER TO CURRENT_USER',
  'SELECT * FROM given ORDER BY id',
  'SET ROLE maker',
  'SELECT * FROM given',
  'RESET ROLE',
  'ALTER TABLE open OWNER TO CURRENT_USER',
  'ALTER VIEW shown OWNER TO CURRENT_USER',
  'SELECT * FROM shown ORDER BY id',
  'SET ROLE other',
  'CREATE TABLE hers (id integer, note text)',
  "INSERT INTO hers VALUES (1, 'h')",
  'SET ROLE maker',
  'CREATE VIEW through AS SELECT * FROM hers',
  'SET ROLE other',
  'GRANT SELECT ON hers TO maker',
  'SET ROLE maker',
  'SELECT * FROM through',
  'RESET ROLE',
  'SELECT * FROM through',
  'CREATE VIEW behind AS SELECT id FROM through',
  'CREATE TABLE kept AS SELECT * FROM through',
  'CREATE FUNCTION counting() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM through$$',
  'SELECT counting()',
  'REVOKE SELECT ON hers FROM maker',
  'SET ROLE other',
  'REVOKE SELECT ON hers FROM maker',
  'RESET ROLE',
  'SELECT * FROM through',
  'SELECT * FROM behind',
  'SELECT counting()',
  'CREATE TABLE kept_more AS SELECT * FROM through',
  'INSERT INTO kept SELECT * FROM through',
  "UPDATE through SET note = 'u'",
  'PREPARE p AS SELECT note FROM through WHERE id = 1',
  'EXECUTE p',
  'SET ROLE other',
  'GRANT SELECT, UPDATE ON hers TO maker',
  'RESET ROLE',
  'EXECUTE p',
  "UPDATE through SET note = 'u'",
  'SELECT * FROM hers',
  'DEALLOCATE p',
  'ALTER TABLE given OWNER TO missing',
  'DROP ROLE maker',
];
