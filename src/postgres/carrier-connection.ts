/**
 * A connection of postgres_fdw: what it says (connection.c and postgres_fdw.c of postgres_fdw) is a fixed set of
 * statements, of which only cursors mean something here. Transactions are the session's, not its own.
 */
import type { Socket } from 'node:net';
import { ClarusError } from '../errors.js';
import type { RowCursor, RowSource } from '../sql/residual.js';
import { decodeFrontend } from '../wire/decode-frontend.js';
import { PostgresError, writeError } from '../wire/diagnostic.js';
import { writeBackend, writeCommandComplete, writeRowDescription } from '../wire/encode-backend.js';
import { FrameReader } from '../wire/frame-reader.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { FrontendMessage } from '../wire/messages.js';
import { frontendLimits } from '../wire/protocol.js';
import { ConnectionClosed, FrameSource } from './frame-source.js';

/** What the session behind a connection gives it. */
export interface CarrierSession {
  /** of the statement that is being finished; undefined: there is none */
  readonly source: RowSource | undefined;
  /** told of what a query failed with: postgres_fdw tells it in words of its own */
  failed(error: unknown): void;
}

/** Largest message: a statement and its parameters. */
const messageBytesMax = 64 * 1024 * 1024;

const parameters = [
  ['server_version', '18.0'],
  ['server_encoding', 'UTF8'],
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['integer_datetimes', 'on'],
  ['DateStyle', 'ISO, MDY'],
] as const;

/** One cursor, with what it takes to begin anew. */
interface Cursor {
  readonly query: string;
  readonly parameters: readonly (Uint8Array | null)[];
  rows: RowCursor;
}

/** Serves one connection. */
export class CarrierConnection {
  readonly #frames: FrameSource;
  readonly #writer = new MessageWriter(64 * 1024);
  readonly #cursors = new Map<string, Cursor>();
  /** statement of the last Parse, and parameters of the last Bind */
  #query = '';
  #parameters: readonly (Uint8Array | null)[] = [];
  #status: 'I' | 'T' | 'E' = 'I';
  #skipping = false;

  constructor(
    private readonly socket: Socket,
    private readonly session: CarrierSession,
  ) {
    socket.on('error', () => socket.destroy());
    const reader = new FrameReader({ tagged: true, limits: frontendLimits(messageBytesMax) });
    this.#frames = new FrameSource(socket, reader);
  }

