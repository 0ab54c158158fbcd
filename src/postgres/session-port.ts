import { type Catalog, type CatalogChange, type LogicalTable, tableNumbered } from '../catalog/catalog.js';
import { applyChanges } from '../catalog/changes.js';
import type { EncodingState } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';
import { isTold } from '../sql/notices.js';
import type { BoundParameters, PhysicalStatement, Plan } from '../sql/plan.js';
import type {
  Analysis,
  ClientPort,
  CursorPort,
  FetchedOfTable,
  ResidualPort,
  SessionPort,
  SessionSettings,
  StatementPort,
  Touching,
  ZoneSource,
} from '../sql/ports.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import { writeDiagnostic } from '../wire/diagnostic.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { CarefulContext } from './context.js';
import { cursorPort } from './cursor-execution.js';
import { recorded } from './recording.js';
import { inSavepoint, inSearchPath, renewInternal, underSettings } from './routine-control.js';
import { followWithin, setWithin } from './setting-execution.js';
import { beginInternal, keepSequences, touchTrusted } from './transaction-control.js';

/** The session as planning and executors see it. */
export class ContextPort implements SessionPort {
  readonly transaction: SessionPort['transaction'];
  readonly client: ClientPort;
  readonly cursors: CursorPort;
  readonly temporary: SessionPort['temporary'];
  readonly randomness = { seeded: false };
  readonly naming: NonNullable<SessionPort['naming']> = { names: undefined };
  readonly #context: CarefulContext;
  /** the catalogue with this transaction's own changes, and what it was made of */
  #own: { base: Catalog; revision: number; catalog: Catalog } | undefined;

  constructor(context: CarefulContext) {
    this.#context = context;
    this.transaction = {
      touchTrusted: () => touchTrusted(context),
      keepSequences: sequences => keepSequences(context, sequences),
      begin: () => beginInternal(context),
      encodings: encodingStateOf(context),
      record: (ddl: string | undefined, changes: readonly CatalogChange[]) =>
        context.transaction.record(ddl, changes, context.settings.current, context.acting.current),
      get explicit() {
        return context.transaction.explicit;
      },
      get speaksOfReadOnly() {
        return context.transaction.speaksOfReadOnly;
      },
      get block() {
        return context.transaction.block;
      },
      get begun() {
        return context.transaction.block || context.cloud.pipeline.dirty;
      },
      get acting() {
        return context.acting.current;
      },
      get authorized() {
        return context.acting.authorized;
      },
      get number() {
        return context.transaction.number;
      },
      get changes() {
        return context.transaction.changes;
      },
      subtransaction: work => inSavepoint(context, work),
      inSearchPath: (path, work) => inSearchPath(context, path, work),
      set: (sql, sides) => setWithin(context, sql, sides),
      follow: sql => followWithin(context, sql),
      underSettings: (set, lasting, work) => underSettings(context, set, lasting, work),
      renew: action => renewInternal(context, action),
    };
    this.client = new ContextClient(context);
    this.cursors = cursorPort(context);
    this.temporary = context.temporary;
  }

  get cancelRequests(): number {
    return this.#context.cancelRequests;
  }

  get user(): string {
    return this.#context.user.name;
  }

  get database(): string {
    return this.#context.options.database;
  }

  get settings(): SessionSettings {
    return this.#context.settings.current;
  }

  get cloudMajor(): number {
    return this.#context.settings.cloudMajor;
  }

  get zones(): ZoneSource | undefined {
    return this.#context.options.zones;
  }

  get cloud(): StatementPort {
    return this.#context.cloud;
  }

  get trusted(): StatementPort {
    return this.#context.trusted.port;
  }

  get residual(): ResidualPort | undefined {
    return this.#context.residual;
  }

  asksLast(): boolean {
    const { transaction, cloud, loop } = this.#context;
    return transaction.block || (!cloud.pipeline.dirty && loop.syncIsNext);
  }

