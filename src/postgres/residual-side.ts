/**
 * The session's connection to the trusted PostgreSQL on which statements are finished over rows of the cloud: apart
 * from the one that analyses, because it is busy while its carriers' queries are planned.
 */
import { quoteName, quoteQualified } from '../catalog/quote.js';
import { ClarusError } from '../errors.js';
import { isTold } from '../sql/notices.js';
import type {
  OneSnapshot,
  Residual,
  ResidualNeeds,
  ResidualPort,
  RunAs,
  SessionSettings,
  StatementPort,
} from '../sql/ports.js';
import type { RowSource } from '../sql/residual.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { PostgresError } from '../wire/diagnostic.js';
import type { CarrierSession } from './carrier-connection.js';
import { carrierName, type ResidualOptions } from './carriers.js';
import type { CarefulContext } from './context.js';
import { physicalQuery } from './own-statements.js';
import { RunningStatement, startOver } from './running-statement.js';
import { settingsByName } from './settings.js';
import { SnapshotProof } from './snapshot-proof.js';
import type { PipelinePort } from './statement-port.js';
import { Transaction } from './transaction.js';
import { beginReading, endReading, touchTrusted } from './transaction-control.js';
import { uncancelled } from './transaction-end.js';
import { TrustedSide } from './trusted-side.js';

const attach = physicalQuery(`SELECT ${OWN_SCHEMA}.attach($1)`, [1028]);
const set = physicalQuery(
  `SELECT pg_catalog.set_config(n, v, false)
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS u (n, v)`,
  [1009, 1009],
);
/** Settings as the session has them in the cloud. */
const asked = physicalQuery(
  `SELECT pg_catalog.current_setting(u.n, true)
     FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS u (n, place) ORDER BY u.place`,
  [1009],
);
/** What a transaction is run as; its role comes last, for settings are the session's own to set. */
const actAs = physicalQuery(
  `SELECT pg_catalog.set_config(n, v, true)
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS u (n, v)`,
  [1009, 1009],
);
const textArray = (texts: readonly string[]): Buffer =>
  Buffer.from(`{${texts.map(text => `"${text.replace(/["\\]/g, '\\$&')}"`).join()}}`);
const oidList = (oids: readonly number[]): Buffer => Buffer.from(`{${oids.join()}}`);
/** Settings whose values name a locale, which the trusted server may not have. */
const isLocale = (name: string): boolean => name.startsWith('lc_');

/**
 * How prepared statements are planned (plan_cache_mode): over carriers each time anew, because a parameter of a generic
 * plan could not be told from a value of a column.
 */
type Planning = 'auto' | 'force_custom_plan';

