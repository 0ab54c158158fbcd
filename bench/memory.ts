/** What a worker's memory does while millions of opened rows stream through it, and while a client reads nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { writeFrontend } from '../src/wire/encode-frontend.js';
import { MessageWriter } from '../src/wire/message-writer.js';
import { RawClient } from '../test/support/raw-client.js';
import type { Report } from './report.js';
import { connect, memory_MiB, type Running } from './servers.js';

const few = 100_000;
const sample_ms = 100;
const silence_ms = 30_000;

/**
 * The worker is the only process of Clarus. Rows are those of `lab`, each as often as `series` has rows.
 * @param many rows of the long stream
 */
export async function memory(
  report: Report,
  { target, pid }: Running,
  rows: number,
  many: number,
): Promise<void> {
  const client = await connect(target);
  await client.simple('CREATE TABLE series (n integer)');
  await client.simple(`INSERT INTO series SELECT generate_series(1, ${Math.ceil(many / rows)})`);
  const stream = (limit: number): string =>
    `SELECT l.id, l.days, l.value, l.test FROM lab l, series s LIMIT ${limit}`;
  const peak = async (sql: string): Promise<number> => {
    let most = 0;
    let done = false;
    const run = client.query(sql, [], { resultFormat: 0, onRows: () => undefined }).finally(() => {
      done = true;
    });
    while (!done) {
      most = Math.max(most, memory_MiB(pid));
      await delay(sample_ms);
    }
    const { rows: got } = await run;
    if (got < few) throw new Error(`only ${got} rows came`);
    return most;
  };
  await peak(stream(few));
  const small = await peak(stream(few));
  const large = await peak(stream(many));
  report.add(`resident memory of a worker, most while ${few} opened rows stream`, `${small.toFixed(0)} MiB`);
  report.add(`the same, ${many} opened rows`, `${large.toFixed(0)} MiB`, {
    ratio: `+${(large - small).toFixed(0)} MiB`,
    goal: 'at most +64 MiB, and 256 MiB in all',
  });
  await client.close();
  const silent = await silentClient(target, pid, stream(many));
  report.add(`the same, a client that reads nothing for ${silence_ms / 1000} s`, `${silent.toFixed(0)} MiB`, {
    ratio: `+${(silent - small).toFixed(0)} MiB`,
    goal: 'at most +64 MiB, and 256 MiB in all',
  });
}

/** Most memory while a client has asked for millions of rows and does not read. */
async function silentClient(target: Running['target'], pid: number, sql: string): Promise<number> {
  const client = await RawClient.connect(target);
  const { socket } = client.backend;
  const writer = new MessageWriter();
  writeFrontend(writer, { kind: 'Query', sql });
  socket.write(writer.take());
  socket.pause();
  let most = 0;
  const until = Date.now() + silence_ms;
  while (Date.now() < until) {
    most = Math.max(most, memory_MiB(pid));
    await delay(sample_ms);
  }
  socket.destroy();
  return most;
}
