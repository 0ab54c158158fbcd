/** standard_conforming_strings off: literals mean, warn and fail as in PostgreSQL, and nothing protected leaves by them. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { FrontendMessage } from '../src/wire/messages.js';
import { beside } from './support/beside.js';
import { secretsPeople, secretsPolicy, secretsSentinels, secretsTables } from './support/people.js';
import { RawClient, say, told } from './support/raw-client.js';
import { answerTo, type TextStep } from './support/steps.js';

const off = 'SET standard_conforming_strings = off';
const on = 'SET standard_conforming_strings = on';
const shown = [
  'SHOW standard_conforming_strings',
  "SELECT current_setting('standard_conforming_strings')",
  "SELECT current_setting('standard_conforming_' || 'strings') FROM pg_namespace WHERE nspname = 'pg_catalog'",
  "SELECT name, setting, source FROM pg_settings WHERE name = 'standard_conforming_strings'",
] as const;
const literals = String.raw`SELECT 'a\'b', 'a\\b', '\x41\102\u0043', 'a''b\n', E'\t', B'1', X'1F', N'\\n', $$a\b$$, $x$a'\b$x$, "of\it" FROM (SELECT 1 AS "of\it") AS "a\'b"`;

const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  'what the setting is, and how long it lasts': [
    ...shown,
    off,
    ...shown,
    'RESET standard_conforming_strings',
    ...shown,
    'BEGIN',
    `SET LOCAL standard_conforming_strings = 'no'`,
    ...shown,
    literals,
    'COMMIT',
    ...shown,
    'BEGIN',
    'SAVEPOINT a',
    off,
    literals,
    'ROLLBACK TO a',
    ...shown,
    String.raw`SELECT 'a\b'`,
    off,
    'SELECT nowhere',
    'ROLLBACK',
    ...shown,
    String.raw`SELECT 'a\b'`,
    "SELECT set_config('standard_conforming_strings', 'off', false), set_config('DateStyle', 'German', false)",
    ...shown,
    "SELECT '2024-02-03'::date, 'a\\\\b'",
    'DISCARD ALL',
    ...shown,
    "SELECT '2024-02-03'::date, 'a\\b'",
    off,
    'RESET ALL',
    ...shown,
    'SET standard_conforming_strings = maybe',
    'SET standard_conforming_strings TO DEFAULT',
    ['SELECT set_config($1, $2, true)', 'standard_conforming_strings', 'off'],
    ...shown,
  ],
  'literals and warnings': [
    off,
    literals,
    String.raw`SELECT 'a\nb' AS "x", 'c' 'd'`,
    `SELECT 'a\\n'\n  'b\\t'\n\n 'e', -- 'c\\d'\n /* 'f\\' /* '\\' */ */ 'g\\\\'`,
    String.raw`SELECT'a\b'`,
    String.raw`SELECT 1 AS a'b\'c'`,
    String.raw`SELECT text'a\b', 1 + '\x31', 'ä\'ö', '😀\\' || 'ü\n'`,
    String.raw`SELECT 'a\u00e4\U0001F600\ud83d\ude00'`,
    'SET escape_string_warning = off',
    literals,
    'SET escape_string_warning = on',
    'SET client_min_messages = error',
    literals,
    'RESET client_min_messages',
    'SET backslash_quote = off',
    String.raw`SELECT 'a\\b', 'c\'d'`,
    String.raw`SELECT E'c\'d'`,
    'SET backslash_quote = safe_encoding',
    String.raw`SELECT 'c\'d'`,
    on,
    literals.replaceAll("\\'", ''),
  ],
  'errors, with the place where they are': [
    off,
    String.raw`SELECT 'a\\b', nowhere`,
    String.raw`SELECT 'a\\b', 'c\'d' FROM nowhere WHERE x = 'e\n'`,
    String.raw`SELECT U&'a\0041'`,
    String.raw`SELECT 'a\n', U&'a\0041', 'c\n'`,
    String.raw`SELECT 1 1 'a\n', U&'a\0041'`,
    String.raw`SELECT U&"a\0041" FROM (SELECT 1 AS "aA") x`,
    String.raw`SELECT 'a\n' 'b\n'`,
    String.raw`SELECT x'a\n' FROM`,
    String.raw`SELECT 'a\n', 'abc\'`,
    String.raw`SELECT 'a\n' 1 'b\n'`,
    String.raw`SELECT 'a\uZZ'`,
    String.raw`SELECT 'a\ud800'`,
    String.raw`SELECT 'a\n' + 1, 'x\'y'::int`,
    String.raw`SELECT 'b\n'::int FROM person`,
    String.raw`SELECT 1; SELECT 'a\n', nowhere; SELECT 'b\n'`,
    String.raw`INSERT INTO person VALUES (1, 'x\\y', 'b', 'c\n')`,
    String.raw`UPDATE person SET nam = 'a\n' WHERE name = 'b\n'`,
    on,
    String.raw`SELECT 'a\b', nowhere`,
  ],
  'statements over protected and open tables': [
    off,
    String.raw`INSERT INTO person VALUES (10, 'x\\y', 'Zaphod\'s \\ \101', 1), (11, 'x\ny', 'Zaphod\n', 2) RETURNING *`,
    String.raw`INSERT INTO plain VALUES (10, 'a\'b\\c'), (11, 'tab\there')`,
    'SELECT * FROM person ORDER BY id',
    'SELECT * FROM plain ORDER BY id',
    String.raw`SELECT id FROM person WHERE name = 'Zaphod\'s \\ A'`,
    String.raw`SELECT id, name LIKE '%\\\\%', open LIKE 'x\\\\y' FROM person WHERE name LIKE '%\n' OR name LIKE '%\\\\ A' ORDER BY id`,
    String.raw`SELECT p.id FROM person p JOIN plain USING (id) WHERE note = 'tab\there' AND upper(name) = 'ZAPHOD\n'`,
    String.raw`UPDATE person SET name = name || '\\' WHERE name = 'Zaphod\n' RETURNING name`,
    String.raw`UPDATE plain SET note = note || '\\' WHERE note = 'tab\there' RETURNING note`,
    ["SELECT id, 'a\\\\b' FROM person WHERE name = $1", "Zaphod's \\ A"],
    String.raw`PREPARE p (text) AS SELECT 'a\n', id FROM person WHERE open = 'x\\y' AND name <> $1`,
    String.raw`EXECUTE p ('Trillian\'')`,
    on,
    String.raw`EXECUTE p ('Trillian\')`,
    off,
    'DEALLOCATE p',
    String.raw`CREATE TABLE made (id int, word text DEFAULT 'a\\b' CHECK (word <> 'c\'d'))`,
    'INSERT INTO made VALUES (1), (2)',
    String.raw`INSERT INTO made VALUES (3, 'c\'d')`,
    'SELECT * FROM made',
    on,
    'INSERT INTO made (id) VALUES (4)',
    'SELECT * FROM made',
    "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'made'::regclass",
    off,
    "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'made'::regclass",
    String.raw`CREATE VIEW seen AS SELECT id, name || '\\' AS name FROM person WHERE open <> 'a\'b'`,
    'SELECT * FROM seen ORDER BY id',
    "SELECT pg_get_viewdef('seen'::regclass)",
    'INSERT INTO person VALUES (12)',
    'DELETE FROM person WHERE id >= 10',
    'DELETE FROM plain WHERE id >= 10',
    'DROP VIEW seen',
    'DROP TABLE made',
  ],
};

