/** DO, procedures and functions that write, over protected tables: they do what PostgreSQL does, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { blocks } from './procedures/blocks.js';
import { calls, committing, routines } from './procedures/routines.js';
import { beside } from './support/beside.js';
import { secretsPeople, secretsPolicy, secretsSentinels, secretsTables } from './support/people.js';

const policy = `${secretsPolicy}
  public.numbered:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }`;

const tables = [
  ...secretsTables,
  'CREATE TYPE pair AS (a int, b text)',
  'CREATE TABLE numbered (id serial)',
  'CREATE TYPE named AS (a text, b int)',
];
const rows = [
  secretsPeople,
  "INSERT INTO secret VALUES (1, 'Slartibartfast'), (2, 'Zaphod')",
  "INSERT INTO plain VALUES (1, 'x'), (2, 'y')",
];

suite('procedures', { timeout: 400_000 }, () => {
  const sides = beside(policy, [...tables, ...routines]);
  beforeEach(() => sides.both(...rows));
  afterEach(() => sides.both(...['person', 'secret', 'plain'].map(table => `DELETE FROM ${table}`)));
  const contents = ['person', 'secret', 'plain'].map(table => `SELECT * FROM ${table} ORDER BY id`);

  for (const [theme, bodies] of Object.entries(blocks))
    test(`DO blocks do what they do in PostgreSQL: ${theme}`, async () => {
      const found: unknown[] = [];
      for (const body of bodies) {
        const block = `DO $do$ ${body} $do$`;
        found.push(...(await sides.differences(['BEGIN', block])));
        const failed = await sides.outcome(sides.plain, 'SELECT 1');
        if (failed.code === undefined) found.push(...(await sides.differences(contents)).map(d => [body, d]));
        found.push(...(await sides.differences(['ROLLBACK'])));
      }
      for (const body of bodies) found.push(...(await sides.differences([`DO $do$ ${body} $do$`])));
      found.push(...(await sides.differences(contents)));
      assert.deepEqual(found, []);
    });

  test('functions and procedures that write do what they do in PostgreSQL', async () => {
    const found: unknown[] = [];
    for (const call of calls) {
      found.push(...(await sides.differences(['BEGIN', call])));
      const failed = await sides.outcome(sides.plain, 'SELECT 1');
      if (failed.code === undefined) found.push(...(await sides.differences(contents)).map(d => [call, d]));
      found.push(...(await sides.differences(['ROLLBACK'])));
    }
    for (const call of calls) found.push(...(await sides.differences([call])));
    assert.deepEqual([...found, ...(await sides.differences(contents))], []);
  });

  test('COMMIT and ROLLBACK in procedures and DO end transactions where PostgreSQL lets them', async () => {
    const found: unknown[] = [];
    for (const call of committing) {
      found.push(...(await sides.differences(['BEGIN', call, 'ROLLBACK', ...contents])));
      found.push(...(await sides.differences([call, ...contents])));
    }
    found.push(...(await sides.differences([`SELECT 1; ${committing[0]}`, ...contents])));
    assert.deepEqual(found, []);
  });

  test('a call that PostgreSQL would run for each row of a set, or not at all, is refused', async () => {
    for (const call of [
      "SELECT add_person(70, 'Ford'), generate_series(1, 3)",
      "SELECT add_person(generate_series(70, 72), 'Ford')",
      "SELECT add_person(70, 'Ford') + generate_series(1, 3)",
      "SELECT add_person(70, 'Ford') + NULL",
      "SELECT abs(add_person(70, 'Ford')), upper(quiet(1)::text || NULL::text)",
    ]) {
      const { code } = await sides.outcome(sides.ours, call);
      assert.equal(code, '0A000', call);
    }
    assert.deepEqual(await sides.differences(contents), []);
    assert.deepEqual(await sides.differences(['SELECT generate_series(1, twice(2))', ...contents]), []);
  });

  test('settings that bodies would not heed are refused', async () => {
    for (const setting of [
      "plpgsql.extra_errors TO 'too_many_rows'",
      "plpgsql.extra_warnings TO 'all'",
      "plpgsql.variable_conflict TO 'use_column'",
      'plpgsql.check_asserts TO off',
      'plpgsql.print_strict_params TO on',
    ]) {
      assert.equal((await sides.outcome(sides.ours, `SET ${setting}`)).code, '0A000', setting);
      const [name, value] = setting.split(' TO ');
      const call = `SELECT set_config('${name}', '${value!.replaceAll("'", '')}', false)`;
      assert.equal((await sides.outcome(sides.ours, call)).code, '0A000', call);
    }
    const steps = [
      "SET plpgsql.extra_errors TO 'none'",
      'SET plpgsql.check_asserts TO on',
      'RESET plpgsql.extra_errors',
    ];
    assert.deepEqual(await sides.differences(steps), []);
  });

  test('SET in a body of what changes plans alone lasts and goes as in PostgreSQL; of anything else it is refused', async () => {
    const block = (body: string): string => `DO $do$ BEGIN ${body} END $do$`;
    const shown = ['work_mem', 'enable_seqscan', 'effective_io_concurrency'].map(name => `SHOW ${name}`);
    const read = 'PERFORM count(*) FROM person WHERE upper(name) > $$A$$;';
    const bodies = [
      `SET work_mem = '5MB'; ${read} SET enable_seqscan TO off; ${read}`,
      `BEGIN SET effective_io_concurrency = 50; EXCEPTION WHEN invalid_parameter_value THEN END;`,
      `BEGIN SET work_mem = '7MB'; ${read} RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN ${read} END;`,
      `BEGIN SET work_mem = 'much'; EXCEPTION WHEN invalid_parameter_value THEN ${read} END;`,
      `BEGIN SET enable_seqscan = 3000; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END;`,
      `SET LOCAL work_mem = '6MB'; RAISE NOTICE '%', current_setting('work_mem');`,
      `RESET work_mem; SET enable_seqscan TO DEFAULT; ${read}`,
      `EXECUTE format('SET %I = %L', 'work_mem', '8MB'); UPDATE person SET amount = 3 WHERE id = 1;`,
      `SET work_mem = '9MB'; RAISE 'gone';`,
      `SET no_such_setting_cost = 1;`,
    ].map(block);
    const found: unknown[] = [];
    for (const body of bodies) {
      found.push(...(await sides.differences([body, ...shown, ...contents])));
      found.push(...(await sides.differences(['BEGIN', body, 'ROLLBACK', ...shown, ...contents])));
      found.push(...(await sides.differences(['BEGIN', body, 'COMMIT', ...shown])));
    }
    assert.deepEqual(found, []);
    await sides.both('RESET ALL');
    for (const other of [
      'DateStyle = German',
      'statement_timeout = 1000',
      'transaction_isolation = serializable',
    ])
      assert.equal((await sides.outcome(sides.ours, block(`SET ${other};`))).code, '0A000', other);
    for (const other of ['SET ROLE NONE', 'RESET ALL', 'SET LOCAL extra_float_digits = 0'])
      assert.equal((await sides.outcome(sides.ours, block(`${other};`))).code, '0A000', other);
  });

  test('a cursor goes from one function to another, and to no client', async () => {
    await sides.both(
      `CREATE FUNCTION opens() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT name FROM person ORDER BY id;
         BEGIN UPDATE person SET amount = 1 WHERE id = 1; OPEN c; RETURN c; END $$`,
      `CREATE FUNCTION reads(c refcursor) RETURNS text LANGUAGE plpgsql AS $$ DECLARE n text;
         BEGIN UPDATE person SET amount = 2 WHERE id = 1; FETCH c INTO n; RETURN n; END $$`,
    );
    const steps = [
      "DO $$ DECLARE c refcursor; n text; BEGIN c := opens(); FETCH c INTO n; RAISE NOTICE '%', n; n := reads(c); RAISE NOTICE '%', n; CLOSE c; RAISE NOTICE '%', c IS NULL; END $$",
      "SELECT reads('nothing')",
      ...contents,
    ];
    assert.deepEqual(await sides.differences(steps), []);
    const { code, message } = await sides.outcome(sides.ours, 'SELECT opens()');
    assert.equal(
      `${code} ${message}`,
      '0A000 an open cursor that a function returns to the client is not answered yet',
    );
    await sides.both('DROP FUNCTION opens', 'DROP FUNCTION reads');
  });

  test('a cursor goes to a function that names no table, and none of the session is taken for one of a body', async () => {
    await sides.both(
      `CREATE FUNCTION next_of(c refcursor) RETURNS text LANGUAGE plpgsql AS $$ DECLARE n text; BEGIN FETCH c INTO n; RETURN n; END $$`,
    );
    const steps = [
      "DO $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT name FROM person ORDER BY id; RAISE NOTICE '%', next_of(c); RAISE NOTICE '%', next_of(c); END $$",
      "SELECT next_of('nowhere')",
    ];
    assert.deepEqual(await sides.differences(steps), []);
    await sides.both('BEGIN', 'DECLARE ours CURSOR FOR SELECT name FROM person', 'SAVEPOINT s');
    const opening = "DO $$ DECLARE c refcursor := 'ours'; BEGIN OPEN c FOR SELECT id FROM person; END $$";
    assert.deepEqual(await sides.differences([opening, 'ROLLBACK TO s']), []);
    for (const body of ['FETCH c INTO n', 'MOVE c', 'CLOSE c', 'n := next_of(c)']) {
      const block = `DO $$ DECLARE c refcursor := 'ours'; n text; BEGIN PERFORM FROM person; ${body}; EXCEPTION WHEN others THEN NULL; END $$`;
      assert.equal((await sides.outcome(sides.ours, block)).code, '0A000', body);
      await sides.both('ROLLBACK TO s');
    }
    await sides.both('ROLLBACK', 'DROP FUNCTION next_of');
  });

  test('what a variable holds of a protected column comes to no open place', async () => {
    const read = 'DECLARE n text; r record; i int; BEGIN SELECT name INTO n FROM person WHERE id = 1;';
    const refused = [
      `${read} INSERT INTO plain VALUES (5, n); END`,
      `${read} INSERT INTO plain (note, id) VALUES ('x', 8), (upper(n), 9); END`,
      `${read} INSERT INTO plain SELECT 5, s.x FROM (SELECT n AS x) s; END`,
      `${read} UPDATE plain SET note = n; END`,
      `${read} UPDATE plain SET (id, note) = (SELECT 77, n) WHERE id = 1; END`,
      `${read} UPDATE person SET open = n; END`,
      `${read} INSERT INTO person (id, open) VALUES (5, n); END`,
      `${read} INSERT INTO person (id, open, name) VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET open = n; END`,
      `${read} MERGE INTO plain USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET note = n; END`,
      `${read} WITH w AS (INSERT INTO person (id, name) VALUES (90, n) RETURNING id, name) INSERT INTO plain SELECT id, name FROM w; END`,
      `${read} PERFORM pg_notify(n, 'c'); END`,
      `${read} PERFORM set_config('application_name', n, false); END`,
      `${read} PERFORM pg_advisory_lock(length(n)); END`,
      `${read} EXECUTE 'INSERT INTO secret VALUES (9, ' || quote_literal(n) || ')'; END`,
      `${read} EXECUTE 'INSERT INTO plain VALUES (9, $1)' USING n; END`,
      `${read} PERFORM n::int; EXCEPTION WHEN others THEN INSERT INTO plain VALUES (5, SQLERRM); END`,
      `${read} BEGIN INSERT INTO plain VALUES (5, n); EXCEPTION WHEN others THEN NULL; END; END`,
      `${read} FOR r IN SELECT * FROM person LOOP INSERT INTO plain VALUES (r.id, r.name); END LOOP; END`,
      `${read} r := ROW(1, n); INSERT INTO plain VALUES (1, r.f2); END`,
      `${read} CREATE TABLE made AS SELECT n; END`,
      `${read} DECLARE p pair; BEGIN p := (SELECT ROW(1, n)::pair WHERE n = 'Nobody'); INSERT INTO plain VALUES (5, (p IS NULL)::text); END; END`,
      `${read} DECLARE p pair; BEGIN p := (SELECT ROW(1, n)::pair WHERE n = 'Nobody'); INSERT INTO plain VALUES (5, p.b); END; END`,
      `${read} i := length(n); FOR k IN i..i LOOP INSERT INTO plain VALUES (k, 'x'); END LOOP; END`,
      `${read} FOR k IN 1..length(n) LOOP INSERT INTO plain VALUES (k + 10, 'x'); END LOOP; END`,
      `DECLARE a int[]; ${read.slice(8)} a[length(n)] := 1; INSERT INTO plain VALUES (5, array_lower(a, 1)); END`,
      `${read} RAISE EXCEPTION USING ERRCODE = lpad(length(n)::text, 5, '0'); EXCEPTION WHEN others THEN INSERT INTO plain VALUES (5, SQLSTATE); END`,
      `${read} PERFORM generate_series(1, length(n)); GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i, 'x'); END`,
      `${read} PERFORM generate_series(1, length(name)) FROM person; GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i, 'x'); END`,
      `DECLARE c CURSOR FOR SELECT id, name FROM person; ${read.slice(8)} OPEN c; FETCH c INTO i, n; INSERT INTO plain VALUES (i + 10, n); END`,
      `DECLARE c CURSOR FOR SELECT id FROM plain; ${read.slice(8)} OPEN c; FETCH ABSOLUTE length(n) - 5 FROM c INTO i; INSERT INTO plain VALUES (i + 10, 'x'); END`,
      `DECLARE c CURSOR FOR SELECT id FROM plain; ${read.slice(8)} OPEN c; MOVE length(n) FROM c; GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i + 10, 'x'); END`,
      `DECLARE c CURSOR FOR SELECT generate_series(1, length(name)) FROM person; ${read.slice(8)} OPEN c; MOVE ALL FROM c; GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i + 10, 'x'); END`,
      `DECLARE c refcursor; d refcursor; ${read.slice(8)} c := n; OPEN c FOR SELECT 7; d := n; FETCH d INTO i; INSERT INTO plain VALUES (i, 'x'); END`,
      `DECLARE c CURSOR FOR SELECT id, name FROM person; ${read.slice(8)} FOR p IN c LOOP INSERT INTO plain VALUES (p.id + 10, p.name); END LOOP; END`,
      'DECLARE c CURSOR FOR SELECT * FROM plain; BEGIN OPEN c; MOVE c; UPDATE plain SET note = note WHERE CURRENT OF c; END',
      `${read} i := nextval('numbered_id_seq'); INSERT INTO plain VALUES (i + 100, 'x'); END`,
      `DECLARE i int; BEGIN CREATE TEMP TABLE chosen AS SELECT id FROM person WHERE amount > 0; GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i + 100, 'x'); END`,
      `${read} SELECT last_value INTO i FROM numbered_id_seq; INSERT INTO plain VALUES (i + 100, 'x'); END`,
    ];
    const allowed = [
      `${read} PERFORM pg_notify('c', n); END`,
      `${read} PERFORM FROM plain WHERE note = n; RAISE NOTICE '%', found; END`,
      `${read} PERFORM FROM person WHERE open = n; RAISE NOTICE '%', found; END`,
      `${read} SELECT count(*) INTO i FROM person WHERE name = n; RAISE NOTICE '%', i; END`,
      `${read} SELECT count(*) INTO i FROM person p JOIN plain q ON p.id = q.id AND q.note < n; RAISE NOTICE '%', i; END`,
      `${read} DELETE FROM plain WHERE note < n; END`,
      `${read} UPDATE plain SET note = 'z' WHERE note < n; END`,
      `${read} UPDATE secret SET word = n || word; INSERT INTO secret VALUES (9, n); END`,
      `${read} INSERT INTO person (id, open, name) VALUES (5, 'o', n) RETURNING id INTO i; INSERT INTO plain VALUES (i, 'id'); END`,
      `${read} IF n = 'Zaphod' THEN INSERT INTO plain VALUES (5, 'known'); END IF; END`,
      `${read} UPDATE person SET amount = 1 WHERE name = n; GET DIAGNOSTICS i = ROW_COUNT; INSERT INTO plain VALUES (i + 5, 'x'); END`,
      `DECLARE c CURSOR FOR SELECT id, name FROM person ORDER BY id; ${read.slice(8)} OPEN c; FETCH c INTO i, n; INSERT INTO plain VALUES (i + 10, 'x'); END`,
      `DECLARE c CURSOR (w text) FOR SELECT id FROM plain WHERE note > w ORDER BY id; ${read.slice(8)} OPEN c(n); FETCH c INTO i; INSERT INTO secret VALUES (i + 10, n); END`,
      `${read} BEGIN PERFORM n::int; EXCEPTION WHEN others THEN INSERT INTO plain VALUES (7, SQLSTATE); END; END`,
    ];
    const sent = await sides.recorded.sentWhile(async () => {
      for (const body of refused) {
        const { code } = await sides.outcome(sides.ours, `DO $do$ ${body} $do$`);
        assert.equal(code, '0A000', body);
      }
      const found = await sides.differences(allowed.flatMap(body => [`DO $do$ ${body} $do$`, ...contents]));
      assert.deepEqual(found, []);
    });
    for (const sentinel of secretsSentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });

  test('nothing of a variable leaves in the clear', async () => {
    const sent = await sides.recorded.sentWhile(async () => {
      for (const bodies of Object.values(blocks))
        for (const body of bodies) await sides.outcome(sides.ours, `DO $do$ ${body} $do$`);
      for (const call of calls)
        if (typeof call === 'string' && !call.includes("'Zaphod")) await sides.outcome(sides.ours, call);
    });
    for (const sentinel of secretsSentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
