import type { BoundParameters, PhysicalStatement } from '../sql/plan.js';
import type {
  CopyInPort,
  DataRows,
  ExecuteOutcome,
  OutcomeListener,
  PortalPort,
  RowSink,
  StatementPort,
} from '../sql/ports.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import { backendTypes, frontendTypes } from '../wire/protocol.js';
import { expects, internal } from './expectations.js';
import type { Pipeline } from './pipeline.js';
import {
  ServerStatements,
  writeBindValues,
  writeClose,
  writeExecute,
  writeParse,
} from './server-statements.js';

/** Names of portals on one server: the unnamed one while it is free, because it needs no Close. */
export class PortalNames {
  /** somebody may still execute the unnamed portal */
  unnamedTaken = false;
  #next = 1;

  /** @param single executed once, at once and to the end */
  take(single: boolean): string {
    if (!this.unnamedTaken && single) {
      this.unnamedTaken = true;
      return '';
    }
    return `clarus_p${this.#next++}`;
  }
}

/** One server of a session, as planning and executors use it. */
export class PipelinePort implements StatementPort {
  readonly pipeline: Pipeline;
  readonly statements: ServerStatements;
  readonly portals = new PortalNames();
  /** called before anything is written: opens the connection where it is not open yet */
  readonly #beforeUse: (() => void) | undefined;
  readonly #spelled: (sql: string) => string;

  /**
   * @param sameTypes OIDs of types that users made are this server's
   * @param spelled a statement in the names that the server knows; absent: they are those of the application
   */
  constructor(
    pipeline: Pipeline,
    sameTypes: boolean,
    beforeUse?: () => void,
    spelled: (sql: string) => string = sql => sql,
  ) {
    this.pipeline = pipeline;
    this.statements = new ServerStatements(pipeline, sameTypes, spelled);
    this.#beforeUse = beforeUse;
    this.#spelled = spelled;
  }

  bind(
    statement: PhysicalStatement,
    parameters: readonly (Uint8Array | null)[],
    formats: { readonly parameters: readonly (0 | 1)[]; readonly results: readonly (0 | 1)[] },
    portal?: string,
  ): PortalPort {
    this.#beforeUse?.();
    const name = this.statements.prepare(statement.id, statement.sql, statement.parameterTypes);
    const bound = new BoundPortal(this, this.portals.take(portal === undefined || portal === ''));
    writeBindValues(this.pipeline.writer, bound.name, name, parameters, formats.parameters, formats.results);
    this.pipeline.expect(internal(expects.bind, { failed: error => bound.fail(error) }));
    return bound;
  }

  async gather(
    statement: PhysicalStatement,
    parameters: readonly (Uint8Array | null)[],
    binary: boolean,
  ): Promise<{ readonly rows: readonly (readonly (Uint8Array | null)[])[]; readonly tag: string }> {
    const rows: (Uint8Array | null)[][] = [];
    const format = binary ? 1 : 0;
    const portal = this.bind(statement, parameters, { parameters: [format], results: [format] });
    const outcome = portal.execute(0, { rows: batch => collect(batch, rows) });
    this.flush();
    const result = await outcome;
    return { rows, tag: result.kind === 'complete' ? result.tag : '' };
  }

  /** Binds and executes nothing; then Sync, which gives back what planning locked. */
  check(statement: PhysicalStatement, { values, formats }: BoundParameters): Promise<void> {
    this.#beforeUse?.();
    const { pipeline } = this;
    const name = this.statements.prepare(statement.id, statement.sql, statement.parameterTypes);
    const portal = this.portals.take(true);
    return new Promise((resolve, reject) => {
      writeBindValues(pipeline.writer, portal, name, values, formats, []);
      pipeline.expect(internal(expects.bind, { done: () => resolve(), failed: reject }));
      if (portal === '') this.portals.unnamedTaken = false;
      else {
        writeClose(pipeline.writer, 0x50, portal);
        pipeline.expect(internal(expects.close));
      }
      pipeline.sync(internal(expects.sync));
      pipeline.send();
    });
  }