/** The residual engine of one session. */
export class ResidualSide implements ResidualPort, CarrierSession {
  readonly #context: CarefulContext;
  readonly #options: ResidualOptions;
  readonly #side: TrustedSide;
  #unregister: (() => void) | undefined;
  #settings: SessionSettings | undefined;
  #planning: Planning | undefined;
  /** the locales of the session are in force here too */
  #locale = true;
  /** statements that are being finished: the last one's rows are asked for */
  readonly #running: RunningStatement[] = [];
  /** what the statements that are being finished are run as, where policies count (row-security/) */
  #acting: string | undefined;
  /** tables whose carriers this session has seen */
  readonly #attached = new Set<number>();
  /** cursors that are being closed */
  #releasing: Promise<void> = Promise.resolve();

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
        // costs of carriers are made up
        ['jit', 'off'],
        // what constraints say of the rows of a table is the cloud's to keep
        ['constraint_exclusion', 'off'],
      ]),
      applicationName: undefined,
      noticed: diagnostic => this.#running.at(-1)?.noticed(diagnostic),
      // over rows that are given nothing keeps them
      tells: severity =>
        this.#running.length === 0 && isTold(severity, context.settings.current.clientMinMessages),
      transaction: new Transaction(),
      schema: () => context.port.catalog(),
      failed,
      applicationNameChanged: () => undefined,
    });
  }

  get readsZoneNames(): boolean {
    return this.#options.major >= 18;
  }

  get source(): RowSource | undefined {
    return this.#running.at(-1)?.source;
  }

  failed(error: unknown): void {
    // what was set in the same transaction is taken back
    this.#forgetSettings();
    const running = this.#running.at(-1);
    if (running) running.failure ??= error;
  }

  /** The pipeline to it, whatever it does. */
  get pipeline(): TrustedSide['pipeline'] {
    return this.#side.pipeline;
  }

  async begin(source: RowSource, { tables, localised, writes, as }: ResidualNeeds): Promise<Residual> {
    const context = this.#context;
    this.#mustKnowSchema();
    const side = this.#side;
    await side.open();
    await this.#releasing;
    const acting = as && JSON.stringify(as);
    if (this.#running.length === 0) this.#acting = undefined;
    else if (this.#acting !== acting) throw otherPolicies();
    this.#unregister ??= this.#options.carriers.register(side.processId, this);
    const reading = await beginReading(context, this.#names(tables), writes);
    const running = new RunningStatement(source, side, reading, context, () => {
      this.#running.splice(this.#running.indexOf(running), 1);
      if (this.#running.length === 0) side.settle();
    });
    const port = side.port;
    try {
      await this.#prepare(port, localised, 'force_custom_plan');
      await this.#attach(port, tables);
      if (as && this.#acting !== acting) await this.#actAs(port, as);
      this.#acting = acting;
    } catch (error) {
      this.#forgetSettings();
      this.#settle();
      throw error;
    }
    this.#running.push(running);
    return running;
  }

  /** Until the transaction ends. What the session has not set is not there either. */
  async #actAs(port: PipelinePort, { role, settings }: RunAs): Promise<void> {
    const named = settings.length > 0 ? await this.#asked(settings) : [];
    const all = role === undefined ? named : [...named, ['role', role] as const];
    if (all.length === 0) return;
    const [names, values] = [0, 1].map(i => textArray(all.map(setting => setting[i]!)));
    await port.gather(actAs, [names!, values!], false);
  }

  async #asked(names: readonly string[]): Promise<readonly (readonly [name: string, value: string])[]> {
    const { rows } = await this.#context.cloud.gather(asked, [textArray(names)], false);
    return rows.flatMap(([value], i) => (value ? [[names[i]!, Buffer.from(value).toString()] as const] : []));
  }

  get changesSchema(): boolean {
    return this.#context.transaction.changesSchema;
  }

  async carry(tables: readonly number[]): Promise<void> {
    if (this.changesSchema || this.#running.length > 0 || tables.length === 0) return;
    await this.#side.open();
    await this.#releasing;
    try {
      await this.#attachForAll(this.#side.port, tables);
    } catch (error) {
      if (!(error instanceof PostgresError)) throw error;
      this.#forgetSettings();
      this.#settle();
    }
  }

  async reads(
    tables: readonly number[],
  ): Promise<OneSnapshot & Pick<Residual, 'finish' | 'startOver' | 'leavesNothing'>> {
    const context = this.#context;
    const reading = await beginReading(context, this.#names(tables), false);
    return Object.assign(new SnapshotProof(context, reading), {
      finish: async () => {
        if (reading.ours) await endReading(context);
      },
      startOver: (error?: unknown) => startOver(context, reading, error),
      leavesNothing: reading.frozen,
    });
  }

  given<T>(localised: boolean, work: (port: StatementPort) => Promise<T>): Promise<T> {
    if (this.changesSchema) return this.#inTransaction(localised, work);
    // while a statement runs over carriers, what is planned for it stays so
    const planning = this.#running.length === 0 ? 'auto' : 'force_custom_plan';
    return this.#alone(localised, planning, port => {
      const done = work(port);
      // its transaction ends with it, without a round of its own
      if (this.#running.length === 0) this.#side.settle();
      else port.flush();
      return done;
    });
  }

  /** On the backend that analyses, which alone knows the tables as they are now. */
  async #inTransaction<T>(localised: boolean, work: (port: StatementPort) => Promise<T>): Promise<T> {
    if (localised) this.#mustKnowSchema();
    await touchTrusted(this.#context);
    const { port } = this.#context.trusted;
    const done = work(port);
    port.flush();
    return done;
  }

  #mustKnowSchema(): void {
    if (this.changesSchema)
      throw new ClarusError(
        '0A000',
        'the statement needs the residual engine, in a transaction that has changed the schema',
        {
          hint: 'Commit first.',
        },
      );
  }

  alone<T>(localised: boolean, work: (port: StatementPort) => Promise<T>): Promise<T> {
    return this.#alone(localised, 'force_custom_plan', work);
  }

  async #alone<T>(
    localised: boolean,
    planning: Planning,
    work: (port: StatementPort) => Promise<T>,
  ): Promise<T> {
    const { port } = this.#side;
    await this.#side.open();
    await this.#releasing;
    try {
      await this.#prepare(port, localised, planning);
      return await work(port);
    } catch (error) {
      this.#forgetSettings();
      throw error;
    } finally {
      this.#settle();
    }
  }

  /** Gives back the rows of a cursor. */
  release(name: string): void {
    this.#releasing = this.#releasing.then(() => this.#close(name));
  }

  #close(name: string): Promise<void> {
    return uncancelled(async () => {
      try {
        await this.#side.port.run(`CLOSE ${quoteName(name)}`);
      } finally {
        this.#settle();
      }
    }).catch(() => undefined);
  }

  async #prepare(port: PipelinePort, localised: boolean, planning: Planning): Promise<void> {
    await this.#follow(port);
    if (this.#planning !== planning) {
      await this.#set(port, [['plan_cache_mode', planning]]);
      this.#planning = planning;
    }
    if (localised && !this.#locale) throw foreignLocale();
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

  /** A transaction that fails takes back what was set in it. */
  #forgetSettings(): void {
    this.#settings = undefined;
    this.#planning = undefined;
  }

  /** Brings its settings to those of the session. */
  async #follow(port: PipelinePort): Promise<void> {
    const { current } = this.#context.settings;
    if (this.#settings === current) return;
    const wanted = [...settingsByName(current)];
    await this.#set(
      port,
      wanted.filter(([name]) => !isLocale(name)),
    );
    this.#locale = true;
    try {
      await this.#set(
        port,
        wanted.filter(([name]) => isLocale(name)),
      );
    } catch (error) {
      if (!(error instanceof PostgresError && error.code === '22023')) throw error;
      this.#settle();
      this.#locale = false;
    }
    this.#settings = current;
  }

  async #set(port: PipelinePort, settings: readonly (readonly [string, string])[]): Promise<void> {
    const [names, values] = [0, 1].map(i => textArray(settings.map(setting => setting[i]!)));
    await port.gather(set, [names!, values!], false);
    this.#settle();
  }

  /** Ends what stands alone on that side; a portal that is to be executed again keeps its transaction open. */
  #settle(): void {
    if (this.#running.length === 0) this.#side.settle();
  }

  /** Sees to it that the carriers are there until the transaction ends. */
  async #attach(port: PipelinePort, tables: readonly number[]): Promise<void> {
    if (tables.some(table => !this.#attached.has(table))) await this.#attachForAll(port, tables);
    // What fails of it, the statement that follows hears too.
    port.gather(attach, [oidList(tables)], false).catch(error => this.failed(error));
  }

  /** Makes carriers in a transaction of their own: other sessions need them too. */
  async #attachForAll(port: PipelinePort, tables: readonly number[]): Promise<void> {
    await port.gather(attach, [oidList(tables)], false);
    this.#settle();
    for (const table of tables) this.#attached.add(table);
  }
}

const otherPolicies = (): ClarusError =>
  new ClarusError(
    '0A000',
    'statements that meet different policies, or read different settings, are not finished at the same time',
    {
      hint: 'Run the one when the other has ended.',
    },
  );

const foreignLocale = (): ClarusError =>
  new ClarusError(
    '0A000',
    'the trusted PostgreSQL has not the locale by which the statement prints or reads values',
    {
      detail:
        'It uses money, or formats numbers or dates, under lc_monetary, lc_numeric or lc_time of the session.',
      hint: "Install the locale on this machine, or set them to 'C'.",
    },
  );
