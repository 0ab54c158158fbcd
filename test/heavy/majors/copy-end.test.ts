/** The line `\.` in the data of COPY FROM STDIN: what the cloud's version takes it for. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import pg from 'pg';
import { copied as copyingIn } from '../../support/copying.js';
import { startProxy, type Target, type TestProxy } from '../../support/proxy.js';
import { RawClient, told } from '../../support/raw-client.js';
import { debianPrograms } from '../support/cluster.js';

const policy = `unlisted: pass
tables:
  public.one: { columns: { a: { protect: encrypt, queries: [equality] }, b: { protect: encrypt } } }
  public.fired: { columns: { a: { protect: encrypt }, b: { protect: encrypt } } }
  public.parted: { columns: { id: { protect: none }, a: { protect: encrypt } } }
`;

const schema = `CREATE TABLE one (a text, b text);
CREATE TABLE fired (a text, b text);
CREATE TABLE parted (id text, a text) PARTITION BY LIST (id);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
CREATE TABLE open (a text, b text);
CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER kept BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION kept()`;

async function copied(target: Target, sql: string, data: string, piece: number): Promise<readonly string[]> {
  const client = await RawClient.connect(target);
  const got: Parameters<typeof told>[0][number][] = [];
  client.send({ kind: 'Query', sql });
  for (;;) {
    const message = await client.next();
    assert.ok(message, sql);
    if (message.kind === 'CopyInResponse') {
      const bytes = Buffer.from(data);
      for (let at = 0; at < bytes.length; at += piece)
        client.send({ kind: 'CopyData', data: bytes.subarray(at, at + piece) });
      client.send({ kind: 'CopyDone' });
    } else if (message.kind !== 'ParameterStatus' && message.kind !== 'NoticeResponse') got.push(message);
    if (message.kind === 'ReadyForQuery') break;
  }
  await client.close();
  return told(got);
}

const data = [
  'x,y\n\\.\n',
  'x,y\n\\.\nafter,it\n',
  '\\.\n',
  'x,y\n\\.',
  'x,y\n\\.a,b\n',
  'x,y\r\n\\.\r\n',
  'x,y\r\n\\.\r\nmore,m\r\n',
  '"x\n\\.\nz",y\n',
  'x,"\\."\n\\.,z\n',
  'x,y\n\\.\n"',
  'x,y\n\\.\r\n',
  'x,y\r\n\\.\n',
];
const ofCsv = [
  'COPY one FROM STDIN (FORMAT csv)',
  'COPY one FROM STDIN CSV HEADER',
  'COPY one (a) FROM STDIN (FORMAT csv)',
  "COPY one (a) FROM STDIN (FORMAT csv, DELIMITER ';')",
  'COPY fired FROM STDIN (FORMAT csv)',
  'COPY parted FROM STDIN (FORMAT csv)',
  'COPY open FROM STDIN (FORMAT csv)',
];

async function sameOn(proxy: TestProxy, statements: readonly string[]): Promise<void> {
  const clients = [proxy, proxy.plain].map(target => new pg.Client({ ...target }));
  try {
    for (const client of clients) {
      await client.connect();
      for (const sql of schema.split(';\n')) await client.query(sql);
    }
    for (const sql of statements)
      for (const given of data)
        for (const piece of sql === ofCsv[0] ? [1, 1_000] : [1_000]) {
          const [ours, plain] = [
            await copied(proxy, sql, given, piece),
            await copied(proxy.plain, sql, given, piece),
          ];
          assert.deepEqual(ours, plain, `${sql} of ${JSON.stringify(given)} by ${piece}`);
        }
    for (const table of ['one', 'fired', 'parted', 'open']) {
      const rows = await Promise.all(
        clients.map(client => client.query({ text: `SELECT * FROM ${table}`, rowMode: 'array' })),
      );
      const [ours, plain] = rows.map(({ rows: read }) => read.map(row => JSON.stringify(row)).sort());
      assert.deepEqual(ours, plain, table);
    }
  } finally {
    await Promise.all(clients.map(client => client.end()));
  }
}

const ofTemporary = [
  'COPY gone FROM STDIN (FORMAT csv)',
  'COPY gone FROM STDIN CSV HEADER',
  "COPY gone (a) FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '\"')",
];

/** The same of a temporary table, whose rows the trusted server reads. */
async function sameOfTemporary(proxy: TestProxy): Promise<void> {
  const [ours, plain] = [await RawClient.connect(proxy), await RawClient.connect(proxy.plain)];
  const both = async (sql: string, given = '', pieceBytes = 1_000): Promise<void> => {
    const got = await copyingIn(ours, sql, given, false, pieceBytes);
    const wanted = await copyingIn(plain, sql, given, false, pieceBytes);
    assert.deepEqual(got, wanted, `${sql} of ${JSON.stringify(given)} by ${pieceBytes}`);
  };
  try {
    await both('CREATE TEMP TABLE gone (a text, b text)');
    for (const sql of ofTemporary)
      for (const given of data) for (const piece of [1, 3, 1_000]) await both(sql, given, piece);
    await both('SELECT * FROM gone ORDER BY a COLLATE "C", b COLLATE "C"');
    for (const option of ["DEFAULT 'd'", 'ON_ERROR ignore', 'FORMAT csv, FORCE_NULL *', 'HEADER match'])
      await both(`COPY gone FROM STDIN (${option})`, 'a\tb\n');
  } finally {
    await Promise.all([ours.close(), plain.close()]);
  }
}

describe('the line that ends the data of text', () => {
  for (const [version, server, statements] of [
    [
      'is data of csv in the version that Clarus brings',
      {},
      [...ofCsv, "COPY one FROM STDIN (DELIMITER ',')"],
    ],
    ['ends csv in a cloud of version 15', { binaries: debianPrograms }, ofCsv],
  ] as const)
    test(version, { skip: 'binaries' in server && !existsSync(server.binaries) }, async () => {
      const proxy = await startProxy({ policy, server });
      try {
        await sameOn(proxy, statements);
        await sameOfTemporary(proxy);
      } finally {
        await proxy.stop();
      }
    });
});
