import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Datum, datumBytes, isNode, readNodes, type Value } from './node.js';
import { constantValue } from './types.js';

/** A token as PostgreSQL prints it: outToken of outfuncs.c. */
function printedToken(text: string): string {
  if (text === '') return '""';
  const first = /^(?:[<"\d]|[+-][\d.])/.test(text) ? '\\' : '';
  return first + text.replace(/[ \n\t(){}\\]/g, '\\$&');
}

/** A tree as PostgreSQL prints it, with lines broken at spaces (format_node_dump of print.c). */
function printed(value: Value, inList: boolean): string {
  if (value === null) return '<>';
  if (typeof value === 'string') {
    if (!inList) return printedToken(value);
    return `"${value === '' ? '' : printedToken(value)}"`;
  }
  if (Array.isArray(value)) return `(${value.map(item => printed(item, true)).join('\n')})`;
  if (isNode(value)) {
    const fields = Object.entries(value.fields).map(([name, field]) => ` :${name} ${printed(field, false)}`);
    return `{${value.kind}${fields.join('')}}`;
  }
  const bytes = [...datumBytes(value as Datum)].map(byte => (byte > 127 ? byte - 256 : byte));
  return `${bytes.length} [ ${bytes.map((byte, i) => `${byte}${i % 7 === 6 ? '\n' : ' '}`).join('')}]`;
}

const datum = fc
  .uint8Array({ maxLength: 40 })
  .map(bytes => ({ datum: [...bytes].map(byte => `${byte > 127 ? byte - 256 : byte} `).join('') }));
const name = fc.stringMatching(/^[a-z_]{1,20}$/).filter(text => text !== '__proto__');
const string = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('<>', '"', 'a"b', '" :relid 3', '{}', ')', '\\', '[', ':relid', ' ', '\u00a0', '-1', 'b'),
);
const { tree } = fc.letrec<{ tree: Value; value: Value }>(tie => ({
  tree: fc.record({ kind: name.map(n => n.toUpperCase()), fields: fc.dictionary(name, tie('value')) }),
  value: fc.oneof(
    { maxDepth: 4 },
    string,
    fc.constant(null),
    datum,
    tie('tree'),
    fc.array(fc.oneof(string, tie('tree')), { minLength: 1, maxLength: 4 }),
  ),
}));

/** The same with datums as bytes, which may be printed in several ways. */
const comparable = (value: Value): unknown => {
  if (value === null || typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(comparable);
  if (!isNode(value)) return [...datumBytes(value as Datum)];
  const fields = Object.entries(value.fields).map(([key, field]) => [key, comparable(field)]);
  return { kind: value.kind, fields: Object.fromEntries(fields) };
};

test('every tree that PostgreSQL prints is read as it was', () => {
  fc.assert(
    fc.property(tree, node => {
      const [read, ...more] = readNodes(printed(node, false));
      assert.deepEqual([comparable(read!), more], [comparable(node), []]);
    }),
    { numRuns: 200 },
  );
});

test('lists of numbers are read without what they are lists of', () => {
  const [node] = readNodes('{X :a (i 1 -2) :b (o 23) :c (b) :d ("b" "i") :e true}');
  assert.deepEqual(node?.fields, { a: ['1', '-2'], b: ['23'], c: [], d: ['b', 'i'], e: 'true' });
  // lines are broken at spaces, there too
  for (const broken of ['(o\n 100 7)', '(i\n100\n 7)', '(b\t100 7)'])
    assert.deepEqual(readNodes(`{A :list ${broken}}`)[0]!.fields.list, ['100', '7'], broken);
});

test('a constant of a megabyte is read byte for byte', () => {
  const size = 1_000_000;
  const bytes = Buffer.alloc(size + 4, 0x78);
  bytes.writeUInt32LE((size + 4) << 2);
  const text = `{CONST :consttype 25 :constisnull false :constvalue ${size + 4} [ ${[...bytes].join(' ')} ]}`;
  const [constant] = readNodes(text);
  assert.equal(Buffer.compare(constantValue(constant!)!, bytes.subarray(4)), 0);
});
