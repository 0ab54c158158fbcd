import { ClarusError } from '../errors.js';
import type { BoundParameters, PhysicalStatement } from '../sql/plan.js';
import type { Analysis } from '../sql/ports.js';
import { asTablesSql } from '../trusted/carriers.js';
import { type Diagnostic, PostgresError } from '../wire/diagnostic.js';
import { frontendTypes } from '../wire/protocol.js';
import { analyse, analysisSettings, isLog } from './analysis.js';
import type { ClientOutput } from './client-output.js';
import { Endpoint, holds } from './endpoint.js';
import { expects, internal } from './expectations.js';
import type { Connect, LocalUser, ServerConnection } from './options.js';
import { Pipeline } from './pipeline.js';
import { PipelinePort } from './statement-port.js';
import type { Transaction } from './transaction.js';

/** Settings kept for the moment when the trusted connection is opened. */
const settingsMax = 1_000;
/** A startup setting that the trusted server does not know, or does not take, is the cloud's alone. */
const foreignAtStart = new Set(['42704', '22023', '55P02', '42501']);
/** So is one that is set later; but a value that only the cloud takes would be read otherwise on both sides. */
const foreign = new Set(['42704', '42501', '55P02']);
/** SET TRANSACTION is none: it stands right behind BEGIN only. */
const isSetting = /^\s*(?:set|reset)\b(?!\s+transaction\b)/i;

/** @throws error for anything but a setting that one server does not know, or does not take, though the other does */
export function mustBeForeign(error: unknown): void {
  if (!(error instanceof PostgresError && foreign.has(error.code))) throw error;
}

/** What PostgreSQL takes of plain tables only, and not of foreign ones. */
const ofTables = /\b(?:merge|tablesample)\b/i;

/** What the trusted side is given by its session, and tells it. */
export interface TrustedHooks {
  /** told of what its backend notices */
  noticed?(diagnostic: Diagnostic): void;
  /** does the client hear of what its statements notice, with this severity? absent: it is told otherwise */
  tells?(severity: string): boolean;
  readonly connect: Connect;
  readonly user: LocalUser;
  /** settings of the client's startup message */
  readonly settings: ReadonlyMap<string, string>;
  /** what settings by which values are read and printed begin with in the cloud */
  defaults(): ReadonlyMap<string, string>;
  readonly applicationName: string | undefined;
  /** rows of tables may be carried there (trusted/carriers.ts) */
  readonly carries?: boolean;
  /** settings of the connection itself, in place of those for analysis */
  readonly own?: ReadonlyMap<string, string>;
  readonly transaction: Transaction;
  /** another value for each state of the schema */
  schema(): unknown;
  /** the connection is gone or speaks nonsense: the session cannot go on */
  failed(error: unknown): void;
  /** ParameterStatus that only this side can report */
  applicationNameChanged(value: string): void;
}

/**
 * The session's connection to the trusted PostgreSQL: opened when first needed, with the session's settings, put
 * into the session's transaction when somebody needs that.
 */
export class TrustedSide {
  readonly port: PipelinePort;
  readonly pipeline: Pipeline;
  readonly #hooks: TrustedHooks;
  readonly #output: ClientOutput;
  #opening: Promise<void> | undefined;
  #connection: ServerConnection | undefined;
  #endpoint: Endpoint | undefined;
  #closed = false;
  /** what is done as the role that the session begins with */
  #asOwner: Promise<unknown> = Promise.resolve();
  /** how many blocks that are taken back stand within each other */
  #takingBack = 0;
  /** settings of the session so far, by name where the name can be told */
  readonly #settings = new Map<string, string>();

  constructor(output: ClientOutput, hooks: TrustedHooks) {
    this.#hooks = hooks;
    this.#output = output;
    this.pipeline = new Pipeline(output, {
      parameter: (name, value) => {
        if (name === 'application_name') hooks.applicationNameChanged(value);
        return false;
      },
      notice: (diagnostic: Diagnostic, toClient, runs) => {
        hooks.noticed?.(diagnostic);
        const severity = diagnostic.severityPlain ?? diagnostic.severity;
        if (isLog(severity)) return false;
        return hooks.tells ? (toClient || runs) && hooks.tells(severity) : toClient;
      },
      notification: () => undefined, // clients listen in the cloud
      skipping: () => undefined,
      ready: () => undefined,
      status: () => 'I',
      clientError: error => error,
      trusted: true,
      fatal: error => hooks.failed(lost(error)),
    });
    this.port = new PipelinePort(this.pipeline, true, () => {
      this.open().catch(error => hooks.failed(error));
      this.port.statements.follow(hooks.schema());
    });
  }

