/** DDL in an open transaction holds up what PostgreSQL's locks hold up, and lets go on what they let go on. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import pg from 'pg';
import { beside } from '../../support/beside.js';
import { outcomeOf, type Step } from '../../support/outcome.js';

/** DDL of a table `t`, which is protected and has rows that no split statement has read before. */
const ddl: readonly string[] = [
  'CREATE TRIGGER notes BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()',
  'CREATE INDEX ON t (name)',
  'CREATE UNIQUE INDEX ON t (id)',
  'ALTER TABLE t ADD FOREIGN KEY (ward) REFERENCES ward',
  'ALTER TABLE t DISABLE TRIGGER USER',
  'ALTER TABLE t VALIDATE CONSTRAINT refers',
  'ALTER TABLE t SET (fillfactor = 70)',
  'ALTER TABLE t CLUSTER ON t_number_key',
  "COMMENT ON TABLE t IS 'patients'",
];

const open = ['id', 'ward', 'number'].map(name => `      ${name}: { protect: none }`).join('\n');
const policy = `unlisted: encrypt
tables:
  public.ward:
    columns:
      id: { protect: none }
      name: { protect: encrypt, queries: [equality] }
${ddl.map((_, i) => `  public.t${i}:\n    columns:\n${open}\n      name: { protect: encrypt, queries: [equality] }`).join('\n')}`;

const reads: readonly Step[] = [
  "SELECT id, name FROM t WHERE name = 'Ford'",
  'SELECT id, upper(name) FROM t WHERE id > 0',
  ['SELECT count(*) FROM t a JOIN t b ON upper(a.name) = b.name WHERE a.id > $1', 0],
  'SELECT id FROM t WHERE id = 1 FOR UPDATE',
];
const writes: readonly Step[] = [
  "UPDATE t SET name = 'Arthur' WHERE id = 1",
  'UPDATE t SET name = upper(name) WHERE id = 2',
  "INSERT INTO t (id, name) VALUES (3, 'Marvin')",
  'DELETE FROM t WHERE id = 3',
];

suite('while a transaction has changed a table', () => {
  const sides = beside(policy, [
    'CREATE TABLE ward (id int PRIMARY KEY, name text)',
    'CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
  ]);
  const opened: pg.Client[] = [];
  after(() => Promise.all(opened.map(client => client.end())));
  const connect = async (to: pg.ClientConfig): Promise<pg.Client> => {
    const client = new pg.Client(to);
    client.on('error', () => undefined);
    await client.connect();
    await client.query("SET lock_timeout = '500ms'");
    opened.push(client);
    return client;
  };

  for (const [number, statement] of ddl.entries())
    test(`others do what they do in PostgreSQL: ${statement}`, async () => {
      const named = (step: Step): Step => {
        const [sql, ...values] = typeof step === 'string' ? [step] : step;
        return [sql.replace(/\bt(?=\b|_)/g, `t${number}`), ...values];
      };
      await sides.both(
        ...[
          'CREATE TABLE t (id int, ward int, number int UNIQUE, name text, counted serial)',
          'ALTER TABLE t ADD CONSTRAINT refers FOREIGN KEY (ward) REFERENCES ward NOT VALID',
          "INSERT INTO t (id, name) VALUES (1, 'Zaphod'), (2, 'Ford')",
        ].map(sql => String(named(sql)[0])),
      );
      const { proxy } = sides.recorded;
      const [ours, theirs] = await Promise.all(
        [proxy, proxy.plain].map(async to => {
          const [changer, other] = [await connect({ ...to }), await connect({ ...to })];
          const found: unknown[] = [];
          const tell = async (client: pg.Client, step: Step): Promise<void> => {
            found.push([step, await outcomeOf(client, step)]);
          };
          await other.query('SELECT 1');
          await changer.query('BEGIN');
          await tell(changer, named(statement));
          for (const step of reads) await tell(other, named(step));
          await other.query('BEGIN');
          for (const step of reads) await tell(other, named(step));
          await other.query('COMMIT');
          for (const step of writes) await tell(other, named(step));
          await changer.query('COMMIT');
          for (const step of [...writes, ...reads]) await tell(other, named(step));
          return found;
        }),
      );
      assert.deepEqual(ours, theirs);
    });

  test('an index of a column with tags takes the place of the one on these', async () => {
    const cloud = await connect({ ...sides.recorded.proxy.behind });
    const indexes = async (): Promise<readonly string[]> => {
      const { rows } = await cloud.query(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'ward' AND indexdef ~ 'equality' ORDER BY 1",
      );
      return rows.map(({ indexname }) => indexname.replace(/\d+/, ''));
    };
    assert.deepEqual(await indexes(), ['name_equality_index']);
    await sides.ours.query('CREATE INDEX byname ON ward (name)');
    assert.deepEqual(await indexes(), ['byname']);
    await sides.ours.query('CREATE INDEX again ON ward (name)');
    assert.deepEqual(await indexes(), ['again', 'byname']);
    await sides.ours.query('DROP INDEX byname');
    assert.deepEqual(await indexes(), ['again']);
    await sides.ours.query('DROP INDEX again');
    assert.deepEqual(await indexes(), ['name_equality_index']);
  });
});
