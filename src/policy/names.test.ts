import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinName, rejectName, splitName } from './names.js';
import { editDistance, nearest } from './nearest.js';

test('a name is split at its dots, quoted parts are taken as they are', () => {
  assert.deepEqual(splitName('public.covid_test'), ['public', 'covid_test']);
  assert.deepEqual(splitName('Public."a.b"."say ""hi"""'), ['Public', 'a.b', 'say "hi"']);
  assert.deepEqual(splitName('with space'), ['with space']);
  for (const wrong of ['', '.', 'a.', '.a', 'a..b', '"a', 'a"b', '""', '"a"b', '"a""']) {
    assert.equal(splitName(wrong), undefined, wrong);
  }
  assert.equal(joinName(['a.b', 'c"d', 'e f']), '"a.b"."c""d".e f');
});

test('names that PostgreSQL cannot keep are refused', () => {
  assert.equal(rejectName('é'.repeat(31)), undefined);
  assert.match(rejectName('é'.repeat(32)) ?? '', /64 bytes/u);
  for (const wrong of ['', 'a\0', '\ud800']) assert.ok(rejectName(wrong));
});

test('the nearest word is the one with the fewest edits, and none where none is near', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('ab', 'ba'), 1);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(nearest('encrpyt', ['none', 'encrypt']), 'encrypt');
  assert.equal(nearest('EQUALITY', ['equality', 'range']), 'equality');
  assert.equal(nearest('xyz', ['sum', 'range']), undefined);
  assert.equal(nearest('x'.repeat(1_000_000), ['sum']), undefined);
});