  /** Until the other side closes. */
  async run(): Promise<void> {
    const writer = this.#writer;
    writeBackend(writer, { kind: 'Authentication', method: 'ok' });
    for (const [name, value] of parameters) writeBackend(writer, { kind: 'ParameterStatus', name, value });
    writeBackend(writer, { kind: 'BackendKeyData', processId: 0, secretKey: new Uint8Array(4) });
    this.#ready();
    try {
      for (;;) {
        const { type, buffer, body, end } = await this.#frames.next();
        const message = decodeFrontend(type, buffer, body, end);
        if (message.kind === 'Terminate') break;
        await this.#message(message);
      }
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) this.session.failed(error);
    }
    this.#closeAll();
    this.socket.destroy();
  }

  async #message(message: FrontendMessage): Promise<void> {
    if (this.#skipping && message.kind !== 'Sync') return;
    try {
      switch (message.kind) {
        case 'Query':
          await this.#simple(message.sql);
          break;
        case 'Parse':
          this.#query = message.sql;
          writeBackend(this.#writer, { kind: 'ParseComplete' });
          return;
        case 'Bind':
          this.#parameters = message.parameters.map(value => value && Uint8Array.from(value));
          writeBackend(this.#writer, { kind: 'BindComplete' });
          return;
        case 'Describe':
          writeBackend(this.#writer, { kind: 'NoData' });
          return;
        case 'Execute':
          await this.#declare(this.#query, this.#parameters);
          return;
        case 'Sync':
          break;
        default:
          throw unexpected();
      }
    } catch (error) {
      this.session.failed(error);
      if (this.#status === 'T') this.#status = 'E';
      writeError(this.#writer, wordless(error));
      this.#skipping = message.kind !== 'Query';
      if (this.#skipping) return;
    }
    this.#skipping = false;
    this.#ready();
    await this.#written();
  }

  /** A simple query: the control of transactions and cursors. */
  async #simple(sql: string): Promise<void> {
    const [, command = '', name = ''] = /^(\w+)(?: (?:BACKWARD ALL IN|\d+ FROM)?\s*(\w+))?/.exec(sql) ?? [];
    switch (command) {
      case 'FETCH':
        await this.#fetch(Number(/\d+/.exec(sql)?.[0]), this.#cursor(name));
        return;
      case 'CLOSE':
        this.#cursor(name).rows.close();
        this.#cursors.delete(name);
        break;
      case 'MOVE':
        await this.#rewind(this.#cursor(name));
        break;
      case 'START':
        this.#status = 'T';
        break;
      case 'COMMIT':
      case 'ABORT':
        this.#closeAll();
        this.#status = 'I';
        break;
      case 'ROLLBACK': // to a savepoint
        this.#status = 'T';
        break;
      case 'SET':
      case 'SAVEPOINT':
      case 'RELEASE':
      case 'DEALLOCATE':
        break;
      default:
        throw unexpected();
    }
    writeCommandComplete(this.#writer, command);
  }

  async #declare(sql: string, values: readonly (Uint8Array | null)[]): Promise<void> {
    const [whole, name] = /^DECLARE (\w+) CURSOR FOR\n/.exec(sql) ?? [];
    const { source } = this.session;
    if (whole === undefined || source === undefined) throw unexpected();
    const query = sql.slice(whole.length);
    this.#cursors.set(name!, { query, parameters: values, rows: await source.open(query, values) });
    writeCommandComplete(this.#writer, 'DECLARE CURSOR');
  }

  /** From the first row again: what was read may be read another time. */
  async #rewind(cursor: Cursor): Promise<void> {
    const { source } = this.session;
    if (source === undefined) throw unexpected();
    cursor.rows.close();
    cursor.rows = await source.open(cursor.query, cursor.parameters);
  }

  async #fetch(count: number, { rows }: Cursor): Promise<void> {
    const columns = Array.from({ length: rows.width }, (_, i) => column(i));
    writeRowDescription(this.#writer, columns);
    await rows.next(count, this.#writer);
    writeCommandComplete(this.#writer, 'FETCH');
  }

  #cursor(name: string): Cursor {
    const cursor = this.#cursors.get(name);
    if (cursor === undefined) throw unexpected();
    return cursor;
  }

  #closeAll(): void {
    for (const { rows } of this.#cursors.values()) rows.close();
    this.#cursors.clear();
  }

  #ready(): void {
    writeBackend(this.#writer, { kind: 'ReadyForQuery', status: this.#status });
    this.socket.write(this.#writer.take());
  }

  /** Waits while the other side does not read. */
  async #written(): Promise<void> {
    if (!this.socket.writableNeedDrain) return;
    await new Promise<void>(resolve => {
      const done = (): void => {
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }
}

const column = (i: number): Parameters<typeof writeRowDescription>[1][number] => ({
  name: `c${i}`,
  tableOid: 0,
  attribute: 0,
  typeOid: 25,
  typeSize: -1,
  typeModifier: -1,
  format: 0,
});

const unexpected = (): ClarusError =>
  new ClarusError('0A000', 'postgres_fdw asks for something that carriers do not give');

/** The error's code; its words are told to the client by whoever knows what the client may see. */
const wordless = (error: unknown): ClarusError => {
  const code = error instanceof ClarusError || error instanceof PostgresError ? error.code : 'XX000';
  return new ClarusError(code, 'the rows of a table could not be delivered');
};
