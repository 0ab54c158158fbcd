import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffPolicy } from './diff.js';
import { effectiveColumn } from './effective.js';
import { parseConfig } from './parse.js';
import type { Policy } from './policy.js';

const head = 'clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\n';
const policy = (text: string): Policy => parseConfig(head + text, 'clarus.yaml').policy;

const before = policy(`tables:
  gone: {}
  t:
    columns:
      a: { class: identifier, queries: [equality, range] }
      b: { protect: none }
      c: { domain: person }
      d: { queries: [sum] }
`);
const after = policy(`unlisted: pass
declassify: [open.covid]
tables:
  t:
    columns:
      a: { class: quasi-identifier, queries: [equality, sum] }
      b: {}
      c: { class: identifier, domain: person }
      d: { queries: [sum], domain: person }
      e: { protect: encrypt }
      "f.g": { protect: none }
  new: {}
`);

test('every difference is said in words, and one that changes nothing is not', () => {
  assert.deepEqual(
    diffPolicy(before, after).map(({ words }) => words),
    [
      'unlisted tables: refuse becomes pass',
      'open.covid: protected values may now reach it in the clear',
      'public.gone: no longer listed (unlisted: pass holds)',
      'public.new: listed now',
      'public.t.a: class identifier becomes quasi-identifier; queries gains sum; queries loses range',
      'public.t.b: none becomes encrypt',
      'public.t.c: class not said becomes identifier',
      'public.t.d: domain of its own becomes person',
      'public.t."f.g": encrypt becomes none: in the clear',
    ],
  );
  assert.deepEqual(
    diffPolicy(after, before)
      .slice(0, 2)
      .map(({ words }) => words),
    [
      'unlisted tables: pass becomes refuse',
      'open.covid: protected values may no longer reach it in the clear',
    ],
  );
});

test('a class alone does not change what a cloud stores', () => {
  const classOnly = diffPolicy(
    before,
    policy(
      'tables: { gone: {}, t: { columns: { a: { queries: [range, equality] }, b: { protect: none, class: non-confidential }, c: { domain: person }, d: { queries: [sum] } } } }',
    ),
  );
  assert.equal(classOnly.length, 2);
  assert.ok(classOnly.every(difference => difference.kind === 'column' && !difference.changesProtection));
});

test('what holds for a column: what is named, encrypt for the unnamed of a listed table, else unlisted', () => {
  const named = effectiveColumn(after, 'public', 't', 'a');
  assert.ok(named !== 'unlisted' && named.class === 'quasi-identifier');
  const line = head.split('\n').length + 3;
  assert.deepEqual(effectiveColumn(after, 'public', 't', 'not named'), {
    name: 'not named',
    class: undefined,
    protect: 'encrypt',
    queries: [],
    domain: undefined,
    position: { file: 'clarus.yaml', line, column: 3 },
  });
  assert.equal(effectiveColumn(after, 'public', 'T', 'a'), 'unlisted');
  assert.equal(effectiveColumn(after, 'other', 't', 'a'), 'unlisted');
});
