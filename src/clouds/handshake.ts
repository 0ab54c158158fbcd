import { isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClarusError } from '../errors.js';
import { serverEndPoint } from '../wire/channel-binding.js';
import { decodeBackend } from '../wire/decode-backend.js';
import { PostgresError } from '../wire/diagnostic.js';
import { writeStartup } from '../wire/encode-frontend.js';
import { FrameReader } from '../wire/frame-reader.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { Authentication, BackendMessage } from '../wire/messages.js';
import { md5Response } from '../wire/password.js';
import { backendLimits, frontendTypes, startupCodes } from '../wire/protocol.js';
import { deriveKeys, type ScramKeys } from '../wire/scram.js';
import { ScramClient, writeSaslInitialResponse } from '../wire/scram-client.js';
import { connectError, refusedByServer, socketError } from './connect-errors.js';
import type { ConnectionOptions } from './options.js';
import { closedEarly } from './socket.js';

/** Largest message before the server is ready, bytes. */
const handshakeMessageBytesMax = 65_535;
/** Derived keys kept: each connection of each session would else cost PBKDF2 again. */
const keysKept = 64;
const ours = 'clarus';

/** What the server told on the way to its first ReadyForQuery. */
export interface Greeting {
  /** run-time parameters by name */
  readonly parameters: Map<string, string>;
  readonly processId: number;
  readonly secretKey: Uint8Array;
  /** bytes behind ReadyForQuery, already read from the socket */
  readonly rest: Buffer;
}

/**
 * Sends the startup message, authenticates, and waits until the server is ready.
 * @throws ConnectError with the server's SQLSTATE (28P01 wrong password), or 08001
 */
export async function greet(socket: Socket, options: ConnectionOptions): Promise<Greeting> {
  const messages = new Messages(socket, options);
  try {
    return await new Handshake(socket, options, messages).run();
  } finally {
    messages.stop();
  }
}

class Handshake {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #messages: Messages;
  readonly #writer = new MessageWriter(1024);
  #scram: ScramClient | undefined;
  /** true once the server proved in SCRAM that it knows the password, or never promised to */
  #proven = true;

  constructor(socket: Socket, options: ConnectionOptions, messages: Messages) {
    this.#socket = socket;
    this.#options = options;
    this.#messages = messages;
  }

