/** Settings that functions, procedures, triggers and DO set: in step on both sides, for as long as in PostgreSQL. */
import assert from 'node:assert/strict';
import { beforeEach, suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { secretsPeople, secretsPolicy, secretsSentinels, secretsTables } from './support/people.js';

const block = (body: string): string => `DO $do$ BEGIN ${body} END $do$`;
/** on the trusted side, in the cloud, and where a split statement asks */
const shown = [
  ...['TimeZone', 'search_path', 'bytea_output', 'lock_timeout', 'work_mem'].map(name => `SHOW ${name}`),
  "SELECT current_setting('app.who', true)",
  "SELECT current_setting('app.who', true), '2024-01-01 00:00+00'::timestamptz, current_schemas(false) FROM plain WHERE id = 1",
  "SELECT upper(name), '2024-01-01 00:00+00'::timestamptz, current_setting('app.who', true) FROM person WHERE id = 1",
  "SELECT '\\x41'::bytea::text, note FROM plain ORDER BY id",
];
const seen =
  "RAISE NOTICE '% % %', current_setting('app.who', true), '2024-01-01 00:00+00'::timestamptz, current_schemas(false);";
const read = 'PERFORM count(*) FROM person WHERE upper(name) > $$A$$;';
const write =
  "UPDATE person SET name = name || 'x' WHERE id = 1; UPDATE plain SET note = current_setting('app.who', true) WHERE id = 1;";

const bodies = [
  `SET TimeZone = 'Asia/Tokyo'; ${seen} ${write} ${seen}`,
  `SET LOCAL TimeZone = 'Asia/Tokyo'; ${seen} ${read} ${seen}`,
  `PERFORM set_config('TimeZone', 'Asia/Tokyo', false); ${write} ${seen}`,
  `PERFORM set_config('app.who', 'ann', true), set_config('bytea_output', 'escape', false); ${write} ${seen}`,
  `SET TIME ZONE 'Asia/Tokyo'; ${seen} RESET TimeZone; ${seen}`,
  `SET LOCAL search_path = other, public; ${seen} PERFORM count(*) FROM person; ${write} INSERT INTO only_there VALUES (1);`,
  `SET search_path = other; ${seen} INSERT INTO only_there VALUES (2); UPDATE public.person SET name = 'y' WHERE id = 2;`,
  `SET search_path = ''; UPDATE person SET name = 'y' WHERE id = 2;`,
  `SET lock_timeout = '3s'; SET LOCAL work_mem = '5MB'; ${write}`,
  `BEGIN SET app.who = 'bob'; SET TimeZone = 'Asia/Tokyo'; ${write} ${seen} RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN ${seen} ${write} END; ${seen}`,
  `SET app.who = 'bob'; BEGIN SET app.who = 'carl'; SET search_path = other; RAISE division_by_zero; EXCEPTION WHEN OTHERS THEN ${seen} END; ${write}`,
  `BEGIN SET TimeZone = 'Nowhere/At_All'; EXCEPTION WHEN invalid_parameter_value THEN ${seen} END; ${write}`,
  `SET app.who = 'dora'; ${write} RAISE 'gone';`,
  `EXECUTE format('SET LOCAL %I = %L', 'app.who', 'a''b\\c'); ${seen} ${write}`,
];

const functions = [
  'CREATE SCHEMA other',
  'CREATE TABLE other.only_there (id int)',
  'CREATE TABLE other.person (id int, name text)',
  `CREATE FUNCTION in_tokyo() RETURNS text LANGUAGE plpgsql SET TimeZone = 'Asia/Tokyo' AS $$ BEGIN ${seen} ${write} RETURN '2024-01-01 00:00+00'::timestamptz::text; END $$`,
  `CREATE FUNCTION elsewhere(i int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = other, pg_temp AS $$ BEGIN ${seen} INSERT INTO only_there VALUES (i); UPDATE public.person SET name = name || 'z' WHERE id = i; RETURN (SELECT name FROM public.person WHERE id = i); END $$`,
  `CREATE FUNCTION at_home(i int) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO public AS $$ UPDATE person SET name = name || 'q' WHERE id = i RETURNING name $$`,
  `CREATE FUNCTION two(i int) RETURNS int LANGUAGE plpgsql SET search_path = public SET work_mem = '6MB' AS $$ BEGIN ${seen} ${write} PERFORM elsewhere(i); ${seen} PERFORM in_tokyo(); ${seen} RETURN i; END $$`,
  `CREATE FUNCTION overrides() RETURNS void LANGUAGE plpgsql SET bytea_output = 'hex' SET TimeZone = 'Asia/Tokyo' AS $$ BEGIN ${write} SET bytea_output = 'escape'; SET LOCAL TimeZone = 'Europe/Berlin'; ${seen} END $$`,
  `CREATE FUNCTION local_only() RETURNS void LANGUAGE plpgsql SET bytea_output = 'escape' AS $$ BEGIN ${write} SET LOCAL app.who = 'i'; SET LOCAL bytea_output = 'hex'; SET LOCAL TimeZone = 'Europe/Berlin'; ${seen} END $$`,
  `CREATE FUNCTION fails() RETURNS void LANGUAGE plpgsql SET search_path = other AS $$ BEGIN ${seen} UPDATE public.person SET name = 'no' WHERE id = 1; RAISE division_by_zero; END $$`,
  `CREATE FUNCTION catches() RETURNS void LANGUAGE plpgsql SET TimeZone = 'Asia/Tokyo' AS $$ BEGIN ${write} PERFORM fails(); EXCEPTION WHEN division_by_zero THEN ${seen} ${write} END $$`,
  `CREATE FUNCTION sets(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN ${write} PERFORM set_config('app.who', v, false); RETURN set_config('TimeZone', 'Asia/Tokyo', true); END $$`,
  `CREATE PROCEDURE proceeds() LANGUAGE plpgsql AS $$ BEGIN SET LOCAL app.who = 'k'; ${write} COMMIT; ${seen} SET app.who = 'l'; ${write} ROLLBACK; ${seen} END $$`,
  `CREATE PROCEDURE clause() LANGUAGE plpgsql SET work_mem = '7MB' AS $$ BEGIN ${write} COMMIT; END $$`,
];
const calls = [
  'SELECT in_tokyo()',
  'SELECT elsewhere(1)',
  'SELECT at_home(2), 1 + 1',
  'SELECT two(1)',
  'SELECT overrides()',
  'SELECT local_only()',
  'SELECT fails()',
  'SELECT catches()',
  "SELECT sets('n')",
  "SELECT * FROM sets('o')",
  "SELECT sets('p'), sets('q')",
  'CALL clause()',
  block(`PERFORM overrides(); ${seen} PERFORM sets('r'); ${seen}`),
];

suite('settings of bodies', { timeout: 400_000 }, () => {
  const sides = beside(secretsPolicy, [...secretsTables, ...functions]);
  beforeEach(() =>
    sides.both(
      'RESET ALL',
      "SET TimeZone = 'UTC'",
      'DELETE FROM person',
      'DELETE FROM plain',
      secretsPeople,
      "INSERT INTO plain VALUES (1, 'x'), (2, 'y')",
    ),
  );
  const contents = ['person', 'plain'].map(table => `SELECT * FROM public.${table} ORDER BY id`);
  const compared = async (steps: readonly string[], extended = false): Promise<unknown[]> =>
    (
      await sides.differences([...steps, ...shown, ...contents], (client, step) =>
        sides.outcome(client, step, extended),
      )
    ).map(found => [steps, found]);

  for (const extended of [false, true]) {
    const protocol = extended ? 'extended' : 'simple';
    for (const [theme, statements] of [
      ['what a DO block sets', bodies.map(block)],
      ['SET clauses, and what functions and procedures set,', calls],
    ] as const)
      test(`${theme} lasts as long as in PostgreSQL, by the ${protocol} protocol`, async () => {
        const found: unknown[] = [];
        for (const statement of statements) {
          for (const steps of [
            [statement],
            ['BEGIN', statement, 'COMMIT'],
            ['BEGIN', "SET LOCAL app.who = 'before'", 'SAVEPOINT s', statement, 'ROLLBACK TO s'],
            ['ROLLBACK'],
          ])
            found.push(...(await compared(steps, extended)));
          await sides.both('ROLLBACK', 'RESET ALL', "SET TimeZone = 'UTC'");
        }
        assert.deepEqual(found, []);
      });
  }

  test('settings of procedures end with their transactions', async () => {
    assert.deepEqual(await compared(['CALL proceeds()']), []);
  });

  test('functions of triggers have SET clauses', async () => {
    await sides.both(
      `CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = other SET TimeZone = 'Asia/Tokyo' AS $$ BEGIN ${seen} INSERT INTO only_there VALUES (NEW.id); NEW.name := NEW.name || '2024-01-01 00:00+00'::timestamptz; RETURN NEW; END $$`,
      'CREATE TRIGGER fired BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION fired()',
    );
    const steps = [
      "INSERT INTO person VALUES (20, 'o', 'Zaphod', 1), (21, 'p', 'Marvin', 2) RETURNING *",
      'UPDATE person SET amount = 3 WHERE id > 1',
      'SELECT * FROM other.only_there ORDER BY id',
    ];
    assert.deepEqual([...(await compared(steps)), ...(await compared(['BEGIN', ...steps, 'ROLLBACK']))], []);
    await sides.both('DROP TRIGGER fired ON person');
  });

  test('what would not be followed is refused', async () => {
    await sides.both(
      `CREATE FUNCTION german() RETURNS text LANGUAGE plpgsql AS $$ BEGIN ${write} RETURN 1; END $$`,
      `CREATE FUNCTION set_in_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.who', 's', true); RETURN NEW; END $$`,
      'CREATE TRIGGER sets BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION set_in_trigger()',
      "ALTER FUNCTION german() SET DateStyle = 'German'",
    );
    for (const refused of [
      block("SET DateStyle = 'German';"),
      block("SET LOCAL IntervalStyle = 'iso_8601';"),
      block('PERFORM set_config($$extra_float_digits$$, $$0$$, true);'),
      block('SET ROLE NONE;'),
      block('RESET ALL;'),
      block("SET standard_conforming_strings = 'off';"),
      block("PERFORM set_config('application_name', 'x', false);"),
      block("PERFORM set_config('app.who', note, false) FROM plain WHERE id = 1;"),
      block("PERFORM set_config('app.who', name, false) FROM person WHERE id = 1;"),
      `DO $$ DECLARE v text; BEGIN SELECT name INTO v FROM person WHERE id = 1; PERFORM set_config('app.who', v, false); END $$`,
      `DO $$ DECLARE v regclass := 'person'; BEGIN SET search_path = other; RAISE NOTICE '%', v; END $$`,
      "SELECT sets('t'), now()",
      "SELECT sets('t') || 'x'",
      'SELECT german()',
      "INSERT INTO person VALUES (30, 'o', 'Zaphod', 1)",
    ]) {
      const { code } = await sides.outcome(sides.ours, refused);
      assert.equal(code, '0A000', refused);
    }
    await sides.both("SET DateStyle = 'German'");
    for (const refused of [block("SET TimeZone = 'Asia/Tokyo';"), 'SELECT in_tokyo()'])
      assert.equal((await sides.outcome(sides.ours, refused)).code, '0A000', refused);
    await sides.both('DROP TRIGGER sets ON person');
    assert.deepEqual(await compared([]), []);
  });

  test('nothing protected has left', () => {
    const sent = sides.recorded.sent();
    for (const word of secretsSentinels) assert.ok(!sent.includes(word), word);
  });
});
