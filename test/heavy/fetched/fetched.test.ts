/** What is fetched for a statement is what it must: rows and columns of each table, against written figures. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { FetchedRows } from '../../../src/audit/events.js';
import { type RecordedProxy, startRecordedProxy } from '../../support/recorded-proxy.js';
import { bigPolicy, bigTables, fetches } from './statements.js';

suite('fetched', { timeout: 600_000 }, () => {
  let recorded: RecordedProxy;

  before(async () => {
    recorded = await startRecordedProxy(bigPolicy);
    for (const client of [recorded.ours, recorded.plain])
      for (const sql of bigTables) await client.query(sql);
  });
  after(() => recorded?.stop());

  test('over 100,000 rows, no statement fetches more than is written', async t => {
    const client = new pg.Client({ ...recorded.proxy });
    await client.connect();
    const session = (client as unknown as { readonly processID: number }).processID;
    try {
      for (const [text] of fetches) {
        const { rows } = await client.query({ text, rowMode: 'array' });
        const { rows: expected } = await recorded.plain.query({ text, rowMode: 'array' });
        assert.deepEqual(rows, expected, text);
      }
    } finally {
      await client.end();
    }
    const ends = await endsOf(session);
    const given = fetches.map(([sql], i) => [sql, written(ends[i]?.fetched)]);
    assert.deepEqual(given, fetches);
    t.diagnostic(`${fetches.length} statements`);
  });

  interface End {
    readonly kind: string;
    readonly session: number;
    readonly fetched?: readonly FetchedRows[];
  }

  /** Ends of the statements of a session, in their order, once all are in the journal. */
  async function endsOf(session: number): Promise<readonly End[]> {
    const path = join(recorded.proxy.directory, 'audit', 'journal-worker-0.jsonl');
    for (let tries = 0; ; tries++) {
      const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
      const own = lines.map(line => JSON.parse(line) as End).filter(line => line.session === session);
      if (own.some(line => line.kind === 'session-closed'))
        return own.filter(line => line.kind === 'statement-end');
      assert.ok(tries < 100, 'the session stays open');
      await sleep(50);
    }
  }
});

const written = (fetched: readonly FetchedRows[] | undefined): string =>
  fetched === undefined
    ? 'pushed'
    : fetched
        .map(({ table, columns, rows }) => `${table.replace('public.', '')}(${columns.join(', ')}) ${rows}`)
        .join(', ');
