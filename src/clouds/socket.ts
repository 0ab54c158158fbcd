import { connect as connectNet, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { writeStartup } from '../wire/encode-frontend.js';
import { MessageWriter } from '../wire/message-writer.js';
import { connectError, socketError } from './connect-errors.js';
import type { ConnectionOptions } from './options.js';

/** Idle seconds after which the operating system asks whether the peer is still there. */
const keepAlive_ms = 60_000;

/**
 * Opens a socket to the server, inside TLS where asked for, ready for the startup message.
 * @param opened is given each socket as soon as it exists, so that a deadline can end it
 * @throws ConnectError 08001
 */
export async function openSocket(
  options: ConnectionOptions,
  opened: (socket: Socket) => void,
): Promise<Socket | TLSSocket> {
  const { address } = options;
  const socket = connectNet(
    address.kind === 'unix'
      ? { path: address.path }
      : {
          host: address.host,
          port: address.port,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: keepAlive_ms,
        },
  );
  opened(socket);
  await occurs(socket, 'connect', options);
  if (address.kind === 'unix' || options.tls === 'off') return socket;
  await askForTls(socket, options);
  const secure = connectTls({
    socket,
    host: address.host,
    // a server name is never an address (RFC 6066 section 3); the certificate is checked against `host` then
    ...(isIP(address.host) ? {} : { servername: address.host }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ALPNProtocols: ['postgresql'],
    minVersion: 'TLSv1.2',
  });
  opened(secure);
  await occurs(secure, 'secureConnect', options);
  return secure;
}

/** Waits for an event that says a socket is ready. */
function occurs(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  options: ConnectionOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off(event, onEvent).off('error', onError).off('close', onClose);
    };
    const onEvent = (): void => {
      done();
      resolve();
    };
    const onError = (error: Error): void => {
      done();
      reject(socketError(options, error));
    };
    const onClose = (): void => {
      done();
      reject(closedEarly(options));
    };
    socket.on(event, onEvent).on('error', onError).on('close', onClose);
  });
}

/** SSLRequest and its answer of one byte (PostgreSQL manual, chapter 54.2.11). */
async function askForTls(socket: Socket, options: ConnectionOptions): Promise<void> {
  const writer = new MessageWriter(16);
  writeStartup(writer, { kind: 'SSLRequest' });
  socket.write(writer.take());
  const answer = await firstChunk(socket, options);
  // Bytes behind the answer came unencrypted: somebody may have slipped them in (CVE-2021-23222).
  if (answer.length === 1 && answer[0] === 0x53) return;
  const cause =
    answer.length === 1 && answer[0] === 0x4e
      ? 'the server does not offer TLS'
      : 'the server answered the request for TLS in a way that is not the protocol';
  throw connectError(
    options,
    cause,
    'turn on ssl there, or set "tls: off" where the network is trusted',
    false,
  );
}

function firstChunk(socket: Socket, options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.pause();
      socket.off('data', onData).off('error', onError).off('close', onClose).off('end', onClose);
    };
    const onData = (chunk: Buffer): void => {
      done();
      resolve(chunk);
    };
    const onError = (error: Error): void => {
      done();
      reject(socketError(options, error));
    };
    const onClose = (): void => {
      done();
      reject(closedEarly(options));
    };
    socket.on('data', onData).on('error', onError).on('close', onClose).on('end', onClose);
  });
}

/** The server went away without a word. */
export const closedEarly = (options: ConnectionOptions) =>
  connectError(options, 'the server closed the connection', 'does PostgreSQL listen there?', true);

/**
 * Shows every byte written to a socket to `record`, whichever method of the stream wrote it.
 */
export function recordWrites(socket: Socket, record: (bytes: Uint8Array) => void): void {
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  const show = (chunk: unknown, encoding: BufferEncoding): void =>
    record(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : (chunk as Uint8Array));
  socket._write = (chunk, encoding, callback) => {
    show(chunk, encoding);
    write(chunk, encoding, callback);
  };
  if (writev === undefined) return;
  socket._writev = (chunks, callback) => {
    for (const { chunk, encoding } of chunks) show(chunk, encoding);
    writev(chunks, callback);
  };
}
