import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../../test/heavy/support/scale.js';
import { arrayOids, typeNames, typeOids } from '../types.js';
import { scalarTexts } from './arbitraries.test.js';
import { binaryAcceptable, decodeText, defaultSettings, encodeText } from './codecs.js';
import { binaryArray } from './postgres-values.test.js';
import { startServers, type TestServer } from './test-server.test.js';

const utf8 = new TextEncoder();

let servers: readonly TestServer[] = [];
before(async () => {
  servers = await startServers();
});
after(async () => {
  await Promise.all(servers.map(server => server.stop()));
});

/** Binary forms, many of them spoilt in a byte or two. */
function binaries(texts: fc.Arbitrary<string>, oid: number): fc.Arbitrary<Buffer> {
  const valid = texts.map(text => Buffer.from(decodeText(oid, -1, utf8.encode(text), defaultSettings) ?? []));
  const change = fc.tuple(
    fc.nat({ max: 20 }),
    fc.oneof(fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xc0, 0xff), fc.nat({ max: 255 })),
  );
  const spoilt = fc.tuple(valid, fc.array(change, { minLength: 1, maxLength: 2 })).map(([bytes, changes]) => {
    const copy = Buffer.from(bytes);
    for (const [place, byte] of changes) if (copy.length > 0) copy[place % copy.length] = byte;
    return copy;
  });
  const other = fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes));
  return fc.oneof(
    { weight: 5, arbitrary: spoilt },
    { weight: 2, arbitrary: valid },
    { weight: 2, arbitrary: other },
  );
}

describe('binary parameters', () => {
  for (const name of typeNames) {
    it(`are taken for ${name} only when PostgreSQL keeps and prints them the same`, async () => {
      const oid = typeOids[name];
      for (const server of servers) {
        const { rows } = await server.client.query(
          'SELECT typsend::text AS send FROM pg_type WHERE oid = $1',
          [oid],
        );
        await fc.assert(
          fc.asyncProperty(
            fc.array(binaries(scalarTexts[name], oid), { minLength: 1, maxLength: 200, size: 'max' }),
            async given => {
              const accepted = given.filter(bytes => binaryAcceptable(oid, -1, bytes));
              const array = binaryArray(oid, accepted);
              assert.equal(binaryAcceptable(arrayOids[name], -1, array), true);
              const result = await server.client.query(
                `SELECT encode(${rows[0].send}(x), 'hex') AS bin, format('%s', x) AS txt
                 FROM unnest($1::${name}[]) WITH ORDINALITY u(x, i) ORDER BY i`,
                [array],
              );
              accepted.forEach((bytes, i) => {
                assert.equal(result.rows[i].bin, bytes.toString('hex'), server.name);
                const text = encodeText(oid, bytes, defaultSettings);
                if (text !== undefined)
                  assert.equal(Buffer.from(text).toString(), result.rows[i].txt, server.name);
              });
            },
          ),
          { numRuns: count(`batches of binary ${name}`, 60, 3) },
        );
      }
    });
  }
});
