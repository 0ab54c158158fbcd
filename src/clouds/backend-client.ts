import { writeBind, writeFrontend, writeParse } from '../wire/encode-frontend.js';
import type { MessageWriter } from '../wire/message-writer.js';
import type { FieldDescription, FormatCode, TransactionStatus } from '../wire/messages.js';
import { Backend } from './backend.js';
import { type ClientEvents, Exchange } from './exchange.js';
import type { ConnectionOptions } from './options.js';
import { type QueryResult, Request, type RowHandler } from './request.js';

export type { ClientEvents } from './exchange.js';
export type { QueryResult, RowHandler } from './request.js';

/** A parameter: bytes are in binary form, a string is in text form, null is NULL. */
export type Parameter = Uint8Array | string | null;

/** How a statement is run and its rows are taken. */
export interface QueryOptions {
  /** OIDs of the parameters; 0 or missing: inferred by the server */
  readonly parameterTypes?: readonly number[];
  /** of all result columns; default 1, binary */
  readonly resultFormat?: FormatCode;
  /**
   * sync (default): ends the implicit transaction; flush: does not, and after an error the server ignores
   * everything until `sync` is called
   */
  readonly end?: 'sync' | 'flush';
  /** takes rows in batches as they come; while it waits the server is held up */
  readonly onRows?: RowHandler;
  /** rows of a batch, default 1,000 */
  readonly batchRows?: number;
}

/**
 * Statements over a backend, for our own use. Requests may be issued without awaiting those before: they go out
 * at once and are answered in order.
 *
 * Errors of the server are PostgresErrors with all fields; a lost connection is ClarusError 08006.
 *
 * @example
 * const client = new BackendClient(await Backend.connect(options));
 * const { columns } = await client.query('SELECT $1::int4 + 1', ['41']);
 */
export class BackendClient {
  readonly backend: Backend;
  readonly #exchange: Exchange;
  #copying = false;
  readonly #prepared = new Map<string, readonly FieldDescription[]>();

  constructor(backend: Backend, events: ClientEvents = {}) {
    this.backend = backend;
    this.#exchange = new Exchange(backend, events);
  }

  /** Connects and puts a client on the connection. @throws ConnectError */
  static async connect(options: ConnectionOptions, events: ClientEvents = {}): Promise<BackendClient> {
    return new BackendClient(await Backend.connect(options), events);
  }

  /** State of the transaction at the last ReadyForQuery. */
  get transactionStatus(): TransactionStatus {
    return this.#exchange.transactionStatus;
  }

