/** Values that a statement makes: of the present moment, of ranges of users, of parts of columns. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.clear: { columns: { id: { protect: none }, span: { protect: none } } }`;

const tables = [
  'CREATE TABLE days (id int, d date, t timestamp, z timestamptz, c time)',
  'CREATE TYPE span AS RANGE (subtype = text)',
  'CREATE TYPE clearspan AS RANGE (subtype = int)',
  'CREATE TABLE clear (id int, span clearspan)',
  'CREATE TABLE spans (id int, s span, m span_multirange)',
  'CREATE FUNCTION lowest(anyrange) RETURNS anyelement LANGUAGE sql AS $$ SELECT lower($1) $$',
];

const moments = [
  'tomorrow EST',
  'tomorrow zulu',
  'today 12:30',
  'yesterday 08:15 PST',
  'today12:00',
  '10:30 tomorrow',
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'the present moment beside something else': [
    "SET timezone = 'America/New_York'",
    ...moments.flatMap((moment, id): Step[] => [
      `INSERT INTO days (id, d, t, z) VALUES (${id}, '${moment}', '${moment}', '${moment}')`,
      `SELECT d, t, z FROM days WHERE id = ${id}`,
      `SELECT count(*) FROM days WHERE z = timestamp with time zone '${moment}'`,
      `SELECT count(*) FROM days WHERE t = '${moment}'::timestamp OR d = date '${moment}'`,
    ]),
    "INSERT INTO days (z) VALUES ('tomorrow nonsense')",
    "INSERT INTO days (z) VALUES ('today tomorrow')",
    "UPDATE days SET z = 'tomorrow 01:00' WHERE d < 'tomorrow'",
    'SELECT id, z FROM days ORDER BY id, z',
    'RESET timezone',
  ],
  'constructors of ranges': [
    "INSERT INTO spans VALUES (1, span('a', 'c'), span_multirange(span('a', 'c'), span('f', 'g')))",
    "INSERT INTO spans SELECT 2, span('d', 'd', '[]'), span_multirange()",
    "INSERT INTO spans VALUES (3, span('z', 'a'), NULL)",
    'INSERT INTO clear VALUES (1, clearspan(1, 5))',
    'SELECT id, s, m FROM spans ORDER BY id',
    "SELECT id FROM spans WHERE s @> 'b'::text",
    "SELECT id FROM spans WHERE s <@ span('a', 'z') ORDER BY id",
    "SELECT span('a', NULL)::span_multirange, unnest(span_multirange(span('a', 'b'), span('d', 'e')))",
    "SELECT lowest(span('x', 'y')), lowest(clearspan(3, 4)), lowest(s) FROM spans ORDER BY 3",
    ['SELECT id, lower(s) FROM spans WHERE s && span($1, $2)', 'a', 'b'],
    'SELECT id, span FROM clear WHERE span @> 2 AND span && clearspan(4, 9)',
    'SELECT range_merge(clearspan(1, 2), span), span * clearspan(2, 3, $$[]$$) FROM clear',
  ],
};

suite('constructed values', { timeout: 200_000 }, () => {
  const tested = beside(policy, tables);

  for (const [name, of] of Object.entries(steps))
    test(`${name}: as in PostgreSQL`, async () => {
      assert.deepEqual(await tested.unorderedDifferences(of), []);
    });
});
