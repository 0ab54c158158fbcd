import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../../test/heavy/support/scale.js';
import { arrayOids, typeNames, typeOids } from '../types.js';
import { scalarTexts } from './arbitraries.test.js';
import {
  binaryAcceptable,
  codecOf,
  decodeText,
  defaultSettings,
  encodeText,
  maxBinarySize,
  maxTextSize,
  textReader,
  textWriter,
} from './codecs.js';
import { arrayTexts, mutated } from './variants.test.js';

const utf8 = new TextEncoder();
const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString('hex');

/** Neighbours that a careless reader would take for a part of the value. */
const neighbours = fc.constantFrom(
  '',
  '0',
  '5',
  '-',
  ':30',
  '.5',
  ' BC',
  '/8',
  '"',
  '}',
  'e5',
  'n',
  '\\',
  '00',
);

/** `value` between neighbours. */
function placed(
  value: Uint8Array,
  before: string,
  behind: string,
): { data: Uint8Array; start: number; end: number } {
  const data = Buffer.concat([utf8.encode(before), value, utf8.encode(behind)]);
  return { data, start: before.length, end: before.length + value.length };
}

describe('columns of values', () => {
  for (const name of typeNames) {
    for (const [label, oid, texts] of [
      [name, typeOids[name], scalarTexts[name]],
      [`${name}[]`, arrayOids[name], arrayTexts(scalarTexts[name])],
    ] as const) {
      it(`read ${label} from a part of a buffer as from one of its own, within the bound`, () => {
        const read = textReader(oid, -1, defaultSettings)!;
        fc.assert(
          fc.property(fc.oneof(texts, mutated(texts)), neighbours, neighbours, (text, before, behind) => {
            const value = utf8.encode(text);
            const alone = decodeText(oid, -1, value, defaultSettings);
            const { data, start, end } = placed(value, before, behind);
            const out = new Uint8Array(3 + maxBinarySize(oid, -1, value.length)).fill(0xa5);
            const to = read(data, start, end, out, 3);
            assert.ok(to <= out.length);
            assert.equal(to < 0 ? undefined : hex(out.subarray(3, to)), hex(alone));
          }),
          { numRuns: count(`texts of ${label} in a column`, 5_000, 200) },
        );
      });

      it(`write ${label} from a part of a buffer as from one of its own, within the bound`, () => {
        const write = textWriter(oid, defaultSettings)!;
        const check = codecOf(oid)!.acceptable(-1)!;
        const bytes = fc.oneof(
          {
            weight: 4,
            arbitrary: texts.map(
              text => decodeText(oid, -1, utf8.encode(text), defaultSettings) ?? new Uint8Array(),
            ),
          },
          { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
        );
        fc.assert(
          fc.property(bytes, neighbours, neighbours, (value, before, behind) => {
            const alone = encodeText(oid, value, defaultSettings);
            const { data, start, end } = placed(value, before, behind);
            const out = new Uint8Array(3 + maxTextSize(oid, value.length)).fill(0xa5);
            const to = write(data, start, end, out, 3);
            assert.ok(to <= out.length);
            // only a numeric may be longer than the bound, and is then left to encodeText
            if (to >= 0 || name !== 'numeric') {
              assert.equal(to < 0 ? undefined : hex(out.subarray(3, to)), hex(alone));
            }
            assert.equal(check(data, start, end), binaryAcceptable(oid, -1, value));
          }),
          { numRuns: count(`values of ${label} in a column`, 5_000, 200) },
        );
      });
    }
  }

  it('find room for a numeric of any length', () => {
    const longest = `1${'0'.repeat(131071)}`;
    const many = `{${[longest, '1', 'NULL', ...Array(30).fill(longest)].join(',')}}`;
    for (const [oid, text] of [
      [typeOids.numeric, longest],
      [arrayOids.numeric, many],
    ] as const) {
      const binary = decodeText(oid, -1, utf8.encode(text), defaultSettings);
      assert.ok(binary);
      assert.ok(Buffer.from(encodeText(oid, binary, defaultSettings) ?? []).equals(Buffer.from(text)));
    }
  });

  it('have no codec for other types', () => {
    for (const oid of [0, 18, 22, 142, 603, 3614]) {
      assert.equal(textWriter(oid, defaultSettings), undefined);
      assert.equal(textReader(oid, -1, defaultSettings), undefined);
      assert.equal(encodeText(oid, new Uint8Array(4), defaultSettings), undefined);
      assert.equal(decodeText(oid, -1, new Uint8Array(4), defaultSettings), undefined);
      assert.equal(binaryAcceptable(oid, -1, new Uint8Array(4)), false);
      assert.equal(maxTextSize(oid, 4) + maxBinarySize(oid, -1, 4), 0);
    }
  });

  it('are left to PostgreSQL where a text is not valid UTF-8 or holds a NUL', () => {
    const bad = [
      '610062',
      'ff',
      'c080',
      'eda080',
      'f4908080',
      'c3',
      'e282',
      'f09f98',
      '80',
      `${'61'.repeat(100)}ff`,
      `${'61'.repeat(100)}00`,
    ];
    for (const text of bad.map(digits => Buffer.from(digits, 'hex'))) {
      for (const name of ['text', 'varchar', 'bpchar', 'name', 'json', 'jsonb', 'bytea'] as const) {
        const quoted = name.startsWith('json')
          ? Buffer.concat([Buffer.from('"'), text, Buffer.from('"')])
          : text;
        assert.equal(
          decodeText(typeOids[name], -1, quoted, defaultSettings),
          undefined,
          `${name} ${hex(text)}`,
        );
        if (name !== 'bytea') assert.equal(binaryAcceptable(typeOids[name], -1, text), false);
      }
    }
  });
});
