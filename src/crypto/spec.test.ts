import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromHex } from '../../test/vectors/wycheproof.js';
import { ClarusError } from '../errors.js';
import { openCells } from './cells.js';
import { canonical, columnOf, sealed } from './column.js';
import { deriveCellKey, deriveDomainKey, rootKeyFingerprint, unwrapKey, wrapKey } from './keys.js';
import { tagColumn } from './tags.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface Cell {
  readonly what?: string;
  readonly column: number;
  readonly epoch: number;
  readonly row: number;
  readonly value?: string;
  readonly cell: string;
}
interface Vectors {
  readonly keys: {
    readonly rootKey: string;
    readonly fingerprint: string;
    readonly wrapped: readonly { readonly key: string; readonly wrapped: string }[];
    readonly tableKey: string;
    readonly cellKeys: readonly { readonly column: number; readonly epoch: number; readonly key: string }[];
    readonly domainKey: string;
    readonly tagKey: string;
  };
  readonly cells: {
    readonly tableKey: string;
    readonly table: number;
    readonly cells: readonly Cell[];
    readonly refused: readonly Cell[];
  };
  readonly tags: {
    readonly tagKey: string;
    readonly tags: readonly { readonly form: string; readonly tag: string }[];
  };
}

const vectors = <Name extends keyof Vectors>(name: Name): Vectors[Name] =>
  JSON.parse(readFileSync(new URL(`../../docs/spec/vectors/${name}.json`, import.meta.url), 'utf8'));

test('the test vectors of docs/spec/keys.md hold', () => {
  const { rootKey, fingerprint, wrapped, tableKey, cellKeys, domainKey, tagKey } = vectors('keys');
  const root = fromHex(rootKey);
  assert.equal(rootKeyFingerprint(root), fingerprint);
  for (const pair of wrapped) {
    assert.equal(hex(wrapKey(root, fromHex(pair.key))), pair.wrapped);
    assert.equal(hex(unwrapKey(root, fromHex(pair.wrapped))), pair.key);
  }
  for (const { column, epoch, key } of cellKeys)
    assert.equal(hex(deriveCellKey(fromHex(tableKey), column, epoch)), key);
  assert.equal(hex(deriveDomainKey(fromHex(domainKey), 'tag')), tagKey);
});

test('the test vectors of docs/spec/cell.md hold', () => {
  const { tableKey, table, cells, refused } = vectors('cells');
  const open = ({ column, row, cell }: Cell): string => {
    const keyOf = (epoch: number): Uint8Array => deriveCellKey(fromHex(tableKey), column, epoch);
    const column1 = sealed(columnOf([fromHex(cell)]));
    return hex(openCells(keyOf, { table, column }, Float64Array.of(row), column1).data);
  };
  assert.ok(cells.length > 10 && refused.length > 10);
  for (const cell of cells) assert.equal(open(cell), cell.value);
  for (const cell of refused)
    assert.throws(
      () => open(cell),
      (error: unknown) => error instanceof ClarusError && error.code === 'XX001',
      cell.what,
    );
});

test('the test vectors of docs/spec/tag.md hold', () => {
  const { tagKey, tags } = vectors('tags');
  const column = tagColumn(fromHex(tagKey), canonical(columnOf(tags.map(({ form }) => fromHex(form)))));
  assert.equal(hex(column.data), tags.map(({ tag }) => tag).join(''));
});
