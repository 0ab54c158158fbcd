/** A complete Clarus, a pipe that records what goes to the cloud, and a client of each: of Clarus, and of the plain database. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPipe } from '../heavy/support/pipe.js';
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.js';

export interface RecordedProxy {
  readonly proxy: TestProxy;
  readonly ours: pg.Client;
  readonly plain: pg.Client;
  /** all that was sent to the cloud, a byte a character */
  sent(): string;
  /** what was sent while something ran @param about only on connections that have sent this, ever */
  sentWhile(work: () => Promise<unknown>, about?: string): Promise<string>;
  /** a client of Clarus in place of one that has ended, or as another user */
  reconnect(as?: { readonly user: string; readonly password: string }): Promise<pg.Client>;
  stop(): Promise<void>;
}

/** @param policy lines of clarus.yaml after `users` */
export async function startRecordedProxy(
  policy: string,
  options: Pick<TestProxyOptions, 'server' | 'trusted'> = {},
): Promise<RecordedProxy> {
  const recordings = mkdtempSync(join(tmpdir(), 'clarus-recordings-'));
  let pipe: Awaited<ReturnType<typeof startPipe>> | undefined;
  const proxy = await startProxy({
    ...options,
    policy,
    between: async cloud => {
      pipe = await startPipe({ ...cloud, recordInto: recordings });
      return pipe;
    },
  });
  const clients: pg.Client[] = [];
  const connect = async (target: pg.ClientConfig): Promise<pg.Client> => {
    const client = new pg.Client(target);
    client.on('error', () => undefined);
    clients.push(client);
    await client.connect();
    return client;
  };
  const files = (): Map<string, Buffer> =>
    new Map(
      readdirSync(recordings)
        .filter(name => name.endsWith('.sent'))
        .map(name => [name, readFileSync(join(recordings, name))]),
    );
  return {
    proxy,
    ours: await connect({ ...proxy }),
    plain: await connect({ ...proxy.plain }),
    sent: () => [...files().values()].map(bytes => bytes.toString('latin1')).join(''),
    async sentWhile(work, about = '') {
      const before = files();
      await work();
      // the pipe writes its recordings behind what it forwards
      await new Promise(resolve => setTimeout(resolve, 200));
      return [...files()]
        .filter(([, bytes]) => bytes.includes(about))
        .map(([name, bytes]) => bytes.subarray(before.get(name)?.length ?? 0).toString('latin1'))
        .join('');
    },
    reconnect: as => connect({ ...proxy, ...as }),
    async stop() {
      await Promise.all(clients.map(client => client.end().catch(() => undefined)));
      await proxy.stop();
      await pipe?.close();
      rmSync(recordings, { recursive: true, force: true });
    },
  };
}
