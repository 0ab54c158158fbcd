import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClarusError } from '../errors.js';
import { type CellAddress, openCells, sealCells } from './cells.js';
import { columnOf, plain, type SealedColumn, sealed, valueAt } from './column.js';

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
const corrupted = (error: unknown): boolean => error instanceof ClarusError && error.code === 'XX001';
const address: CellAddress = { table: 0x010203, column: 0x0405, epoch: 0x0607 };

/** The associated data as docs/spec/cell.md writes it. */
function associatedData({ table, column, epoch }: CellAddress, row: number): Buffer {
  const block = Buffer.alloc(16);
  block.writeUInt8(1, 0);
  block.writeUIntBE(table, 1, 3);
  block.writeUInt16BE(column, 4);
  block.writeUInt16BE(epoch, 6);
  block.writeBigUInt64BE(BigInt(row), 8);
  return block;
}

/** Seals one cell with node:crypto, as another program would. */
function referenceSeal(key: Uint8Array, where: CellAddress, row: number, value: Uint8Array): Uint8Array {
  const header = Buffer.from([0xc1, where.epoch >> 8, where.epoch & 255, (value.length + 32) % 251]);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associatedData(where, row));
  return Buffer.concat([header, nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
}

function referenceOpen(key: Uint8Array, where: CellAddress, row: number, cell: Uint8Array): Uint8Array {
  assert.deepEqual([...cell.subarray(0, 4)], [0xc1, where.epoch >> 8, where.epoch & 255, cell.length % 251]);
  const decipher = createDecipheriv('aes-256-gcm', key, cell.subarray(4, 16));
  decipher.setAAD(associatedData(where, row)).setAuthTag(cell.subarray(-16));
  return Buffer.concat([decipher.update(cell.subarray(16, -16)), decipher.final()]);
}

const lengths = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 48 }) },
  { weight: 2, arbitrary: fc.integer({ min: 49, max: 400 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }) },
);
const rowIds = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 53 - 1, 2 ** 32, 2 ** 32 - 1, 2 ** 40),
);
const cases = fc.record({
  table: fc.integer({ min: 1, max: 0xffffff }),
  column: fc.integer({ min: 1, max: 0xffff }),
  epoch: fc.integer({ min: 1, max: 0xffff }),
  rows: fc.array(fc.tuple(rowIds, fc.option(lengths.map(random), { freq: 6 })), { maxLength: 40 }),
});

test('cells are those of node:crypto, for values of every length', () => {
  fc.assert(
    fc.property(cases, ({ rows, ...where }) => {
      const key = random(32);
      const ids = Float64Array.from(rows, ([row]) => row);
      const values = rows.map(([, value]) => value);
      const cells = sealCells(key, where, ids, plain(columnOf(values)));
      assert.equal(cells.length, rows.length);
      values.forEach((value, i) => {
        const cell = valueAt(cells, i);
        if (value === null || cell === null) {
          assert.equal(cell, value);
        } else {
          assert.equal(cell.length, value.length + 32);
          assert.deepEqual(new Uint8Array(referenceOpen(key, where, ids[i]!, cell)), value);
        }
      });
      const foreign = values.map((value, i) => value && referenceSeal(key, where, ids[i]!, value));
      for (const batch of [cells, sealed(columnOf(foreign))]) {
        const opened = openCells(() => key, where, ids, batch);
        assert.deepEqual(
          values.map((_, i) => valueAt(opened, i)),
          values,
        );
      }
    }),
    { numRuns: 150 },
  );
});

test('every length from 0 to 5000 comes back', () => {
  const key = random(32);
  const source = random(5000);
  for (let start = 0; start <= 5000; start += 100) {
    const values = Array.from({ length: 101 }, (_, i) => source.subarray(0, Math.min(5000, start + i)));
    const rows = Float64Array.from(values, (_, i) => start + i);
    const opened = openCells(
      () => key,
      address,
      rows,
      sealCells(key, address, rows, plain(columnOf(values))),
    );
    values.forEach((value, i) => {
      assert.deepEqual(valueAt(opened, i), value);
    });
  }
});

test('columns of one length, without NULLs, come back for every length', () => {
  const key = random(32);
  for (let size = 0; size <= 140; size++) {
    const count = size % 16 === 0 ? 2500 : 1 + (size % 7);
    const values = Array.from({ length: count }, () => random(size));
    // Row ids that share all bytes but the last, or none.
    const rows = Float64Array.from(values, (_, i) => (size % 2 ? i : (i * 0x1234567) % 2 ** 41));
    const cells = sealCells(key, address, rows, plain(columnOf(values)));
    for (let i = 0; i < count; i += 199)
      assert.deepEqual(new Uint8Array(referenceOpen(key, address, rows[i]!, valueAt(cells, i)!)), values[i]);
    assert.deepEqual(openCells(() => key, address, rows, cells).data, columnOf(values).data);
    const changed = sealed({ ...cells, data: cells.data.slice() });
    changed.data[cells.offsets[count - 1]! + (size % (32 + size))]! ^= 4;
    assert.throws(() => openCells(() => key, address, rows, changed), corrupted);
  }
});

