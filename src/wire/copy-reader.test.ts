import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { valueAt } from '../crypto/column.js';
import { ClarusError } from '../errors.js';
import { type CopyReader, type CopyReaderOptions, copyReader } from './copy-reader.js';

const options = (more: Partial<CopyReaderOptions> = {}): CopyReaderOptions => ({
  format: 'text',
  delimiter: more.format === 'csv' ? ',' : '\t',
  nullString: more.format === 'csv' ? '' : '\\N',
  header: false,
  quote: '"',
  escape: '"',
  forceNotNull: [],
  forceNull: [],
  table: 't',
  columns: ['a', 'b'],
  ...more,
});

type Row = (string | null)[];

/** Takes all rows, `rowsMax` at a time. */
function drain(reader: CopyReader, rowsMax: number, rows: Row[]): void {
  while (reader.rows > 0) {
    const { columns } = reader.take(rowsMax);
    for (let i = 0; i < columns[0]!.length; i++) {
      rows.push(
        columns.map(column => {
          const value = valueAt(column, i);
          return value === null ? null : Buffer.from(value).toString();
        }),
      );
    }
  }
  assert.equal(reader.size_bytes, 0);
}

function read(
  data: string | Buffer,
  more: Partial<CopyReaderOptions> = {},
  cuts: readonly number[] = [],
): Row[] {
  const reader = copyReader(options(more));
  const bytes = Buffer.from(data);
  const rows: Row[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = cuts.length === 0 ? bytes.length : cuts[i % cuts.length]!;
    reader.push(bytes.subarray(at, at + size));
    at += size;
    if (i % 3 === 0 && reader.rows > 0) {
      const before = reader.rows;
      const { columns } = reader.take(1);
      rows.push(
        columns.map(column => {
          const value = valueAt(column, 0);
          return value === null ? null : Buffer.from(value).toString();
        }),
      );
      assert.equal(reader.rows, before - 1);
    }
  }
  reader.end();
  drain(reader, 3, rows);
  return rows;
}

/** What PostgreSQL's COPY TO would write of a value (CopyAttributeOutText, CopyAttributeOutCSV). */
function written(value: string | null, { format, quote, escape: escapes }: CopyReaderOptions): string {
  if (format === 'csv') {
    if (value === null) return '';
    const inner = [...value].map(c => (c === quote || c === escapes ? escapes + c : c)).join('');
    return /^$|[,\n\r"']/.test(value) || value.includes(quote) ? quote + inner + quote : value;
  }
  if (value === null) return '\\N';
  const names: Record<string, string> = { '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r' };
  return [...value].map(c => (c === '\\' ? '\\\\' : names[c] === undefined ? c : `\\${names[c]}`)).join('');
}

const someText = fc.option(
  fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', 'ä', '😀', '\t', '\n', '\r', '\\', '"', "'", ',', '.', 'N', ' ', '\b', '\v', '\f'),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }).filter(c => !c.includes('\0')),
    ),
    maxLength: 12,
  }),
);
const someRows = fc.array(fc.tuple(someText, someText), { maxLength: 12 });
const someCuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 });

test('rows written as PostgreSQL writes them come back, wherever the stream is cut', () => {
  for (const more of [
    {},
    { format: 'csv' },
    { format: 'csv', escape: '\\' },
    { format: 'csv', quote: "'", escape: '"' },
  ] as const) {
    fc.assert(
      fc.property(someRows, someCuts, fc.constantFrom('\n', '\r\n', '\r'), (rows, cuts, end) => {
        const set = options(more);
        const data = rows
          .map(row => row.map(value => written(value, set)).join(set.delimiter) + end)
          .join('');
        assert.deepEqual(read(data, more, cuts), rows);
        if (rows.length > 0) assert.deepEqual(read(data.slice(0, -end.length), more, cuts), rows);
      }),
    );
  }
});

