import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClarusError } from '../errors.js';
import { aesKey, forgetKey } from './aes-key.js';
import { associatedData, type CellAddress, cellHeader } from './cell-format.js';
import { openCells, sealCells } from './cells.js';
import { type ByteColumn, canonical, columnOf, plain, type SealedColumn, sealed, take } from './column.js';
import { bytes } from './kernel.js';
import { tagColumn } from './tags.js';

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
const corrupted = (error: unknown): boolean => error instanceof ClarusError && error.code === 'XX001';
const address: CellAddress = { table: 9, column: 8, epoch: 7 };

/** Lengths of values, by their index: of one length, of few in runs, of any. */
const shapes: readonly ((i: number, base: number) => number)[] = [
  (_, base) => base,
  (i, base) => (Math.floor(i / 7) % 3) + base,
  (i, base) => ((i * 2654435761) >>> 7) % (base + 41),
  (i, base) => (i % 997 === 5 ? 4000 + base * 3 : base),
];

/** Row ids, by their index: in order, over a border of the lower half, anywhere. */
const orders: readonly ((i: number) => number)[] = [
  i => i + 1,
  i => 2 ** 32 - 100 + i,
  i => (i * 0x9e3779b97f4a7) % 2 ** 53,
];

const columns = fc
  .record({
    count: fc.oneof(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.constantFrom(2047, 2048, 2049, 4096, 4097),
    ),
    shape: fc.constantFrom(...shapes),
    base: fc.oneof(fc.constantFrom(0, 15, 16, 17, 32, 96, 97, 128), fc.integer({ min: 0, max: 150 })),
    order: fc.constantFrom(...orders),
    nullEvery: fc.constantFrom(0, 0, 2, 3, 1000),
    before: fc.integer({ min: 0, max: 40 }),
  })
  .map(({ count, shape, base, order, nullEvery, before }) => {
    const isNull = (i: number): boolean => nullEvery > 0 && i % nullEvery === nullEvery - 1;
    const offsets = new Uint32Array(count + 1);
    offsets[0] = before;
    for (let i = 0; i < count; i++) offsets[i + 1] = offsets[i]! + (isNull(i) ? 0 : shape(i, base));
    const nulls = nullEvery > 0 ? Uint8Array.from({ length: count }, (_, i) => Number(isNull(i))) : undefined;
    const values: ByteColumn = { length: count, data: random(offsets[count]! + 9), offsets, nulls };
    return { values, rows: Float64Array.from({ length: count }, (_, i) => order(i)) };
  });

/** Seals every value by itself with node:crypto, under the nonces of `cells`. */
function referenceCells(
  key: Uint8Array,
  where: CellAddress,
  rows: Float64Array,
  values: ByteColumn,
  cells: SealedColumn,
): Uint8Array {
  const result: Uint8Array[] = [];
  for (let i = 0; i < values.length; i++) {
    if (values.nulls?.[i]) continue;
    const value = values.data.subarray(values.offsets[i], values.offsets[i + 1]);
    const nonce = cells.data.subarray(cells.offsets[i]! + 4, cells.offsets[i]! + 16);
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associatedData(where, rows[i]!));
    result.push(cellHeader(where.epoch, value.length + 32), nonce, cipher.update(value));
    cipher.final();
    result.push(cipher.getAuthTag());
  }
  return Buffer.concat(result);
}

test('columns of 1 to 5000 rows, of one length or mixed, with and without NULLs, are those of node:crypto', () => {
  const key = random(32);
  fc.assert(
    fc.property(columns, ({ values, rows }) => {
      const cells = sealCells(key, address, rows, plain(values));
      assert.equal(cells.data.length, cells.offsets[values.length]);
      assert.equal(Buffer.compare(cells.data, referenceCells(key, address, rows, values, cells)), 0);
      const opened = openCells(() => key, address, rows, cells);
      const { length, data, offsets, nulls } = values;
      assert.equal(Buffer.compare(opened.data, data.subarray(offsets[0], offsets[length])), 0);
      assert.deepEqual(
        opened.offsets,
        offsets.map(at => at - offsets[0]!),
      );
      assert.deepEqual(opened.nulls, nulls);
    }),
    { numRuns: 60 },
  );
});

test('wherever in a column a bit is changed, nothing of it opens', () => {
  const key = random(32);
  fc.assert(
    fc.property(
      columns,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      ({ values, rows }, place) => {
        const cells = sealCells(key, address, rows, plain(values));
        if (cells.data.length === 0) return;
        const at = Math.floor(place * cells.data.length);
        cells.data[at]! ^= 1 << (at & 7);
        assert.throws(() => openCells(() => key, address, rows, cells), corrupted);
      },
    ),
    { numRuns: 60 },
  );
});

test('results are memory of their own: later batches, and changes of what was given, do not reach them', () => {
  const key = random(32);
  const rows = Float64Array.from({ length: 3000 }, (_, i) => i);
  const values = columnOf(Array.from(rows, i => (i % 5 ? random(20) : null)));
  const nulls = Buffer.from(values.nulls!);
  const before = values.data.slice();
  const cells = sealCells(key, address, rows, plain({ ...values, nulls }));
  const cellsBefore = cells.data.slice();
  const opened = openCells(() => key, address, rows, cells);
  const tagged = tagColumn(key, canonical(values));
  const tagsBefore = tagged.data.slice();
  nulls.fill(1);
  values.data.fill(0);
  const others = plain(columnOf(Array.from(rows, () => random(33))));
  openCells(() => key, address, rows, sealCells(key, address, rows, others));
  tagColumn(random(32), canonical(others));
  assert.deepEqual(cells.data, cellsBefore);
  assert.deepEqual(opened.data, before);
  assert.deepEqual(tagged.data, tagsBefore);
  assert.deepEqual(cells.nulls, values.nulls);
});

