/** Tables, functions and roles of the tests of SET ROLE. */

/** What of them is protected. */
export const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }
      note: { protect: none }
  closed.diary:
    columns:
      id: { protect: none }
      text: { class: confidential, protect: encrypt }
  public.logged:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.log:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.visit:
    columns:
      patient: { class: identifier, protect: encrypt, queries: [equality] }
      at: { protect: none }
      cost: { class: confidential, protect: encrypt }`;

/** What the session's own role makes. */
export const made = [
  'CREATE TABLE patient (id integer PRIMARY KEY, name text, note text)',
  'CREATE TABLE visit (patient integer, at integer, cost integer)',
  'CREATE TABLE open (id serial PRIMARY KEY, note text, owner text DEFAULT current_user)',
  'CREATE SCHEMA closed',
  'CREATE TABLE closed.things (id integer, name text)',
  'CREATE TABLE closed.diary (id integer, text text)',
  'CREATE VIEW diaries AS SELECT id, text FROM closed.diary',
  'CREATE TABLE logged (id integer, word text)',
  'CREATE TABLE log (id integer, word text)',
  `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO log VALUES (NEW.id, NEW.word); RETURN NEW; END$$`,
  'CREATE TRIGGER noted AFTER INSERT ON logged FOR EACH ROW EXECUTE FUNCTION noted()',
  `CREATE FUNCTION peek(integer) RETURNS text LANGUAGE plpgsql AS
    $$DECLARE found text; BEGIN SELECT name INTO found FROM patient WHERE id = $1; RETURN found; END$$`,
  'CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM closed.things$$',
  `CREATE PROCEDURE add_log(integer, text) LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ($1, $2); END$$`,
  "CREATE PROCEDURE hidden_log(integer) LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ($1, 'h'); END$$",
  'REVOKE EXECUTE ON PROCEDURE hidden_log(integer) FROM PUBLIC',
  'CREATE VIEW names AS SELECT id, name FROM patient',
  'CREATE VIEW things AS SELECT * FROM closed.things',
  'CREATE VIEW mine AS SELECT note FROM open WHERE owner = current_user',
  'CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT 2 * $1$$',
  'CREATE FUNCTION secret(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT 3 * $1$$',
  'REVOKE EXECUTE ON FUNCTION secret(integer) FROM PUBLIC',
  'CREATE SEQUENCE numbers',
  'CREATE TABLE strict (id integer NOT NULL, word text, hidden text)',
  "INSERT INTO strict VALUES (1, 'w', 'not to be seen')",
  "INSERT INTO patient VALUES (1, 'Ann', 'a'), (2, 'Bob', 'b'), (3, 'Cid', NULL)",
  'INSERT INTO visit VALUES (1, 10, 100), (1, 11, 50), (2, 12, 70)',
  "INSERT INTO open (note, owner) VALUES ('x', 'reader'), ('y', 'writer')",
  "INSERT INTO closed.things VALUES (1, 'thing')",
  'CREATE ROLE reader',
  'CREATE ROLE writer',
  'CREATE ROLE nobody',
  'CREATE ROLE apart',
  'GRANT reader, writer, nobody TO CURRENT_USER',
  'GRANT SELECT ON patient TO reader',
  'GRANT SELECT (id, note), UPDATE (note), INSERT (id, note) ON patient TO writer',
  'GRANT SELECT (patient, at) ON visit TO reader',
  'GRANT SELECT ON names, things, open TO writer',
  'GRANT SELECT, INSERT ON open TO reader',
  "INSERT INTO closed.diary VALUES (1, 'dear'), (2, NULL)",
  'GRANT SELECT, UPDATE (text) ON diaries TO reader',
  'GRANT INSERT ON logged TO reader, writer',
  'GRANT INSERT ON log TO writer',
  'GRANT SELECT (word), UPDATE (id) ON strict TO reader',
  'GRANT USAGE ON SEQUENCE numbers TO reader',
];