test('binary rows come back, wherever the stream is cut', () => {
  fc.assert(
    fc.property(someRows, someCuts, fc.boolean(), (rows, cuts, trailer) => {
      const parts = [Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\x01\0\0\0\x03abc', 'latin1')];
      for (const row of rows) {
        parts.push(Buffer.from([0, 2]));
        for (const value of row) {
          const size = Buffer.alloc(4);
          size.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
          parts.push(size, Buffer.from(value ?? ''));
        }
      }
      if (trailer) parts.push(Buffer.from([255, 255]));
      assert.deepEqual(read(Buffer.concat(parts), { format: 'binary' }, cuts), rows);
    }),
  );
});

const refused = (
  data: string | Buffer,
  more: Partial<CopyReaderOptions>,
  code: string,
  words: RegExp,
): void => {
  for (const cuts of [[], [1], [3, 1]]) {
    assert.throws(
      () => read(data, more, cuts),
      (error: unknown) => {
        assert.ok(error instanceof ClarusError);
        assert.equal(error.code, code);
        assert.match(`${error.message} [${error.fields.where}]`, words);
        return true;
      },
    );
  }
};

test('data that are not the format are refused in the words of PostgreSQL, and never quoted', () => {
  refused('1\t2\n3\n', {}, '22P04', /^missing data for column "b" \[COPY t, line 2\]$/);
  refused('1\t2\n\n', {}, '22P04', /^missing data for column "b" \[COPY t, line 2\]$/);
  refused('1\t2\t3\n', {}, '22P04', /^extra data after last expected column \[COPY t, line 1\]$/);
  refused('1\t2\r\n3\t4\n', {}, '22P04', /^literal newline found in data \[COPY t, line 2\]$/);
  refused('1\t2\n3\t4\r', {}, '22P04', /^literal carriage return found in data \[COPY t, line 2\]$/);
  refused('1\t\\.\n', {}, '22P04', /not alone on its line/);
  refused('\\.x\n', {}, '22P04', /not alone on its line/);
  refused('1,"2\n', { format: 'csv' }, '22P04', /^unterminated CSV quoted field \[COPY t, line/);
  refused('1,2\r\n3,4\n', { format: 'csv' }, '22P04', /^unquoted newline found in data/);
  refused('1,2\n"1\n\n\n",2\n3\n', { format: 'csv' }, '22P04', /column "b" \[COPY t, line 6\]/);
  refused(
    'a\tc\n',
    { header: 'match' },
    '22P04',
    /^column name mismatch in header line field 2: expected "b"/,
  );
  refused('a\n', { header: 'match' }, '22P04', /^wrong number of fields in header line: got 1, expected 2/);
  refused('nonsense', { format: 'binary' }, '22P04', /^COPY file signature not recognized/);
  const header = 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0';
  const binary = (rest: string, words: RegExp): void =>
    refused(Buffer.from(header + rest, 'latin1'), { format: 'binary' }, '22P04', words);
  binary('\0\x01\0\0\0\0', /^row field count is 1, expected 2 \[COPY t, line 1\]$/);
  binary('\0\x02\0\0\0\x01x\xff\xff\xff\xfe', /^invalid field size \[COPY t, line 1, column b\]$/);
  binary('\0\x02\0\0\0\x01x', /^unexpected EOF in COPY data/);
  binary('\xff\xffx', /^received copy data after EOF marker/);
});

test('bytes that are not UTF-8, escaped or not, are refused', () => {
  for (const format of ['text', 'csv'] as const) {
    const comma = format === 'csv' ? ',' : '\t';
    refused(Buffer.from(`1${comma}\xff\n`, 'latin1'), { format }, '22021', /line/);
    refused(`1${comma}\0\n`, { format }, '22021', /line/);
  }
  refused('1\t\\xff\n', {}, '22021', /column b/);
  refused('1\t\\000\n', {}, '22021', /column b/);
  assert.deepEqual(read('\\xc3\\xa4\t\\303\\244\n'), [['ä', 'ä']]);
});

test('headers, end markers and forced NULLs are taken as PostgreSQL takes them', () => {
  assert.deepEqual(read('x\ty\n1\t2\n', { header: true }), [['1', '2']]);
  assert.deepEqual(read('a\tb\n1\t2\n', { header: 'match' }), [['1', '2']]);
  assert.deepEqual(read('"a",b\n1,2\n', { format: 'csv', header: 'match' }), [['1', '2']]);
  assert.deepEqual(read('1\t2\n\\.\n3\tignored'), [['1', '2']]);
  assert.deepEqual(read('1,2\n\\.\n', { format: 'csv', csvEndMarker: true }), [['1', '2']]);
  assert.deepEqual(read('\\.', { format: 'csv', csvEndMarker: true, columns: ['a'] }), [['\\.']]);
  assert.deepEqual(read('\\.\n', { format: 'csv', columns: ['a'] }), [['\\.']]);
  assert.deepEqual(read(',""\n', { format: 'csv' }), [[null, '']]);
  assert.deepEqual(read(',""\n', { format: 'csv', forceNotNull: ['a'], forceNull: 'all' }), [['', null]]);
  assert.deepEqual(read('NULL\tN\\ULL\n', { nullString: 'NULL' }), [[null, 'NULL']]);
});

test('a long row in many small pieces takes time in proportion, and one above the limit is refused', () => {
  const long = 'x'.repeat(4_000_000);
  const started = process.cpuUsage().user;
  for (const format of ['text', 'csv'] as const) {
    const comma = format === 'csv' ? ',' : '\t';
    const quoted = format === 'csv' ? `"${long}\n${long}"` : `${long}\\\n${long}`;
    assert.equal(read(`1${comma}${quoted}\n`, { format }, [8192])[0]![1], `${long}\n${long}`);
  }
  assert.ok(process.cpuUsage().user - started < 3_000_000);
  refused(`1\t${'x'.repeat(5000)}\n`, { rowBytesMax: 1000 }, '54000', /longer than the limit of 1000 bytes/);
});

test('after an error the rows before it can be taken, with their lines, and what is there of the last', () => {
  const taken = (reader: CopyReader): [Row[], readonly number[], readonly number[]] => {
    const { columns, lines, sizes_bytes } = reader.take(100);
    const rows = lines.map((_, i) =>
      columns.map(column => {
        const value = valueAt(column, i);
        return value === null ? null : Buffer.from(value).toString();
      }),
    );
    return [rows, lines, sizes_bytes];
  };
  const csv = copyReader(options({ format: 'csv', header: true }));
  assert.throws(() => csv.push(Buffer.from('a,b\r\n1,"x\r\ny"\r\n2\r\n3,z\r\n')), /missing data/);
  assert.deepEqual(taken(csv), [
    [
      ['1', 'x\r\ny'],
      ['2', null],
    ],
    [3, 4],
    [8, 1],
  ]);
  assert.equal(csv.partial, 1);

  const text = copyReader(options());
  assert.throws(() => text.push(Buffer.from('1\ta\n2\tb\tc\n3\td\n')), /extra data/);
  assert.deepEqual(taken(text), [[['1', 'a']], [1], [3]]);
  assert.equal(text.partial, undefined);

  const notText = copyReader(options());
  assert.throws(() => notText.push(Buffer.from('1\ta\n2\t\xff\n3\td\n', 'latin1')), /invalid byte sequence/);
  assert.deepEqual(taken(notText), [[['1', 'a']], [1], [3]]);

  const binary = copyReader(options({ format: 'binary' }));
  const header = 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0';
  const data = `${header}\0\x02\0\0\0\x01x\0\0\0\x01y\0\x02\0\0\0\x01z\xff\xff\xff\xfe`;
  assert.throws(() => binary.push(Buffer.from(data, 'latin1')), /invalid field size/);
  assert.deepEqual(taken(binary), [
    [
      ['x', 'y'],
      ['z', null],
    ],
    [1, 2],
    [0, 0],
  ]);
  assert.equal(binary.partial, 1);
});
