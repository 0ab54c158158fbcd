import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LabelError, parseLabel } from './label.js';

const plain = { class: undefined, protect: 'encrypt', queries: [], domain: undefined };

test('labels mean what they say', () => {
  assert.deepEqual(parseLabel('encrypt queries range, sum'), { ...plain, queries: ['range', 'sum'] });
  assert.deepEqual(parseLabel('encrypt'), plain);
  assert.deepEqual(parseLabel('none'), { ...plain, protect: 'none' });
  assert.deepEqual(parseLabel('non-confidential none'), {
    ...plain,
    class: 'non-confidential',
    protect: 'none',
  });
  assert.deepEqual(parseLabel('identifier encrypt queries equality domain person'), {
    class: 'identifier',
    protect: 'encrypt',
    queries: ['equality'],
    domain: 'person',
  });
});

test('white space, case, and the order of clauses and kinds do not matter', () => {
  const expected = {
    class: 'quasi-identifier',
    protect: 'encrypt',
    queries: ['equality', 'sum'],
    domain: 'Person',
  };
  assert.deepEqual(
    parseLabel('\n Quasi-Identifier  ENCRYPT\tdomain Person queries sum ,equality '),
    expected,
  );
});

const mistakes: readonly (readonly [label: string, said: string, hint: string])[] = [
  [
    '',
    'the label ends where one of encrypt, none, identifier, quasi-identifier, confidential, non-confidential is expected at character 1 of the label',
    'an example is: encrypt queries equality, range',
  ],
  ['encrpyt', 'unexpected "encrpyt" at character 1 of the label', 'did you mean "encrypt"?'],
  [
    'identifier',
    'the label ends where one of encrypt, none is expected at character 11 of the label',
    'an example is: encrypt queries equality, range',
  ],
  ['identifier encryptt', 'unexpected "encryptt" at character 12 of the label', 'did you mean "encrypt"?'],
  ['encrypt querys range', 'unexpected "querys" at character 9 of the label', 'did you mean "queries"?'],
  ['encrypt range', 'unexpected "range" at character 9 of the label', 'known: queries, domain'],
  [
    'encrypt queries',
    'the label ends where one of equality, range, order, prefix, substring, words, paths, sum is expected at character 16 of the label',
    'an example is: encrypt queries equality, range',
  ],
  ['encrypt queries rang', 'unexpected "rang" at character 17 of the label', 'did you mean "range"?'],
  [
    'encrypt queries range,',
    'the label ends where one of equality, range, order, prefix, substring, words, paths, sum is expected at character 23 of the label',
    'an example is: encrypt queries equality, range',
  ],
  ['encrypt queries range sum', 'unexpected "sum" at character 23 of the label', 'write a comma before it'],
  ['encrypt queries range, range', 'range stands twice at character 24 of the label', 'name it once'],
  [
    'encrypt domain',
    'the name of the domain is missing at character 15 of the label',
    'a domain is one word of letters, digits, _ . and -, such as person',
  ],
  [
    'encrypt domain 1a',
    'no domain can be called so at character 16 of the label',
    'a domain is one word of letters, digits, _ . and -, such as person',
  ],
  ['encrypt domain a domain b', 'domain stands twice at character 18 of the label', 'name it once'],
  [
    'encrypt domain a queries sum more',
    'unexpected "more" at character 30 of the label',
    'the label is complete before it',
  ],
  [
    'none queries range',
    'a column in the clear takes no queries at character 6 of the label',
    'write encrypt instead of none, or none alone',
  ],
  [
    'none domain a',
    'a column in the clear takes no domain at character 6 of the label',
    'write encrypt instead of none, or none alone',
  ],
  ['none encrypt', 'unexpected "encrypt" at character 6 of the label', 'the label is complete before it'],
  [
    'x'.repeat(1001),
    'the label is too long at character 1001 of the label',
    'an example is: encrypt queries equality, range',
  ],
];

for (const [label, message, hint] of mistakes) {
  test(`the label "${label.slice(0, 40)}" is refused with the place and what to write`, () => {
    assert.throws(
      () => parseLabel(label),
      (error: unknown) => {
        assert.ok(error instanceof LabelError);
        assert.deepEqual([error.message, error.fields.hint, error.code], [message, hint, '22023']);
        assert.ok(message.includes(`character ${error.offset} `));
        return true;
      },
    );
  });
}
