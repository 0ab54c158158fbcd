/** `names: hidden` where statements name relations in constants, ask for them as values, or read sequences. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { outcomeOf, type Step } from './support/outcome.js';

const policy = `unlisted: encrypt
names: hidden
tables:
  public.zqship:
    columns:
      zqid: { protect: none }
      zqport: { protect: none }
      zqcode: { protect: encrypt }
      zqcargo: { class: identifier, protect: encrypt, queries: [equality] }
  public.quay:
    columns:
      place: { protect: none }
      depth: { protect: none }
  public.later:
    columns:
      id: { protect: none }
      depth: { protect: none }
`;

const tables = [
  'CREATE TABLE zqship (zqid serial PRIMARY KEY, zqport text, zqcargo text, zqcode serial)',
  'CREATE INDEX zqbyport ON zqship (zqport)',
  'CREATE TABLE quay (place text, depth int)',
  "INSERT INTO quay VALUES ('Ulm', 3), ('Bonn', NULL)",
  "INSERT INTO zqship (zqport, zqcargo) VALUES ('Ulm', 'salt'), ('Bonn', 'iron')",
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'arguments that name relations': [
    "SELECT pg_relation_size('zqship') > 0, pg_table_size('public.zqship') > 0, pg_total_relation_size('zqship') > pg_indexes_size('zqship')",
    "SELECT pg_relation_size('zqship') > 0, zqport FROM zqship ORDER BY 2",
    "SELECT pg_relation_size('zqbyport') > 0, pg_relation_size('public.zqship_pkey') > 0",
    "SELECT pg_relation_size('zqship'::regclass) > 0, pg_relation_size('zqship', 'main') > 0",
    ["SELECT pg_relation_size('zqship') > $1", 0],
    "SELECT pg_relation_size('zqnothing')",
    "SELECT has_table_privilege('zqship', 'SELECT'), has_column_privilege('zqship', 'zqport', 'UPDATE'), zqport FROM zqship ORDER BY 3",
    ["SELECT has_table_privilege($1, 'SELECT'), zqport FROM zqship ORDER BY 2", 'zqship'],
    "SELECT to_regclass('zqship'), to_regclass('zqship')::text, to_regclass('zqnothing'), zqport FROM zqship ORDER BY 4",
    "SELECT place FROM quay WHERE has_table_privilege('zqship', 'SELECT') AND to_regclass('zqship') IS NOT NULL ORDER BY 1",
    "SELECT nextval('zqship_zqid_seq') > 0, setval('public.zqship_zqid_seq', 100), currval('zqship_zqid_seq'::regclass)",
    "SELECT currval('zqship_zqid_seq'), zqport FROM zqship ORDER BY 2",
  ],
  'relations as values': [
    "SELECT 'zqship'::regclass::text, zqid FROM zqship ORDER BY 2",
    "SELECT 'zqship'::regclass, place FROM quay ORDER BY 2",
    "SELECT now() IS NOT NULL, 'zqship'::regclass::text",
    'SELECT tableoid::regclass, zqid FROM zqship ORDER BY 2',
    'SELECT tableoid::regclass::text, upper(zqcargo) FROM zqship ORDER BY 2',
    'SELECT tableoid::regclass FROM zqship GROUP BY 1',
    "SELECT count(*) FROM zqship WHERE tableoid = 'zqship'::regclass",
    "SELECT zqid FROM zqship WHERE tableoid::regclass::text = 'zqship' AND zqcargo = 'salt'",
    "SELECT to_regclass('zqship') = tableoid FROM zqship",
    "SELECT zqport FROM zqship WHERE zqport = 'zqship'::regclass::text",
    ['SELECT $1::regclass, zqport FROM zqship ORDER BY 2', 'zqship'],
    'SELECT pg_typeof(zqid), pg_typeof(zqcargo) FROM zqship LIMIT 1',
    "SELECT format('%s', 'zqship'::regclass), place FROM quay ORDER BY 2",
    "UPDATE zqship SET zqport = upper(tableoid::regclass::text) WHERE zqcargo = 'salt' RETURNING zqport, zqcargo",
    "UPDATE zqship SET zqport = 'Ulm' WHERE zqport = 'ZQSHIP' RETURNING tableoid::regclass, zqport",
    "DELETE FROM zqship WHERE zqcargo = 'nothing' RETURNING tableoid::regclass",
    'BEGIN',
    "DECLARE c CURSOR FOR SELECT 'zqship'::regclass, place FROM quay ORDER BY 2",
    'FETCH ALL FROM c',
    'COMMIT',
    'SELECT current_query() IS NOT NULL FROM zqship',
  ],
  'sequences that are read': [
    'SELECT last_value FROM zqship_zqid_seq',
    'SELECT last_value, is_called FROM public.zqship_zqid_seq',
    'SELECT zqship_zqid_seq.last_value, public.zqship_zqid_seq.is_called FROM public.zqship_zqid_seq',
    'SELECT s.* FROM zqship_zqid_seq AS s',
    'SELECT place, (SELECT last_value FROM zqship_zqid_seq) > 0 FROM quay ORDER BY 1',
    "UPDATE quay SET depth = (SELECT last_value FROM zqship_zqid_seq) WHERE place = 'Bonn' RETURNING depth > 0",
    'WITH c AS (SELECT last_value AS v FROM zqship_zqid_seq) SELECT v > 0 FROM c',
  ],
  'sequences that columns own': [
    'CREATE SEQUENCE zqberth OWNED BY zqship.zqport',
    "SELECT nextval('zqberth')",
    'SELECT last_value FROM zqberth',
    "SELECT pg_get_serial_sequence('zqship', 'zqport')",
    'CREATE SEQUENCE counter START 7',
    'ALTER SEQUENCE counter OWNED BY public.zqship.zqport',
    'ALTER SEQUENCE counter INCREMENT BY 2',
    "SELECT nextval('counter')",
    'ALTER SEQUENCE counter OWNED BY quay.depth',
    "SELECT nextval('counter')",
    'ALTER SEQUENCE counter OWNED BY NONE',
    "SELECT nextval('counter')",
    'ALTER SEQUENCE counter OWNED BY zqship.zqnothing',
    'CREATE SEQUENCE zqsealed OWNED BY zqship.zqcargo',
    "SELECT nextval('zqsealed'), nextval('zqship_zqcode_seq') > 1",
    "INSERT INTO zqship (zqcargo) VALUES ('tin') RETURNING zqcode > 1",
    "INSERT INTO zqship (zqcargo) SELECT 'tin' FROM quay WHERE depth = 3 RETURNING zqcode > 2",
    'SELECT last_value > 1 FROM zqship_zqcode_seq',
    'ALTER TABLE zqship ADD COLUMN zqmade serial',
  ],
  'a table that becomes protected, and open again': [
    'CREATE TABLE later (id serial PRIMARY KEY, depth int CONSTRAINT deep CHECK (depth > 0))',
    'ALTER TABLE later ADD COLUMN zqmore text',
    "INSERT INTO later (depth, zqmore) VALUES (2, 'x') RETURNING *",
    'INSERT INTO later (depth) VALUES (-1)',
    'SELECT last_value FROM later_id_seq',
    'ALTER TABLE later DROP COLUMN zqmore',
    'INSERT INTO later (depth) VALUES (3) RETURNING *',
    'SELECT * FROM later ORDER BY id',
  ],
};

/** Statements that neither a cloud that knows other names nor the trusted side can answer. */
const refused: readonly Step[] = [
  ['SELECT pg_relation_size($1)', 'zqship'],
  'SELECT pg_relation_size(place) FROM quay',
  "SELECT mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'zqship'",
  'SELECT relation::regclass FROM pg_locks',
  'SELECT tableoid::regclass, count(*) FROM zqship GROUP BY tableoid',
  'SELECT a.tableoid::regclass, b.tableoid::regclass FROM zqship a LEFT JOIN zqship b ON false',
  "CREATE FUNCTION size() RETURNS bigint LANGUAGE sql AS $$SELECT pg_relation_size('zqship')$$",
  "CREATE FUNCTION next() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''zqship_zqid_seq''); END'",
  "ALTER TABLE quay ADD CHECK (has_table_privilege('zqship', 'SELECT'))",
];