  run(sql: string, noticed?: (diagnostic: Diagnostic) => void): Promise<string> {
    this.#beforeUse?.();
    return new Promise((resolve, reject) => {
      this.#begin(sql, {
        done: (_type, tag) => resolve(tag),
        failed: reject,
        quiet: true,
        ...(noticed ? { notice: noticed } : {}),
      });
      this.flush();
    });
  }

  copyIn(sql: string): Promise<CopyInPort> {
    this.#beforeUse?.();
    return new Promise((resolve, reject) => {
      const copy = new CopyIn(this.pipeline);
      const leaveOpen = true; // a Close would end up among the data; the portal goes with the transaction
      this.#begin(
        sql,
        {
          message: type => {
            if (type === backendTypes.copyInResponse) resolve(copy);
          },
          done: (_type, tag) => {
            copy.complete(tag);
            reject(new Error('COPY ended before it began'));
          },
          failed: error => {
            copy.fault(error);
            reject(error);
          },
        },
        leaveOpen,
      );
      this.flush();
    });
  }

  flush(): void {
    this.pipeline.flush();
  }

  flushLast(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pipeline.sync(internal(expects.sync, { done: () => resolve(), failed: reject }));
      this.pipeline.send();
    });
  }

  /** Parse, Bind and Execute of SQL without parameters. */
  #begin(sql: string, handler: Parameters<typeof internal>[1], leaveOpen = false): void {
    const { pipeline } = this;
    const text = this.#spelled(sql);
    const portal = this.portals.take(true);
    writeParse(pipeline.writer, '', text, [], true);
    pipeline.expect(internal(expects.parse, handler?.failed && { failed: handler.failed }));
    writeBindValues(pipeline.writer, portal, '', [], [], []);
    pipeline.expect(internal(expects.bind));
    writeExecute(pipeline.writer, portal, 0);
    pipeline.expect(internal(expects.execute, handler));
    if (portal === '') this.portals.unnamedTaken = false;
    else if (!leaveOpen) {
      writeClose(pipeline.writer, 0x50, portal);
      pipeline.expect(internal(expects.close));
    }
  }
}

/** A portal of ours. */
class BoundPortal implements PortalPort {
  readonly name: string;
  readonly #port: PipelinePort;
  #failure: { error: unknown } | undefined;
  #closed = false;

  constructor(port: PipelinePort, name: string) {
    this.#port = port;
    this.name = name;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  execute(maxRows: number, sink: RowSink): Promise<ExecuteOutcome> {
    return new Promise((resolve, reject) => this.start(maxRows, sink, { done: resolve, failed: reject }));
  }

  start(maxRows: number, sink: RowSink, listener: OutcomeListener): void {
    const { pipeline } = this.#port;
    writeExecute(pipeline.writer, this.name, maxRows);
    pipeline.expect(
      internal(expects.execute, {
        rows: batch => this.#give(batch, sink),
        done: (type, tag) => {
          if (this.#failure !== undefined) listener.failed(this.#failure.error);
          else if (type === backendTypes.portalSuspended) listener.done({ kind: 'suspended' });
          else listener.done({ kind: 'complete', tag });
        },
        failed: error => listener.failed(this.#failure?.error ?? error),
      }),
    );
    if (maxRows === 0) this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { pipeline, portals } = this.#port;
    if (this.name === '') portals.unnamedTaken = false;
    else {
      writeClose(pipeline.writer, 0x50, this.name);
      pipeline.expect(internal(expects.close));
    }
  }

  /** After a sink failed, the rows that still come are thrown away. */
  #give(batch: DataRows, sink: RowSink): void | Promise<void> {
    if (this.#failure !== undefined) return;
    try {
      const given = sink.rows(batch);
      return given instanceof Promise ? given.catch((error: unknown) => this.fail(error)) : undefined;
    } catch (error) {
      this.fail(error);
    }
  }
}

/** A COPY ... FROM STDIN of ours. */
class CopyIn implements CopyInPort {
  readonly #pipeline: Pipeline;
  readonly #ended: Promise<string>;
  complete!: (tag: string) => void;
  fault!: (error: unknown) => void;
  #failure: { error: unknown } | undefined;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
    this.#ended = new Promise((resolve, reject) => {
      this.complete = resolve;
      this.fault = error => {
        this.#failure = { error };
        reject(error);
      };
    });
    // whoever writes or finishes hears of it
    this.#ended.catch(() => undefined);
  }

  async write(data: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const { writer } = this.#pipeline;
    writer.begin(frontendTypes.copyData);
    writer.bytes(data);
    writer.end();
    if (!this.#pipeline.send()) await this.#pipeline.room();
  }

  async finish(): Promise<{ readonly tag: string }> {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#pipeline.writer.empty(frontendTypes.copyDone);
    this.#pipeline.writer.empty(frontendTypes.flush);
    this.#pipeline.send();
    return { tag: await this.#ended };
  }

  async fail(reason: string): Promise<void> {
    if (this.#failure !== undefined) return;
    const { writer } = this.#pipeline;
    writer.begin(frontendTypes.copyFail);
    writer.cstring(reason.replaceAll('\0', ''));
    writer.end();
    this.#pipeline.writer.empty(frontendTypes.flush);
    this.#pipeline.send();
    await this.#ended.catch(() => undefined);
  }
}

/** Copies the values of rows out of the receive buffer. */
function collect({ buffer, starts, count }: DataRows, rows: (Uint8Array | null)[][]): void {
  for (let row = 0; row < count; row++) {
    let at = starts[row]!;
    const fields = buffer.readUInt16BE(at);
    at += 2;
    const values: (Uint8Array | null)[] = [];
    for (let field = 0; field < fields; field++) {
      const size = buffer.readInt32BE(at);
      at += 4;
      if (size < 0) values.push(null);
      else {
        values.push(Uint8Array.prototype.slice.call(buffer, at, at + size));
        at += size;
      }
    }
    rows.push(values);
  }
}