test('a value longer than a piece opens whatever the kernel did before', () => {
  const key = random(32);
  const rows = Float64Array.of(1);
  for (const size of [65000, 130000, 200000])
    for (const length of [0, 1, 16, 31, 40]) {
      const value = random(size);
      const cells = sealCells(key, address, rows, plain(columnOf([value])));
      tagColumn(key, canonical(columnOf([random(length)])));
      assert.deepEqual(openCells(() => key, address, rows, cells).data, value);
    }
});

test('batches of two epochs, of thousands of cells each, come back in their places', () => {
  const keys = new Map([1, 2].map(epoch => [epoch, random(32)]));
  const rows = Float64Array.from({ length: 5000 }, (_, i) => i);
  const values = columnOf(Array.from(rows, i => (i % 11 === 7 ? null : random(i % 40))));
  const epochs = [1, 2].map(epoch => sealCells(keys.get(epoch)!, { ...address, epoch }, rows, plain(values)));
  for (const epochOf of [
    (i: number) => i & 1,
    (i: number) => (i < 2500 ? 1 : 0),
    (i: number) => (i < 4999 ? 0 : 1),
  ]) {
    const parts = epochs.map(cells => Array.from({ length: 5000 }, (_, i) => take(cells, [i])));
    const mixed = columnOf(
      Array.from(rows, (_, i) => {
        const part = parts[epochOf(i)]![i]!;
        return part.nulls?.[0] ? null : part.data;
      }),
    );
    const opened = openCells(epoch => keys.get(epoch)!, address, rows, sealed(mixed));
    assert.deepEqual(opened.data, values.data);
    assert.deepEqual(opened.offsets, values.offsets);
    mixed.data[mixed.data.length - 1]! ^= 1;
    assert.throws(() => openCells(epoch => keys.get(epoch)!, address, rows, sealed(mixed)), corrupted);
  }
});

test('columns that are none are refused: offsets that descend, missing bytes, NULLs with bytes', () => {
  const key = random(32);
  const rows = Float64Array.of(1, 2);
  const data = random(200);
  const wrong: Partial<ByteColumn>[] = [
    { offsets: Uint32Array.of(0, 40, 35) },
    { offsets: Uint32Array.of(40, 35, 80) },
    { offsets: Uint32Array.of(80, 40, 0) },
    { offsets: Uint32Array.of(0, 100, 201) },
    { offsets: Uint32Array.of(0, 100) },
    { offsets: Uint32Array.of(0, 100, 200), nulls: Uint8Array.of(0, 1) },
    { offsets: Uint32Array.of(0, 0, 100), nulls: Uint8Array.of(1) },
  ];
  for (const part of wrong) {
    const column: ByteColumn = {
      length: 2,
      data,
      offsets: Uint32Array.of(0, 100, 200),
      nulls: undefined,
      ...part,
    };
    assert.throws(() => sealCells(key, address, rows, plain(column)), RangeError);
    assert.throws(() => openCells(() => key, address, rows, sealed(column)), /offsets|does not verify/);
    assert.throws(() => tagColumn(key, canonical(column)), RangeError);
  }
});

test('a key is copied: it may be a Buffer, is forgotten when asked, and seals nothing once wiped', () => {
  const key = randomBytes(32);
  const same = new Uint8Array(key);
  const rows = Float64Array.of(1);
  const values = plain(columnOf([random(16)]));
  const cells = sealCells(key, address, rows, values);
  assert.deepEqual(openCells(() => same, address, rows, cells).data, values.data);
  forgetKey(key);
  assert.deepEqual(new Uint8Array(key), same);
  assert.notEqual(aesKey(key).bytes.buffer, key.buffer);
  key.fill(0);
  assert.throws(() => sealCells(key, address, rows, values), /wiped/);
  assert.throws(() => openCells(() => key, address, rows, cells), /wiped/);
});

test('a key that is forgotten leaves nothing in the memory of the kernel, and nonces stay fresh', () => {
  const key = random(32);
  const rows = Float64Array.from({ length: 50 }, (_, i) => i);
  const secret = Buffer.from('Mustermann, Erika; 1964-08-12');
  const values = columnOf(Array.from(rows, i => Buffer.concat([secret, random(i * 7)])));
  const nonces = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const cells = sealCells(key, address, rows, plain(values));
    openCells(() => key, address, rows, cells);
    tagColumn(key, canonical(values));
    const h = aesKey(key).zeroEncrypted.slice();
    const memory = Buffer.from(bytes.buffer);
    const holds = (what: Uint8Array): boolean => memory.indexOf(what) >= 0;
    if (round === 0) assert.ok(holds(secret) && holds(h.slice().reverse()));
    forgetKey(key);
    assert.ok(!holds(secret) && !holds(h) && !holds(h.slice().reverse()));
    for (let i = 0; i < 50; i++)
      nonces.add(
        Buffer.from(cells.data.subarray(cells.offsets[i]! + 4, cells.offsets[i]! + 16)).toString('hex'),
      );
  }
  assert.equal(nonces.size, 1000);
});
