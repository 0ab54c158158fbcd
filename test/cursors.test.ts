/** Cursors of SQL over protected tables and the system catalogue are, live and end as in PostgreSQL. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import type { FrontendMessage } from '../src/wire/messages.js';
import { count, seed } from './heavy/support/scale.js';
import { policy, sentinels, tables } from './split/reads.js';
import { RawClient, say, told } from './support/raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

/** Undoes what scripts do to the rows. */
const restored = [
  'DELETE FROM patient WHERE id > 4',
  "INSERT INTO patient (id, name) VALUES (5, 'Eve'), (6, 'Fay')",
  'SELECT id, name FROM patient ORDER BY id',
];

const open = ['CREATE TABLE open (id int, note text)', "INSERT INTO open VALUES (1, 'x'), (2, 'y')"];

/** A Query, or messages that a Sync follows. */
type Step = string | readonly FrontendMessage[];

suite('cursors', { timeout: 400_000 }, () => {
  let recorded: RecordedProxy;
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    recorded = await startRecordedProxy(`${policy}\nlimits: { portals_max: 20 }`);
    clarus = await RawClient.connect(recorded.proxy);
    plain = await RawClient.connect(recorded.proxy.plain);
    for (const client of [clarus, plain])
      for (const sql of [...tables, ...open]) {
        const failed = told(await client.query(sql)).find(line => line.startsWith('ErrorResponse'));
        assert.equal(failed, undefined, sql);
      }
  });
  after(async () => {
    await clarus?.close();
    await plain?.close();
    await recorded?.stop();
  });

  /** @param ahead everything is sent before the first answer is read */
  const play = async (client: RawClient, steps: readonly Step[], ahead = false): Promise<string[][]> => {
    const all = steps.map(step => (typeof step === 'string' ? [say.query(step)] : [...step, say.sync]));
    if (ahead) client.send(...all.flat());
    const lines: string[][] = [];
    for (const messages of all) {
      if (!ahead) client.send(...messages);
      lines.push(told(await client.until()));
    }
    return lines;
  };

  /** Plays steps on both sides, which must tell the same. */
  const both = async (...steps: Step[]): Promise<void> => {
    const told = await play(clarus, steps);
    const expected = await play(plain, steps);
    for (const [i, step] of steps.entries())
      assert.deepEqual(told[i], expected[i], `step ${i}: ${JSON.stringify(step)}`);
  };

  const declare = (name = 'c', how = 'SCROLL CURSOR'): string =>
    `DECLARE ${name} ${how} FOR SELECT id, upper(name) AS name, born FROM patient ORDER BY id`;

  test('FETCH and MOVE in every form', async () => {
    await both(
      'BEGIN',
      declare(),
      'FETCH c',
      'FETCH NEXT FROM c',
      'FETCH PRIOR IN c',
      'FETCH LAST c',
      'FETCH FIRST c',
      'FETCH ABSOLUTE 3 c',
      'FETCH ABSOLUTE -2 c',
      'FETCH RELATIVE -1 c',
      'FETCH RELATIVE 0 c',
      'FETCH 2 c',
      'FETCH -2 c',
      'FETCH ALL c',
      'FETCH c',
      'FETCH BACKWARD c',
      'FETCH BACKWARD 2 c',
      'FETCH BACKWARD ALL c',
      'FETCH 0 c',
      'FETCH FORWARD c',
      'FETCH FORWARD 2 c',
      'FETCH FORWARD ALL c',
      'MOVE PRIOR c',
      'MOVE BACKWARD ALL c',
      'MOVE 2 c',
      'FETCH 0 c',
      'MOVE ALL c',
      'MOVE ABSOLUTE 100 c',
      'CLOSE c',
      'COMMIT',
    );
  });

  test('a query of any kind, with parameters and the time of the transaction', async () => {
    const queries = [
      'SELECT name FROM patient WHERE name = $$Bob Lannister$$',
      'SELECT count(*), max(name) FROM patient',
      'SELECT name, count(*) FROM visit v JOIN patient p ON p.name = v.who GROUP BY name ORDER BY name',
      'WITH x AS (SELECT * FROM heavy) SELECT * FROM x ORDER BY id',
      'SELECT ward, rank() OVER (ORDER BY weight DESC NULLS LAST, id) FROM patient ORDER BY id',
      "SELECT name FROM patient WHERE name LIKE '%Tar%' UNION ALL SELECT 'x' ORDER BY 1",
      'SELECT p.id, w.beds FROM patient p LEFT JOIN ward w ON w.code = p.ward ORDER BY p.id',
      'SELECT born < now(), extract(year FROM now()) > 2000 FROM patient ORDER BY id',
      'SELECT FROM patient',
      'TABLE heavier',
      'VALUES ((SELECT max(name) FROM patient))',
    ];
    for (const query of queries)
      await both('BEGIN', `DECLARE c CURSOR FOR ${query}`, 'FETCH 2 FROM c', 'FETCH ALL c', 'COMMIT');
    const sql = 'DECLARE c CURSOR FOR SELECT id, name FROM patient WHERE name > $1 AND id > $2 ORDER BY id';
    await both('BEGIN', say.run(sql, 'B', '1'), 'FETCH ALL FROM c', 'COMMIT');
  });

  test('Describe, formats and parts of the extended protocol', async () => {
    const inBinary: FrontendMessage = {
      kind: 'Bind',
      portal: '',
      statement: '',
      parameterFormats: [],
      parameters: [],
      resultFormats: [1],
    };
    await both(
      'BEGIN',
      [say.parse(declare()), say.describe('statement'), say.bind(), say.describe('portal'), say.execute()],
      [
        say.parse('FETCH 2 FROM c'),
        say.describe('statement'),
        say.bind(),
        say.describe('portal'),
        say.execute(),
      ],
      [say.parse('FETCH 2 FROM c'), inBinary, say.describe('portal'), say.execute(), say.execute()],
      [say.parse('FETCH ALL FROM c'), say.bind(), say.execute('', 1), say.execute('', 1), say.execute()],
      [say.parse('MOVE FIRST FROM c'), say.describe('statement'), say.bind(), say.execute('', 1)],
      [say.parse('MOVE FIRST FROM c'), say.bind(), say.execute()],
      [say.describe('portal', 'c'), say.execute('c', 2), say.execute('c', 0), say.execute('c', 1)],
      [say.parse('FETCH FIRST FROM c', 'f'), say.bind('f'), say.execute(), say.bind('f'), say.execute()],
      [say.close('portal', 'c'), say.describe('portal', 'c')],
      'ROLLBACK',
      'BEGIN',
      declare('c', 'BINARY CURSOR'),
      'FETCH 2 FROM c',
      'FETCH 1 FROM c; FETCH 1 FROM c',
      [say.parse('FETCH 2 FROM c'), say.bind(), say.describe('portal'), say.execute()],
      'ROLLBACK',
      [say.close('statement', 'f')],
      // all at once
      [
        ...say.run('BEGIN'),
        ...say.run(declare()),
        ...say.run('FETCH 2 FROM c'),
        ...say.run('COMMIT'),
        ...say.run('FETCH 2 FROM c'),
      ],
      [...say.run('BEGIN'), ...say.run(declare()), ...say.run('FETCH FROM d')],
      'ROLLBACK',
    );
  });

  test('a cursor sees the rows as they were when it was declared', async () => {
    await both(
      'BEGIN',
      "INSERT INTO patient (id, name) VALUES (90, 'Zoe Before')",
      declare(),
      "INSERT INTO patient (id, name) VALUES (91, 'Zoe After')",
      "UPDATE patient SET name = 'changed' WHERE id = 90",
      'DELETE FROM patient WHERE id = 1',
      'FETCH ALL FROM c',
      'ROLLBACK',
    );
  });

  const hold = (name: string): string => declare(name, 'CURSOR WITH HOLD');

  test('lives as long as its transaction and its savepoint', async () => {
    await both(
      declare(),
      'BEGIN',
      declare(),
      'COMMIT',
      'FETCH FROM c',
      'BEGIN',
      declare(),
      'ROLLBACK',
      'FETCH FROM c',
      'BEGIN',
      declare('c'),
      'SAVEPOINT s',
      declare('d'),
      'FETCH FROM c',
      'FETCH FROM d',
      'ROLLBACK TO s',
      'FETCH FROM c',
      'FETCH FROM d',
      'ROLLBACK TO s',
      declare('d'),
      'RELEASE s',
      'SAVEPOINT s',
      'FETCH nowhere',
      'FETCH FROM d',
      'ROLLBACK TO s',
      'FETCH FROM d',
      'CLOSE c',
      'FETCH FROM c',
      'ROLLBACK',
      `${declare()}; FETCH FROM c`,
      'FETCH FROM c',
    );
  });

  test('WITH HOLD outlives the transaction that commits it', async () => {
    await both(
      hold('h'),
      'FETCH FROM h',
      'BEGIN',
      'FETCH FROM h',
      hold('i'),
      'ROLLBACK',
      'FETCH FROM h',
      'FETCH FROM i',
      'BEGIN',
      hold('i'),
      declare('c'),
      'COMMIT AND CHAIN',
      'FETCH FROM i',
      'FETCH FROM c',
      'COMMIT',
      'BEGIN',
      'SAVEPOINT s',
      hold('j'),
      'ROLLBACK TO s',
      'FETCH FROM i',
      'COMMIT',
      'FETCH FROM j',
      'CLOSE ALL',
      'FETCH FROM h',
      hold('h'),
      'DISCARD ALL',
      'FETCH FROM h',
      `${hold('h')}; FETCH FROM h`,
      'FETCH FROM h',
      `${hold('i')}; SELECT 1/0`,
      'FETCH FROM i',
      [...say.run(hold('i')), ...say.run('SELECT 1 / (id - 1) FROM open')],
      'FETCH FROM i',
      [...say.run(hold('i'))],
      'FETCH FROM i',
      'CLOSE i',
      'CLOSE i',
      'CLOSE ALL',
    );
  });

  test('names, scrolling and failures', async () => {
    await both(
      'BEGIN',
      declare('"Odd ""name"""'),
      'FETCH FROM "Odd ""name"""',
      declare('c', 'NO SCROLL CURSOR'),
      'SAVEPOINT s',
      declare('c'),
      'ROLLBACK TO s',
      'DECLARE c CURSOR FOR SELECT id FROM open',
      'ROLLBACK TO s',
      'DECLARE o CURSOR FOR SELECT id FROM open ORDER BY id',
      declare('o'),
      'ROLLBACK TO s',
      [say.parse('SELECT id FROM open'), say.bind('', 'c')],
      'ROLLBACK TO s',
      [say.parse('SELECT name FROM patient ORDER BY id'), say.bind('', 'p'), say.execute('p', 1)],
      declare('p'),
      'ROLLBACK TO s',
      [say.parse('SELECT name FROM patient ORDER BY id'), say.bind('', 'p'), say.execute('p', 1)],
      'DECLARE p CURSOR FOR SELECT id FROM open',
      'ROLLBACK TO s',
      'FETCH c',
      'FETCH 0 c',
      'FETCH PRIOR c',
      'FETCH c',
      'ROLLBACK TO s',
      'FETCH c',
      'ROLLBACK TO s',
      'CLOSE c',
      declare('c', 'NO SCROLL CURSOR'),
      'MOVE 3 c',
      'FETCH ABSOLUTE 1 c',
      'ROLLBACK',
      'BEGIN',
      'DECLARE c CURSOR FOR SELECT nothing FROM patient',
      declare('d'),
      'ROLLBACK',
      'BEGIN',
      'DECLARE c SCROLL NO SCROLL CURSOR FOR SELECT name FROM patient',
      'ROLLBACK',
      'FETCH c',
      'MOVE c',
      'CLOSE c',
    );
  });

  test('prints by the settings of the moment', async () => {
    await both(
      'BEGIN',
      'DECLARE c SCROLL CURSOR FOR SELECT seen, born, name::bytea, score FROM patient ORDER BY id',
      'FETCH c',
      "SET LOCAL TimeZone = 'Asia/Tokyo'",
      "SET LOCAL DateStyle = 'German'",
      "SET LOCAL bytea_output = 'escape'",
      'FETCH ABSOLUTE 1 c',
      'ROLLBACK',
    );
  });

  test('reads the system catalogue, without what Clarus keeps there', async () => {
    await both(
      'BEGIN',
      "DECLARE c SCROLL CURSOR FOR SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
      'FETCH ALL c',
      'MOVE FIRST c',
      "DECLARE d CURSOR FOR SELECT column_name FROM information_schema.columns WHERE table_name = 'patient' ORDER BY ordinal_position",
      'FETCH ALL d',
      'DECLARE n CURSOR FOR SELECT nspname FROM pg_namespace WHERE nspname !~ $$^pg_(toast|temp)$$ ORDER BY 1',
      'FETCH ALL n',
      'COMMIT',
      'FETCH c',
    );
  });

  test('shares its names with cursors that the cloud has', async () => {
    await both(
      'BEGIN',
      'DECLARE o SCROLL CURSOR FOR SELECT id, note FROM open ORDER BY id',
      declare(),
      'FETCH o',
      'FETCH c',
      'CLOSE o',
      'DECLARE o SCROLL CURSOR WITH HOLD FOR SELECT id, note FROM open ORDER BY id',
      'COMMIT',
      'FETCH o',
      'FETCH c',
      declare('o', 'CURSOR WITH HOLD'),
      declare('c', 'CURSOR WITH HOLD'),
      'FETCH c',
      'CLOSE ALL',
      'FETCH o',
      'FETCH c',
    );
  });

  test('what is not answered is refused, with the reason', async () => {
    for (const [sql, error] of [
      [
        'DECLARE d CURSOR FOR SELECT name FROM patient FOR UPDATE',
        /0A000 FOR UPDATE or FOR SHARE in a cursor/,
      ],
      ["UPDATE patient SET name = 'x' WHERE CURRENT OF c", /0A000 WHERE CURRENT OF on a protected table/],
      ['SELECT name FROM pg_cursors', /0A000 pg_cursors does not list cursors over protected tables/],
    ] as const) {
      const [, , failed] = await play(clarus, ['BEGIN', declare(), sql]);
      assert.match(failed!.join('\n'), error);
      await play(clarus, ['ROLLBACK']);
    }
    await both('SELECT name FROM pg_cursors');
  });

  test('EXPLAIN (CLARUS) says where the rows are', async () => {
    const [lines] = await play(clarus, [`EXPLAIN (CLARUS) ${declare()}`]);
    assert.match(lines!.join('\n'), /keeps its rows until the cursor is closed/);
    assert.match(lines!.join('\n'), /Reads: public.patient/);
  });

  test('DECLARE needs a transaction block, and of two errors the earlier one is told', async () => {
    await both(
      [...say.run('COMMIT'), ...say.run('DECLARE o CURSOR FOR SELECT id FROM open')],
      [...say.run('COMMIT'), ...say.run(declare())],
      [...say.run('SELECT 1'), ...say.run(declare()), ...say.run('FETCH c')],
      "INSERT INTO patient (id, name) VALUES (1, 'again'); COMMIT AND CHAIN",
      [...say.run("INSERT INTO patient (id, name) VALUES (1, 'again')"), ...say.run('SELECT nowhere')],
    );
  });

  test('generated scripts are answered as on a plain PostgreSQL', async () => {
    const names = ['c', 'd', 'h'];
    const queries = [
      'SELECT id, upper(name) AS name FROM patient ORDER BY id',
      'SELECT id, name FROM patient ORDER BY id',
      'SELECT id, note FROM open ORDER BY id',
      'SELECT relname FROM pg_class WHERE relnamespace = $$public$$::regnamespace ORDER BY 1',
    ];
    const declarations = names.flatMap(name =>
      [
        'SCROLL CURSOR',
        'NO SCROLL CURSOR',
        'CURSOR',
        'SCROLL CURSOR WITH HOLD',
        'NO SCROLL CURSOR WITH HOLD',
      ].flatMap(how => queries.map(query => `DECLARE ${name} ${how} FOR ${query}`)),
    );
    const moves = [
      '',
      'PRIOR',
      'FIRST',
      'LAST',
      'ABSOLUTE 2',
      'ABSOLUTE -1',
      'RELATIVE -2',
      '3',
      '-2',
      '0',
      'ALL',
      'BACKWARD ALL',
    ];
    const fetches = names.flatMap(name =>
      moves.flatMap(move =>
        ['FETCH', 'MOVE'].map(verb => `${verb} ${move}${move === '' ? '' : ' FROM'} ${name}`),
      ),
    );
    const ends = ['COMMIT', 'ROLLBACK', 'COMMIT AND CHAIN', 'ROLLBACK AND CHAIN'];
    const others = [
      "INSERT INTO patient (id, name) VALUES (100, 'new')",
      'DELETE FROM patient WHERE id > 4',
      'SELECT 1 / (id - 1) FROM open',
      'SELECT nowhere',
      'SELECT name FROM patient WHERE id = 2',
    ];
    const savepoints = ['s', 't'].flatMap(name => [
      `SAVEPOINT ${name}`,
      `ROLLBACK TO ${name}`,
      `RELEASE ${name}`,
    ]);
    const statement = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...declarations) },
      { weight: 8, arbitrary: fc.constantFrom(...fetches) },
      { weight: 1, arbitrary: fc.constantFrom(...names.map(name => `CLOSE ${name}`), 'CLOSE ALL') },
      { weight: 2, arbitrary: fc.constantFrom('BEGIN') },
      { weight: 2, arbitrary: fc.constantFrom(...ends) },
      { weight: 3, arbitrary: fc.constantFrom(...savepoints) },
      { weight: 1, arbitrary: fc.constantFrom(...others) },
    );
    const ran = statement.map(sql => say.run(sql));
    const messages = fc.oneof(
      ran,
      fc
        .constantFrom(...names)
        .chain(name =>
          fc.constantFrom(
            [say.execute(name, 2)],
            [say.execute(name)],
            [say.describe('portal', name)],
            [say.close('portal', name)],
          ),
        ),
    );
    const step = fc.oneof<fc.Arbitrary<Step>[]>(
      statement,
      fc.tuple(statement, statement).map(several => several.join('; ')),
      messages,
      fc.tuple(ran, messages).map(several => several.flat()),
    );
    const script = fc.tuple(fc.array(step, { minLength: 3, maxLength: 14 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(script, async ([steps, ahead]) => {
        const all: Step[] = ['BEGIN', ...steps, 'ROLLBACK', 'CLOSE ALL', ...restored];
        const [told, expected] = [await play(clarus, all, ahead), await play(plain, all, false)];
        for (const [i, one] of all.entries())
          assert.deepEqual(
            withoutEarly(told[i]!),
            withoutEarly(expected[i]!),
            `step ${i}: ${JSON.stringify(one)}`,
          );
      }),
      { numRuns: count('scripts with cursors', 6_000, 200), seed, endOnFailure: true },
    );
  });

  /** The columns of a cursor of the cloud are told before its FETCH fails, and by PostgreSQL not. */
  const withoutEarly = (lines: readonly string[]): readonly string[] =>
    lines.filter(
      (line, i) => !line.startsWith('RowDescription') || !lines[i + 1]?.startsWith('ErrorResponse'),
    );

  const kept = async (): Promise<string[]> => {
    const { rows } = await recorded.proxy.trusted
      .shadowAdmin(recorded.proxy.database)
      .query("SELECT name FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql_tmp%'");
    return rows.map(({ name }) => name);
  };

  test('rows that do not fit in memory go to the trusted disk, and from it when the cursor ends', async () => {
    const many =
      'SELECT a.id, repeat(upper(a.name), 40) FROM patient a, generate_series(1, 20000) ORDER BY a.id';
    for (const [begin, end] of [
      [['BEGIN', `DECLARE c CURSOR FOR ${many}`], 'COMMIT'],
      [['BEGIN', `DECLARE c CURSOR FOR ${many}`], 'ROLLBACK'],
      [['BEGIN', 'SAVEPOINT s', `DECLARE c CURSOR WITH HOLD FOR ${many}`], 'ROLLBACK TO s'],
      [[`DECLARE c CURSOR WITH HOLD FOR ${many}`], 'CLOSE c'],
      [[`DECLARE c CURSOR WITH HOLD FOR ${many}`], 'CLOSE ALL'],
      [[`DECLARE c CURSOR WITH HOLD FOR ${many}`], 'DISCARD ALL'],
    ] as const) {
      await play(clarus, begin);
      assert.notDeepEqual(await kept(), [], end);
      await play(clarus, [end]);
      // settled with the next statement that is run there
      await play(clarus, ['ROLLBACK', 'SELECT upper(name) FROM patient']);
      assert.deepEqual(await kept(), [], end);
    }
  });

  test('ends with an error when its query is cancelled or takes too long, and leaves nothing', async () => {
    const endless =
      'SELECT count(*) FROM patient a, patient b, patient c, patient d, patient e, patient f, patient g, patient h, patient i, patient j, patient k WHERE a.name < b.name OR upper(c.name) > k.name';
    clarus.send(say.query(`DECLARE c CURSOR WITH HOLD FOR ${endless}`));
    await new Promise(resolve => setTimeout(resolve, 500));
    await clarus.backend.cancel();
    assert.match(
      told(await clarus.until()).join('\n'),
      /ErrorResponse ERROR 57014 canceling statement due to user request/,
    );
    const [, slow] = await play(clarus, [
      "SET statement_timeout = '300ms'",
      `DECLARE c CURSOR WITH HOLD FOR ${endless}`,
    ]);
    assert.match(slow!.join('\n'), /ErrorResponse ERROR 57014 canceling statement due to statement timeout/);
    await play(clarus, ['RESET statement_timeout']);
    await both(hold('c'), 'FETCH c', 'CLOSE c');
  });

  test('the number of cursors of a session is bounded', async () => {
    const lines = await play(clarus, [
      'BEGIN',
      ...Array.from({ length: 21 }, (_, i) => declare(`c${i}`)),
      'ROLLBACK',
    ]);
    assert.match(lines.at(-2)!.join('\n'), /54000 more than 20 cursors over protected tables/);
  });

  test('a session ends with an error when the trusted server that keeps its rows goes', async () => {
    for (const step of ['FETCH c', undefined]) {
      const raw = await RawClient.connect(recorded.proxy);
      await play(raw, [hold('c'), 'FETCH c']);
      if (step === undefined) raw.send(say.query('SELECT pg_sleep(20)'));
      await recorded.proxy.trusted
        .shadowAdmin(recorded.proxy.database)
        .query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'FETCH c%' AND pid <> pg_backend_pid()",
        );
      if (step !== undefined) raw.send(say.query(step));
      assert.match(told(await raw.until()).join('\n'), /ErrorResponse FATAL (57P01|08006)/);
      await raw.close();
    }
    await both(hold('c'), 'FETCH c', 'CLOSE c');
  });

  test('shows the cloud no protected value', () => {
    const sent = recorded.sent();
    for (const sentinel of [...sentinels, 'Zoe Before']) {
      const bytes = Buffer.from(sentinel);
      for (const form of [sentinel, bytes.toString('hex'), bytes.toString('base64').slice(0, -2)])
        assert.ok(!sent.includes(form), `${sentinel} was sent`);
    }
  });
});