  /** Runs one statement by the extended protocol. */
  async query(
    sql: string,
    parameters: readonly Parameter[] = [],
    options: QueryOptions = {},
  ): Promise<QueryResult> {
    const request = new Request(options);
    this.#issue(request, writer => {
      writeParse(writer, { name: '', sql, parameterTypes: options.parameterTypes ?? [] });
      writeParameters(writer, '', parameters, options.resultFormat ?? 1);
      writeFrontend(writer, { kind: 'Describe', target: 'portal', name: '' });
      writeExecute(writer, request);
    });
    await request.done;
    return request.results[0]!;
  }

  /** Runs statements by the simple protocol; results in text form. Several are one transaction. */
  async simple(
    sql: string,
    options: Pick<QueryOptions, 'onRows' | 'batchRows'> = {},
  ): Promise<QueryResult[]> {
    const request = new Request(options);
    this.#issue(request, writer => writeFrontend(writer, { kind: 'Query', sql }));
    await request.done;
    return request.results;
  }

  /** Prepares a statement under a name. @returns its result columns */
  async prepare(
    name: string,
    sql: string,
    parameterTypes: readonly number[] = [],
  ): Promise<readonly FieldDescription[]> {
    const request = new Request({});
    this.#issue(request, writer => {
      writeParse(writer, { name, sql, parameterTypes });
      writeFrontend(writer, { kind: 'Describe', target: 'statement', name });
      writeFrontend(writer, { kind: 'Sync' });
    });
    await request.done;
    this.#prepared.set(name, request.fields);
    return request.fields;
  }

  /** Runs a prepared statement. */
  async execute(
    name: string,
    parameters: readonly Parameter[] = [],
    options: Omit<QueryOptions, 'parameterTypes'> = {},
  ): Promise<QueryResult> {
    const request = new Request(options);
    const format = options.resultFormat ?? 1;
    const fields = this.#prepared.get(name);
    if (fields !== undefined) request.describe(fields.map(field => ({ ...field, format })));
    this.#issue(request, writer => {
      writeParameters(writer, name, parameters, format);
      if (fields === undefined) writeFrontend(writer, { kind: 'Describe', target: 'portal', name: '' });
      writeExecute(writer, request);
    });
    await request.done;
    return request.results[0]!;
  }

  /** Forgets a prepared statement. */
  async deallocate(name: string): Promise<void> {
    this.#prepared.delete(name);
    const request = new Request({});
    this.#issue(request, writer => {
      writeFrontend(writer, { kind: 'Close', target: 'statement', name });
      writeFrontend(writer, { kind: 'Sync' });
    });
    await request.done;
  }

  /** Ends the implicit transaction of statements that were run with `end: 'flush'`. */
  async sync(): Promise<TransactionStatus> {
    const request = new Request({ bare: true });
    this.#issue(request, writer => writeFrontend(writer, { kind: 'Sync' }));
    await request.done;
    return this.#exchange.transactionStatus;
  }

  /**
   * Runs COPY ... FROM STDIN. Until it is over nothing else may be asked: it would end up in the data.
   * @param source the data, cut anywhere. What it throws ends the copy with an error on the server, and is thrown.
   * @returns the command tag
   */
  async copyIn(sql: string, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
    const request = new Request({});
    let sourceError: unknown;
    request.onCopyIn = () => {
      this.#pump(source, request).catch((error: unknown) => {
        sourceError = error ?? new Error('the source of a copy failed');
        writeFrontend(this.#exchange.writer, { kind: 'CopyFail', message: 'the source failed' });
        this.#exchange.flush();
      });
    };
    this.#issue(request, writer => writeFrontend(writer, { kind: 'Query', sql }));
    this.#copying = true;
    try {
      await request.done;
    } catch (error) {
      throw sourceError ?? error;
    } finally {
      this.#copying = false;
    }
    return request.results.at(-1)?.tag ?? '';
  }

  /** Runs COPY ... TO STDOUT. @param onData takes the data as it comes; while it waits the server is held up */
  async copyOut(sql: string, onData: (data: Uint8Array) => void | Promise<void>): Promise<string> {
    const request = new Request({});
    request.onCopyData = onData;
    this.#issue(request, writer => writeFrontend(writer, { kind: 'Query', sql }));
    await request.done;
    return request.results.at(-1)?.tag ?? '';
  }

  /** Asks the server to cancel what runs. */
  cancel(): Promise<void> {
    return this.backend.cancel();
  }

  /** Ends the session in order. */
  close(): Promise<void> {
    return this.backend.close();
  }

  /** Writes a request's messages and sends them; what cannot be written whole is not sent. */
  #issue(request: Request, write: (writer: MessageWriter) => void): void {
    if (this.#copying) throw new Error('a copy is under way on this connection');
    const { writer } = this.#exchange;
    try {
      write(writer);
    } catch (error) {
      writer.discard();
      throw error;
    }
    this.#exchange.send(request);
  }

  /** Sends the data of a copy as fast as the server takes it. */
  async #pump(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, request: Request): Promise<void> {
    for await (const data of source) {
      if (request.error !== undefined || this.#exchange.ended) return;
      writeFrontend(this.#exchange.writer, { kind: 'CopyData', data });
      if (!this.#exchange.flush()) {
        await this.#exchange.drained();
      }
    }
    if (request.error !== undefined || this.#exchange.ended) return;
    writeFrontend(this.#exchange.writer, { kind: 'CopyDone' });
    this.#exchange.flush();
  }
}

/** Bind to the unnamed portal. */
function writeParameters(
  writer: MessageWriter,
  statement: string,
  values: readonly Parameter[],
  resultFormat: FormatCode,
): void {
  writeBind(writer, {
    portal: '',
    statement,
    parameterFormats: values.map(value => (value instanceof Uint8Array ? 1 : 0)),
    parameters: values.map(value => (typeof value === 'string' ? Buffer.from(value, 'utf8') : value)),
    resultFormats: [resultFormat],
  });
}

function writeExecute(writer: MessageWriter, request: Request): void {
  writeFrontend(writer, { kind: 'Execute', portal: '', maxRows: 0 });
  writeFrontend(writer, { kind: request.end === 'flush' ? 'Flush' : 'Sync' });
}
