/**
 * The session's connection to the trusted PostgreSQL on which statements are finished over rows of the cloud: apart
 * from the one that analyses, because it is busy while its carriers' queries are planned.
 */
import { quoteQualified } from '../catalog/quote.js';
import { ClarusError } from '../errors.js';
import type { Residual, ResidualPort, SessionSettings, StatementPort } from '../sql/plan.js';
import type { RowSource } from '../sql/residual.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import type { CarrierSession } from './carrier-connection.js';
import { carrierName, type ResidualOptions } from './carriers.js';
import type { CarefulContext } from './context.js';
import { physicalQuery } from './own-statements.js';
import type { PipelinePort } from './statement-port.js';
import { Transaction } from './transaction.js';
import { beginReading, endInternal, type Reading, snapshotNow } from './transaction-control.js';
import { TrustedSide } from './trusted-side.js';

const attach = physicalQuery(`SELECT ${OWN_SCHEMA}.attach($1)`, [1028]);
const settle = physicalQuery(
  `SELECT ${[
    'datestyle',
    'intervalstyle',
    'timezone',
    'search_path',
    'extra_float_digits',
    'bytea_output',
    'array_nulls',
    'timezone_abbreviations',
    'transform_null_equals',
    'xmloption',
    'lc_monetary',
    'default_text_search_config',
    'quote_all_identifiers',
    'xmlbinary',
    'lc_time',
    'lc_numeric',
    'statement_timeout',
  ]
    .map((name, i) => `pg_catalog.set_config('${name}', $${i + 1}, false)`)
    .join(', ')}`,
);

/** The residual engine of one session. */
export class ResidualSide implements ResidualPort, CarrierSession {
  readonly #context: CarefulContext;
  readonly #options: ResidualOptions;
  readonly #side: TrustedSide;
  #unregister: (() => void) | undefined;
  #settings: SessionSettings | undefined;
  /** statements that are being finished: the last one's rows are asked for */
  readonly #running: Running[] = [];
  /** tables whose carriers this session has seen */
  readonly #attached = new Set<number>();

  constructor(context: CarefulContext, options: ResidualOptions, failed: (error: unknown) => void) {
    this.#context = context;
    this.#options = options;
    this.#side = new TrustedSide(context.output, {
      connect: context.options.connectTrusted,
      user: context.user,
      settings: new Map(),
      defaults: () => context.settings.defaults,
      own: new Map([
        ['postgres_fdw.application_name', carrierName(options.proxy, context.options.worker)],
        ['lock_timeout', '5s'],
        // a parameter of a generic plan could not be told from a value of a column
        ['plan_cache_mode', 'force_custom_plan'],
        // costs of carriers are made up
        ['jit', 'off'],
        // what constraints say of the rows of a table is the cloud's to keep
        ['constraint_exclusion', 'off'],
      ]),
      applicationName: undefined,
      transaction: new Transaction(),
      failed,
      applicationNameChanged: () => undefined,
    });
  }

  get source(): RowSource | undefined {
    return this.#running.at(-1)?.source;
  }

  failed(error: unknown): void {
    // what was set in the same transaction is taken back
    this.#settings = undefined;
    const running = this.#running.at(-1);
    if (running) running.failure ??= error;
  }

  /** The pipeline to it, whatever it does. */
  get pipeline(): TrustedSide['pipeline'] {
    return this.#side.pipeline;
  }

  async begin(source: RowSource, tables: readonly number[]): Promise<Residual> {
    const context = this.#context;
    if (context.transaction.changesSchema)
      throw new ClarusError(
        '0A000',
        'the statement needs the residual engine, in a transaction that has changed the schema',
        {
          hint: 'Commit first.',
        },
      );
    const side = this.#side;
    await side.open();
    this.#unregister ??= this.#options.carriers.register(side.processId, this);
    const reading = await beginReading(context, this.#names(tables));
    const running = new Running(source, side, reading, context, () => {
      this.#running.splice(this.#running.indexOf(running), 1);
      if (this.#running.length === 0) side.settle();
    });
    const port = side.port;
    try {
      await this.#follow(port);
      await this.#attach(port, tables);
    } catch (error) {
      this.#settings = undefined;
      this.#settle();
      throw error;
    }
    this.#running.push(running);
    return running;
  }

  cancel(): Promise<void> {
    return this.#side.cancel();
  }

  close(): void {
    this.#unregister?.();
    // a statement that nobody waits for any more
    void this.cancel().catch(() => undefined);
    this.#side.close();
  }

  /** Tables as they are called in the cloud. */
  #names(tables: readonly number[]): readonly string[] {
    const known = this.#context.port.catalog().tables;
    return tables.flatMap(oid => {
      const physical = known.get(oid)?.physical;
      return physical ? [quoteQualified(physical.schema, physical.name)] : [];
    });
  }

  /** Brings its settings to those of the session. */
  async #follow(port: PipelinePort): Promise<void> {
    const { current } = this.#context.settings;
    if (this.#settings === current) return;
    const {
      dateStyle,
      intervalStyle,
      timeZone,
      searchPath,
      extraFloatDigits,
      byteaOutput,
      arrayNulls,
      literals,
      statementTimeout,
    } = current;
    const values = [
      dateStyle,
      intervalStyle,
      timeZone,
      searchPath,
      String(extraFloatDigits),
      byteaOutput,
      arrayNulls ? 'on' : 'off',
      ...literals.split('\n'),
      statementTimeout,
    ];
    await port.gather(
      settle,
      values.map(value => Buffer.from(value)),
      false,
    );
    this.#settle();
    this.#settings = current;
  }

  /** Ends what stands alone on that side; a portal that is to be executed again keeps its transaction open. */
  #settle(): void {
    if (this.#running.length === 0) this.#side.settle();
  }

  /** Sees to it that the carriers are there until the transaction ends. */
  async #attach(port: PipelinePort, tables: readonly number[]): Promise<void> {
    const list = Buffer.from(`{${tables.join()}}`);
    if (tables.some(table => !this.#attached.has(table))) {
      // Made in a transaction of their own: others need them too.
      await port.gather(attach, [list], false);
      this.#settle();
      for (const table of tables) this.#attached.add(table);
    }
    // What fails of it, the statement that follows hears too.
    port.gather(attach, [list], false).catch(error => this.failed(error));
  }
}

class Running implements Residual {
  failure: unknown;

  constructor(
    readonly source: RowSource,
    private readonly side: TrustedSide,
    private readonly reading: Reading,
    private readonly context: CarefulContext,
    private readonly ended: () => void,
  ) {}

  get port(): StatementPort {
    return this.side.port;
  }

  async isOneSnapshot(queries: number): Promise<boolean> {
    const { snapshot } = this.reading;
    if (snapshot === undefined || queries <= 1) return true;
    return (await snapshotNow(this.context)) === snapshot;
  }

  async finish(): Promise<void> {
    if (this.reading.ours) await endInternal(this.context, false);
  }

  over(): void {
    this.ended();
  }
}
