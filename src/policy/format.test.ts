import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPolicy, replacePolicy } from './format.js';
import { parseConfig } from './parse.js';
import type { Policy } from './policy.js';

const policy: Policy = {
  unlisted: 'encrypt',
  declassify: ['open.covid', 'open."a.b"'],
  tables: [
    {
      schema: 'public',
      name: 'patient',
      position: undefined,
      columns: [
        {
          name: 'name',
          class: 'identifier',
          protect: 'encrypt',
          queries: ['equality'],
          domain: 'person',
          position: undefined,
        },
        {
          name: 'Day 1',
          class: undefined,
          protect: 'none',
          queries: [],
          domain: undefined,
          position: undefined,
        },
      ],
    },
    { schema: 'other', name: 'null', columns: [], position: undefined },
  ],
};
const written = `unlisted: encrypt
declassify: [open.covid, "open.\\"a.b\\""]
tables:
  public.patient:
    columns:
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
      "Day 1": { protect: none }
  other.null:
    columns: {}
`;
const cloud = '{ main: { postgres: "postgres://app@127.0.0.1/hospital" } }';

test('a policy is written a column a line', () => {
  assert.equal(formatPolicy(policy), written);
  assert.ok(
    formatPolicy(policy, column => `about\n${column.name}`).includes(
      '"Day 1": { protect: none } # about Day 1\n',
    ),
  );
});

test('a policy is put into files of every shape', () => {
  assert.equal(
    replacePolicy(`clarus: 1\nclouds: ${cloud}`, policy),
    `clarus: 1\nclouds: ${cloud}\n${written}`,
  );
  assert.equal(
    replacePolicy(`clarus: 1\ntables:\n  # none yet\n# where\nclouds: ${cloud}\n`, policy),
    `clarus: 1\n${written}  # none yet\n# where\nclouds: ${cloud}\n`,
  );
  const flow = replacePolicy(`{ clarus: 1, tables: {}, clouds: ${cloud} }\n`, policy);
  assert.equal(parseConfig(flow, 'clarus.yaml').policy.tables.length, 2);
});
