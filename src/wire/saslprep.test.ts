import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { passwordBytes, saslprep } from './saslprep.js';
import {
  type CodePoints,
  contains,
  leftToRight,
  mappedToNothing,
  nonAsciiSpace,
  prohibited,
  rightToLeft,
  unassigned,
} from './stringprep-tables.js';

test('the examples of RFC 4013 section 3 come out', () => {
  assert.equal(saslprep('I\u00adX'), 'IX');
  assert.equal(saslprep('user'), 'user');
  assert.equal(saslprep('USER'), 'USER');
  assert.equal(saslprep('\u00aa'), 'a');
  assert.equal(saslprep('\u2168'), 'IX');
  assert.equal(saslprep('\u0627\u0031'), undefined);
});

test('a password that the profile forbids is taken as it is, and ASCII always', () => {
  assert.deepEqual(passwordBytes('\u0007'), Buffer.from([7])); // PostgreSQL checks no ASCII
  assert.deepEqual(passwordBytes('é\u0007'), Buffer.from('é\u0007'));
  assert.deepEqual(passwordBytes('e\u0301'), Buffer.from('é'));
  assert.deepEqual(passwordBytes('e\u0301😀'), Buffer.from('e\u0301😀')); // unassigned in Unicode 3.2
  assert.deepEqual(passwordBytes('\u00ad'), Buffer.from('\u00ad')); // nothing would be left
  assert.deepEqual(passwordBytes('a\u00a0b'), Buffer.from('a b'));
});

/** SHA-256 over one byte a code point, 1 for members, as computed from Python's stringprep module. */
const tables: readonly (readonly [string, CodePoints, string])[] = [
  ['A.1', unassigned, 'f1a45b0334ff4e4c347270ee5e3968516bfa2e42b51bb5a3d46bd683e7cf3c29'],
  ['B.1', mappedToNothing, '736244fb8a21b26ebbca18ac03c47e7eccd90cfc0c7471a778812619280f6683'],
  ['C.1.2', nonAsciiSpace, '8ade3f390f659ea25adbd87a8cd5a65be6ba57c700cfa07595d6bb447c8676a6'],
  ['C', prohibited, 'b3cfcc58c3c338e73a27d41eccb3d47747a1a57d77412ed9bcf35c93d38b6d0f'],
  ['D.1', rightToLeft, '7758885bca841e836436adc4900c7df6d5e1e218f5f29e16e8dceec42c7b5ef3'],
  ['D.2', leftToRight, 'b50efbe349aa954d05f73a18e17e60e78e1c01a18a541ba93df8b2cdf3235c48'],
];

test('the tables hold exactly the code points of RFC 3454', () => {
  for (const [name, table, digest] of tables) {
    const members = Buffer.alloc(0x11_0000);
    for (let point = 0; point < members.length; point++) if (contains(table, point)) members[point] = 1;
    assert.equal(createHash('sha256').update(members).digest('hex'), digest, name);
  }
});
