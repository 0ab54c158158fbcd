/** A client that speaks the protocol message by message, to a gateway or to a server. */
import { Backend } from '../../src/clouds/backend.js';
import { decodeBackend } from '../../src/wire/decode-backend.js';
import { writeFrontend } from '../../src/wire/encode-frontend.js';
import { FrameReader } from '../../src/wire/frame-reader.js';
import { MessageWriter } from '../../src/wire/message-writer.js';
import type { BackendMessage, FrontendMessage } from '../../src/wire/messages.js';
import { backendLimits, messageBytesMax } from '../../src/wire/protocol.js';

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** settings of the startup message */
  readonly parameters?: Iterable<readonly [string, string]>;
}

export class RawClient {
  readonly backend: Backend;
  /** what came and was not taken yet */
  readonly #messages: BackendMessage[] = [];
  readonly #reader = new FrameReader({ tagged: true, limits: backendLimits(messageBytesMax) });
  #wake: (() => void) | undefined;
  closed = false;

  private constructor(backend: Backend) {
    this.backend = backend;
    backend.listen({
      chunk: chunk => {
        this.#reader.push(chunk);
        while (this.#reader.next()) {
          const { type, buffer, body, end } = this.#reader;
          this.#messages.push(decodeBackend(type, Buffer.from(buffer.subarray(body, end)), 0, end - body));
        }
        this.#wake?.();
      },
      close: () => {
        this.closed = true;
        this.#wake?.();
      },
    });
  }

  static async connect({
    host,
    port,
    user,
    password,
    database,
    parameters = [],
  }: RawTarget): Promise<RawClient> {
    const address = { kind: 'tcp' as const, host, port };
    return new RawClient(
      await Backend.connect({
        label: 'the gateway',
        address,
        user,
        password,
        database,
        parameters,
        tls: 'off',
      }),
    );
  }

  send(...messages: FrontendMessage[]): void {
    const writer = new MessageWriter();
    for (const message of messages) writeFrontend(writer, message);
    this.backend.write(writer.take());
  }

  /** The next message, or undefined when the connection closed. */
  async next(): Promise<BackendMessage | undefined> {
    while (this.#messages.length === 0 && !this.closed) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    return this.#messages.shift();
  }

  /** Everything up to and with a message of a kind; ParameterStatus left out. */
  async until(kind: BackendMessage['kind'] = 'ReadyForQuery', times = 1): Promise<BackendMessage[]> {
    const taken: BackendMessage[] = [];
    for (let left = times; left > 0; ) {
      const message = await this.next();
      if (message === undefined) break;
      if (message.kind !== 'ParameterStatus') taken.push(message);
      if (message.kind === kind) left--;
    }
    return taken;
  }

  /** Sends a Query and waits for its end. */
  async query(sql: string): Promise<BackendMessage[]> {
    this.send({ kind: 'Query', sql });
    return this.until();
  }

  async close(): Promise<void> {
    await this.backend.close();
  }
}

/** Messages in one line each, without what may differ between two servers. */
export function told(messages: readonly BackendMessage[]): string[] {
  return messages.map(message => {
    switch (message.kind) {
      case 'DataRow':
        return `DataRow ${message.values.map(v => (v === null ? 'NULL' : Buffer.from(v).toString('latin1'))).join('|')}`;
      case 'CommandComplete':
        return `CommandComplete ${message.tag}`;
      case 'ReadyForQuery':
        return `ReadyForQuery ${message.status}`;
      case 'ErrorResponse':
      case 'NoticeResponse': {
        const { severity, code, message: text, detail, position } = message.diagnostic;
        return `${message.kind} ${severity} ${code} ${text} ${detail ?? ''} ${position ?? ''}`;
      }
      case 'RowDescription':
        return `RowDescription ${message.fields.map(f => `${f.name}:${f.typeOid}:${f.typeModifier}:${f.format}:${f.attribute}`).join()}`;
      case 'ParameterDescription':
        return `ParameterDescription ${message.types.join()}`;
      case 'CopyData':
        return `CopyData ${Buffer.from(message.data).toString()}`;
      case 'CopyInResponse':
      case 'CopyOutResponse':
        return `${message.kind} ${message.format} ${message.columnFormats.join()}`;
      default:
        return message.kind;
    }
  });
}

const none = { parameterFormats: [], parameters: [], resultFormats: [] } as const;

/** Messages by short names, for scripts. */
export const say = {
  parse: (sql: string, name = '', parameterTypes: number[] = []): FrontendMessage => ({
    kind: 'Parse',
    name,
    sql,
    parameterTypes,
  }),
  bind: (statement = '', portal = '', parameters: (string | null)[] = []): FrontendMessage => ({
    kind: 'Bind',
    ...none,
    statement,
    portal,
    parameters: parameters.map(value => (value === null ? null : Buffer.from(value))),
  }),
  execute: (portal = '', maxRows = 0): FrontendMessage => ({ kind: 'Execute', portal, maxRows }),
  describe: (target: 'statement' | 'portal', name = ''): FrontendMessage => ({
    kind: 'Describe',
    target,
    name,
  }),
  close: (target: 'statement' | 'portal', name = ''): FrontendMessage => ({ kind: 'Close', target, name }),
  /** Parse, Bind and Execute */
  run: (sql: string, ...parameters: (string | null)[]): FrontendMessage[] => [
    say.parse(sql),
    say.bind('', '', parameters),
    say.execute(),
  ],
  query: (sql: string): FrontendMessage => ({ kind: 'Query', sql }),
  copyData: (text: string): FrontendMessage => ({ kind: 'CopyData', data: Buffer.from(text) }),
  sync: { kind: 'Sync' } as FrontendMessage,
  flush: { kind: 'Flush' } as FrontendMessage,
  copyDone: { kind: 'CopyDone' } as FrontendMessage,
};
