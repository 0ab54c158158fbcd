/** NOTIFY with a payload: sessions of Clarus hear what PostgreSQL's hear, and the cloud carries it sealed. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }`;

const tables = [
  'CREATE TABLE patient (id int PRIMARY KEY, name text)',
  "INSERT INTO patient VALUES (1, 'Zaphod'), (2, 'Trillian')",
  `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     PERFORM pg_notify('ward', json_build_object('id', NEW.id, 'name', NEW.name)::text); RETURN NULL; END $$`,
  "CREATE FUNCTION in_sql(t text) RETURNS void LANGUAGE sql AS $$ SELECT pg_notify('ward', t) $$",
  "CREATE FUNCTION twice(t text) RETURNS text LANGUAGE sql AS $$ SELECT pg_notify('ward', t); SELECT pg_notify('ward', t || 2); SELECT t $$",
  "CREATE FUNCTION in_plpgsql(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('ward', t); END $$",
  'CREATE TRIGGER tell AFTER INSERT OR UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION tell()',
];

const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Slartibartfast'];

suite('notifications', () => {
  const sides = beside(policy, tables);
  const heard: string[][] = [[], []];
  const listeners: pg.Client[] = [];

  before(async () => {
    for (const [i, target] of [sides.recorded.proxy, sides.recorded.proxy.plain].entries()) {
      const listener = new pg.Client({ ...target });
      listener.on('notification', ({ channel, payload }) => heard[i]!.push(`${channel}: ${payload}`));
      // the servers end first
      listener.on('error', () => undefined);
      await listener.connect();
      await listener.query('LISTEN ward; LISTEN "Ärzte"; LISTEN over');
      listeners.push(listener);
    }
  });
  after(async () => {
    for (const listener of listeners) await listener.end().catch(() => undefined);
  });

  /** What listeners hear while both run steps alike. */
  async function hears(steps: readonly Step[], extended = false): Promise<readonly string[]> {
    for (const list of heard) list.length = 0;
    const outcome = (client: pg.Client, step: Step) => sides.outcome(client, step, extended);
    assert.deepEqual(await sides.differences([...steps, 'NOTIFY over'], outcome), []);
    for (const [i, listener] of listeners.entries())
      while (!heard[i]!.includes('over: ')) await listener.query('SELECT 1 FROM pg_sleep(0.01)');
    assert.deepEqual(heard[0], heard[1]);
    return heard[0]!.slice(0, -1);
  }

  const themes: Readonly<Record<string, readonly Step[]>> = {
    'NOTIFY with a payload': [
      "NOTIFY ward, 'Zaphod'",
      `NOTIFY "Ärzte", 'Marvin''s Ä 🏥'`,
      "NOTIFY ward, ''",
      "SELECT 1; NOTIFY ward, 'Trillian'",
    ],
    'pg_notify with constants, parameters and expressions': [
      "SELECT pg_notify('ward', 'Zaphod')",
      ['SELECT pg_notify($1, $2)', 'ward', 'Marvin'],
      ["SELECT pg_notify('w' || 'ard', upper($1) || 7) AS told", 'Trillian'],
      "SELECT pg_notify('ward', NULL)",
      "SELECT pg_notify('ward', 'a'), pg_notify('ward', 'b')",
    ],
    'the same one of a transaction once': [
      'BEGIN',
      "NOTIFY ward, 'Marvin'",
      "SELECT pg_notify('ward', 'Marvin')",
      "NOTIFY ward, 'Zaphod'",
      "NOTIFY ward, 'Marvin'",
      'COMMIT',
      "NOTIFY ward, 'Marvin'",
    ],
    'none of what is rolled back': [
      'BEGIN',
      "NOTIFY ward, 'Marvin'",
      'SAVEPOINT s',
      "NOTIFY ward, 'Zaphod'",
      'ROLLBACK TO s',
      'COMMIT',
      'BEGIN',
      "NOTIFY ward, 'Trillian'",
      'ROLLBACK',
    ],
    'what functions, blocks and triggers tell of protected columns': [
      "DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM patient WHERE id = 1; PERFORM pg_notify('ward', n); NOTIFY ward, 'Marvin'; END $$",
      "INSERT INTO patient VALUES (3, 'Slartibartfast')",
      "UPDATE patient SET name = name || '!' WHERE id < 3",
    ],
    'what functions that touch no table tell': [
      "SELECT in_sql('Marvin')",
      ['SELECT in_plpgsql($1), twice($1)', 'Zaphod'],
      'DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM patient WHERE id = 1; PERFORM in_sql(n); PERFORM twice(n); END $$',
    ],
    'errors of PostgreSQL': [
      "SELECT pg_notify('', 'Marvin')",
      "SELECT pg_notify(NULL, 'Marvin')",
      ["SELECT pg_notify(repeat('x', 64), $1)", 'Marvin'],
      ["SELECT pg_notify('ward', repeat($1, 2000))", 'xxxx'],
      ["SELECT pg_notify(repeat('x', 64), repeat($1, 2000))", 'Ford'],
      ['SELECT pg_notify(NULL, repeat($1, 1500))', 'Ford'],
      ["SELECT pg_notify('ward', repeat($1, 1400))", 'long'],
    ],
  };

  for (const [theme, steps] of Object.entries(themes))
    for (const extended of [false, true])
      test(`${theme}, ${extended ? 'extended' : 'simple'} protocol`, async () => {
        const own = extended
          ? steps.filter(step => typeof step !== 'string' || !step.includes("; NOTIFY ward, 'T"))
          : steps;
        const told = await hears(['BEGIN', 'COMMIT', ...own], extended);
        if (!theme.startsWith('errors')) assert.ok(told.length > 0);
        await sides.both('DELETE FROM patient WHERE id > 2');
      });

  test('a payload is limited by what it takes when it is sealed', async () => {
    const { code } = await sides.outcome(sides.ours, ["SELECT pg_notify('ward', repeat($1, 1500))", 'long']);
    assert.equal(code, '54000');
  });

  test('a channel that depends on a protected column is refused', async () => {
    const block =
      "DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM patient WHERE id = 1; PERFORM pg_notify(n, 'x'); END $$";
    assert.equal((await sides.outcome(sides.ours, block)).code, '0A000');
  });

  test('what the cloud itself notifies of is heard as it is', async () => {
    const cloud = new pg.Client({ ...sides.recorded.proxy.behind });
    await cloud.connect();
    heard[0]!.length = 0;
    await cloud.query("NOTIFY ward, 'from behind'; NOTIFY over");
    while (!heard[0]!.includes('over: ')) await listeners[0]!.query('SELECT 1 FROM pg_sleep(0.01)');
    assert.deepEqual(heard[0], ['ward: from behind', 'over: ']);
    await cloud.end();
  });

  test('a payload that does not verify ends the session that hears it', async () => {
    const listener = new pg.Client({ ...sides.recorded.proxy });
    const errors: (Error & { code?: string })[] = [];
    listener.on('error', error => void errors.push(error));
    const ended = new Promise(resolve => listener.once('end', resolve));
    await listener.connect();
    await listener.query('LISTEN forged');
    const cloud = new pg.Client({ ...sides.recorded.proxy.behind });
    await cloud.connect();
    await cloud.query("NOTIFY forged, 'clarus1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'");
    await cloud.end();
    await ended;
    assert.equal(errors[0]?.code, 'XX001');
  });

  test('the cloud hears no payload', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
    assert.match(sent, /clarus1:/);
  });
});