test('batches of many pieces come back, with values that are too long for one', () => {
  const key = random(32);
  for (const size of [
    () => 16,
    (i: number) => i % 41,
    (i: number) => (i % 700 === 9 ? 150000 : i % 300),
    (i: number) => (i % 50 === 3 ? 60000 : 20),
    () => 5000,
    () => 0,
  ]) {
    const values = Array.from({ length: 7001 }, (_, i) => (i % 13 === 5 ? null : random(size(i))));
    const rows = Float64Array.from(values, (_, i) => (i * 7919) % 100000);
    const cells = sealCells(key, address, rows, plain(columnOf(values)));
    assert.equal(cells.data.length, cells.offsets.at(-1));
    const opened = openCells(() => key, address, rows, cells);
    assert.deepEqual(opened.data, columnOf(values).data);
    assert.deepEqual(opened.offsets, columnOf(values).offsets);
    assert.deepEqual(opened.nulls, columnOf(values).nulls);
    for (let i = 0; i < values.length; i += 501) {
      const cell = valueAt(cells, i);
      if (cell) assert.deepEqual(new Uint8Array(referenceOpen(key, address, rows[i]!, cell)), values[i]);
    }
  }
});

test('a cell is at most 32 bytes longer than its value', () => {
  const values = Array.from({ length: 500 }, (_, i) => random(i * 17));
  const rows = Float64Array.from(values, (_, i) => i);
  const cells = sealCells(random(32), address, rows, plain(columnOf(values)));
  values.forEach((value, i) => {
    assert.ok(valueAt(cells, i)!.length <= value.length + 32);
  });
});

test('columns may stand anywhere in a larger buffer', () => {
  const key = random(32);
  const data = random(100);
  const rows = Float64Array.of(1, 2);
  const values = plain({ length: 2, data, offsets: Uint32Array.of(5, 25, 60), nulls: undefined });
  const cells = sealCells(key, address, rows, values);
  const moved = sealed({
    ...cells,
    data: Uint8Array.of(1, 2, 3, ...cells.data),
    offsets: cells.offsets.map(at => at + 3),
  });
  assert.deepEqual(openCells(() => key, address, rows, moved).data, data.subarray(5, 60));
});

test('a cell with any bit changed, cut or grown is found, whatever its length', () => {
  const key = random(32);
  const rows = Float64Array.of(3, 4, 5);
  for (const size of [0, 1, 16, 17, 96, 97, 200, 4097]) {
    const cells = sealCells(key, address, rows, plain(columnOf([random(5), random(size), random(9)])));
    const [start, end] = [cells.offsets[1]!, cells.offsets[2]!];
    for (let i = start; i < end; i += size > 300 && i > start + 40 && i < end - 40 ? 61 : 1) {
      const data = cells.data.slice();
      data[i]! ^= 1 << (i % 8);
      assert.throws(() => openCells(() => key, address, rows, sealed({ ...cells, data })), corrupted);
    }
    const cell = valueAt(cells, 1)!;
    for (const wrong of [
      cell.subarray(0, -1),
      cell.subarray(1),
      Uint8Array.of(...cell, 0),
      cell.subarray(0, 2),
      ...[0, 31].map(random),
    ])
      assert.throws(
        () =>
          openCells(
            () => key,
            address,
            rows,
            sealed(columnOf([valueAt(cells, 0), wrong, valueAt(cells, 2)])),
          ),
        corrupted,
      );
  }
});

test('a cell opens only where it was sealed', () => {
  const keys = new Map([1, 0x0607].map(epoch => [epoch, random(32)]));
  const keyOf = (epoch: number): Uint8Array => keys.get(epoch) ?? random(32);
  for (const size of [0, 16, 130, 5000]) {
    const rows = Float64Array.of(7, 8);
    const cells = sealCells(
      keyOf(address.epoch),
      address,
      rows,
      plain(columnOf([random(size), random(size)])),
    );
    assert.equal(openCells(keyOf, address, rows, cells).length, 2);
    const refused = (where: { table: number; column: number }, at: Float64Array, batch: SealedColumn): void =>
      assert.throws(() => openCells(keyOf, where, at, batch), corrupted);
    refused({ ...address, table: 1 }, rows, cells);
    refused({ ...address, column: 1 }, rows, cells);
    refused(address, Float64Array.of(8, 7), cells);
    refused(address, Float64Array.of(7 + 2 ** 32, 8), cells);
    refused(address, Float64Array.of(7, 8 + 2 ** 8), cells);
    for (const epoch of [0, 1, 2]) {
      const data = cells.data.slice();
      data[1] = 0;
      data[2] = epoch;
      refused(address, rows, sealed({ ...cells, data }));
    }
    assert.throws(() => openCells(() => random(32), address, rows, cells), corrupted);
  }
});

