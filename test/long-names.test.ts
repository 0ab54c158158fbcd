/** Names of 63 bytes that differ only at their end: what Clarus makes of them in the cloud stays apart. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const [a, b, c, d] = ['1', '2', '3', '4'].map(end => 'a'.repeat(62) + end);
const [x, y, z] = ['ä', 'ö', 'ü'].map(end => 'b'.repeat(61) + end);
const tables = ['7', '8'].map(end => 'c'.repeat(62) + end);

const steps: readonly Step[] = [
  `CREATE TABLE told (${a} text, ${b} text, id int)`,
  `ALTER TABLE told ADD COLUMN ${c} text`,
  "INSERT INTO told VALUES ('one', 'two', 3, 'four')",
  `ALTER TABLE told RENAME COLUMN ${c} TO ${d}`,
  `ALTER TABLE told RENAME COLUMN ${a} TO ${c}`,
  `ALTER TABLE told ADD COLUMN ${a} text DEFAULT 'five'`,
  'SELECT * FROM told',
  [`SELECT id FROM told WHERE ${d} = $1 AND ${c} = 'one'`, 'four'],
  `CREATE TABLE keys (${x} text UNIQUE, ${y} text UNIQUE CHECK (${y} <> 'x'))`,
  `ALTER TABLE keys ADD COLUMN ${z} text UNIQUE`,
  "INSERT INTO keys VALUES ('six', 'seven', 'eight')",
  "INSERT INTO keys VALUES ('nine', 'x', 'ten')",
  "INSERT INTO keys VALUES ('nine', 'seven', 'ten')",
  "INSERT INTO keys VALUES ('nine', 'ten', 'eight')",
  `CREATE INDEX ON keys (${x}, ${y})`,
  `ALTER TABLE keys DROP COLUMN ${x}`,
  'SELECT * FROM keys',
  ...tables.map(table => `CREATE TABLE ${table} (${x} text PRIMARY KEY, ${y} text UNIQUE)`),
  `INSERT INTO ${tables[1]} VALUES ('eleven', 'twelve')`,
  `SELECT * FROM ${tables[1]} WHERE ${y} = 'twelve'`,
];

for (const names of ['shown', 'hidden'])
  suite(`names that differ at their end, ${names}`, () => {
    const sides = beside(`names: ${names}\nunlisted: encrypt`);

    test(`stand apart where names are ${names}`, async () => {
      assert.deepEqual(
        await sides.differences(steps, async (client, step) => {
          const { notices: _notices, detail: _detail, ...told } = await sides.outcome(client, step);
          return told;
        }),
        [],
      );
      const sent = sides.recorded.sent();
      for (const word of ['seven', 'eight', 'eleven', 'twelve']) assert.ok(!sent.includes(word), word);
    });
  });
