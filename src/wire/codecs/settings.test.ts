import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../../test/heavy/support/scale.js';
import { arrayOids, type TypeName, typeOids } from '../types.js';
import { scalarTexts } from './arbitraries.test.js';
import {
  codecSettings,
  decodeText,
  encodeText,
  type ZoneOffsets,
  zoneFromRows,
  zoneQuery,
} from './codecs.js';
import { postgresForms } from './postgres-values.test.js';
import { startServers, type TestServer } from './test-server.test.js';
import { arrayTexts, mutated } from './variants.test.js';

const utf8 = new TextEncoder();
const runs = (what: string): number => count(what, 60, 2);
const batchOf = (values: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.array(values, { minLength: 1, maxLength: 80, size: 'max' });

let servers: readonly TestServer[] = [];
before(async () => {
  servers = await startServers();
});
after(async () => {
  await Promise.all(servers.map(server => server.stop()));
});

/** Settings under which a type's text differs from the default, or might be read differently. */
const variations: readonly {
  readonly types: readonly TypeName[];
  readonly settings: Readonly<Record<string, string>>;
}[] = [
  ...[-15, -5, -1, 0, 2, 3].map(digits => ({
    types: ['float4', 'float8'] as const,
    settings: { extra_float_digits: String(digits) },
  })),
  { types: ['bytea'], settings: { bytea_output: 'escape' } },
  ...['ISO, DMY', 'ISO, YMD', 'SQL, DMY', 'German', 'Postgres, MDY'].map(style => ({
    types: ['date', 'time', 'timetz', 'timestamp', 'timestamptz'] as const,
    settings: { DateStyle: style },
  })),
  ...['postgres_verbose', 'sql_standard', 'iso_8601'].map(style => ({
    types: ['interval'] as const,
    settings: { IntervalStyle: style },
  })),
  ...[
    '<+03>-03',
    '<-03:30>+03:30',
    'GMT',
    'Etc/UTC',
    'Europe/Berlin',
    'America/New_York',
    'Africa/Monrovia',
    'Asia/Kathmandu',
    'CET',
  ].map(zone => ({ types: ['timestamptz', 'timetz'] as const, settings: { TimeZone: zone } })),
  { types: ['text', 'int4'], settings: { array_nulls: 'off' } },
];

/** Named zones loaded from a server. */
async function loadZone(server: TestServer, name: string): Promise<ZoneOffsets> {
  await server.client.query(`SET TimeZone = '${name}'`);
  const { rows } = await server.client.query(zoneQuery);
  await server.client.query('RESET TimeZone');
  return zoneFromRows(rows);
}

describe('codecs under settings', () => {
  for (const { types, settings } of variations) {
    const [[name, value]] = Object.entries(settings) as [[string, string]];
    it(`prints and reads ${types.join(', ')} as PostgreSQL under ${name} = ${value}`, async () => {
      for (const server of servers) {
        const zone = name === 'TimeZone' ? await loadZone(server, value) : undefined;
        const codec = codecSettings(
          setting => (setting === name ? value : setting === 'TimeZone' ? 'UTC' : undefined),
          () => zone,
        );
        for (const type of types) {
          for (const [sql, oid, texts] of [
            [type, typeOids[type], scalarTexts[type]],
            [`${type}[]`, arrayOids[type], arrayTexts(scalarTexts[type])],
          ] as const) {
            await server.client.query(`SET ${name} = '${value}'`);
            await fc.assert(
              fc.asyncProperty(batchOf(fc.oneof(texts, mutated(texts))), async given => {
                const forms = await postgresForms(server, sql, given);
                given.forEach((text, i) => {
                  const form = forms[i];
                  const context = `${server.name}: ${text} is ${form?.text}`;
                  const read = decodeText(oid, -1, utf8.encode(text), codec);
                  if (read !== undefined) assert.deepEqual(read && Buffer.from(read), form?.binary, context);
                  const written = form && encodeText(oid, form.binary, codec);
                  if (written !== undefined)
                    assert.equal(Buffer.from(written).toString(), form?.text, context);
                });
              }),
              { numRuns: runs(`batches under ${name}`) },
            );
            await server.client.query(`RESET ${name}`);
          }
        }
      }
    });
  }

  it('knows every offset of a named zone between 1900 and 2100', async () => {
    for (const server of servers) {
      for (const name of [
        'Europe/Berlin',
        'America/New_York',
        'Africa/Monrovia',
        'Australia/Lord_Howe',
        'Asia/Pyongyang',
        'CET',
      ]) {
        const zone = await loadZone(server, name);
        const moments = fc.sample(
          fc.oneof(
            fc.integer({ min: -2208988800, max: 4102444799 }),
            fc.integer({ min: 0, max: 1_700_000_000 }),
          ),
          2000,
        );
        await server.client.query(`SET TimeZone = '${name}'`);
        const { rows } = await server.client.query(
          `SELECT extract(epoch FROM to_timestamp(s)::timestamp)::int8::text AS local
           FROM unnest($1::float8[]) WITH ORDINALITY u(s, i) ORDER BY i`,
          [moments],
        );
        await server.client.query('RESET TimeZone');
        moments.forEach((moment, i) => {
          assert.equal(
            moment + zone.offsetAt(moment),
            Number(rows[i].local),
            `${server.name} ${name} ${moment}`,
          );
        });
        assert.equal(zone.offsetAt(4102444800), Number.NaN);
        assert.equal(zone.offsetAt(-2208988801), Number.NaN);
      }
    }
  });

  it('leaves to PostgreSQL what the settings make uncertain', () => {
    const bytes = new Uint8Array(8);
    const under = (settings: Readonly<Record<string, string>>) => codecSettings(name => settings[name]);
    assert.equal(encodeText(typeOids.timestamptz, bytes, under({})), undefined);
    assert.equal(encodeText(typeOids.timestamptz, bytes, under({ TimeZone: 'Europe/Berlin' })), undefined);
    assert.equal(encodeText(typeOids.timestamp, bytes, under({ DateStyle: 'German, DMY' })), undefined);
    assert.equal(
      encodeText(typeOids.interval, new Uint8Array(16), under({ IntervalStyle: 'iso_8601' })),
      undefined,
    );
    assert.notEqual(encodeText(typeOids.timestamp, bytes, under({ DateStyle: 'ISO, DMY' })), undefined);
  });
});
