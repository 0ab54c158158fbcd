/** What two sessions come to on Clarus and on a plain server. */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { TestProxy } from './proxy.js';

/**
 * Runs `work` with two sessions on either server: what its statements come to, by code or number of rows, is alike.
 * @param work gives the outcomes of statements: results, or errors
 */
export async function alikeInTwoSessions(
  proxy: TestProxy,
  work: (first: pg.Client, second: pg.Client) => Promise<readonly unknown[]>,
): Promise<void> {
  const found: unknown[] = [];
  for (const target of [proxy, proxy.plain]) {
    const [first, second] = [new pg.Client({ ...target }), new pg.Client({ ...target })];
    await Promise.all([first.connect(), second.connect()]);
    found.push(
      (await work(first, second)).map(answer => {
        const { code, rowCount } = answer as { code?: string; rowCount?: number };
        return { code, rowCount };
      }),
    );
    await Promise.all([first.end(), second.end()]);
  }
  assert.deepEqual(found[0], found[1]);
}