  catalog(): Catalog {
    const base = this.#context.options.catalog();
    const { transaction } = this.#context;
    if (!transaction.changesSchema) {
      this.#own = undefined;
      return base;
    }
    const { changes, revision } = transaction;
    if (this.#own?.base !== base || this.#own.revision !== revision) {
      // another object even where no table has changed: functions and views have
      this.#own = { base, revision, catalog: { ...applyChanges(base, changes) } };
    }
    return this.#own.catalog;
  }

  touching(): Touching | undefined {
    const { options, processId, user, executed } = this.#context;
    if (!options.auditsRows) return undefined;
    return (number, action, rows) => {
      const table = tableNumbered(this.catalog(), number);
      const touched = [...new Set(rows)].filter(row => row !== 0);
      if (!table || touched.length === 0) return undefined;
      return options.audit?.({
        kind: 'rows',
        session: processId,
        user: user.name,
        number: executed,
        table: `${table.schema}.${table.name}`,
        action,
        rows: touched,
      });
    };
  }

  async recorded<T>(plan: Plan, work: () => Promise<T>): Promise<T> {
    let result: T | undefined;
    const run = async (): Promise<void> => {
      result = await work();
    };
    await recorded(this.#context, plan, 0, recording => recording.watch(run, true));
    return result as T;
  }

  fetched({ schema, name }: LogicalTable, columns: readonly string[], rows: number, bytes: number): void {
    this.#context.fetched.add(`${schema}.${name}`, columns, rows, bytes);
  }

  watchFetches(): () => readonly FetchedOfTable[] {
    return this.#context.fetched.watch();
  }

  analyse(sql: string, parameterTypes: readonly number[]): Promise<Analysis> {
    return this.#context.trusted.analyse(sql, parameterTypes);
  }

  analyseTentatively(sql: string, parameterTypes: readonly number[]): Promise<Analysis> {
    return this.#context.trusted.analyseTentatively(sql, parameterTypes);
  }

  asOwner<T>(work: () => Promise<T>): Promise<T> {
    return this.#context.trusted.asOwner(work);
  }

  tries(statement: PhysicalStatement): Promise<void> {
    return this.#context.trusted.tries(statement);
  }

  check(statement: PhysicalStatement, bound: BoundParameters): Promise<void> {
    return this.#context.trusted.check(statement, bound);
  }
}

/** Answers of executors on their way to the client. */
class ContextClient implements ClientPort {
  readonly #context: CarefulContext;

  constructor(context: CarefulContext) {
    this.#context = context;
  }

  write(messages: Uint8Array): void | Promise<void> {
    const { cloud, output } = this.#context;
    if (cloud.pipeline.atTurn) output.bytes(messages);
    else cloud.pipeline.own(Buffer.from(messages.buffer, messages.byteOffset, messages.length));
    output.flushSoon();
    if (output.full) return output.room();
  }

  get writer(): MessageWriter {
    return this.#context.output.message();
  }

  written(): void | Promise<void> {
    const { cloud, output } = this.#context;
    // who reads the cloud's answers writes out what they came to
    if (!cloud.pipeline.running) output.flushSoon();
    if (output.full) return output.room();
  }

  notice(fields: Parameters<ClientPort['notice']>[0], duringCopy = false): void {
    if (!isTold(fields.severity, this.#context.settings.current.clientMinMessages)) return;
    const writer = new MessageWriter(256);
    writeDiagnostic(writer, 'NoticeResponse', { ...fields, severityPlain: fields.severity });
    if (!duringCopy) {
      this.write(writer.take());
      return;
    }
    this.#context.output.bytes(writer.take());
    this.#context.output.flushSoon();
  }
}

/** What is put there commits with the cloud's transaction: that must be a block, so that we see its commit. */
const encodingStateOf = (context: CarefulContext): EncodingState => ({
  get: async (column, key) => stateOf(context).get(column, key),
  put: async (column, key, value) => {
    await beginInternal(context);
    await stateOf(context).put(column, key, value);
  },
});

function stateOf({ encodingState }: CarefulContext): SessionEncodingState {
  if (encodingState === undefined) throw new ClarusError('0A000', 'this gateway keeps no state of encodings');
  return encodingState;
}
