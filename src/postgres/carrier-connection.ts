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

/** postgres_fdw closes a cursor to begin anew, and does not move back, where the server is of version 15 or later. */
const parameters = [
  ['server_version', '18.0'],
  ['server_encoding', 'UTF8'],
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['integer_datetimes', 'on'],
] as const;

/** Serves one connection. */
export class CarrierConnection {
  readonly #frames: FrameSource;
  readonly #writer = new MessageWriter(64 * 1024);
  readonly #cursors = new Map<string, RowCursor>();
  /** statements by name */
  readonly #prepared = new Map<string, string>();
  /** what the last Bind bound */
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
          this.#prepared.set(message.name, message.sql);
          writeBackend(this.#writer, { kind: 'ParseComplete' });
          return;
        case 'Bind':
          this.#query = this.#prepared.get(message.statement) ?? '';
          this.#parameters = message.parameters.map(value => value && Uint8Array.from(value));
          writeBackend(this.#writer, { kind: 'BindComplete' });
          return;
        case 'Describe':
          // told with the rows, which are known once the statement has been executed
          return;
        case 'Execute':
          await this.#execute(this.#query, this.#parameters);
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
    const [, command = '', name = ''] = /^(\w+)(?: (?:\d+ FROM )?(\w+))?/.exec(sql) ?? [];
    switch (command) {
      case 'FETCH':
        await this.#fetch(Number(/\d+/.exec(sql)?.[0]), this.#cursor(name));
        return;
      case 'CLOSE':
        this.#cursor(name).close();
        this.#cursors.delete(name);
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
      case 'DEALLOCATE':
        if (name === 'ALL') this.#prepared.clear();
        else this.#prepared.delete(name);
        break;
      case 'SET':
      case 'SAVEPOINT':
      case 'RELEASE':
        break;
      default:
        throw unexpected();
    }
    writeCommandComplete(this.#writer, command);
  }

  /** A statement of the extended protocol: a cursor, or a write. */
  async #execute(sql: string, values: readonly (Uint8Array | null)[]): Promise<void> {
    const { source } = this.session;
    if (source === undefined) throw unexpected();
    const [whole, name] = /^DECLARE (\w+) CURSOR FOR\n/.exec(sql) ?? [];
    if (whole === undefined) {
      const { tag, width, rows } = await source.write(sql, values);
      this.#describe(width);
      this.#writer.bytes(rows);
      writeCommandComplete(this.#writer, tag);
      return;
    }
    this.#cursors.set(name!, await source.open(sql.slice(whole.length), values));
    this.#describe(0);
    writeCommandComplete(this.#writer, 'DECLARE CURSOR');
  }

  /** @param width 0: there are no rows */
  #describe(width: number): void {
    if (width === 0) writeBackend(this.#writer, { kind: 'NoData' });
    else
      writeRowDescription(
        this.#writer,
        Array.from({ length: width }, (_, i) => column(i)),
      );
  }

  async #fetch(count: number, rows: RowCursor): Promise<void> {
    const columns = Array.from({ length: rows.width }, (_, i) => column(i));
    writeRowDescription(this.#writer, columns);
    await rows.next(count, this.#writer);
    writeCommandComplete(this.#writer, 'FETCH');
  }

  #cursor(name: string): RowCursor {
    const cursor = this.#cursors.get(name);
    if (cursor === undefined) throw unexpected();
    return cursor;
  }

  #closeAll(): void {
    for (const rows of this.#cursors.values()) rows.close();
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