suite('names: hidden, in references', () => {
  const pair = beside(policy);

  test('makes tables', () => pair.both(...tables));

  for (const [name, list] of Object.entries(steps)) {
    test(`answers ${name} as PostgreSQL does`, async () => {
      const alike = (client: Parameters<typeof outcomeOf>[0], step: Step) => outcomeOf(client, step);
      assert.deepEqual(await pair.differences(list, alike), []);
    });
  }

  test('answers them alike by the extended protocol', async () => {
    const queries = Object.values(steps)
      .flat()
      .filter(
        step => typeof step === 'string' && step.startsWith('SELECT') && !/next|last_value|later/.test(step),
      );
    const found = await pair.differences(queries, async (client, step) => {
      const { detail: _, ...outcome } = await pair.outcome(client, step, true);
      return outcome;
    });
    assert.deepEqual(found, []);
  });

  test('shows no name of the cloud in the words of VACUUM and ANALYZE', async () => {
    const said: string[] = [];
    const listen = ({ message }: { readonly message?: string | undefined }): void =>
      void said.push(message ?? '');
    pair.ours.on('notice', listen);
    for (const sql of ['VACUUM (VERBOSE) zqship', 'ANALYZE VERBOSE zqship']) await pair.ours.query(sql);
    pair.ours.off('notice', listen);
    assert.match(said.join('\n'), /public\.zqship"/);
    assert.doesNotMatch(said.join('\n'), /\bn\d+\b/);
  });

  test('refuses what would tell a name, or be told of another one', async () => {
    for (const step of refused) {
      const [text, ...values] = typeof step === 'string' ? [step] : step;
      await assert.rejects(pair.ours.query(text, values), { code: '0A000' }, text);
    }
    for (const sql of ['SELECT pid FROM pg_stat_activity', 'SELECT datname FROM pg_stat_database'])
      assert.notEqual((await pair.ours.query(sql)).rowCount, 0, sql);
  });

  test('tells the cloud none of these names', () => {
    const sent = pair.recorded.sent();
    const names = new Set(JSON.stringify([tables, steps, refused]).match(/zq\w{2,}/g));
    names.delete('zqnothing');
    assert.deepEqual(
      [...names].filter(name => sent.includes(name)),
      [],
    );
  });
});
