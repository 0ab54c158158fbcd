/** Tags as a cloud holds them: equal for equal values of one class, whatever their types, and only then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { count, seed } from '../heavy/support/scale.js';
import { startProxy } from '../support/proxy.js';
import { quoted } from './rows.js';
import { tagged } from './schema.js';

/** Types whose values PostgreSQL compares with each other; any other type is a class by itself. */
const classes: Readonly<Record<string, string>> = {
  int2: 'number',
  int4: 'number',
  int8: 'number',
  numeric: 'number',
  varchar: 'text',
};
const classOf = (base: string): string => classes[base] ?? base;

test('tags of one domain are equal where PostgreSQL finds the values equal, and only within a class', async t => {
  const rows = count('rows whose tags are compared', 400, 40);
  const column = ({ name }: { name: string }): string =>
    `      ${name}: { class: identifier, protect: encrypt, queries: [equality], domain: everything }`;
  const table = (name: string): string =>
    `  public.${name}:\n    columns:\n      id: { protect: none }\n${tagged.map(column).join('\n')}`;
  const proxy = await startProxy({ policy: `unlisted: refuse\ntables:\n${table('a')}\n${table('b')}` });
  const clients = [proxy.plain, proxy, proxy.behind].map(target => new pg.Client({ ...target }));
  const [plain, clarus, cloud] = clients as [pg.Client, pg.Client, pg.Client];
  try {
    for (const client of clients) await client.connect();
    for (const [t, name] of ['a', 'b'].entries()) {
      const values = tagged.map(c =>
        fc.sample(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...c.pool) }, c.other), {
          numRuns: rows,
          seed: seed + t,
        }),
      );
      const lists = Array.from(
        { length: rows },
        (_, i) => `(${i}, ${values.map(column => quoted(column[i]!)).join(', ')})`,
      );
      const sql = `CREATE TABLE ${name} (id int PRIMARY KEY, ${tagged.map(c => `${c.name} ${c.type}`).join(', ')});
        INSERT INTO ${name} VALUES ${lists.join(', ')}`;
      for (const client of [plain, clarus]) await client.query(sql);
    }
    const stored = await cloud.query<{ table: string; name: string }>(
      "SELECT attrelid::regclass::text AS table, attname AS name FROM pg_attribute WHERE attrelid IN ('a'::regclass, 'b'::regclass) AND attname ~ '_equality'",
    );
    const tagOf = (table: string, { name }: { name: string }): string => {
      const found = stored.rows.filter(row => row.table === table && row.name.startsWith(`${name}_equality`));
      assert.equal(found.length, 1, `${table}.${name} has one tag`);
      return found[0]!.name;
    };
    let equal = 0;
    const pairs = async (client: pg.Client, left: string, right: string): Promise<string[]> => {
      const { rows: found } = await client.query<{ pair: string }>(
        `SELECT a.id || ' ' || b.id AS pair FROM a, b WHERE a.${left} = b.${right} ORDER BY a.id, b.id`,
      );
      return found.map(row => row.pair);
    };
    for (const left of tagged)
      for (const right of tagged) {
        const same = classOf(left.base) === classOf(right.base);
        const expected = same ? await pairs(plain, left.name, right.name) : [];
        const given = await pairs(cloud, tagOf('a', left), tagOf('b', right));
        assert.deepEqual(given, expected, `${left.type} and ${right.type}`);
        equal += given.length;
      }
    t.diagnostic(`seed ${seed}: ${tagged.length ** 2} pairs of columns, ${equal} equal tags`);
    assert.ok(equal > rows);
  } finally {
    for (const client of clients) await client.end();
    await proxy.stop();
  }
});
