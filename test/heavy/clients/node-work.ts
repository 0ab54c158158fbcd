/** The demo's work with two drivers of Node: `pg` (parameters, named statements) and `postgres` (pipelines, COPY). */
import { createReadStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import postgres from 'postgres';
import { laboratoryFields, laboratoryFile } from './laboratory.js';

/** Where a driver connects. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

const tables = readFileSync(new URL('tables.sql', import.meta.url), 'utf8');

/** Loads the first 2,000 tests by INSERT, then asks and changes; returns what came back, line by line. */
export async function workWithPg(address: Address): Promise<string[]> {
  const client = new pg.Client({ ...address, query_timeout: 60_000 });
  await client.connect();
  const lines: string[] = [];
  const show = async (text: string, values: unknown[] = [], name?: string) => {
    const answer = await client.query({ text, values, ...(name === undefined ? {} : { name }) });
    const fields = answer.fields.map(field => `${field.name}:${field.dataTypeID}:${field.dataTypeModifier}`);
    lines.push(`${answer.command} ${answer.rowCount} ${fields.join(' ')}`);
    for (const row of answer.rows) lines.push(JSON.stringify(row));
  };
  const fails = (text: string, values: unknown[] = []) =>
    client.query(text, values).then(
      () => lines.push(`no error: ${text}`),
      (error: pg.DatabaseError) =>
        lines.push(
          `${error.severity} ${error.code} ${error.message} ${error.table} ${error.column} ${error.constraint}`,
        ),
    );
  await client.query(tables);
  const rows = laboratoryFields().slice(0, 2000);
  for (let from = 0; from < rows.length; from += 100) {
    const batch = rows.slice(from, from + 100);
    const places = batch.map((row, i) => `(${row.map((_, j) => `$${i * row.length + j + 1}`).join(', ')})`);
    await client.query(`INSERT INTO covid_test VALUES ${places.join(', ')}`, batch.flat());
  }
  await show('SELECT count(*) FROM covid_test');
  await show('SELECT * FROM covid_test WHERE fake_last_name = $1 ORDER BY rownames LIMIT 3', ['frey']);
  for (const name of ['penny', 'grunt', 'nobody'])
    await show(
      'SELECT rownames, age, ct_result FROM covid_test WHERE fake_first_name = $1',
      [name],
      'by-first-name',
    );
  await show('SELECT count(*) FROM covid_test WHERE subject_id = ANY($1::integer[])', [[1412, 533]]);
  await show('INSERT INTO follow_up VALUES ($1, $2, $3) RETURNING *', [1, 1412, '2020-05-01']);
  await show('INSERT INTO follow_up VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [1, 1, null, null]);
  await show('UPDATE follow_up SET remark = $1 WHERE subject_id = $2 RETURNING remark', ['"ü", it\'s', 1412]);
  await show(
    'SELECT f.id, t.fake_last_name FROM follow_up f JOIN covid_test t ON f.subject_id = t.subject_id ORDER BY t.rownames',
  );
  await client.query('BEGIN');
  await show('DELETE FROM covid_test WHERE fake_last_name = $1', ['frey']);
  await show('SELECT count(*) FROM covid_test');
  await client.query('ROLLBACK');
  await show('SELECT count(*) FROM covid_test');
  await fails('SELECT nothing FROM covid_test');
  await fails('INSERT INTO follow_up VALUES ($1, $2)', [1, 2]);
  await fails('INSERT INTO covid_test (rownames, subject_id) VALUES ($1, $2)', [0, 2]);
  await fails('SELECT rownames FROM covid_test WHERE subject_id = $1', ['abc']);
  await client.query('DROP TABLE covid_test, follow_up');
  await client.end();
  return lines;
}

/** Loads all tests by COPY, then asks, many statements in flight on one connection; returns what came back. */
export async function workWithPostgres(address: Address): Promise<string[]> {
  const sql = postgres({ ...address, username: address.user, max: 1, onnotice: () => undefined });
  const lines: string[] = [];
  const show = (rows: postgres.RowList<postgres.Row[]>) => {
    const fields = rows.columns.map(column => `${column.name}:${column.type}`);
    lines.push(`${rows.command} ${rows.count} ${fields.join(' ')}`);
    for (const row of rows) lines.push(JSON.stringify(row));
  };
  await sql.unsafe(tables);
  await pipeline(
    createReadStream(laboratoryFile),
    await sql`COPY covid_test FROM STDIN WITH (FORMAT csv, HEADER)`.writable(),
  );
  show(await sql`SELECT count(*)::integer FROM covid_test`);
  const names = ['penny', 'grunt', 'ravella', 'styr', 'nobody'];
  const answers = await Promise.all(
    names.map(
      name =>
        sql`SELECT rownames, age, gender FROM covid_test WHERE fake_first_name = ${name} ORDER BY rownames`,
    ),
  );
  for (const rows of answers) show(rows);
  show(
    await sql`SELECT rownames, result FROM covid_test WHERE subject_id IN ${sql([1412, 533])} ORDER BY rownames`,
  );
  const followUps = [
    { id: 1, subject_id: 1412, due: '2020-05-01', remark: null },
    { id: 2, subject_id: 533, due: null, remark: 'twice' },
  ];
  show(await sql`INSERT INTO follow_up ${sql(followUps)} RETURNING *`);
  await sql.begin(async inside => {
    show(await inside`UPDATE follow_up SET due = ${'2021-01-01'} WHERE subject_id = 533 RETURNING id, due`);
    await inside
      .savepoint(async deeper => {
        await deeper`INSERT INTO follow_up (id, subject_id) VALUES (1, 1)`;
      })
      .catch((error: postgres.PostgresError) =>
        lines.push(`${error.code} ${error.table_name} ${error.constraint_name}`),
      );
  });
  show(await sql`SELECT * FROM follow_up ORDER BY id`);
  await sql`SELECT nothing FROM covid_test`.catch((error: postgres.PostgresError) =>
    lines.push(`${error.code} ${error.message}`),
  );
  const streamed: string[] = [];
  const cursor =
    sql`SELECT rownames, fake_last_name FROM covid_test WHERE pan_day < 12 ORDER BY rownames`.cursor(10);
  for await (const rows of cursor) streamed.push(String(rows.length));
  lines.push(`portal in pieces of ${streamed.join(' ')}`);
  const copied = await copiedOut(address);
  lines.push(...copied.trimEnd().split('\n').sort());
  await sql`DROP TABLE covid_test, follow_up`;
  await sql.end();
  return lines;
}

/** On a connection of its own: this driver leaves the socket paused after the last piece of a COPY. */
async function copiedOut(address: Address): Promise<string> {
  const sql = postgres({ ...address, username: address.user, max: 1 });
  const pieces: Buffer[] = [];
  for await (const piece of await sql`COPY covid_test TO STDOUT WITH (FORMAT csv)`.readable())
    pieces.push(piece);
  await sql.end({ timeout: 1 });
  return Buffer.concat(pieces).toString();
}
