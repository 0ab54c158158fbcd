/** Actions of foreign keys over protected columns: what PostgreSQL does to the rows that refer, run by Clarus. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { beside } from './support/beside.js';
import { outcomeOf, type Step } from './support/outcome.js';
import { alikeInTwoSessions } from './support/two-sessions.js';

const policy = `unlisted: encrypt
tables:
  public.area:
    columns:
      region: { protect: none }
  public.street:
    columns:
      id: { protect: none }
      region: { protect: none }
  public.owner:
    columns:
      id: { protect: none }
  public.pet:
    columns:
      id: { protect: none }
      owner: { protect: none }`;

const tables = [
  'CREATE TABLE parent (id int PRIMARY KEY, code varchar(8) UNIQUE, label text)',
  `CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, name text,
     CONSTRAINT far CHECK (parent < 900 OR name = 'far'))`,
  'CREATE TABLE note (id int PRIMARY KEY, child bigint REFERENCES child ON DELETE SET NULL ON UPDATE CASCADE, body text)',
  'CREATE TABLE fav (id int PRIMARY KEY, parent int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT ON UPDATE SET NULL, must int NOT NULL DEFAULT 7)',
  'CREATE TABLE ticket (id int PRIMARY KEY, code varchar(8) NOT NULL REFERENCES parent (code) ON DELETE SET NULL ON UPDATE SET DEFAULT)',
  'CREATE TABLE guard (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE RESTRICT ON UPDATE RESTRICT)',
  'CREATE TABLE late (id int PRIMARY KEY, parent int REFERENCES parent ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)',
  'CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE, name text)',
  'CREATE TABLE area (region int, code text, name text, PRIMARY KEY (region, code))',
  `CREATE TABLE street (id int PRIMARY KEY, region int, code text DEFAULT 'none', name text,
     FOREIGN KEY (region, code) REFERENCES area ON DELETE SET NULL (code) ON UPDATE CASCADE)`,
  'CREATE TABLE hub (id int PRIMARY KEY, x int)',
  'CREATE TABLE arm (id int PRIMARY KEY, hub int REFERENCES hub ON DELETE CASCADE ON UPDATE CASCADE)',
  'CREATE TABLE held (id int PRIMARY KEY, arm int REFERENCES arm ON DELETE CASCADE, hub int REFERENCES hub)',
  'CREATE TABLE bound (id int PRIMARY KEY, arm int REFERENCES arm ON DELETE CASCADE, hub int REFERENCES hub ON DELETE RESTRICT ON UPDATE RESTRICT)',
  'CREATE TABLE sent (id int PRIMARY KEY, a int REFERENCES hub ON DELETE CASCADE, b int REFERENCES hub ON DELETE RESTRICT)',
  'CREATE TABLE got (id int PRIMARY KEY, a int REFERENCES hub ON DELETE RESTRICT, b int REFERENCES hub ON DELETE CASCADE)',
  'CREATE TABLE waits (id int PRIMARY KEY, arm int REFERENCES arm ON DELETE CASCADE, hub int REFERENCES hub DEFERRABLE INITIALLY DEFERRED)',
  'CREATE TABLE many (id int UNIQUE DEFERRABLE, up int, name text, PRIMARY KEY (id) DEFERRABLE)',
  'CREATE TABLE link (id int PRIMARY KEY, next int REFERENCES link)',
];
const names = [
  ...['parent', 'child', 'note', 'fav', 'ticket', 'guard', 'late', 'tree', 'area', 'street'],
  ...['hub', 'arm', 'held', 'bound', 'sent', 'got', 'waits'],
];
const rows = [
  "INSERT INTO parent SELECT n, 'c' || n, 'Secret-Label ' || n FROM generate_series(1, 9) n",
  "INSERT INTO child SELECT n, (n + 1) / 2, 'child ' || n FROM generate_series(1, 12) n",
  "INSERT INTO note SELECT n, (n + 1) / 2, 'note ' || n FROM generate_series(1, 20) n",
  'INSERT INTO fav SELECT n, n FROM generate_series(1, 5) n',
  "INSERT INTO ticket VALUES (1, 'c8')",
  'INSERT INTO guard VALUES (1, 7)',
  'INSERT INTO late VALUES (1, 6)',
  "INSERT INTO tree SELECT n, nullif(n / 2, 0), 'node ' || n FROM generate_series(1, 15) n",
  "INSERT INTO area VALUES (1, 'a', 'A'), (1, 'b', 'B'), (2, 'a', 'C')",
  "INSERT INTO street VALUES (1, 1, 'a', 'x'), (2, 1, 'b', 'y'), (3, 2, 'a', 'z'), (4, 1, NULL, 'w')",
  'INSERT INTO hub SELECT generate_series(1, 9)',
  'INSERT INTO arm SELECT n, n FROM generate_series(1, 4) n',
  'INSERT INTO held VALUES (1, 1, 1), (2, 2, 9)',
  'INSERT INTO bound VALUES (1, 3, 3)',
  'INSERT INTO sent VALUES (1, 5, 5), (2, 6, 7)',
  'INSERT INTO got VALUES (1, 8, 8)',
  'INSERT INTO waits VALUES (1, 4, 4)',
  "INSERT INTO many SELECT n, n + 1, 'n' FROM generate_series(1, 1500) n",
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'ON DELETE': [
    'DELETE FROM parent WHERE id = 2',
    ['DELETE FROM parent WHERE id = $1 RETURNING id, label', 3],
    'DELETE FROM child WHERE parent = 4',
    'DELETE FROM parent WHERE id = 1',
    'DELETE FROM parent WHERE id = 7',
    'DELETE FROM parent WHERE id = 8',
    'DELETE FROM parent WHERE id = 6',
    "DELETE FROM parent WHERE label LIKE '%4'",
    'DELETE FROM parent WHERE id = 100',
    'DELETE FROM note',
    'DELETE FROM parent USING child WHERE child.parent = parent.id AND child.id = 9',
    'DELETE FROM ticket',
    'DELETE FROM guard',
    'DELETE FROM late',
    'DELETE FROM parent',
    'DELETE FROM fav',
    'DELETE FROM parent',
  ],
  'ON UPDATE': [
    'UPDATE parent SET id = 20 WHERE id = 2',
    ['UPDATE parent SET id = $1 WHERE id = $2 RETURNING *', 30, 3],
    'UPDATE parent SET id = id + 100 WHERE id IN (4, 5)',
    'UPDATE parent SET id = 5 WHERE id = 105',
    'UPDATE parent SET id = 950 WHERE id = 1',
    "UPDATE child SET name = 'far' WHERE parent = 1",
    'UPDATE parent SET id = 950 WHERE id = 1',
    'UPDATE parent SET id = 70 WHERE id = 7',
    "UPDATE parent SET code = 'cc' WHERE id = 8",
    "UPDATE parent SET code = 'c8' WHERE id = 8",
    'UPDATE parent SET id = 60 WHERE id = 6',
    'UPDATE parent SET id = id',
    'UPDATE parent SET id = 9 WHERE id = 30',
    'UPDATE child SET id = id * 1000',
    "UPDATE parent SET label = 'new'",
    'UPDATE child SET parent = 30 WHERE id = 1000',
    'UPDATE child SET parent = 31 WHERE id = 1000',
  ],
  'a table that refers to itself': [
    'UPDATE tree SET id = id + 100',
    'UPDATE tree SET id = 7 WHERE id = 107',
    'DELETE FROM tree WHERE id IN (103, 7)',
    "DELETE FROM tree WHERE name > 'node 3'",
    'DELETE FROM tree WHERE up IS NULL',
  ],
  'keys of protected and unprotected columns': [
    "UPDATE area SET code = 'q' WHERE region = 1 AND code = 'a'",
    'UPDATE area SET region = 5 WHERE region = 2',
    "UPDATE area SET region = 6, code = 'zz' WHERE region = 5",
    "DELETE FROM area WHERE code = 'zz'",
    'DELETE FROM area',
  ],
  'in the order of PostgreSQL': [
    'DELETE FROM hub WHERE id = 1',
    'WITH d AS (DELETE FROM held WHERE hub = 1) DELETE FROM hub WHERE id = 1',
    'DELETE FROM hub WHERE id = 2',
    'DELETE FROM hub WHERE id = 3',
    'UPDATE hub SET id = 33 WHERE id = 3',
    'UPDATE hub SET id = 3 WHERE id = 3',
    'DELETE FROM hub WHERE id = 4',
    'DELETE FROM hub WHERE id = 5',
    'DELETE FROM hub WHERE id = 7',
    'DELETE FROM hub WHERE id IN (6, 7)',
    'DELETE FROM hub WHERE id = 8',
  ],
  'keys that are looked at when the statement ends': [
    'WITH d AS (DELETE FROM held) DELETE FROM arm WHERE id = 2',
    "UPDATE many SET id = id + 1, name = name || '!'",
    'SELECT count(*), sum(id), min(name) FROM many',
    "UPDATE many SET id = 5, name = name || '!'",
    'WITH a AS (INSERT INTO link SELECT n, 1 + n % 1500 FROM generate_series(1, 1500) n RETURNING id) SELECT count(*) FROM a',
  ],
  'ON CONFLICT, MERGE and WITH': [
    "INSERT INTO parent VALUES (2, 'c2', 'x') ON CONFLICT (code) DO UPDATE SET id = 22",
    "MERGE INTO parent p USING (VALUES (3), (4), (77)) v (id) ON p.id = v.id WHEN MATCHED AND p.id = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET id = 44 WHEN NOT MATCHED THEN INSERT (id, code) VALUES (v.id, 'm')",
    'WITH d AS (DELETE FROM parent WHERE id = 5 RETURNING id) SELECT * FROM d',
    'WITH d AS (DELETE FROM child WHERE id = 3 RETURNING parent), e AS (DELETE FROM parent WHERE id = 22 RETURNING id) SELECT (SELECT count(*) FROM d), (SELECT id FROM e)',
  ],
};

suite('foreign keys over protected columns', { timeout: 300_000 }, () => {
  const sides = beside(policy, [...tables, ...rows]);

  const contents = async (client: pg.Client): Promise<unknown> => {
    const all: Record<string, unknown> = {};
    for (const name of names)
      all[name] = (
        await client.query({ text: `SELECT * FROM ${name} ORDER BY 1, 2`, rowMode: 'array' })
      ).rows;
    return all;
  };

  for (const [theme, list] of Object.entries(steps))
    test(`do what PostgreSQL does: ${theme}`, async () => {
      await sides.both('ROLLBACK; BEGIN');
      for (const step of list) {
        await sides.both('SAVEPOINT s');
        const outcome = await sides.alike(step);
        if ('code' in outcome) await sides.both('ROLLBACK TO s');
        assert.deepEqual(await contents(sides.ours), await contents(sides.plain), String(step));
      }
      await sides.both('ROLLBACK');
    });

  /** What two sessions come to, on either side. */
  const together = async (
    work: (first: pg.Client, second: pg.Client) => Promise<readonly unknown[]>,
  ): Promise<void> => {
    await sides.both('ROLLBACK');
    await alikeInTwoSessions(sides.recorded.proxy, work);
    assert.deepEqual(await contents(sides.ours), await contents(sides.plain));
  };

  test('wait for a row that another session is inserting, and take it along', () =>
    together(async (first, second) => {
      await first.query("BEGIN; INSERT INTO child VALUES (50, 9, 'new')");
      const waiting = outcomeOf(second, 'DELETE FROM parent WHERE id = 9');
      await first.query('INSERT INTO note VALUES (50, 50)');
      const committed = await outcomeOf(first, 'COMMIT');
      return [committed, await waiting];
    }));

  test('refuse a row whose key another session deletes or changes', () =>
    together(async (first, second) => {
      await first.query('BEGIN; DELETE FROM parent WHERE id = 5; UPDATE parent SET id = 40 WHERE id = 4');
      const inserted = outcomeOf(second, "INSERT INTO child VALUES (51, 5, 'late')");
      const updated = outcomeOf(second, 'UPDATE child SET parent = 4 WHERE id = 1');
      const committed = await outcomeOf(first, 'COMMIT');
      return [committed, await inserted, await updated];
    }));

  test('end with 40001 where the snapshot does not hold a row that refers', () =>
    together(async (first, second) => {
      await first.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM parent');
      await second.query("INSERT INTO child VALUES (60, 3, 'unseen')");
      const deleted = await outcomeOf(first, 'DELETE FROM parent WHERE id = 3');
      await first.query('ROLLBACK');
      return [deleted];
    }));

  test('end with 23503 where a key without actions is broken in a transaction with one snapshot', () =>
    together(async (first, second) => {
      await first.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hub');
      const seen = await outcomeOf(first, 'DELETE FROM hub WHERE id = 1');
      await first.query('ROLLBACK');
      await first.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hub');
      await second.query('INSERT INTO held VALUES (70, NULL, 6)');
      const unseen = await outcomeOf(first, 'DELETE FROM hub WHERE id = 6');
      await first.query('ROLLBACK');
      return [seen, unseen];
    }));

  test('lose no row and leave none behind, whatever two sessions do', () =>
    together(async (first, second) => {
      for (let i = 0; i < 20; i++)
        await Promise.all([
          outcomeOf(first, `INSERT INTO child VALUES (${1000 + i}, 1, 'n')`),
          outcomeOf(second, `UPDATE parent SET id = CASE id WHEN 1 THEN 11 ELSE 1 END WHERE id IN (1, 11)`),
        ]);
      const { rows } = await first.query(
        'SELECT count(*)::int AS lost FROM child WHERE parent IS NOT NULL AND parent NOT IN (SELECT id FROM parent)',
      );
      assert.deepEqual(rows, [{ lost: 0 }]);
      await first.query('DELETE FROM child WHERE id >= 1000; UPDATE parent SET id = 1 WHERE id = 11');
      return [];
    }));

  test('are refused where the cloud would act behind the trusted side', async () => {
    await sides.ours.query('CREATE TABLE owner (id int PRIMARY KEY, name text)');
    await sides.ours.query(
      'CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES owner ON DELETE SET NULL, name text UNIQUE)',
    );
    await assert.rejects(sides.ours.query("ALTER TABLE pet ADD CHECK (owner > 5 OR name = 'x')"), {
      code: '0A000',
      message: /would be missed by "pet_check"/,
    });
    await sides.ours.query(
      'ALTER TABLE pet DROP CONSTRAINT pet_owner_fkey, ADD FOREIGN KEY (owner) REFERENCES owner ON DELETE CASCADE',
    );
    await sides.ours.query("INSERT INTO owner VALUES (1, 'o'); INSERT INTO pet VALUES (1, 1, 'p')");
    await assert.rejects(
      sides.ours.query(
        'CREATE TABLE toy (id int PRIMARY KEY, pet text REFERENCES pet (name) ON DELETE CASCADE)',
      ),
      { code: '0A000', message: /would be missed by "toy_pet_fkey"/ },
    );
  });

  test('are refused where a statement gives again the key that it takes away, and nothing is written', async () => {
    const { ours } = sides;
    await ours.query(
      "CREATE TABLE firm (id int PRIMARY KEY, name text); INSERT INTO firm VALUES (1, 'a'), (2, 'b')",
    );
    await ours.query('CREATE TABLE desk (id int, firm int REFERENCES firm); INSERT INTO desk VALUES (1, 1)');
    await ours.query(
      'CREATE TABLE lamp (id int, firm int REFERENCES firm ON DELETE CASCADE); INSERT INTO lamp VALUES (1, 1)',
    );
    await assert.rejects(
      ours.query(
        "MERGE INTO firm USING (VALUES (1), (2)) v (i) ON firm.id = v.i AND v.i = 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.i - 1, 'm')",
      ),
      { code: '0A000', message: /takes away a key to which rows refer, and gives it again/ },
    );
    const { rows } = await ours.query(
      'SELECT (SELECT count(*)::int FROM firm) AS f, (SELECT count(*)::int FROM lamp) AS l',
    );
    assert.deepEqual(rows, [{ f: 2, l: 1 }]);
  });

  test('stand on columns before those of the same table that they refer to', async () => {
    const steps = [
      `CREATE TABLE early (up int REFERENCES early ON DELETE CASCADE ON UPDATE CASCADE, name text, id int PRIMARY KEY)`,
      "INSERT INTO early VALUES (NULL, 'Secret-Label a', 1), (1, 'Secret-Label b', 2), (2, 'Secret-Label c', 3)",
      "INSERT INTO early VALUES (9, 'none', 4)",
      'UPDATE early SET id = id + 10 WHERE name LIKE $$%b$$',
      'SELECT * FROM early ORDER BY id',
      'DELETE FROM early WHERE id = 12 RETURNING name',
      'SELECT * FROM early ORDER BY id',
      'CREATE TABLE liked (x int REFERENCES liked, LIKE early INCLUDING INDEXES)',
      "INSERT INTO liked VALUES (5, NULL, 'Secret-Label d', 5)",
      "INSERT INTO liked VALUES (6, NULL, 'Secret-Label e', 7)",
      'CREATE TABLE crossed (a int UNIQUE REFERENCES crossed (b), b int UNIQUE REFERENCES crossed (a))',
      'INSERT INTO crossed VALUES (1, 1), (2, 3), (3, 2)',
      'INSERT INTO crossed VALUES (4, 5)',
      'UPDATE crossed SET a = 7, b = 7 WHERE a = 1',
      'SELECT * FROM crossed ORDER BY 1',
      'CREATE TABLE chain (c int REFERENCES chain (b), b int UNIQUE REFERENCES chain (a), a int PRIMARY KEY)',
      'INSERT INTO chain VALUES (1, 1, 1), (1, NULL, 2)',
      'INSERT INTO chain VALUES (2, NULL, 3)',
      'ALTER TABLE chain DROP COLUMN c',
      'SELECT * FROM chain ORDER BY a',
      'DROP TABLE early, liked, crossed, chain',
    ];
    const told = async (client: pg.Client, step: Step): Promise<unknown> => {
      const { notices: _notices, detail: _detail, ...outcome } = await sides.outcome(client, step);
      return outcome;
    };
    assert.deepEqual(await sides.differences(steps, told), []);
  });

  test('show the cloud no protected value', () => {
    assert.doesNotMatch(sides.recorded.sent(), /Secret-Label|child 1|node 1/);
  });
});
