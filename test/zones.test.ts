/** timestamptz under time zones with rules: gaps, overlaps, old and far times, as a plain PostgreSQL has them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { Zones } from '../src/trusted/zones.js';
import { startProxy, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;
let sides: readonly [plain: pg.Client, clarus: pg.Client];

/** Everything as the server's own text. */
const asText = { getTypeParser: () => (value: string) => value };

before(async () => {
  proxy = await startProxy({
    policy: `unlisted: pass
tables:
  public.visit:
    columns: { id: { protect: none }, at: { queries: [equality] }, ats: {}, took: {}, size: {}, raw: {} }
`,
  });
  sides = [new pg.Client({ ...proxy.plain, types: asText }), new pg.Client({ ...proxy, types: asText })];
  for (const side of sides) {
    await side.connect();
    await side.query('CREATE TABLE visit (id int, at timestamptz, ats timestamptz[])');
  }
});
after(async () => {
  for (const side of sides ?? []) await side.end();
  await proxy?.stop();
});

const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe', // half an hour
  'Africa/Monrovia', // 44 minutes and 30 seconds until 1972
  'Asia/Kathmandu',
  'Pacific/Apia', // a day that never was
  'CET', // a zone, and an abbreviation
  'EST5EDT',
  '<+03>-03',
];

/** Local times around changes of these zones, every ten minutes, and ends of what is known. */
function localTimes(): string[] {
  const changes = [
    '2024-03-31 01:30',
    '2024-10-27 01:30',
    '2024-03-10 01:30',
    '2024-11-03 00:30',
    '2024-04-07 01:00',
    '2024-10-06 01:30',
    '1972-01-06 23:30',
    '1985-12-31 23:40',
    '2011-12-29 23:00',
    '1893-03-31 23:30',
    '1945-05-24 01:30',
    '2038-03-28 01:30',
    '2099-10-25 01:30',
  ];
  const times = changes.flatMap(start =>
    Array.from({ length: 15 }, (_, i) =>
      new Date(Date.parse(`${start.replace(' ', 'T')}:00Z`) + i * 600_000)
        .toISOString()
        .slice(0, 19)
        .replace('T', ' '),
    ),
  );
  const ends = [
    '1850-06-01 12:00',
    '1899-12-31 23:59:59.999999',
    '2100-01-01 00:00',
    '2300-07-01 12:00',
    'infinity',
    '-infinity',
    '0044-03-15 12:00 BC',
  ];
  return [...times, ...ends];
}

for (const zone of zones)
  test(`times in zone ${zone} are written and read as by a plain PostgreSQL`, async () => {
    const times = localTimes();
    const answers: unknown[] = [];
    for (const side of sides) {
      await side.query(`SET TimeZone = '${zone}'`);
      await side.query('DELETE FROM visit');
      for (let from = 0; from < times.length; from += 50) {
        const some = times.slice(from, from + 50);
        const rows = some.map((_, i) => `(${from + i}, $${i + 1}, ARRAY[$${i + 1}::timestamptz])`);
        await side.query(`INSERT INTO visit VALUES ${rows.join(', ')}`, some);
      }
      const few = await side.query('SELECT id, at FROM visit WHERE id < 5 ORDER BY id');
      const all = await side.query('SELECT id, at, ats FROM visit ORDER BY id');
      const again = await side.query('SELECT id, at FROM visit WHERE id < 5 ORDER BY id');
      const found = await side.query('SELECT id FROM visit WHERE at = $1 ORDER BY id', [times[20]]);
      answers.push([few.rows, all.rows, again.rows, found.rows]);
    }
    assert.deepEqual(answers[1], answers[0]);
    const [, all] = answers[0] as { id: string }[][];
    assert.equal(all!.length, times.length);
  });

test('values print by the settings of their moment', async () => {
  for (const side of sides) {
    await side.query('DROP TABLE visit');
    await side.query(
      'CREATE TABLE visit (id int, at timestamptz, ats timestamptz[], took interval, size float8, raw bytea)',
    );
    await side.query("INSERT INTO visit VALUES (1, '2024-07-01 12:00Z', NULL, '1 day 2:03', 0.1, '\\x0102')");
  }
  const settings = [
    "TimeZone = 'UTC'",
    "TimeZone = '+3'",
    "TimeZone = 'Europe/Berlin'",
    "DateStyle = 'German'",
    "DateStyle = 'ISO'",
    "IntervalStyle = 'iso_8601'",
    'extra_float_digits = -10',
    "bytea_output = 'escape'",
  ];
  for (const setting of [...settings, ...settings.reverse()]) {
    const answers: unknown[] = [];
    for (const side of sides) {
      await side.query(`SET ${setting}`);
      answers.push((await side.query('SELECT at, ats, took, size, raw FROM visit')).rows);
      for (const sql of ['BEGIN', "SET LOCAL TimeZone = 'Asia/Kathmandu'"]) await side.query(sql);
      answers.push((await side.query('SELECT at FROM visit')).rows);
      await side.query('ROLLBACK');
      answers.push((await side.query('SELECT at FROM visit')).rows);
    }
    assert.deepEqual(answers.slice(3), answers.slice(0, 3), setting);
  }
});

test('a zone is loaded once, and one that does not exist is an error', async () => {
  const loaded = new Zones(proxy.trusted.state);
  assert.equal(loaded.known('Europe/Berlin'), undefined);
  const [one, two] = await Promise.all([loaded.load('Europe/Berlin'), loaded.load('Europe/Berlin')]);
  assert.equal(one, two);
  assert.equal(loaded.known('Europe/Berlin'), one);
  assert.equal(one.offsetAt(Date.parse('2024-03-31T00:59:59Z') / 1_000), 3_600);
  assert.equal(one.offsetAt(Date.parse('2024-03-31T01:00:00Z') / 1_000), 7_200);
  await assert.rejects(loaded.load('Nowhere/Land'), { code: '22023' });
  await loaded.load('CET');
  assert.equal(loaded.known('CET')!.offsetAt(Date.parse('2024-07-01T00:00:00Z') / 1_000), 7_200);
});
