import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { boundedName, NAME_BYTES_MAX, quoteLiteral, quoteName } from './quote.js';

test('a bounded name keeps its suffix, is at most 63 bytes, and cuts no character in two', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.nat(), (base, generation) => {
      const suffix = `_sealed${generation}`;
      const name = boundedName(base, suffix);
      assert.ok(name.endsWith(suffix));
      assert.ok(Buffer.byteLength(name) <= NAME_BYTES_MAX);
      assert.ok(base.startsWith(name.slice(0, -suffix.length)));
      assert.doesNotMatch(name, /\p{Surrogate}/u);
    }),
  );
});

test('quotes are doubled, and a backslash means itself whatever standard_conforming_strings says', () => {
  assert.equal(quoteName('a"b'), '"a""b"');
  assert.equal(quoteLiteral("it's"), "'it''s'");
  assert.equal(quoteLiteral('a\\b'), " E'a\\\\b'");
});
