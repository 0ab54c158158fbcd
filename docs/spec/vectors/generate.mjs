// Writes the test vectors of cell.md, tag.md and keys.md with nothing but node:crypto: what another program would do.
import { createCipheriv, createHash, hkdfSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const hex = bytes => Buffer.from(bytes).toString('hex');
const counting = (size, first = 0) => Buffer.from(Array.from({ length: size }, (_, i) => (first + i) & 0xff));
const uint = (value, size) => Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex');
const derive = (key, ...info) => Buffer.from(hkdfSync('sha256', key, '', Buffer.concat(info), 32));
const text = value => Buffer.from(value, 'utf8');
const write = (name, content) =>
  writeFileSync(new URL(`./${name}.json`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`);

const rootKey = counting(32);
const tableKey = counting(32, 0x40);
const domainKey = counting(32, 0x80);
const wrap = key => {
  const cipher = createCipheriv('id-aes256-wrap-pad', rootKey, Buffer.from('a65959a6', 'hex'));
  return Buffer.concat([cipher.update(key), cipher.final()]);
};
const cellKey = (column, epoch) => derive(tableKey, text('clarus/1 cell'), uint(column, 2), uint(epoch, 2));
const tagKey = derive(domainKey, text('clarus/1 tag'));

const fingerprint = hex(
  createHash('sha256')
    .update(derive(rootKey, text('clarus/1 fingerprint')))
    .digest(),
);
write('keys', {
  rootKey: hex(rootKey),
  fingerprint: fingerprint.slice(0, 16).match(/.{4}/g).join('-'),
  wrapped: [tableKey, domainKey].map(key => ({ key: hex(key), wrapped: hex(wrap(key)) })),
  tableKey: hex(tableKey),
  cellKeys: [
    [1, 1],
    [1, 2],
    [2, 1],
    [0x1234, 0xfedc],
    [65535, 65535],
  ].map(([column, epoch]) => ({ column, epoch, key: hex(cellKey(column, epoch)) })),
  domainKey: hex(domainKey),
  tagKey: hex(tagKey),
});

const table = 0x010203;
const seal = (column, epoch, row, value, nonce) => {
  const associatedData = Buffer.concat([
    uint(1, 1),
    uint(table, 3),
    uint(column, 2),
    uint(epoch, 2),
    uint(row, 8),
  ]);
  const cipher = createCipheriv('aes-256-gcm', cellKey(column, epoch), nonce).setAAD(associatedData);
  const header = Buffer.concat([uint(0xc1, 1), uint(epoch, 2), uint((value.length + 32) % 251, 1)]);
  const sealed = Buffer.concat([cipher.update(value), cipher.final()]);
  const cell = Buffer.concat([header, nonce, sealed, cipher.getAuthTag()]);
  return { column, epoch, row, value: hex(value), associatedData: hex(associatedData), cell: hex(cell) };
};
const places = [
  [1, 1, 1],
  [5, 1, 255],
  [5, 2, 0x0102030405],
  [65535, 65535, 2 ** 53 - 1],
];
const cells = [0, 1, 4, 8, 15, 16, 17, 32, 40, 96, 97, 128, 219, 300].map((length, i) =>
  seal(...places[i % places.length], counting(length, i), counting(12, 0xa0 + i)),
);
const [, , , , first] = cells;
const changed = (what, at, mask) => {
  const cell = Buffer.from(first.cell, 'hex');
  cell[at] ^= mask;
  return { what, column: first.column, epoch: first.epoch, row: first.row, cell: hex(cell) };
};
write('cells', {
  tableKey: hex(tableKey),
  table,
  cells,
  refused: [
    changed('another format', 0, 1),
    changed('another epoch', 2, 2),
    changed('another length', 3, 1),
    changed('another nonce', 4, 1),
    changed('another ciphertext', 16, 0x80),
    changed('another tag', first.cell.length / 2 - 1, 1),
    { ...changed('cut by one byte', 0, 0), cell: first.cell.slice(0, -2) },
    { ...changed('grown by one byte', 0, 0), cell: `${first.cell}00` },
    { ...changed('shorter than any cell', 0, 0), cell: 'c1000100' },
    { ...changed('moved to another row', 0, 0), row: first.row + 1 },
    { ...changed('moved to another column', 0, 0), column: first.column + 1 },
  ],
});

/** CMAC as RFC 4493 section 2.4 writes it. */
const encrypt = block => createCipheriv('aes-256-ecb', tagKey, null).setAutoPadding(false).update(block);
const double = block => {
  const value = BigInt(`0x${hex(block)}`) << 1n;
  return uint(value >> 128n ? (value ^ 0x87n) & ((1n << 128n) - 1n) : value, 16);
};
const cmac = message => {
  const k1 = double(encrypt(Buffer.alloc(16)));
  const count = Math.max(1, Math.ceil(message.length / 16));
  const complete = message.length === 16 * count;
  const padded = Buffer.alloc(16 * count);
  message.copy(padded);
  if (!complete) padded[message.length] = 0x80;
  const subkey = complete ? k1 : double(k1);
  let chain = Buffer.alloc(16);
  for (let b = 0; b < count; b++)
    chain = encrypt(chain.map((x, i) => x ^ padded[16 * b + i] ^ (b === count - 1 ? subkey[i] : 0)));
  return chain;
};
write('tags', {
  domainKey: hex(domainKey),
  tagKey: hex(tagKey),
  tags: [
    ...[0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 300].map(length => counting(length, length)),
    text('\u0003Müller'),
  ].map(form => ({ form: hex(form), tag: hex(cmac(form)) })),
});
