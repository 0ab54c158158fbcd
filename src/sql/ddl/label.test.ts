import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogicalTable } from '../../catalog/catalog.js';
import type { Policy } from '../../policy/policy.js';
import { withLabel } from './label.js';

const type = { oid: 25, modifier: -1, collation: 0, deterministic: true };
const column = (number: number, name: string): LogicalTable['columns'][number] => ({
  number,
  attnum: number,
  name,
  type,
  typeName: 'text',
  notNull: false,
  policy: { name, class: undefined, protect: 'none', queries: [], domain: undefined, position: undefined },
  protection: undefined,
});
const table = { schema: 'public', name: 't', columns: [column(1, 'a'), column(2, 'b')] };
const pass: Policy = { unlisted: 'pass', declassify: [], tables: [] };

test('the first label of a table lists it, and its other columns keep what they have', () => {
  const { tables } = withLabel(pass, table, 'a', 'identifier encrypt queries equality domain person');
  assert.deepEqual(
    tables[0]?.columns.map(({ name, protect, class: of, queries, domain }) => [
      name,
      protect,
      of,
      queries,
      domain,
    ]),
    [
      ['b', 'none', undefined, [], undefined],
      ['a', 'encrypt', 'identifier', ['equality'], 'person'],
    ],
  );
});

test('a label on the table is for each of its columns, and NULL takes back what was said', () => {
  const labelled = withLabel(pass, table, undefined, 'encrypt');
  assert.deepEqual(
    labelled.tables[0]?.columns.map(({ name, protect }) => [name, protect]),
    [
      ['a', 'encrypt'],
      ['b', 'encrypt'],
    ],
  );
  assert.deepEqual(
    withLabel(labelled, table, 'b', undefined).tables[0]?.columns.map(({ name }) => name),
    ['a'],
  );
  assert.deepEqual(withLabel(labelled, table, undefined, undefined).tables, []);
});
