/** Split statements of one table, which are given its rows: in how few rounds, and that nothing is lost on the way. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { ResidualSide } from '../src/postgres/residual-side.js';
import type { FrontendMessage } from '../src/wire/messages.js';
import { RawClient, say, told } from './support/raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

/** A column of each type, in the clear and protected, and values that are hard on the way. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  bool: ['true', 'false'],
  int2: ['-32768', '32767'],
  int4: ['-2147483648', '2147483647'],
  int8: ['-9223372036854775808', '9223372036854775807'],
  float4: ["'NaN'", "'-0'", '1.1754944e-38'],
  float8: ["'Infinity'", '1e-300', '0.1'],
  'numeric(12,3)': ["'NaN'", '-0.001', '1.000'],
  numeric: ["'-Infinity'", '1.50', '123456789012345678901234567890.000'],
  text: ["''", `'a "quoted" \\, {text} ü€'`, 'NULL'],
  'varchar(4)': ["'ab'", "'ü  '"],
  'char(4)': ["'ab'", "''"],
  '"char"': ["'x'", "''"],
  name: ["'n'", "'a name'"],
  bytea: [`'\\x00ff5c'`, `'\\x'`],
  uuid: ["'00000000-0000-0000-0000-0000000000ff'"],
  date: ["'-infinity'", "'0044-03-15 BC'", "'2024-02-29'"],
  time: ["'24:00'", "'01:02:03.000004'"],
  timetz: ["'01:02:03+05:30'"],
  'timestamp(3)': ["'infinity'", "'2020-01-01 00:00:00.123'"],
  timestamptz: ["'2020-06-01 12:00:00.000001+02'", "'-infinity'"],
  interval: ["'1 mon -1 day 00:00:01.5'", "'-1 year'"],
  json: [`'{"b": 1,  "a": [1, null]}'`],
  jsonb: [`'{"b": 1,  "a": [1, null]}'`, "'1.50'"],
  inet: ["'10.0.0.1/8'", "'::1'"],
  cidr: ["'10.0.0.0/8'"],
  'int4[]': ["'{{1,NULL},{3,4}}'", "'[0:1]={1,2}'"],
  'text[]': [`'{"a,b",NULL,"NULL",""}'`],
  int4range: ["'[1,5)'", "'empty'"],
  'bit(3)': ["'101'"],
  point: ["'(1.5,-2)'"],
  'char(2)[]': ["'{a,bc}'"],
};
const types = Object.keys(kinds);
const columns = types.flatMap((type, i) => [`o${i} ${type}`, `p${i} ${type}`]);
const values = types.flatMap(type => [kinds[type]!, kinds[type]!]);
const depth = Math.max(...values.map(v => v.length));

suite('split statements of one table', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let ours: pg.Client;
  let plain: pg.Client;
  before(async () => {
    recorded = await startRecordedProxy(`unlisted: refuse
tables:
  public.kind:
    columns:
      id: { protect: none }
${types.map((_, i) => `      o${i}: { protect: none }`).join('\n')}
  public.entry:
    columns:
      id: { protect: none }
      account: { protect: none }
      payer: { class: identifier, protect: encrypt, queries: [equality], domain: person }
  public.branch:
    columns:
      id: { protect: none }
      town: { protect: none }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
  public.account:
    columns:
      id: { protect: none }
      owner: { class: identifier, protect: encrypt, queries: [equality] }
      branch: { protect: none }
      note: { protect: none }`);
    ({ ours, plain } = recorded);
    for (const client of [ours, plain]) {
      await client.query(`CREATE TABLE kind (id int, ${columns.join(', ')})`);
      for (let row = 0; row < depth; row++)
        await client.query(
          `INSERT INTO kind VALUES (${[row, ...values.map(v => v[row] ?? 'NULL')].join(', ')})`,
        );
      await client.query(
        "CREATE TABLE account (id int PRIMARY KEY, owner text UNIQUE, branch int, note text, balance int, filler char(8)); INSERT INTO account VALUES (1, 'Ann Sentinel', 1, 'x', 10, 'f'), (2, 'Bob', 1, NULL, 20, NULL), (3, NULL, 2, 'y', NULL, 'g')",
      );
      await client.query('CREATE TABLE branch (id int PRIMARY KEY, town text)');
      await client.query('CREATE TABLE person (id int, name text, age int)');
      await client.query('CREATE TABLE entry (id int PRIMARY KEY, account int, payer text, amount numeric)');
      await client.query("INSERT INTO branch SELECT n, 'town ' || n FROM generate_series(1, 50) n");
      await client.query(
        "INSERT INTO person SELECT n, 'person ' || n % 40, n FROM generate_series(1, 200) n UNION ALL SELECT 0, NULL, NULL",
      );
      await client.query(
        "INSERT INTO entry SELECT n, n % 5, 'person ' || n % 60, n / 4.0 FROM generate_series(1, 300) n UNION ALL SELECT 0, NULL, NULL, NULL",
      );
    }
  });
  after(() => recorded?.stop());

  const rowsOf = async (client: pg.Client, text: string, values: unknown[] = []): Promise<unknown> =>
    (await client.query({ text, values, rowMode: 'array', types: { getTypeParser: () => String } })).rows;
  const accounts = (client: pg.Client): Promise<unknown> =>
    rowsOf(client, 'SELECT * FROM account ORDER BY id');

  for (const style of ['ISO, DMY', 'German', 'SQL, MDY'])
    test(`are given values of every type as they are: ${style}`, async () => {
      const printed = types.flatMap((_, i) => [`o${i}::text`, `p${i}::text`, `p${i}`]).join(', ');
      for (const client of [ours, plain])
        await client.query(`SET DateStyle = '${style}'; SET TimeZone = 'Asia/Kolkata'`);
      const sql = `SELECT ${printed} FROM kind WHERE id + length(coalesce(p8, '')) >= $1 ORDER BY id`;
      assert.deepEqual(await rowsOf(ours, sql, [0]), await rowsOf(plain, sql, [0]));
      for (const client of [ours, plain]) await client.query('RESET DateStyle; RESET TimeZone');
    });

  test('write values of every type that they were given', async () => {
    for (const [where, id] of [
      ['id = $1', 0],
      ["id + length(coalesce(p8, '')) >= $1", 0],
    ] as const) {
      const sets = types.map((_, i) => `o${i} = coalesce(o${i}, NULL), p${i} = coalesce(p${i}, NULL)`);
      for (const client of [ours, plain]) {
        const { rowCount } = await client.query(`UPDATE kind SET ${sets.join(', ')} WHERE ${where}`, [id]);
        assert.equal(rowCount, id === 0 && where === 'id = $1' ? 1 : depth);
      }
      const all = 'SELECT * FROM kind ORDER BY id';
      assert.deepEqual(await rowsOf(ours, all), await rowsOf(plain, all));
    }
  });

  test('lock the rows of an UPDATE with the query that fetches them, and write at once', async () => {
    const update = 'UPDATE account SET balance = balance + $1 WHERE id = $2';
    await ours.query(update, [0, 1]);
    await plain.query(update, [0, 1]);
    for (const [sql, values] of [
      [update, [5, 1]],
      [update, [5, 77]],
      ['UPDATE account SET balance = balance * 2 WHERE owner = $1', ['Ann Sentinel']],
      ["UPDATE account SET filler = 'h', note = note || 'z' WHERE branch = $1", [1]],
      ['UPDATE account SET note = upper(note), balance = coalesce(balance, 0)', []],
    ] as const) {
      const wanted = await plain.query(sql, [...values]);
      const sent = await recorded.sentWhile(async () => {
        const { rowCount, command } = await ours.query(sql, [...values]);
        assert.deepEqual([command, rowCount], [wanted.command, wanted.rowCount], sql);
      });
      assert.doesNotMatch(sent, /BEGIN|COMMIT|LOCK TABLE|ctid = ANY|FOR UPDATE|Sentinel/, sql);
      assert.deepEqual(await accounts(ours), await accounts(plain), sql);
    }
    const sent = await recorded.sentWhile(() =>
      ours.query('UPDATE account SET balance = 1 + balance WHERE id = 1'),
    );
    assert.match(sent, /FOR NO KEY UPDATE/);
    await plain.query('UPDATE account SET balance = 1 + balance WHERE id = 1');
  });

  test('work out here what is sure, and ask PostgreSQL for the rest', async t => {
    const { given } = ResidualSide.prototype;
    let trips = 0;
    ResidualSide.prototype.given = function (...args) {
      trips++;
      return given.apply(this, args) as never;
    };
    t.after(() => {
      ResidualSide.prototype.given = given;
    });
    const add = 'UPDATE account SET balance = balance + $1 WHERE id = $2';
    const cases: readonly (readonly [sql: string, values: unknown[], here: boolean])[] = [
      [add, [7, 1], true],
      [add, [-7, 77], true],
      [add, [null, 2], true],
      ['UPDATE account SET balance = coalesce(balance, 0) - 3 WHERE id = $1', [2], true],
      [
        'UPDATE account SET balance = balance + $1::bigint, note = note || $2 WHERE id = 1',
        ['5', "it's"],
        true,
      ],
      ['UPDATE account SET balance = balance + 1.5 WHERE id = 1', [], false],
      ['UPDATE account SET balance = balance * $1 - balance WHERE branch = $2', [2, 1], true],
      ['UPDATE entry SET amount = amount * $1 - $2 WHERE account = $3', ['1.25', '-0.005', 1], true],
      ['UPDATE entry SET amount = amount + $1 WHERE account = $2', ['NaN', 77], true],
      ['UPDATE entry SET amount = amount + $1 WHERE account = $2', ['NaN', 2], false],
      // a row that the cloud does not choose
      ['UPDATE account SET balance = balance + 1 WHERE balance > $1', [0], false],
      [add, ['2147483647', 1], false],
      [add, ['not a number', 77], false],
      [add, ['not a number', 1], false],
      [add, ['2147483648', 77], false],
      ['UPDATE account SET balance = balance + ($1 + 1) WHERE id = $2', ['2147483647', 77], false],
      ['UPDATE account SET balance = (balance + $1::bigint)::smallint WHERE id = $2', ['32767', 1], false],
      ['UPDATE account SET filler = filler || $1 WHERE id = 2', ['far too long for it'], false],
    ];
    const answer = (client: pg.Client, sql: string, values: unknown[]): Promise<unknown> =>
      client.query(sql, values).then(
        ({ command, rowCount }) => [command, rowCount],
        ({ code, message }: pg.DatabaseError) => [code, message],
      );
    for (const client of [ours, plain])
      await client.query("UPDATE account SET balance = 10, note = 'n' WHERE id IN (1, 2)");
    for (const [sql, values, here] of cases) {
      const wanted = await answer(plain, sql, values);
      trips = 0;
      assert.deepEqual(await answer(ours, sql, values), wanted, sql);
      assert.equal(trips === 0, here, `${sql}: ${trips}`);
      assert.deepEqual(await accounts(ours), await accounts(plain), sql);
    }
    const entries = 'SELECT * FROM entry ORDER BY id';
    assert.deepEqual(await rowsOf(ours, entries), await rowsOf(plain, entries));
    for (const client of [ours, plain])
      await client.query("UPDATE account SET balance = 10, note = 'n' WHERE id IN (1, 2)");
  });

  test('write one row by a statement that PostgreSQL plans once', async () => {
    const sent = await recorded.sentWhile(async () => {
      for (const client of [ours, plain])
        for (const sql of [
          'UPDATE account SET balance = balance + 1, branch = branch + 0, note = NULL WHERE id = 1',
          "UPDATE account SET filler = lower(filler), note = 'y' || id WHERE id = 1",
          "INSERT INTO account SELECT 500 + id, upper('sentinel'), NULL, note, balance, NULL FROM account WHERE id = 1 ON CONFLICT DO NOTHING",
        ])
          await client.query(sql);
    });
    assert.doesNotMatch(sent, /unnest/);
    assert.deepEqual(await accounts(ours), await accounts(plain));
    for (const client of [ours, plain]) await client.query('DELETE FROM account WHERE id > 500');
  });

  test('lock rows whose key changes as PostgreSQL does', async () => {
    const sql = "UPDATE account SET owner = owner || ' I', id = id + 0 WHERE branch = 1";
    const sent = await recorded.sentWhile(() => ours.query(sql));
    await plain.query(sql);
    assert.match(sent, /FOR UPDATE/);
    assert.deepEqual(await accounts(ours), await accounts(plain));
    const twice = "UPDATE account SET owner = 'same' || branch WHERE branch = 1";
    for (const client of [ours, plain])
      await assert.rejects(client.query(twice), { code: '23505', constraint: 'account_owner_key' });
    assert.deepEqual(await accounts(ours), await accounts(plain));
  });

  test('take the values of a row that another transaction has changed meanwhile', async () => {
    const update = 'UPDATE account SET balance = balance * 2 WHERE id = 1 AND branch = 1';
    for (const [first, target] of [
      ['UPDATE account SET balance = balance + 1 WHERE id = 1', recorded.proxy],
      ['UPDATE account SET branch = 9, note = upper(note) WHERE id = 1', recorded.proxy],
      ['UPDATE account SET balance = balance + 1 WHERE id = 1', recorded.proxy.plain],
      ['UPDATE account SET branch = 9, note = upper(note) WHERE id = 1', recorded.proxy.plain],
    ] as const) {
      const one = target === recorded.proxy ? ours : plain;
      const other = new pg.Client({ ...target });
      await other.connect();
      await one.query('UPDATE account SET branch = 1, balance = balance + 0 WHERE id = 1');
      await other.query('BEGIN');
      await other.query(first);
      const waiting = one.query(update);
      await new Promise(resolve => setTimeout(resolve, 300));
      await other.query('COMMIT');
      await waiting;
      await other.end();
    }
    assert.deepEqual(await accounts(ours), await accounts(plain));
  });

  test('are undone where their values cannot be computed, or their transaction fails', async () => {
    for (const sql of [
      'UPDATE account SET balance = 1 / (balance - balance) WHERE branch = 1',
      'UPDATE account SET balance = balance + 2147483647 WHERE branch = 1',
      "UPDATE account SET filler = filler || 'more than eight characters' WHERE id = 1",
    ])
      for (const transaction of [false, true]) {
        const codes: unknown[] = [];
        for (const client of [ours, plain]) {
          if (transaction) {
            await client.query('BEGIN');
            await client.query('UPDATE account SET balance = balance + 1 WHERE id = 2');
          }
          codes.push(await client.query(sql).catch(error => (error as pg.DatabaseError).code));
          if (transaction) {
            await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
            await client.query('ROLLBACK');
          }
        }
        assert.equal(codes[0], codes[1], sql);
        assert.deepEqual(await accounts(ours), await accounts(plain), sql);
      }
  });

  test('say that a transaction only reads as PostgreSQL does', async () => {
    for (const client of [ours, plain])
      for (const where of ['id = 1', 'id = 77', 'balance > 5', 'balance < -5']) {
        await client.query('BEGIN READ ONLY');
        await assert.rejects(client.query(`UPDATE account SET balance = balance + 1 WHERE ${where}`), {
          code: '25006',
          message: 'cannot execute UPDATE in a read-only transaction',
        });
        await client.query('ROLLBACK');
      }
  });

  test('of tables that are joined, ask for the rows that have partners', async () => {
    const one = "WHERE p.name = 'person 5'";
    const joins: readonly (readonly [sql: string, values?: unknown[], all?: 'all'])[] = [
      [
        'SELECT upper(filler), amount + 1 FROM account JOIN entry ON entry.account = account.id WHERE entry.id = $1 ORDER BY 2',
        [7],
      ],
      [
        'SELECT upper(p.name), e.amount * 2 FROM person p, entry e WHERE p.name = e.payer AND e.id = 3 ORDER BY p.id',
      ],
      [
        `SELECT lower(p.name), count(*), sum(e.amount) FROM person p JOIN entry e ON e.payer = p.name ${one} GROUP BY 1`,
      ],
      [
        'SELECT town, upper(a.filler), p.age + 1 FROM branch b JOIN account a ON a.branch = b.id JOIN entry e ON e.account = a.id JOIN person p ON p.name = e.payer AND p.age > 100 WHERE e.id IN (1, 2) ORDER BY 1, 2, 3',
      ],
      [
        'SELECT b.town || upper(a.filler) FROM account a JOIN branch b ON (a.branch, a.id) = (b.id, b.id) WHERE a.id = $1',
        [1],
      ],
      [
        'SELECT p.id, e.id FROM person p JOIN entry e ON e.payer = p.name AND e.amount > p.age WHERE e.id < 20 ORDER BY 1, 2 LIMIT 5',
      ],
      [
        'SELECT upper(p.name), b.town FROM person p, branch b WHERE ROW(p.*) = ROW(p.*) AND b.id = p.id ORDER BY 1, 2',
      ],
      ['SELECT count(*), max(upper(p.name)) FROM person p, entry e WHERE p.id = 77777 AND e.id = p.id'],
      [
        'SELECT p.id, upper(e.payer) FROM person p JOIN entry e ON lower(p.name) = lower(e.payer) AND e.account = $1 AND p.id < $2 ORDER BY 1, 2',
        [3, 9],
        'all',
      ],
      [
        'SELECT p.id, upper(e.payer) FROM person p LEFT JOIN entry e ON e.payer = p.name AND e.id = 7 ORDER BY 1, 2',
        [],
        'all',
      ],
      [
        'SELECT 1 / (p.age - 7), upper(e.payer) FROM person p JOIN entry e ON e.payer = p.name WHERE e.id = 7',
      ],
    ];
    const answer = (client: pg.Client, sql: string, values: unknown[] = []): Promise<unknown> =>
      rowsOf(client, sql, values).catch(error => (error as pg.DatabaseError).code);
    for (const [sql, values, all] of joins) {
      const wanted = await answer(plain, sql, values);
      const sent = await recorded.sentWhile(async () =>
        assert.deepEqual(await answer(ours, sql, values), wanted, sql),
      );
      assert.doesNotMatch(sent, /person \d/, sql);
      assert.equal(/EXISTS \(SELECT/.test(sent), all !== 'all', sql);
    }
    for (const client of [ours, plain])
      await client.query('BEGIN; UPDATE entry SET account = 1 WHERE id = 7');
    for (const [sql, values] of joins.slice(0, -1))
      assert.deepEqual(await answer(ours, sql, values), await answer(plain, sql, values), sql);
    for (const client of [ours, plain]) await client.query('ROLLBACK');
  });

  test('show the cloud no parameter of a join that may be meant for a protected column', async () => {
    const sql =
      'SELECT upper(a.note) FROM account a JOIN entry e ON e.account = a.id WHERE a.balance = $1 AND e.id = $1';
    const sent = await recorded.sentWhile(async () =>
      assert.deepEqual(await rowsOf(ours, sql, [4711]), await rowsOf(plain, sql, [4711])),
    );
    assert.doesNotMatch(sent, /4711/);
  });

  test('end a transaction of the cloud with the fetch where nothing else is asked in it', async () => {
    const split = 'SELECT upper(filler) FROM account WHERE id = 1';
    const several = 'SELECT count(amount + 1), max(id) FROM entry WHERE id < 2000';
    const raw = await Promise.all([recorded.proxy, recorded.proxy.plain].map(RawClient.connect));
    const [clarus, direct] = raw as [RawClient, RawClient];
    const syncs = (sent: string): number => sent.split('S\0\0\0\x04').length - 1;
    const flushes = (sent: string): number => sent.split('H\0\0\0\x04').length - 1;
    const answers = async (
      ...messages: FrontendMessage[]
    ): Promise<[sent: string, status: string | undefined]> => {
      const heard: string[][] = [];
      let sent = '';
      for (const client of [clarus, direct]) {
        const ask = async (): Promise<void> => {
          client.send(...messages, say.sync);
          heard.push(told(await client.until()));
        };
        if (client === clarus) sent = await recorded.sentWhile(ask);
        else await ask();
      }
      assert.deepEqual(heard[0], heard[1]);
      return [sent, heard[0]!.at(-1)];
    };
    // planned, and known to both
    for (const sql of [split, several]) await answers(...say.run(sql));
    const [alone] = await answers(...say.run(split));
    assert.deepEqual([syncs(alone), flushes(alone)], [1, 0]);
    // more rows than are asked for at first
    const [begun] = await answers(...say.run(several));
    assert.ok(syncs(begun) >= 2);
    // of one implicit transaction with what follows, and with what came before
    const [followed] = await answers(...say.run(split), ...say.run('SELECT town FROM branch WHERE id = 1'));
    assert.equal(syncs(followed), 1);
    for (const wrong of [
      'SELECT 1 / (balance - balance) FROM account WHERE id = 1',
      'SELECT 1 / (id - id) FROM branch',
    ])
      await answers(
        ...say.run("INSERT INTO person VALUES (7777, 'lost', 1)"),
        ...say.run(split),
        ...say.run(wrong),
      );
    const [, begin] = await answers(...say.run('BEGIN ISOLATION LEVEL REPEATABLE READ'));
    assert.equal(begin, 'ReadyForQuery T');
    await answers(...say.run("INSERT INTO person VALUES (7778, 'lost', 1)"));
    await answers(...say.run(split));
    await answers(...say.run(several));
    await answers(...say.run('SELECT id, upper(name) FROM person WHERE id = 7778'));
    const [, failed] = await answers(...say.run('SELECT 1 / (balance - balance) FROM account WHERE id = 1'));
    assert.equal(failed, 'ReadyForQuery E');
    await answers(...say.run(split));
    await answers(...say.run('ROLLBACK'));
    await answers(...say.run("SET default_transaction_isolation = 'repeatable read'"));
    await answers(...say.run(split), ...say.run('SELECT name FROM person WHERE id IN (7777, 7778)'));
    await answers(...say.run(split));
    await Promise.all(raw.map(client => client.close()));
  });

  test('ask for a hundred rows in one round', async () => {
    for (const client of [ours, plain])
      await client.query('INSERT INTO account SELECT n, NULL, 5, $$n$$, n FROM generate_series(100, 199) n');
    const sql = 'SELECT sum(balance + 1), max(upper(filler)) FROM account WHERE branch = $1';
    assert.deepEqual(await rowsOf(ours, sql, [5]), await rowsOf(plain, sql, [5]));
    const sent = await recorded.sentWhile(() => ours.query(sql, [5]), 'account');
    assert.equal(sent.split('E\0\0\0\t').length, 2, 'one Execute of the unnamed portal');
  });
});
