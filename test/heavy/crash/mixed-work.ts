/** What is going on when servers are killed: split writes of all kinds, and DDL that seals rows anew. */
import pg from 'pg';
import type { Random } from '../../support/random.js';
import type { ClientAddress } from '../support/installation.js';
import { type Change, type Expected, type Row, sentinel } from './writes.js';

const column = (name: string, protect: string): string => `      ${name}: { ${protect} }`;
const open = 'protect: none';
const sealed = 'class: confidential, protect: encrypt';
const tagged = `${sealed}, queries: [equality]`;

const key = `${tagged}, domain: owner`;

const tables: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  vault: [
    ['id', open],
    ['payload', tagged],
    ['version', sealed],
  ],
  room: [
    ['id', open],
    ['part', open],
    ['payload', tagged],
    ['version', sealed],
  ],
  owner: [
    ['id', key],
    ['name', sealed],
  ],
  pet: [
    ['id', open],
    ['owner', key],
  ],
  side: [
    ['id', open],
    ['n', sealed],
    ['note', sealed],
  ],
};

export const policy = `unlisted: encrypt
tables:
${Object.entries(tables)
  .map(
    ([name, columns]) =>
      `  public.${name}:\n    columns:\n${columns.map(([c, p]) => column(c, p)).join('\n')}`,
  )
  .join('\n')}`;

export const schema: readonly string[] = [
  'CREATE TABLE vault (id integer PRIMARY KEY, payload text NOT NULL, version integer NOT NULL)',
  'CREATE TABLE room (id integer, part integer, payload text NOT NULL, version integer NOT NULL) PARTITION BY LIST (part)',
  ...[0, 1, 2].map(part => `CREATE TABLE room_${part} PARTITION OF room FOR VALUES IN (${part})`),
  'CREATE TABLE owner (id integer PRIMARY KEY, name text)',
  'CREATE TABLE pet (id integer PRIMARY KEY, owner integer REFERENCES owner ON DELETE CASCADE ON UPDATE CASCADE)',
  'CREATE TABLE side (id integer PRIMARY KEY, n integer, note text)',
  `INSERT INTO side SELECT i, i * 7, '${sentinel} ' || i FROM generate_series(1, 300) i`,
];

type CarryOut = (client: pg.Client, change: Change, expected: Expected) => Promise<void>;

const inBlock =
  (
    one: (client: pg.Client, id: number, row: Row | undefined, exists: boolean) => Promise<unknown>,
  ): CarryOut =>
  async (client, change, { rows }) => {
    if (change.size > 1) await client.query('BEGIN');
    for (const [id, row] of change) await one(client, id, row && { ...row }, rows.has(id));
    if (change.size > 1) await client.query('COMMIT');
  };

/** Writes the table `vault` by statements that no encoding answers. */
export const writesOfVault = (random: Random): CarryOut =>
  inBlock((client, id, row, exists) => {
    if (row === undefined)
      return client.query("DELETE FROM vault WHERE id = $1 AND payload LIKE '%/%'", [id]);
    const values = [id, row.payload, row.version];
    const literals = `${id}, '${row.payload}', ${row.version}`;
    const ways: (() => Promise<unknown>)[] = exists
      ? [
          () =>
            client.query(
              "UPDATE vault SET payload = substr(payload, 1, 0) || $2, version = version - version + $3 WHERE id = $1 AND payload LIKE '%/%'",
              values,
            ),
          () =>
            client.query(`DO $$ DECLARE had integer; BEGIN SELECT version INTO had FROM vault WHERE id = ${id};
              UPDATE vault SET payload = '${row.payload}', version = had - had + ${row.version} WHERE id = ${id}; END $$`),
        ]
      : [
          () =>
            client.query(
              'INSERT INTO vault SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM vault WHERE id = $1)',
              values,
            ),
          () =>
            client
              .query(`CREATE TEMP TABLE IF NOT EXISTS noted (id integer, payload text, version integer); DELETE FROM noted;
            INSERT INTO noted VALUES (${literals})`)
              .then(() => client.query('INSERT INTO vault VALUES ($1, $2, $3)', values)),
        ];
    const upsert = () =>
      client.query(
        `INSERT INTO vault VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload,
           version = vault.version - vault.version + excluded.version`,
        values,
      );
    return random.pick([...ways, upsert])();
  });

