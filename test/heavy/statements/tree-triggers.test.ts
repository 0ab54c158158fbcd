/** Triggers of partitions and heirs do what they do in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import type pg from 'pg';
import { CopySide } from '../../differential/copy.js';
import { beside } from '../../support/beside.js';
import type { Step } from '../../support/outcome.js';
import { functions, rows, scripts, tables } from '../../triggers/trees.js';

const policy = `unlisted: pass
tables:
  public.job:
    columns:
      id: { protect: none }
      queue: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      note: { class: confidential, protect: encrypt }
      n: { protect: none }
      loud: { class: identifier, protect: encrypt }
      twice: { protect: none }
  public.job_b:
    columns:
      id: { protect: none }
      queue: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      note: { class: confidential, protect: encrypt }
      n: { protect: none }
      loud: { class: identifier, protect: encrypt }
      twice: { protect: none }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      place: { protect: none }
      was: { class: identifier, protect: encrypt }
      becomes: { class: identifier, protect: encrypt }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }
  public.patient:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }
      illness: { class: confidential, protect: encrypt }`;

/** Stand in protected columns only. */
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Slart', 'Wowbagger', 'Poodoo', 'ZAPHOD', 'Bleibt'];

suite('triggers of partitions and heirs', { timeout: 300_000 }, () => {
  const sides = beside(policy, functions);
  const outcome = async (client: pg.Client, step: Step, extended: boolean): Promise<unknown> => {
    const { rows, detail, ...told } = await sides.outcome(client, step, extended);
    const [sql] = typeof step === 'string' ? [step] : step;
    const sorted = /ORDER BY/.test(sql) ? rows : rows?.map(row => JSON.stringify(row)).sort();
    // the details of keys and rows are not told
    return { ...told, rows: sorted, ...(/^23/.test(told.code ?? '') ? {} : { detail }) };
  };
  const contents = [
    'SELECT tableoid::regclass, id, queue, name, note, n, loud, twice FROM job ORDER BY id, queue',
    'SELECT * FROM person ORDER BY id',
    'SELECT * FROM patient ORDER BY id',
  ];
  before(() => sides.both(...tables));
  const fresh = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows: made } = await client.query(
        'SELECT tgname, tgrelid::regclass::text AS of FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0',
      );
      for (const { tgname, of } of made) await client.query(`DROP TRIGGER ${tgname} ON ${of}`);
      await client.query('DELETE FROM job; DELETE FROM log; DELETE FROM person');
      for (const sql of rows) await client.query(sql);
    }
  };
  const differences = (steps: readonly Step[], extended: boolean): Promise<unknown[]> =>
    sides.differences([...steps, ...contents], (client, step) => outcome(client, step, extended));

  for (const [i, [theme, steps]] of Object.entries(scripts).entries())
    test(`do what they do in PostgreSQL: ${theme}`, async () => {
      // the first one by both protocols
      for (const extended of i === 0 ? [false, true] : [i % 2 === 1]) {
        await fresh();
        assert.deepEqual(await differences(steps, extended), []);
      }
    });

  test('see rows of COPY, and the first wrong row is told with its line', async () => {
    await fresh();
    const { proxy } = sides.recorded;
    const copying = [await CopySide.connect(proxy), await CopySide.connect(proxy.plain)];
    try {
      await sides.both(
        'CREATE TRIGGER a BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION louder()',
        'CREATE TRIGGER b AFTER INSERT ON job FOR EACH ROW EXECUTE FUNCTION audit()',
        "CREATE TRIGGER c BEFORE INSERT ON job_c2 FOR EACH ROW WHEN (NEW.name LIKE 'x%') EXECUTE FUNCTION nowhere()",
      );
      for (const [sql, data] of [
        ['COPY job (id, queue, name) FROM STDIN', '100\ta\tCopied\n101\tb\tOver\n102\td\txno\n'],
        ['COPY job (id, queue, name) FROM STDIN', '103\ta\tCopied\n104\tz\tOver\n105\tx\tx\n'],
        ['COPY job (id, queue, name) FROM STDIN', '103\ta\tCopied\n101\tb\tOver\n105\tz\tx\n'],
        ['COPY job_b (id, queue, name) FROM STDIN', '106\tb\tOwn\n'],
        ['COPY job_b (id, queue, name) FROM STDIN', '107\tb\tOwn\n108\ta\tOther\n'],
        ['COPY job (id, queue, name, n) FROM STDIN', '99\tc\tThree\t4\n'],
      ] as const) {
        const [ours, theirs] = [
          await copying[0]!.in(sql, Buffer.from(data)),
          await copying[1]!.in(sql, Buffer.from(data)),
        ];
        assert.deepEqual(ours, theirs, data);
      }
    } finally {
      for (const side of copying) await side.close();
    }
    assert.deepEqual(await differences(['SELECT op, place, was, becomes FROM log ORDER BY n'], false), []);
  });

  test('are refused where an heir has columns that the statement does not read, and beside ONLY', async () => {
    await fresh();
    const { ours } = sides;
    await ours.query('CREATE TRIGGER t AFTER UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION tell()');
    await assert.rejects(ours.query("UPDATE person SET name = 'x'"), { code: '0A000' });
    await ours.query("UPDATE patient SET name = 'x'");
    await ours.query('CREATE TRIGGER t AFTER UPDATE ON person FOR EACH STATEMENT EXECUTE FUNCTION tell()');
    await assert.rejects(ours.query("UPDATE ONLY person SET name = 'x'"), { code: '0A000' });
  });

  test('keep what they see from the cloud', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('INSERT'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
