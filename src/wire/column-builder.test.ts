import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ByteColumn, columnOf, valueAt } from '../crypto/column.js';
import { ColumnBuilder, RowCollector } from './column-builder.js';
import { MessageWriter } from './message-writer.js';

const valuesOf = (column: ByteColumn): (number[] | null)[] =>
  Array.from({ length: column.length }, (_, i) => {
    const value = valueAt(column, i);
    return value === null ? null : [...value];
  });

const someValues = fc.array(fc.option(fc.uint8Array({ maxLength: 100 })), { maxLength: 60 });

test('a built column holds the values in order, through growth, truncation and reuse', () => {
  fc.assert(
    fc.property(someValues, someValues, fc.nat(60), (first, second, kept) => {
      const builder = new ColumnBuilder(2, 8);
      const add = (value: Uint8Array | null): void => {
        if (value === null) builder.appendNull();
        else if (value.length % 2 === 0) builder.append(value, 0, value.length);
        else {
          builder.open(value.length).set(value, builder.size);
          builder.commit(builder.size + value.length);
        }
      };
      for (const value of first) add(value);
      builder.truncate(kept);
      const expected = [...first.slice(0, kept), ...second];
      for (const value of second) add(value);
      const taken = builder.take();
      for (const value of second) add(value);
      const plainValues = (values: typeof first): (number[] | null)[] =>
        values.map(value => (value === null ? null : [...value]));
      assert.deepEqual(valuesOf(taken), plainValues(expected));
      assert.deepEqual(valuesOf(builder.view()), plainValues(second));
      builder.clear();
      for (const value of first) add(value);
      assert.deepEqual(valuesOf(builder.take()), plainValues(first));
    }),
  );
});

test('rows written as DataRow come back as the same columns', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.option(fc.uint8Array()), fc.option(fc.uint8Array()))), rows => {
      const columns = [columnOf(rows.map(row => row[0])), columnOf(rows.map(row => row[1]))];
      const writer = new MessageWriter();
      writer.dataRows(columns, 0, rows.length);
      const bytes = writer.take();
      const collector = new RowCollector(2);
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + bytes.readInt32BE(at + 1);
        collector.append(bytes, at + 5, end);
        at = end;
      }
      assert.equal(collector.rows, rows.length);
      assert.deepEqual(collector.take().map(valuesOf), columns.map(valuesOf));
    }),
  );
});

test('a row of another width or with a length past its end is refused', () => {
  const collector = new RowCollector(1);
  assert.throws(
    () => collector.append(Buffer.from([0, 2, 0, 0, 0, 0, 0, 0, 0, 0]), 0, 10),
    /number of fields/,
  );
  assert.throws(() => collector.append(Buffer.from([0, 1, 0, 0, 0, 9, 1]), 0, 7), /insufficient data/);
  assert.throws(() => collector.append(Buffer.from([0, 1, 255, 255, 255, 254]), 0, 6), /insufficient data/);
  assert.throws(() => collector.append(Buffer.from([0, 1, 0, 0, 0, 0, 1]), 0, 7), /invalid message format/);
});
