/** A TCP pipe: records every byte between a gateway and its cloud, and stands in for a gateway. */
import { createWriteStream, mkdirSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Where a pipe leads and what it keeps. */
export interface PipeOptions {
  readonly host: string;
  readonly port: number;
  /** Each connection's two directions become files here: `N.sent` and `N.received`. */
  readonly recordInto?: string;
}

/** A listening pipe. */
export interface Pipe {
  readonly host: string;
  readonly port: number;
  /** Cuts all connections and waits until the recordings are written. */
  close(): Promise<void>;
}

/** Listens on a free port of the loopback address and carries bytes to `options.host`, untouched. */
export async function startPipe(options: PipeOptions): Promise<Pipe> {
  const sockets = new Set<Socket>();
  const recordings: Promise<void>[] = [];
  let connections = 0;
  if (options.recordInto !== undefined) mkdirSync(options.recordInto, { recursive: true });
  const carry = (from: Socket, to: Socket, file: string) => {
    if (options.recordInto !== undefined) {
      const recording = createWriteStream(join(options.recordInto, file));
      from.on('data', (chunk: Buffer) => recording.write(chunk));
      recordings.push(new Promise(resolve => from.on('close', () => recording.end(resolve))));
    }
    // A cut connection is an ordinary end here: the other side is cut too.
    pipeline(from, to).catch(() => to.destroy());
  };
  const server = createServer({ noDelay: true }, client => {
    const number = ++connections;
    const upstream = connect({ host: options.host, port: options.port, noDelay: true });
    for (const socket of [client, upstream]) {
      socket.setMaxListeners(20);
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    carry(client, upstream, `${number}.sent`);
    carry(upstream, client, `${number}.received`);
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the pipe has no port');
  return {
    host: '127.0.0.1',
    port: address.port,
    close: async () => {
      const closed = new Promise(resolve => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      await Promise.all(recordings);
    },
  };
}
