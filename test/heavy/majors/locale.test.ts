/** The shadow schema compares text as the cloud does: it has the encoding and the locale of the cloud's database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { startProxy } from '../../support/proxy.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns: { id: { protect: none }, name: { queries: [equality] } }
`;

for (const [locale, options] of [
  ['of ICU', "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"],
  ['C', "TEMPLATE template0 LOCALE 'C'"],
  ['the built-in one', "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"],
] as const)
  test(`what the trusted side evaluates goes by the cloud's locale: ${locale}`, async () => {
    const proxy = await startProxy({ policy, database: options });
    const clients: pg.Client[] = [];
    try {
      const answers: unknown[] = [];
      for (const target of [proxy.plain, proxy]) {
        const client = new pg.Client(target);
        clients.push(client);
        await client.connect();
        await client.query('CREATE TABLE person (id int PRIMARY KEY, name text)');
        const name = "CASE WHEN 'ä' < 'z' THEN lower('ÄRGER') ELSE upper('ärger') END";
        await client.query(`INSERT INTO person VALUES (1, ${name})`);
        const { rows } = await client.query(`SELECT id, name FROM person WHERE name = ${name}`);
        const { rows: evaluated } = await client.query(
          "SELECT 'ä' < 'z' AS less, 'a' < 'B' AS letters, upper('ä') AS upper, initcap('élan') AS initcap",
        );
        const { rows: database } = await client.query(
          'SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, datlocale FROM pg_database WHERE datname = current_database()',
        );
        answers.push({ rows, evaluated, database });
      }
      assert.deepEqual(answers[1], answers[0]);
      assert.ok(!proxy.log.some(line => line.includes('has no locale')));
    } finally {
      for (const client of clients) await client.end();
      await proxy.stop();
    }
  });
