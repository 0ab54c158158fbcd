import type { Catalog, CatalogChange } from '../catalog/catalog.js';
import { applyChanges } from '../catalog/changes.js';
import type { EncodingState } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';
import type {
  Analysis,
  BoundParameters,
  ClientPort,
  PhysicalStatement,
  ResidualPort,
  SessionPort,
  SessionSettings,
  StatementPort,
  ZoneSource,
} from '../sql/plan.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import { writeDiagnostic } from '../wire/diagnostic.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { CarefulContext } from './context.js';
import { beginInternal, keepSequences, touchTrusted } from './transaction-control.js';

/** The session as planning and executors see it. */
export class ContextPort implements SessionPort {
  readonly transaction: SessionPort['transaction'];
  readonly client: ClientPort;
  readonly #context: CarefulContext;
  /** the catalogue with this transaction's own changes, and what it was made of */
  #own: { base: Catalog; changes: number; catalog: Catalog } | undefined;

  constructor(context: CarefulContext) {
    this.#context = context;
    this.transaction = {
      touchTrusted: () => touchTrusted(context),
      keepSequences: sequences => keepSequences(context, sequences),
      begin: () => beginInternal(context),
      encodings: encodingStateOf(context),
      record: (ddl: string | undefined, changes: readonly CatalogChange[]) =>
        context.transaction.record(ddl, changes, context.settings.current.searchPath),
      get explicit() {
        return context.transaction.explicit;
      },
    };
    this.client = new ContextClient(context);
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

  catalog(): Catalog {
    const base = this.#context.options.catalog();
    const { transaction } = this.#context;
    if (!transaction.changesSchema) {
      this.#own = undefined;
      return base;
    }
    const { changes } = transaction;
    if (this.#own?.base !== base || this.#own.changes !== changes.length) {
      this.#own = { base, changes: changes.length, catalog: applyChanges(base, changes) };
    }
    return this.#own.catalog;
  }

  analyse(sql: string, parameterTypes: readonly number[]): Promise<Analysis> {
    return this.#context.trusted.analyse(sql, parameterTypes);
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

  notice(fields: Parameters<ClientPort['notice']>[0]): void {
    const writer = new MessageWriter(256);
    writeDiagnostic(writer, 'NoticeResponse', { ...fields, severityPlain: fields.severity });
    this.write(writer.take());
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
