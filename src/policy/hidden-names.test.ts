import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffPolicy } from './diff.js';
import { formatPolicy, replacePolicy } from './format.js';
import { policyFromJson, policyToJson } from './json.js';
import { ConfigError, parseConfig } from './parse.js';

const head = 'clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\n';
const policy = (text: string) => parseConfig(head + text, 'clarus.yaml').policy;

test('hidden names are read, stored, written and told as a difference', () => {
  const hidden = policy('names: hidden\n');
  const shown = policy('names: shown\n');
  assert.equal(hidden.names, 'hidden');
  assert.deepEqual(shown, policy(''));
  for (const one of [hidden, shown]) {
    assert.deepEqual(policyFromJson(policyToJson(one)), one);
    assert.deepEqual(policy(formatPolicy(one)), one);
    assert.deepEqual(parseConfig(replacePolicy(`${head}names: hidden\n`, one), 'clarus.yaml').policy, one);
  }
  const [difference, ...more] = diffPolicy(shown, hidden);
  assert.match(difference!.words, /^names of protected tables .*: shown becomes hidden$/);
  assert.deepEqual([more, diffPolicy(hidden, hidden)], [[], []]);
});

test('a word that is misspelt is told with the one that is meant', () => {
  assert.throws(
    () => policy('names: hiden\n'),
    (error: unknown) =>
      error instanceof ConfigError && /"names" must be one of shown, hidden.*hidden/s.test(error.message),
  );
});