test('a batch may mix epochs and NULLs; one wrong cell fails all of it', () => {
  const keys = new Map<number, Uint8Array>([1, 2, 300, 0xffff].map(epoch => [epoch, random(32)]));
  const keyOf = (epoch: number): Uint8Array => keys.get(epoch)!;
  const row = fc.record({
    epoch: fc.constantFrom(...keys.keys()),
    value: fc.option(fc.oneof(fc.integer({ max: 60, min: 0 }), fc.constant(4500)).map(random)),
  });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), mixed => {
      const rows = Float64Array.from(mixed, (_, i) => i);
      const values = mixed.map(({ value }) => value);
      const cells = mixed.map(({ epoch, value }, i) => {
        const one = sealCells(
          keyOf(epoch),
          { ...address, epoch },
          rows.subarray(i, i + 1),
          plain(columnOf([value])),
        );
        return valueAt(one, 0);
      });
      const opened = openCells(keyOf, address, rows, sealed(columnOf(cells)));
      assert.deepEqual(
        values.map((_, i) => valueAt(opened, i)),
        values,
      );
      const victim = cells.findLastIndex(cell => cell !== null);
      if (victim < 0) return;
      cells[victim]!.set([cells[victim]!.at(-1)! ^ 0x80], cells[victim]!.length - 1);
      assert.throws(() => openCells(keyOf, address, rows, sealed(columnOf(cells))), corrupted);
    }),
    { numRuns: 60 },
  );
});

test('a cell that does not verify is reported without a byte of it, or of the key', () => {
  const key = Buffer.from('key material, thirty-two bytes..');
  const rows = Float64Array.of(1);
  const cells = sealCells(key, address, rows, plain(columnOf([Buffer.from('Mustermann')])));
  cells.data[20]! ^= 1;
  assert.throws(
    () => openCells(() => key, address, rows, cells),
    (error: unknown) => {
      const words = JSON.stringify([(error as ClarusError).message, (error as ClarusError).fields]);
      return corrupted(error) && !/Muster|material|[0-9a-f]{16}/.test(words);
    },
  );
});

test('nonces do not repeat, in batches and alone', () => {
  const key = random(32);
  const seen = new Set<string>();
  let sealedCells = 0;
  for (const size of [...Array.from({ length: 300 }, (_, i) => i % 7), 9000, 1, 5000, 3, 20000]) {
    const values = plain(columnOf(Array.from({ length: size }, (_, i) => new Uint8Array(i % 50))));
    const cells = sealCells(
      key,
      address,
      Float64Array.from({ length: size }, (_, i) => i),
      values,
    );
    for (let i = 0; i < size; i++)
      seen.add(Buffer.from(valueAt(cells, i)!.subarray(4, 16)).toString('latin1'));
    sealedCells += size;
  }
  assert.equal(seen.size, sealedCells);
});

test('numbers that do not fit in a cell, and rows that do not match, are refused', () => {
  const values = plain(columnOf([random(3)]));
  const rows = Float64Array.of(1);
  for (const wrong of [
    { table: 0 },
    { table: 2 ** 24 },
    { column: 0 },
    { column: 2 ** 16 },
    { epoch: 0 },
    { epoch: 2 ** 16 },
    { table: 1.5 },
  ])
    assert.throws(() => sealCells(random(32), { ...address, ...wrong }, rows, values), RangeError);
  assert.throws(() => sealCells(random(32), address, Float64Array.of(1, 2), values), RangeError);
  assert.throws(() => sealCells(random(31), address, rows, values), RangeError);
  for (const row of [
    -1,
    0.5,
    2 ** 53,
    2 ** 64,
    -(2 ** 63),
    -(2 ** 32),
    1e300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ])
    assert.throws(() => sealCells(random(32), address, Float64Array.of(row), values), RangeError);
});

test('a column of NULLs needs no key', () => {
  const cells = sealed(columnOf([null, null]));
  const opened = openCells(() => assert.fail('no key is asked for'), address, Float64Array.of(1, 2), cells);
  assert.deepEqual([valueAt(opened, 0), valueAt(opened, 1)], [null, null]);
  assert.equal(
    sealCells(random(32), address, Float64Array.of(1, 2), plain(columnOf([null, null]))).data.length,
    0,
  );
  assert.equal(openCells(() => random(32), address, new Float64Array(0), sealed(columnOf([]))).length, 0);
});

test('more keys than fit in the caches still give the right cells', () => {
  const rows = Float64Array.of(1);
  const keys = Array.from({ length: 1200 }, () => random(32));
  const values = keys.map((_, i) => random(i % 120));
  const cells = keys.map((key, i) => sealCells(key, address, rows, plain(columnOf([values[i]]))));
  for (const step of [1, 7])
    keys.forEach((_, at) => {
      const i = (at * step) % keys.length;
      assert.deepEqual(openCells(() => keys[i]!, address, rows, cells[i]!).data, values[i]);
    });
});
