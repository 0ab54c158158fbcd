/** The physical schema follows from description and policy alone; an encoding of any shape fits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plain } from '../crypto/column.js';
import type { Encoding } from '../encodings/encoding.js';
import { encodingRegistry } from '../encodings/registry.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import { deriveTable } from './derive.js';
import type { CatalogNumbers } from './derive-input.js';
import type { DescribedColumn, DescribedTable } from './description.js';
import { encodingsFor } from './encodings-for.js';
import { physicalTable } from './physical.js';
import { changeStatements, createStatements } from './physical-changes.js';

const type = (oid: number) => ({ oid, modifier: -1, collation: 0, deterministic: true });
const column = (attnum: number, name: string, oid = 25): DescribedColumn => ({
  attnum,
  name,
  type: type(oid),
  typeName: oid === 25 ? 'text' : 'json',
  userType: 0,
  collation: null,
  notNull: false,
  default: null,
  identity: '',
  generated: '',
  generatedFrom: [],
  sequence: null,
});
const described = (
  columns: readonly DescribedColumn[],
  rest: Partial<DescribedTable> = {},
): DescribedTable => ({
  oid: 20_000,
  schema: 'public',
  name: 't',
  kind: 'r',
  persistence: 'p',
  parents: [],
  hasChildren: false,
  populated: true,
  partitionKey: null,
  partitionBound: null,
  partition: null,
  rowSecurity: false,
  query: null,
  columns,
  constraints: [],
  indexes: [],
  ...rest,
});
const policyOf = (...columns: readonly Partial<ColumnPolicy>[]): Policy => ({
  unlisted: 'refuse',
  declassify: [],
  tables: [{ schema: 'public', name: 't', position: undefined, columns: columns as readonly ColumnPolicy[] }],
});
const granting = (name: string, ...queries: ColumnPolicy['queries']): ColumnPolicy => ({
  name,
  class: undefined,
  protect: 'encrypt',
  queries,
  domain: undefined,
  position: undefined,
});
const counters = (): CatalogNumbers => {
  let last = 0;
  return { table: async () => 7, generation: async () => ++last, domain: async () => 40 };
};
const base = { previous: undefined, tables: new Map(), cloud: 'main', tableOf: () => undefined };

/** Sums in buckets: a column beside the row, an index, and a table of its own. */
const buckets: Encoding = {
  kind: 'buckets',
  queries: ['sum'],
  rejects: () => undefined,
  relations: () => [
    { kind: 'column', role: 'low', type: 'int8', checks: ['{low} <= {high}'] },
    { kind: 'column', role: 'high', type: 'int8', indexed: true },
    { kind: 'table', role: 'parts', columns: [{ name: 'part', type: 'bytea' }] },
  ],
  protect: async () => ({ columns: {} }),
  open: async () =>
    plain({ length: 0, data: new Uint8Array(), offsets: new Uint32Array(1), nulls: undefined }),
  answers: () => undefined,
  leaks: () => ({
    atRest: '',
    fromQueries: '',
    facts: { length: false, nulls: false, equality: false, frequency: false, order: false },
  }),
};

const hidden = (): never => assert.fail('nothing is hidden');
const spelling = { expression: hidden, constraint: hidden, index: hidden };

test('an encoding with several columns and a side table has all of them made, and dropped with the table', async () => {
  const registry = encodingRegistry([buckets]);
  const table = described([column(1, 'a')]);
  const { table: logical } = await deriveTable({
    ...base,
    described: table,
    policy: policyOf(granting('a', 'sum')),
    registry,
    numbers: counters(),
  });
  const physical = physicalTable(table, logical, { registry, tableOf: () => undefined, spelling });
  assert.deepEqual(
    physical.columns.map(c => c.name),
    ['clarus_row', 'a_sealed1', 'a_buckets2_low', 'a_buckets2_high'],
  );
  const sql = createStatements(physical).join(';\n');
  assert.match(sql, /CHECK \("a_buckets2_low" <= "a_buckets2_high"\)/);
  assert.match(sql, /CHECK \(\("a_sealed1" IS NULL\) = \("a_buckets2_high" IS NULL\)\)/);
  assert.match(sql, /CREATE INDEX "a_buckets2_high_index"/);
  assert.match(
    sql,
    /CREATE TABLE "clarus"\."buckets2_parts" \(clarus_row bigint NOT NULL REFERENCES "public"\."t" .* "part" bytea\)/,
  );
  assert.deepEqual(changeStatements([{ before: physical, after: undefined }]), [
    'DROP TABLE "clarus"."buckets2_parts"',
    'DROP TABLE "public"."t"',
  ]);
  assert.deepEqual(changeStatements([{ before: physical, after: physical }]), []);
});

test('a granted query kind that no encoding answers waits', () => {
  const choice = encodingsFor(granting('a', 'equality', 'range'), type(25), encodingRegistry(), false);
  assert.deepEqual(choice, { encodings: ['sealed', 'equality'], waiting: ['range'], addedForKey: false });
  // json has no equality: the tag cannot be, and a key even less.
  assert.deepEqual(encodingsFor(granting('a', 'equality'), type(114), encodingRegistry(), false).waiting, [
    'equality',
  ]);
  assert.throws(() => encodingsFor(granting('a'), type(114), encodingRegistry(), true), { code: '0A000' });
});

test('a dropped column’s number is not given again, and what stays keeps its physical names', async () => {
  const registry = encodingRegistry();
  const numbers = counters();
  const policy = policyOf();
  const first = await deriveTable({
    ...base,
    described: described([column(1, 'a'), column(2, 'b')]),
    policy,
    registry,
    numbers,
  });
  const second = await deriveTable({
    ...base,
    described: described([column(1, 'a')]),
    policy,
    registry,
    numbers,
    previous: first.table,
  });
  const third = await deriveTable({
    ...base,
    described: described([column(1, 'renamed'), column(3, 'b')]),
    policy,
    registry,
    numbers,
    previous: second.table,
  });
  assert.deepEqual(
    third.table.columns.map(c => [c.number, c.name]),
    [
      [1, 'renamed'],
      [3, 'b'],
    ],
  );
  const names = third.table.columns.map(c => c.protection?.encodings[0]?.encoded.columns.cell);
  assert.deepEqual(names, ['a_sealed1', 'b_sealed3']);
});

test('a user’s column may not take a name of ours, and ours avoid theirs', async () => {
  const registry = encodingRegistry();
  const open: ColumnPolicy = { ...granting('a_sealed1'), protect: 'none' };
  const derive = (
    columns: readonly DescribedColumn[],
    previous?: Awaited<ReturnType<typeof deriveTable>>['table'],
  ) =>
    deriveTable({
      ...base,
      described: described(columns),
      policy: policyOf(open),
      registry,
      numbers: counters(),
      previous,
    });
  await assert.rejects(derive([column(1, 'clarus_row')]), { code: '42939' });
  const { table } = await derive([column(1, 'a'), column(2, 'a_sealed1')]);
  assert.equal(table.columns[0]?.protection?.encodings[0]?.encoded.columns.cell, 'a_sealed2');
  const { table: before } = await derive([column(1, 'a')]);
  await assert.rejects(derive([column(1, 'a'), column(2, 'a_sealed1')], before), { code: '42939' });
});
