/**
 * The 35 probes: shapes of statements by which proxies of this kind store plaintext or answer wrongly without an error.
 * Each gives PostgreSQL's answer and leaves PostgreSQL's state behind, by the simple and by the extended protocol, and
 * nothing of it is sent to the cloud, or stored there, in the clear. What Clarus refuses is listed, and only that.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { reads, refused, writes } from './probes/statements.js';
import type { Target } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      open: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: name }
      note: { class: confidential, protect: encrypt }
  public.visit:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: name }`;

const tables = [
  'CREATE TABLE person (id serial PRIMARY KEY, name text, note text, open text)',
  'CREATE TABLE visit (id int PRIMARY KEY, name text)',
  'CREATE VIEW persons AS SELECT id, name, note, open FROM person',
  "INSERT INTO person (name, note, open) VALUES ('Zaphod-1', 'Zaphod-2', 'a'), ('Zaphod-3', NULL, 'b'), (NULL, 'Zaphod-2', 'a'), ('Zaphod-1', 'Zaphod-4', NULL)",
  "INSERT INTO visit VALUES (1, 'Zaphod-1'), (2, 'Zaphod-9'), (3, NULL)",
];

/** Stands in every protected value, and in no other. */
const sentinel = 'Zaphod';

suite('probes', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let sides: { readonly plain: Client; readonly clarus: Client };

  before(async () => {
    recorded = await startRecordedProxy(policy);
    for (const sql of tables) {
      await recorded.plain.query(sql);
      await recorded.ours.query(sql);
    }
    sides = {
      plain: await Client.connect(recorded.proxy.plain),
      clarus: await Client.connect(recorded.proxy),
    };
  });
  after(async () => {
    await sides?.plain.close();
    await sides?.clarus.close();
    await recorded?.stop();
  });

  const state = (client: Client): Promise<string> =>
    client.run('simple', ['SELECT name, note, open FROM person ORDER BY 1, 2, 3']);

  for (const protocol of ['simple', 'extended'] as const)
    test(`every probe is answered as by PostgreSQL, or listed, by the ${protocol} protocol`, async t => {
      for (const [kind, probes] of Object.entries({ write: writes, read: reads }))
        for (const [name, steps] of Object.entries(probes)) {
          const isRefused = refused[`${kind}: ${name}`] !== undefined;
          await t.test(`${kind}: ${name}${isRefused ? ' (refused)' : ''}`, async () => {
            const given = await sides.clarus.all(protocol, steps);
            if (isRefused) {
              assert.match(given, /ErrorResponse ERROR 0A000/, 'it is answered now: take it off the list');
              await sides.clarus.run('simple', ['ROLLBACK']);
            } else assert.equal(given, await sides.plain.all(protocol, steps));
            assert.equal(await state(sides.clarus), await state(sides.plain));
          });
        }
      t.diagnostic(`refused: ${Object.keys(refused).join(', ')}`);
    });

  test('nothing is sent to the cloud in the clear', () => {
    const sent = recorded.sent();
    const base64 = Buffer.from(sentinel).toString('base64').slice(0, -2);
    for (const form of [sentinel, Buffer.from(sentinel).toString('hex'), base64])
      assert.ok(!sent.includes(form), form);
  });

  test('nothing stands in the cloud in the clear, for a superuser who reads its tables', async () => {
    const held = await everything({ ...recorded.proxy.cloud, database: recorded.proxy.database });
    const control = await everything({ ...recorded.proxy.cloud, database: recorded.proxy.plain.database });
    assert.ok(control.includes(sentinel), 'the control finds nothing');
    assert.ok(!held.includes(sentinel));
    assert.ok(!held.includes(Buffer.from(sentinel).toString('hex')));
  });
});

/** All rows of all tables of a database, catalogue included, as text. */
async function everything(target: Target): Promise<string> {
  const client = new pg.Client({ ...target });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      "SELECT format('%I.%I', relnamespace::regnamespace, relname) AS name FROM pg_class WHERE relkind = 'r'",
    );
    const texts: string[] = [];
    for (const { name } of rows) {
      const { rows: found } = await client.query<{ t: string }>(`SELECT t::text AS t FROM ${name} AS t`);
      texts.push(...found.map(({ t }) => t));
    }
    return texts.join('\n');
  } finally {
    await client.end();
  }
}

/** A client that speaks both protocols, and tells all that it is answered. */
class Client {
  private constructor(private readonly raw: RawClient) {}

  static async connect(target: Target): Promise<Client> {
    return new Client(await RawClient.connect(target));
  }

  async all(protocol: 'simple' | 'extended', steps: readonly (readonly string[])[]): Promise<string> {
    const answers: string[] = [];
    for (const step of steps) answers.push(await this.run(protocol, step));
    return answers.join('\n');
  }

  /** A statement with its parameters; by the simple protocol it is prepared and executed where it has some. */
  async run(protocol: 'simple' | 'extended', [sql, ...values]: readonly string[]): Promise<string> {
    const { raw } = this;
    const isOne = !/;\s*\S/.test(sql!.replace(/\$\$.*\$\$/s, ''));
    if (protocol === 'extended' && isOne && !sql!.startsWith('COPY'))
      raw.send(say.parse(sql!), say.bind('', '', values), say.describe('portal'), say.execute(), say.sync);
    else if (values.length > 0) {
      const given = values.map(value => `'${value.replaceAll("'", "''")}'`).join(', ');
      return [
        await this.run('simple', [`PREPARE probe AS ${sql}`]),
        await this.run('simple', [`EXECUTE probe(${given})`]),
        await this.run('simple', ['DEALLOCATE probe']),
      ].join('\n');
    } else raw.send(say.query(sql!));
    if (sql!.startsWith('COPY') && sql!.includes('FROM STDIN'))
      raw.send(say.copyData('Zaphod-copied\tZaphod-note\topen\n'), say.copyDone);
    return told(await raw.until())
      .join('\n')
      .replaceAll('\nCopyData ', '');
  }

  close(): Promise<void> {
    return this.raw.close();
  }
}