/** Writes the partitioned table `room`: its rows move. */
export const writesOfRoom = (random: Random): CarryOut =>
  inBlock((client, id, row, exists) => {
    if (row === undefined) return client.query('DELETE FROM room WHERE id = $1', [id]);
    const values = [id, row.version % 3, row.payload, row.version];
    if (!exists) return client.query('INSERT INTO room VALUES ($1, $2, $3, $4)', values);
    return random.pick([
      () =>
        client.query(
          'UPDATE room SET part = $2, payload = $3, version = version - version + $4 WHERE id = $1',
          values,
        ),
      () =>
        client.query(
          `MERGE INTO room USING (SELECT $1::integer AS id, $2::integer AS part, $3::text AS payload, $4::integer AS version) s
             ON room.id = s.id WHEN MATCHED THEN UPDATE SET part = s.part, payload = s.payload, version = s.version`,
          values,
        ),
    ])();
  });

let owners = 0;

/** Owners with two pets each come, get another key and go, each in one transaction, until the connection breaks. */
export async function keepPets(
  address: ClientAddress,
  random: Random,
  enough: () => boolean,
  refused: (error: pg.DatabaseError) => void,
): Promise<void> {
  const client = new pg.Client(address);
  let broken = false;
  client.on('error', () => {
    broken = true;
  });
  await client.connect();
  try {
    while (!broken && !enough()) {
      const id = ++owners;
      await client.query('BEGIN');
      await client.query('INSERT INTO owner VALUES ($1, $2)', [id, `${sentinel} ${id}`]);
      await client.query('INSERT INTO pet SELECT $1 * 2 + i, $1 FROM generate_series(0, 1) i', [id]);
      await client.query('COMMIT');
      const way = random.next();
      if (way < 0.4) await client.query('UPDATE owner SET id = id + 1000000 WHERE id = $1', [id]);
      else if (way < 0.7) await client.query('DELETE FROM owner WHERE id = $1', [id]);
    }
  } catch (error) {
    if (error instanceof pg.DatabaseError) refused(error);
  }
  if (!broken) await client.end().catch(() => undefined);
}

/** What DDL has made: the type of side.n, further columns of side, further tables and partitions. */
export type Made = readonly string[];

let names = 0;

/** One statement of DDL, and what is there afterwards. What it says itself stands in the trusted catalogue. */
export function randomDdl(made: Made, random: Random): { readonly sql: string; readonly after: Made } {
  const without = (one: string): Made => made.filter(other => other !== one);
  const name = `m${++names}`;
  const isText = made.includes('text');
  const choices: { sql: string; after: Made }[] = [
    isText
      ? { sql: 'ALTER TABLE side ALTER COLUMN n TYPE integer USING n::integer', after: without('text') }
      : { sql: 'ALTER TABLE side ALTER COLUMN n TYPE text USING n::text', after: [...made, 'text'] },
    {
      sql: `CREATE TABLE ${name} AS SELECT id, payload || version AS both FROM vault`,
      after: [...made, `table ${name}`],
    },
    {
      sql: `ALTER TABLE side ADD COLUMN ${name} text DEFAULT 'added'`,
      after: [...made, `column ${name}`],
    },
    {
      sql: `CREATE TABLE ${name} PARTITION OF room FOR VALUES IN (${1_000 + names})`,
      after: [...made, `partition ${name}`],
    },
  ];
  for (const one of made) {
    const [kind, of] = one.split(' ');
    if (kind === 'table') choices.push({ sql: `DROP TABLE ${of}`, after: without(one) });
    if (kind === 'column') choices.push({ sql: `ALTER TABLE side DROP COLUMN ${of}`, after: without(one) });
    if (kind === 'partition')
      choices.push({
        sql: `ALTER TABLE room DETACH PARTITION ${of}`,
        after: [...without(one), `table ${of}`],
      });
  }
  return random.pick(choices);
}

/** What is there, as a client sees it. */
export const madeQuery = `
SELECT 'text' AS one FROM information_schema.columns WHERE table_name = 'side' AND column_name = 'n' AND data_type = 'text'
UNION ALL SELECT 'column ' || column_name FROM information_schema.columns WHERE table_name = 'side' AND column_name ~ '^m[0-9]'
UNION ALL SELECT CASE WHEN relispartition THEN 'partition ' ELSE 'table ' END || relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^m[0-9]'`;
