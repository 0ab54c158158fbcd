import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClarusError } from '../errors.js';
import { policyFromJson, policyToJson } from './json.js';
import type { Policy } from './policy.js';

const position = { file: 'clarus.yaml', line: 7, column: 3 };
const policy: Policy = {
  unlisted: 'refuse',
  declassify: ['open.covid'],
  tables: [
    {
      schema: 'public',
      name: 't',
      position,
      columns: [
        {
          name: 'b',
          class: 'identifier',
          protect: 'encrypt',
          queries: ['sum', 'equality'],
          domain: 'd',
          position,
        },
        { name: 'a', class: undefined, protect: 'none', queries: [], domain: undefined, position: undefined },
      ],
    },
  ],
};

test('the stored form is fixed', () => {
  assert.equal(
    policyToJson(policy),
    '{"unlisted":"refuse","declassify":["open.covid"],"tables":[{"schema":"public","name":"t","columns":[' +
      '{"name":"a","protect":"none","queries":[]},' +
      '{"name":"b","class":"identifier","protect":"encrypt","queries":["equality","sum"],"domain":"d"}]}]}',
  );
});

test('places in the file are stored where that is asked for', () => {
  const read = policyFromJson(policyToJson(policy, { positions: true }));
  assert.deepEqual(read.tables[0]?.position, position);
  assert.deepEqual(
    read.tables[0]?.columns.map(column => column.position),
    [undefined, position],
  );
});

test('a stored policy that is not fully understood is refused', () => {
  const stored = policyToJson(policy, { positions: true });
  const changes: readonly (readonly [from: string, to: string])[] = [
    ['{', ''],
    ['"unlisted":"refuse"', '"unlisted":"maybe"'],
    ['"unlisted":"refuse",', ''],
    ['"declassify":["open.covid"]', '"declassify":[1]'],
    ['"declassify":["open.covid"]', '"declassify":"open.covid"'],
    ['"protect":"none"', '"protect":"nothing"'],
    ['"equality"', '"divination"'],
    ['"class":"identifier"', '"class":1'],
    ['"domain":"d"', '"domain":"two words"'],
    ['"domain":"d"', '"domain":"d","masks":true'],
    ['"name":"a"', '"name":""'],
    ['"line":7', '"line":"7"'],
  ];
  for (const [from, to] of changes) {
    assert.ok(stored.includes(from));
    assert.throws(
      () => policyFromJson(stored.replace(from, to)),
      (error: unknown) => error instanceof ClarusError && error.code === 'XX001',
      `${from} -> ${to}`,
    );
  }
});