  async run(): Promise<Greeting> {
    const { user, database, parameters = [] } = this.#options;
    const settings = new Map([...parameters, ['user', user], ['database', database]]);
    settings.set('application_name', this.#options.applicationName ?? ours);
    if (!settings.has('client_encoding')) settings.set('client_encoding', 'UTF8');
    writeStartup(this.#writer, {
      kind: 'StartupMessage',
      version: startupCodes.version_3_0,
      parameters: settings,
    });
    this.#send();
    const told = new Map<string, string>();
    let processId = 0;
    let secretKey: Uint8Array = new Uint8Array(4);
    for (;;) {
      const message = await this.#messages.next();
      switch (message.kind) {
        case 'Authentication':
          await this.#authenticate(message);
          break;
        case 'ParameterStatus':
          told.set(message.name, message.value);
          break;
        case 'BackendKeyData':
          processId = message.processId;
          secretKey = Uint8Array.from(message.secretKey);
          break;
        case 'ErrorResponse':
          throw refusedByServer(this.#options, new PostgresError(message.diagnostic));
        case 'ReadyForQuery':
          if (!this.#authenticated) throw this.#unexpected('is ready before it authenticated');
          return { parameters: told, processId, secretKey, rest: this.#messages.rest() };
        case 'NoticeResponse':
        case 'NegotiateProtocolVersion':
          break;
        default:
          throw this.#unexpected(`sent ${message.kind} before it was ready`);
      }
    }
  }

  #authenticated = false;

  async #authenticate(message: Authentication): Promise<void> {
    switch (message.method) {
      case 'ok':
        if (!this.#proven) throw this.#unexpected('ended SCRAM before it proved that it knows the password');
        this.#authenticated = true;
        return;
      case 'cleartext':
        if (!this.#isPrivate()) {
          throw connectError(
            this.#options,
            'the server asks for the password in the clear over a connection that is not encrypted',
            'turn on TLS, or scram-sha-256 in pg_hba.conf',
            false,
          );
        }
        return this.#answer(`${this.#password()}\0`);
      case 'md5':
        return this.#answer(`${md5Response(this.#options.user, this.#password(), message.salt)}\0`);
      case 'sasl': {
        this.#scram = new ScramClient({
          password: this.#password(),
          mechanisms: message.mechanisms,
          channelBinding: this.#channelBinding(),
          derive: cachedKeys,
        });
        this.#proven = false;
        writeSaslInitialResponse(this.#writer, this.#scram.mechanism, this.#scram.first());
        return this.#send();
      }
      case 'saslContinue':
        if (this.#scram === undefined) throw this.#unexpected('continued SCRAM before it began');
        return this.#answer(await this.#scram.respond(message.data));
      case 'saslFinal':
        if (this.#scram === undefined) throw this.#unexpected('ended SCRAM before it began');
        this.#scram.verify(message.data);
        this.#proven = true;
        return;
      case 'other':
        throw connectError(
          this.#options,
          `the server asks for authentication method ${message.code}, which Clarus does not speak`,
          'set scram-sha-256 in pg_hba.conf for this user',
          false,
        );
    }
  }

  #password(): string {
    const { password, user, label } = this.#options;
    if (password !== undefined) return password;
    throw connectError(
      this.#options,
      `the server asks user "${user}" for a password and none is configured`,
      `set the password of ${label}`,
      false,
      '28P01',
    );
  }

  /** True where nobody can read along: TLS, this machine. */
  #isPrivate(): boolean {
    return this.#socket instanceof TLSSocket || isLocal(this.#options);
  }

  #channelBinding(): Buffer | undefined {
    if (!(this.#socket instanceof TLSSocket)) return undefined;
    const certificate = this.#socket.getPeerX509Certificate();
    return certificate && serverEndPoint(certificate.raw);
  }

  #answer(data: string | Uint8Array): void {
    this.#writer.begin(frontendTypes.password);
    if (typeof data === 'string') this.#writer.text(data);
    else this.#writer.bytes(data);
    this.#writer.end();
    this.#send();
  }

  #send(): void {
    this.#socket.write(this.#writer.take());
  }

  #unexpected(what: string): ClarusError {
    return connectError(this.#options, `the server ${what}`, 'does PostgreSQL listen there?', false);
  }
}

/** True for a server that is reached without leaving this machine. */
export function isLocal(options: Pick<ConnectionOptions, 'address'>): boolean {
  const { address } = options;
  if (address.kind === 'unix') return true;
  const { host } = address;
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host === 'localhost';
}

/** Messages of a socket by awaiting them; the socket is paused while nobody waits. */
class Messages {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader = new FrameReader({ tagged: true, limits: backendLimits(handshakeMessageBytesMax) });
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket
      .on('data', this.#onData)
      .on('error', this.#onError)
      .on('end', this.#onEnd)
      .on('close', this.#onEnd);
    socket.pause();
  }

  async next(): Promise<BackendMessage> {
    for (;;) {
      if (this.#reader.next()) {
        const { type, buffer, body, end } = this.#reader;
        return decodeBackend(type, buffer, body, end);
      }
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
        this.#socket.resume();
      });
    }
  }

  /** Bytes that came and were not read. */
  rest(): Buffer {
    return this.#reader.takeRest();
  }

  /** Lets go of the socket. */
  stop(): void {
    const socket = this.#socket;
    socket.pause();
    socket
      .off('data', this.#onData)
      .off('error', this.#onError)
      .off('end', this.#onEnd)
      .off('close', this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#socket.pause();
    this.#reader.push(chunk);
    this.#wake?.();
  };

  readonly #onError = (error: Error): void => {
    this.#failure ??= socketError(this.#options, error);
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.#failure ??= closedEarly(this.#options);
    this.#wake?.();
  };
}

const keys = new Map<string, Promise<ScramKeys>>();

/** Derives keys once for each password and salt, and keeps the latest. */
function cachedKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  const name = `${iterations}:${Buffer.from(salt).toString('base64')}:${password}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const derived = deriveKeys(password, salt, iterations);
  keys.set(name, derived);
  if (keys.size > keysKept) keys.delete(keys.keys().next().value!);
  return derived;
}
