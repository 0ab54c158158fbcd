/** Clarus beside a plain PostgreSQL, all of it encrypted: statements answer alike, with what is noticed before. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './proxy.js';

/** Both clients, and how their answers are compared. */
export interface Encrypted {
  readonly ours: pg.Client;
  readonly plain: pg.Client;
  readonly proxy: TestProxy;
  /** What a statement answers, and what is noticed before. */
  answer(client: pg.Client, sql: string): Promise<unknown>;
  /** Every statement answers alike: rows, or the fields of its error that are compared; and notices but those of Clarus. */
  same(...statements: readonly string[]): Promise<void>;
}

/**
 * Called in a file: starts before its tests, and stops after them.
 * @param compared fields of an error
 */
export function besideEncrypted(compared: (error: pg.DatabaseError) => object): Encrypted {
  let proxy: TestProxy;
  let clients: readonly pg.Client[] = [];
  const told = new Map<pg.Client, string[]>();
  before(async () => {
    proxy = await startProxy({ policy: 'unlisted: encrypt\ntables: {}' });
    clients = [new pg.Client(proxy), new pg.Client(proxy.plain)];
    for (const client of clients) {
      client.on('notice', ({ message = '', detail = '' }) => {
        if (!/equality tags|has no effect/.test(message)) told.get(client)?.push(`${message} ${detail}`);
      });
      await client.connect();
    }
  });
  after(async () => {
    for (const client of clients) await client.end();
    await proxy.stop();
  });
  const answer = async (client: pg.Client, sql: string): Promise<unknown> => {
    told.set(client, []);
    const outcome = await client
      .query({ text: sql, rowMode: 'array' })
      .then(({ command, rows }) => ({ command, rows }), compared);
    return { outcome, notices: told.get(client) };
  };
  return {
    get ours() {
      return clients[0]!;
    },
    get plain() {
      return clients[1]!;
    },
    get proxy() {
      return proxy;
    },
    answer,
    async same(...statements) {
      for (const sql of statements)
        assert.deepEqual(await answer(clients[0]!, sql), await answer(clients[1]!, sql), sql);
    },
  };
}