  /** of its backend; 0 while it is not open */
  get processId(): number {
    return this.#connection?.processId ?? 0;
  }

  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  /** Opens the connection unless it is open. @throws ConnectError */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** @throws PostgresError what is wrong with the statement; ClarusError 40P01 where its wait may be part of a deadlock */
  async analyse(sql: string, parameterTypes: readonly number[]): Promise<Analysis> {
    await this.ready();
    const isOfTables = this.#hooks.carries === true && ofTables.test(sql);
    const work = () => analyse(this.pipeline, sql, parameterTypes);
    return this.#whileLocked(() => (isOfTables ? this.#overTables(work) : work()));
  }

  /** Does something that may wait for the DDL of others, as often as it may. */
  async #whileLocked<T>(work: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof PostgresError && error.code === '55P03')) throw error;
        // Who has no transaction holds nothing that the other could wait for.
        if (this.#hooks.transaction.block || this.#hooks.transaction.joined) throw mayBeDeadlock();
      }
  }

  /** The same of a statement that may be wrong: an error does not take the transaction with it. @throws as `analyse` */
  async analyseTentatively(sql: string, parameterTypes: readonly number[]): Promise<Analysis> {
    await this.ready();
    const work = () => this.analyse(sql, parameterTypes);
    return this.#hooks.transaction.joined ? this.#within('clarus_analysis', work) : work();
  }

  /** Does something while tables whose rows are carried are plain tables to this session. */
  #overTables<T>(work: () => Promise<T>): Promise<T> {
    return this.#takenBack('clarus_tables', async () => {
      await this.port.run(asTablesSql);
      return work();
    });
  }

  /** Does something as the role that the session begins with; one after the other. */
  asOwner<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#asOwner.then(async () => {
      await this.ready();
      return this.#takenBack('clarus_owner', async () => {
        await this.port.run('SET LOCAL role TO DEFAULT');
        return work();
      });
    });
    this.#asOwner = done.catch(() => undefined);
    return done;
  }

  /**
   * Runs a statement as the role that the session acts as, without values of its parameters, and takes it back.
   * @throws PostgresError what is wrong with it; ClarusError 40P01 as `analyse`
   */
  async tries(statement: PhysicalStatement): Promise<void> {
    await this.ready();
    const { sql, parameterTypes } = statement;
    const nulls = parameterTypes.map(() => null);
    // the client hears what is noticed when it is run
    const work = async (): Promise<unknown> =>
      nulls.length === 0 ? this.port.run(sql, () => undefined) : this.port.gather(statement, nulls, false);
    await this.#whileLocked(() =>
      this.#hooks.carries === true ? this.#overTables(work) : this.#takenBack('clarus_tries', work),
    );
  }

  /** Does something of which nothing remains on this side. */
  async #takenBack<T>(savepoint: string, work: () => Promise<T>): Promise<T> {
    const inBlock = this.#hooks.transaction.joined || this.#takingBack > 0;
    await this.port.run(inBlock ? `SAVEPOINT ${savepoint}` : 'BEGIN');
    this.#takingBack++;
    try {
      return await work();
    } finally {
      this.#takingBack--;
      this.settle();
      await this.port.run(inBlock ? `ROLLBACK TO SAVEPOINT ${savepoint}` : 'ROLLBACK');
      if (inBlock) await this.port.run(`RELEASE SAVEPOINT ${savepoint}`);
      else this.settle();
    }
  }

  /** Binds a statement without executing it. */
  async check(statement: PhysicalStatement, bound: BoundParameters): Promise<void> {
    await this.ready();
    await this.port.check(statement, bound);
  }

  /** Opens it, and puts it into the transaction when that holds settings it must know. */
  async ready(): Promise<void> {
    if (!this.isOpen) await this.open();
    if (this.#hooks.transaction.settings.length > 0) await this.join();
  }

  /** Puts it into the session's transaction block, savepoints included. The cloud's side has been drained. */
  async join(): Promise<void> {
    const { transaction } = this.#hooks;
    if (transaction.joined) return;
    await this.open();
    // what was asked before may have a snapshot, after which a transaction cannot be given one
    this.settle();
    for (const sql of transaction.joinSql())
      if (isSetting.test(sql)) await this.#setWithin(sql).catch(mustBeForeign);
      else await this.port.run(sql);
    transaction.joined = true;
  }

  /** Ends what no transaction block holds open, and what an error made it skip. */
  settle(): void {
    if (!this.pipeline.dirty && !this.pipeline.failed) return;
    this.pipeline.sync(internal(expects.sync));
    this.pipeline.send();
  }

  /** Remembers a setting that is in force beyond its transaction. */
  remember(sql: string): void {
    if (/^\s*reset\s+all\b/i.test(sql)) {
      this.#settings.clear();
      return;
    }
    const name = /^\s*(?:set|reset)\s+(?:session\s+)?(time\s+zone|[\w.]+)/i.exec(sql)?.[1] ?? sql;
    const key = name.toLowerCase();
    this.#settings.delete(key);
    this.#settings.set(key, sql);
    if (this.#settings.size > settingsMax) this.#settings.delete(this.#settings.keys().next().value!);
  }

  forgetSettings(): void {
    this.#settings.clear();
  }

  /**
   * Runs a setting that the cloud has accepted.
   * @param noticed is told of notices
   * @throws PostgresError
   */
  async set(sql: string, noticed?: (diagnostic: Diagnostic) => void): Promise<void> {
    if (!this.#hooks.transaction.joined) {
      await this.port.run(sql, noticed).finally(() => this.settle());
      return;
    }
    await this.#setWithin(sql, noticed);
  }

  /** Runs a setting in the transaction; an error does not take the transaction with it. */
  #setWithin(sql: string, noticed?: (diagnostic: Diagnostic) => void): Promise<unknown> {
    return this.#within('clarus_setting', () => this.port.run(sql, noticed));
  }

  async #within<T>(savepoint: string, work: () => Promise<T>): Promise<T> {
    await this.port.run(`SAVEPOINT ${savepoint}`);
    let result: T;
    try {
      result = await work();
    } catch (error) {
      this.settle();
      await this.port.run(`ROLLBACK TO SAVEPOINT ${savepoint}`);
      throw error;
    }
    await this.port.run(`RELEASE SAVEPOINT ${savepoint}`);
    return result;
  }

  cancel(): Promise<void> {
    return this.#connection !== undefined && !this.pipeline.idle
      ? this.#connection.cancel()
      : Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.pipeline.close(closed());
    this.#endpoint?.part(Buffer.from([frontendTypes.terminate, 0, 0, 0, 4]));
  }

  async #open(): Promise<void> {
    const connection = await this.#connect();
    if (this.#closed) {
      connection.socket.destroy();
      throw closed();
    }
    this.#connection = connection;
    const endpoint = new Endpoint(connection.socket);
    this.#endpoint = endpoint;
    const { socket } = endpoint;
    const output = this.#output;
    socket.on('data', (chunk: Buffer) => {
      try {
        this.pipeline.data(chunk);
        output.flushSoon();
        if (output.full) this.#holdFor(output, endpoint);
      } catch (error) {
        this.#hooks.failed(error);
      }
    });
    socket.on('drain', () => this.pipeline.socketDrained());
    const gone = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      this.pipeline.close(closed());
      this.#hooks.failed(closed());
    };
    socket.on('end', gone);
    socket.on('close', gone);
    socket.resume();
    this.pipeline.attach(endpoint, [...this.#settings.values()]);
  }

  /** Reads no more until the client has taken what waits for it. */
  #holdFor(output: ClientOutput, endpoint: Endpoint): void {
    endpoint.hold(holds.full);
    void output.room().then(() => endpoint.release(holds.full));
  }

  async #connect(): Promise<ServerConnection> {
    const { connect, user, settings, applicationName = '', own = analysisSettings } = this.#hooks;
    // in the startup message, because RESET goes back to what stood there
    const name = ['application_name', applicationName] as const;
    const strings = ['standard_conforming_strings', 'on'] as const;
    const base = new Map([...this.#hooks.defaults(), ...own, strings, name]);
    try {
      return await connect(user, new Map([...settings, ...base]));
    } catch (error) {
      if (!(error instanceof ClarusError) || !foreignAtStart.has(error.code)) throw error;
      return await connect(user, base);
    }
  }
}

const lost = (error: PostgresError): ClarusError =>
  new ClarusError('57P01', 'the trusted database ended the connection', {
    severity: 'FATAL',
    detail: error.diagnostic.message,
  });

const closed = (): ClarusError =>
  new ClarusError('08006', 'the connection to the trusted database was lost', {
    severity: 'FATAL',
    hint: 'Connect again; a transaction that was running has been rolled back.',
  });

const mayBeDeadlock = (): ClarusError =>
  new ClarusError('40P01', 'deadlock suspected: a transaction that changes the schema does not end', {
    detail: 'It may wait in the cloud for this transaction, which waits for it here.',
    hint: 'Roll back and try again.',
  });