/** Of which texts are made: what opens and closes literals, names and comments, and what is escaped in them. */
const fragments = [
  ...'\'"\\;,+ \n'.split(''),
  "''",
  "\\'",
  '\\\\',
  '\\n',
  '\\101',
  '\\x41',
  '\\u0041',
  '\\U0000',
  "'a'",
  "'b\\\\'",
  "'c\\'d'",
  " 'e\\'",
  "\n'f\\t'",
  "E'",
  "e'\\''",
  "b'1",
  "X'1F'",
  "N'",
  "n'g\\h'",
  "U&'",
  " u&'\\0041'",
  'U&"o\\0041"',
  '$$',
  '$x$',
  'x$1',
  'x$$',
  '"i\\j"',
  ", -- k'\\\n",
  ', --',
  '/*',
  '*/',
  "/* l' \\ /* */ */",
  'AS m',
  'ä',
  '😀',
  ' 1',
  '::text',
] as const;

suite('standard_conforming_strings', { timeout: 300_000 }, () => {
  const sides = beside(secretsPolicy, [...secretsTables, secretsPeople]);

  for (const [theme, steps] of Object.entries(scripts))
    for (const extended of [false, true])
      test(`${theme}, by the ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  for (const extended of [false, true])
    test(`random literals, comments and quotes are read alike, by the ${extended ? 'extended' : 'simple'} protocol`, async () => {
      const { clarus, plain } = await sides.sessions();
      for (const session of [clarus, plain]) await answerTo(session, off, extended);
      const text = fc
        .array(fc.constantFrom(...fragments), { minLength: 1, maxLength: 9 })
        .map(parts => `SELECT ${parts.join('')}`);
      await fc.assert(
        fc.asyncProperty(text, async sql => {
          const [ours, theirs] = [
            await answerTo(clarus, sql, extended),
            await answerTo(plain, sql, extended),
          ];
          // comments do not leave, and what is wrong behind one is told where it stands without
          const placeless = (answer: string): string =>
            /--|\/\*/.test(sql) ? answer.replace(/^(ErrorResponse .*) \d+$/m, '$1 ') : answer;
          assert.equal(placeless(ours), placeless(theirs), sql);
        }),
        { numRuns: 300 },
      );
    });

  test('what is prepared before goes on meaning what it meant, and a text that cannot is refused', async () => {
    const { clarus, plain } = await sides.sessions();
    const run = async (...messages: readonly FrontendMessage[]): Promise<void> => {
      for (const session of [clarus, plain]) session.send(...messages, say.sync);
      assert.deepEqual(told(await clarus.until()), told(await plain.until()));
    };
    const texts = [
      String.raw`SELECT 'a\b', note FROM plain WHERE note <> 'c\d'`,
      String.raw`SELECT 'a\b', id FROM person WHERE name <> 'c\d' ORDER BY id`,
      String.raw`SELECT 'a\b', name || '\' FROM person WHERE upper(name) <> 'c\d' ORDER BY id`,
      String.raw`SELECT 'a\b', N'c\d'`,
      String.raw`UPDATE plain SET note = note || 'c\d'`,
      String.raw`UPDATE person SET open = open || 'c\d', name = name || 'e\f' WHERE id = 2`,
    ];
    for (const [i, sql] of texts.entries()) await run(say.parse(sql, `s${i}`));
    const all = texts.flatMap((_, i) => [say.bind(`s${i}`), say.describe('portal'), say.execute()]);
    await run(say.parse('BEGIN'), say.bind(), say.execute());
    await run(...all);
    await run(say.parse(off), say.bind(), say.execute(), ...all);
    await run(...all, say.parse(literals), say.bind(), say.execute());
    await run(
      say.parse('ROLLBACK'),
      say.bind(),
      say.execute(),
      say.parse("SELECT 'a\\b'"),
      say.bind(),
      say.execute(),
    );
    await run(say.parse("SELECT U&'\\0041', note FROM plain", 'u'));
    await run(say.parse(off), say.bind(), say.execute());
    clarus.send(say.bind('u'), say.execute(), say.sync);
    assert.match(told(await clarus.until())[0]!, /^ErrorResponse ERROR 0A000 /);
  });

  test('a session may begin with it', async () => {
    const { proxy } = sides.recorded;
    for (const start of [
      ['standard_conforming_strings', 'off'],
      ['options', '-c standard_conforming_strings=off'],
    ] as const)
      for (const extended of [false, true]) {
        const [clarus, plain] = await Promise.all(
          [proxy, proxy.plain].map(at => RawClient.connect({ ...at, parameters: [start] })),
        );
        for (const step of [
          ...shown,
          literals,
          'RESET ALL',
          literals,
          on,
          "SELECT 'a\\b'",
          'DISCARD ALL',
          ...shown,
          literals,
        ])
          assert.equal(await answerTo(clarus!, step, extended), await answerTo(plain!, step, extended), step);
        await Promise.all([clarus!.close(), plain!.close()]);
      }
  });

  test('bodies that the setting decides on are refused while it is off, and others are run', async () => {
    await sides.both(
      String.raw`CREATE FUNCTION doubtful() RETURNS text LANGUAGE sql AS $$ SELECT 'a\b' $$`,
      String.raw`CREATE FUNCTION doubtful_block(i int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN UPDATE person SET name = 'a\b' WHERE id = i; RETURN 'c\d'; END $$`,
      String.raw`CREATE FUNCTION certain(i int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN UPDATE person SET name = name || E'\\' WHERE id = i; RETURN 'c' || chr(92); END $$`,
      'BEGIN',
      off,
    );
    for (const refused of [
      'SELECT doubtful()',
      'SELECT doubtful() FROM plain',
      'SELECT doubtful_block(1)',
      String.raw`DO $$ BEGIN PERFORM 'a\b'; END $$`,
      String.raw`DO 'BEGIN PERFORM ''a\\b''; END'`,
      "DO $$ BEGIN EXECUTE 'SELECT ''a' || chr(92) || 'b'''; END $$",
      String.raw`CREATE FUNCTION more() RETURNS text LANGUAGE sql AS $$ SELECT 'a\b' $$`,
    ]) {
      await sides.both('SAVEPOINT s');
      const { code, message } = await sides.outcome(sides.ours, refused);
      assert.equal(code, '0A000', refused);
      assert.match(message!, /has literals with backslashes, which standard_conforming_strings decides on/);
      await sides.both('ROLLBACK TO s');
    }
    const steps = [
      'SELECT certain(1)',
      'SELECT id, name FROM person ORDER BY id',
      String.raw`DO $$ BEGIN RAISE NOTICE '% %', E'a\\b', current_setting('standard_conforming_strings'); END $$`,
      "DO 'BEGIN UPDATE person SET name = ''x'' WHERE id = 2; END'",
      'ROLLBACK',
      'SELECT doubtful()',
      'SELECT certain(1)',
    ];
    assert.deepEqual(await sides.differences(steps), []);
  });

  test('nothing protected has left', () => {
    const sent = sides.recorded.sent();
    for (const word of secretsSentinels) assert.ok(!sent.includes(word), word);
  });
});
