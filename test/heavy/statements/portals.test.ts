/** Portals live and die with their transactions as in PostgreSQL, whatever they are over and wherever they run. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import type { BackendMessage, FrontendMessage } from '../../../src/wire/messages.js';
import { startProxy, type TestProxy } from '../../support/proxy.js';
import { RawClient, say, told } from '../../support/raw-client.js';
import { count, seed } from '../support/scale.js';

/** Messages up to a Sync; a text: a Query. */
type Step = string | readonly FrontendMessage[];

suite('portals', { timeout: 400_000 }, () => {
  let proxy: TestProxy;
  let plain: RawClient;
  let clarus: RawClient;
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.item:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }`,
    });
    plain = await RawClient.connect(proxy.plain);
    clarus = await RawClient.connect(proxy);
    for (const client of [plain, clarus])
      for (const sql of ['CREATE TABLE item (id int, s text)', 'CREATE TABLE open (id int, note text)'])
        await client.query(sql);
  });
  after(async () => {
    await plain?.close();
    await clarus?.close();
    await proxy?.stop();
  });

  const fill = [
    'DELETE FROM item',
    'DELETE FROM open',
    "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO open VALUES (1, 'x'), (2, 'y'), (3, 'z')",
  ];

  /** Plays steps, and looks at what they left. */
  async function play(client: RawClient, steps: readonly Step[], ahead: boolean): Promise<string[][]> {
    for (const sql of fill) await client.query(sql);
    const lines: string[][] = [];
    const end = ['ROLLBACK', 'SELECT * FROM item ORDER BY id', 'SELECT * FROM open ORDER BY id'];
    const all = [...steps, ...end].map(step =>
      typeof step === 'string' ? [say.query(step)] : [...step, say.sync],
    );
    if (ahead) client.send(...all.flat());
    for (const messages of all) {
      if (!ahead) client.send(...messages);
      lines.push(told(await client.until()));
    }
    return lines;
  }

  /** Plays steps on both databases and expects the same, whether or not the client waits for each answer. */
  async function same(...steps: Step[]): Promise<void> {
    const expected = await play(plain, steps, false);
    for (const ahead of [false, true]) {
      const ours = await play(clarus, steps, ahead);
      const script = [...steps, 'ROLLBACK', 'item', 'open'].map(
        (step, i) => `${shown(step)}\n    plain: ${expected[i]}\n    ours:  ${ours[i]}`,
      );
      assert.deepEqual(ours, expected, `${ahead ? 'all sent at once' : ''}\n${script.join('\n')}`);
    }
  }

  const portal = (sql: string, name = 'p'): FrontendMessage[] => [say.parse(sql), say.bind('', name)];
  const reads = ['SELECT id, s FROM item ORDER BY id', 'SELECT id, note FROM open ORDER BY id'];
  const writes = [
    "INSERT INTO item VALUES (9, 'w') RETURNING s",
    "INSERT INTO item VALUES (9, 'w')",
    "UPDATE item SET s = 'w' RETURNING s",
    'DELETE FROM item RETURNING s',
    "INSERT INTO open VALUES (9, 'w') RETURNING note",
  ];
  const catalog = 'SELECT relname FROM pg_class WHERE oid = 1259';

  test('a portal dies with its transaction', async () => {
    for (const sql of [...reads, ...writes, catalog])
      for (const end of ['COMMIT', 'ROLLBACK', say.run('ROLLBACK')])
        for (const then of [
          [say.execute('p')],
          [say.describe('portal', 'p')],
          [...portal(sql), say.execute('p', 1)],
        ]) {
          await same('BEGIN', portal(sql), end, then);
          if (typeof end !== 'string') await same('BEGIN', portal(sql), [...end, ...then]);
          await same('BEGIN', [...portal(sql), say.execute('p', 1)], end, then);
          await same('BEGIN', [...portal(sql), say.execute('p')], end, then);
        }
  });

  test('what a client asks to be flushed is told at once', async () => {
    for (const sql of [
      'SELECT s FROM item WHERE id = 1',
      'SELECT upper(s) FROM item',
      'SELECT note FROM open',
      'UPDATE item SET s = s WHERE id = 77',
      'DELETE FROM open WHERE id = 77',
      'SELECT relname FROM pg_catalog.pg_class WHERE oid = 0',
      'BEGIN',
      'ROLLBACK',
    ]) {
      const lines: string[][] = [];
      for (const client of [plain, clarus]) {
        const heard: string[] = [];
        const flushed = async (
          last: BackendMessage['kind'][],
          ...messages: FrontendMessage[]
        ): Promise<void> => {
          client.send(...messages, say.flush);
          for (;;) {
            const message = await client.next();
            if (!message) return;
            heard.push(...told([message]));
            if (last.includes(message.kind)) return;
          }
        };
        await flushed(['ParseComplete'], say.parse(sql));
        await flushed(['RowDescription', 'NoData'], say.describe('statement'));
        await flushed(['BindComplete'], say.bind());
        await flushed(['RowDescription', 'NoData'], say.describe('portal'));
        await flushed(['CommandComplete'], say.execute());
        client.send(say.sync);
        heard.push(...told(await client.until()));
        lines.push(heard);
      }
      assert.deepEqual(lines[1], lines[0], sql);
    }
  });

  test('a portal of an implicit transaction dies at its Sync', async () => {
    for (const sql of [...reads, ...writes, catalog])
      for (const then of [[say.execute('p')], [...portal(sql), say.execute('p', 1)]]) {
        await same(portal(sql), then);
        await same([...portal(sql), say.execute('p', 1)], then);
      }
  });

  test('a portal whose Close the server skipped is there again only if its Bind was not skipped', async () => {
    for (const sql of [...reads, ...writes, catalog]) {
      const skipped = [say.execute('nowhere'), ...portal(sql), say.close('portal', 'p')];
      await same(skipped, [say.execute('p')]);
      await same('BEGIN', 'SAVEPOINT s', skipped, 'ROLLBACK TO s', [say.execute('p')]);
      await same('BEGIN', skipped, [say.execute('p')]);
      await same(
        'BEGIN',
        portal(sql),
        'SAVEPOINT s',
        [say.execute('nowhere'), say.close('portal', 'p')],
        'ROLLBACK TO s',
        [say.execute('p')],
      );
    }
  });

  test('CLOSE closes portals of the protocol', async () => {
    for (const sql of [...reads, ...writes, catalog])
      for (const close of ['CLOSE p', 'CLOSE ALL'])
        for (const step of [close, say.run(close), [...portal(close, 'q'), say.execute('q')]]) {
          await same('BEGIN', portal(sql), step, [say.execute('p')]);
          await same('BEGIN', portal(sql), step, [say.describe('portal', 'p')]);
          await same('BEGIN', [...portal(sql), say.execute('p', 1)], step, portal(sql), [say.execute('p')]);
          if (typeof step !== 'string') await same([...portal(sql), ...step, say.execute('p')]);
        }
  });

  test('a failed transaction does not keep other DDL waiting', async () => {
    const waiter = await RawClient.connect(proxy);
    const quick = async (sql: string): Promise<string> => told(await waiter.query(sql)).join();
    try {
      await quick("SET lock_timeout = '300ms'");
      const label = `SECURITY LABEL FOR clarus ON COLUMN item.s IS '{ "protect": "nonsense" }'`;
      await clarus.query('BEGIN');
      await clarus.query('CREATE TABLE gone (a int)');
      assert.match(told(await clarus.query(label)).join(), /ErrorResponse.*ReadyForQuery E/);
      assert.equal(await quick('CREATE TABLE made (a int)'), 'CommandComplete CREATE TABLE,ReadyForQuery I');
      assert.equal(told(await clarus.query('COMMIT')).join(), 'CommandComplete ROLLBACK,ReadyForQuery I');
      await clarus.query('BEGIN');
      await clarus.query('CREATE TABLE kept (a int)');
      await clarus.query('SAVEPOINT s');
      await clarus.query(label);
      assert.match(await quick('CREATE TABLE never (a int)'), /55P03/);
      await clarus.query('ROLLBACK TO s');
      await clarus.query('COMMIT');
      assert.equal(told(await clarus.query('SELECT * FROM kept')).at(-2), 'CommandComplete SELECT 0');
    } finally {
      await waiter.close();
    }
  });

  test('a portal of an INSERT that is lost with a savepoint is told by its own name', async () => {
    await clarus.query('BEGIN');
    clarus.send(...portal("INSERT INTO item VALUES (1, 'a'), (2, 'b') RETURNING s"), say.sync);
    await clarus.until();
    await clarus.query('SAVEPOINT s');
    clarus.send(say.execute('p', 1), say.sync);
    await clarus.until();
    await clarus.query('ROLLBACK TO s');
    clarus.send(say.execute('p'), say.sync);
    assert.match(told(await clarus.until()).join(), /ErrorResponse ERROR 34000 portal "p" does not exist/);
    await clarus.query('ROLLBACK');
  });

  test('DDL that waits for other DDL heeds timeouts and requests to cancel', async () => {
    const clients = [new pg.Client(proxy), new pg.Client(proxy), new pg.Client(proxy.behind)] as const;
    const [holder, waiter, behind] = clients;
    for (const client of clients) await client.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('CREATE TABLE held (a int)');
      for (const [setting, code] of [
        ['statement_timeout', '57014'],
        ['lock_timeout', '55P03'],
      ]) {
        await waiter.query(`SET ${setting} = '300ms'`);
        await assert.rejects(waiter.query('CREATE TABLE waits (a int)'), { code });
        await waiter.query(`RESET ${setting}`);
      }
      const waiting = assert.rejects(waiter.query('CREATE TABLE waits (a int)'), { code: '57014' });
      for (let asleep = false; !asleep; ) {
        const { rows } = await behind.query(
          "SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'",
        );
        asleep = rows.length > 0;
      }
      const { processID, secretKey } = waiter as unknown as { processID: number; secretKey: number };
      const request = Buffer.alloc(16);
      for (const [i, word] of [16, 80_877_102, processID, secretKey].entries())
        request.writeInt32BE(word, 4 * i);
      connect(proxy.port, proxy.host).end(request);
      await waiting;
      await holder.query('ROLLBACK');
      await waiter.query('CREATE TABLE waits (a int)');
    } finally {
      for (const client of clients) await client.end();
    }
  });

  test('generated sequences of messages are answered as on a plain PostgreSQL', async () => {
    const one = fc.constantFrom<FrontendMessage[]>(
      ...[...reads, ...writes, catalog, 'SELECT 1 / (id - 2) FROM open', 'SELECT nowhere'].flatMap(sql => [
        portal(sql, 'p'),
        portal(sql, 'q'),
        [...portal(sql, ''), say.execute('', 1), say.execute('')],
      ]),
      ...['p', 'q'].flatMap(name => [
        [say.execute(name)],
        [say.execute(name)],
        [say.execute(name, 1)],
        [say.execute(name, 1)],
        [say.describe('portal', name)],
        [say.close('portal', name)],
      ]),
      ...['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT s', 'ROLLBACK TO s', 'RELEASE s'].map(sql =>
        say.run(sql),
      ),
    );
    const batch = fc.array(one, { minLength: 1, maxLength: 3 }).map(messages => messages.flat());
    const query = fc.constantFrom(
      'BEGIN',
      'BEGIN',
      'COMMIT',
      'ROLLBACK',
      'SAVEPOINT s',
      'ROLLBACK TO s',
      'RELEASE s',
      'SELECT nowhere',
      "SELECT 'x'::int FROM open",
      writes[0]!,
      'SELECT 1',
    );
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: batch }, { weight: 2, arbitrary: query }), {
      minLength: 2,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(steps, script => same('BEGIN', ...script)),
      { numRuns: count('sequences of portals', 3_000, 100), seed, endOnFailure: true },
    );
  });
});

const shown = (step: Step): string =>
  typeof step === 'string'
    ? `Query ${step}`
    : step
        .map(message => {
          const { kind, ...fields } = message;
          return `${kind} ${Object.values(fields).join(' ').trim()}`;
        })
        .join('; ');
