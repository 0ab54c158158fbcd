/**
 * Portals of split statements that write: the trusted PostgreSQL runs the statement, and what it writes is collected;
 * the rows that it changes are then locked in the cloud, must stand there as they were read, and are written. Where they
 * do not, the statement begins anew over the rows as they are now, while those that were locked stay so.
 */
import type { LogicalTable } from '../../../catalog/catalog.js';
import { ClarusError } from '../../../errors.js';
import type { PostgresError } from '../../../wire/diagnostic.js';
import type { ComputedWrites, FirstQuery, GivenRows, SplitBody, SplitWrites } from '../../execute/bodies.js';
import type { Row } from '../../execute/collect.js';
import { cannotBeRun } from '../../execute/given.js';
import { HeldRows } from '../../execute/held-rows.js';
import { type Bound, type Portal, pipelined } from '../../execute/portal.js';
import type { BoundParameters, PhysicalStatement } from '../../plan.js';
import type {
  DataRows,
  Execution,
  OutcomeListener,
  Residual,
  ResidualPort,
  StatementPort,
} from '../../ports.js';
import { mustMeetPolicies } from '../../row-security/updated-rows.js';
import { CloudRows, type SplitServices } from '../cloud-rows.js';
import { copyRows } from '../fetch.js';
import { givenTable } from '../given-table.js';
import { bindResidual, mustHaveRunAsPlanned, needsOf, residualParameters, run } from '../portal.js';
import type { Seeds } from '../sample-condition.js';
import { CloudWrites, type Written } from './cloud-writes.js';
import { boundWith, ComputedSink, computeGiven, KeptRows, withColumns } from './computed-writes.js';
import { flushWrites } from './flush.js';
import { writeGiven } from './given-write.js';
import { mayBeMended, runPart } from './parts.js';
import { mustBeWritable, readOnly } from './read-only.js';
import { routeWrites } from './routing.js';
import { type LockedRows, lock } from './row-locks.js';
import {
  attemptsMax,
  type Computed,
  isConflict,
  isSerialisation,
  type Run,
  serialisation,
  tooFast,
  type WriteHooks,
} from './run.js';
import { type FoundRows, StatementLocks, takeLocks } from './statement-locks.js';
import { type Computing, type TogetherPart, writeTogether } from './together.js';

/** Bytes of RETURNING that may be kept until everything is written. */
const heldBytesMax = 64 * 1024 * 1024;
/** How often the same key conflicts in the same way until it is no other session's row. */
const ownConflicts = 5;
/** How often it does so to leave out rows that others hold: at least one each time. */
const skipsMax = 10_000;

/**
 * @param residual of the session
 * @param hooks undefined: the rows are written as they are
 */
export function bindSplitWrite(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  hooks?: WriteHooks,
): Portal {
  return new WritingPortal(body, body.writes!, bound, residual, services, hooks);
}

class WritingPortal implements Portal, Computing {
  #held: HeldRows | undefined;
  /** rows that the statement gives, and what it is bound with */
  #given: readonly Row[] = [];
  #bound: Bound;
  readonly #locks: StatementLocks;
  /** the statement that begins anew takes the same samples */
  readonly #seeds: Seeds = new Map();
  /** what was fetched when the statement ran before */
  #before: CloudRows | undefined;
  #over = false;
  #conflicts = { said: '', times: 0 };

  constructor(
    readonly body: SplitBody,
    readonly writes: SplitWrites,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    private readonly hooks: WriteHooks | undefined,
  ) {
    this.#bound = bound;
    this.#locks = new StatementLocks(writes, bound.plan.command, bound.session);
  }

  async execute(maxRows: number, listener: OutcomeListener): Promise<Execution> {
    const { plan, session, portal } = this.bound;
    const command = plan.command === 'INSERT' ? 'INSERT 0' : plan.command;
    if (this.#over) {
      if (!plan.shape.columns) throw new ClarusError('55000', cannotBeRun(portal));
      return this.#held?.give(maxRows, session.client, command) ?? { kind: 'complete', tag: `${command} 0` };
    }
    this.#over = true;
    const written = await this.#write(listener);
    if ('kind' in written) return written;
    const { rows, held } = written;
    if (!plan.shape.columns) return { kind: 'complete', tag: `${command} ${rows}` };
    this.#held = held;
    const given = await held.give(maxRows, session.client, command);
    return given.kind === 'complete' && plan.command !== 'SELECT'
      ? { kind: 'complete', tag: `${command} ${rows}` }
      : given;
  }

  close(): void {
    this.#over = true;
  }

  async #write(listener: OutcomeListener): Promise<Computed | typeof pipelined> {
    const { first, then = [], together } = this.writes;
    if (together) return writeTogether(this.#parts(), this.bound, this.residual, this.services);
    // all parts of the statement are of one transaction
    if (first.length + then.length > 0 || this.hooks) await this.bound.session.transaction.begin();
    await this.hooks?.begin();
    for (const query of first) this.#bound = await this.#boundWith(query, this.#bound);
    let parts = this.#bound;
    const done = await this.#writeRest(listener);
    for (const query of then) parts = await this.#boundWith(query, parts);
    return done;
  }

  async #writeRest(listener: OutcomeListener): Promise<Computed | typeof pipelined> {
    const { computed, locks } = this.writes;
    await this.#prepare();
    if (this.hooks && computed?.given && this.writes.arbiters.length === 0)
      return this.#insertGiven(computed.given, this.hooks);
    if (computed && this.#isAllGiven) return this.#writeGiven(computed);
    const attempts = locks.some(({ wait }) => wait === 'SKIP LOCKED') ? skipsMax : attemptsMax;
    const { body, bound, residual, services } = this;
    // triggers are fired on rows that carriers give
    let given = this.hooks ? undefined : await givenTable(body, bound, services);
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (given) {
        const write = await writeGiven(
          given,
          body,
          bound,
          residual,
          services,
          this.#locks.candidates,
          listener,
        );
        if (write.kind === 'pipelined') return pipelined;
        if (write.kind === 'done') return { rows: write.rows, held: new HeldRows() };
        // carriers can leave rows out
        given = undefined;
        continue;
      }
      const done = await this.#attempt();
      if (done) return done;
    }
    throw tooFast();
  }

  /** Computes the rows that the statement gives, and binds it with them. */
  async #prepare(): Promise<void> {
    const { computed, locks } = this.writes;
    if (computed) {
      await mustBeWritable(this.bound.plan.command, this.bound.session);
      const { given } = computed;
      const proposes = this.writes.triggered?.proposes;
      if (proposes && this.hooks) await this.#propose(proposes, this.hooks);
      if (given) this.#given = await computeGiven(given, this.#bound, this.residual, this.services);
      // with triggers, what the client gets is computed of the rows that they have made
      const formats = this.hooks ? [] : this.#bound.formats;
      this.#bound = boundWith(computed, this.#given, { ...this.#bound, formats });
    }
    if (locks.length > 0) {
      const formats = [...this.#bound.formats, ...new Array<0>(2 * locks.length).fill(0)];
      this.#bound = { ...this.#bound, formats };
    }
  }

  /** Binds the statement with the rows that triggers make of those that it gives. */
  async #propose(proposes: GivenRows, hooks: WriteHooks): Promise<void> {
    const given = await computeGiven(proposes, this.#bound, this.residual, this.services);
    const rows = await hooks.propose(proposes, given);
    this.#bound = withColumns(this.#bound, rows, proposes.columns.length + proposes.counters.length);
  }

  /** Rows that conflict with none are inserted as they are given. */
  #insertGiven({ table, columns, counters }: GivenRows, hooks: WriteHooks): ReturnType<WriteHooks['write']> {
    const writes = new CloudWrites(false, new Map());
    const names = [...columns, ...counters.map(({ column }) => column)].map(({ name }) => name);
    writes.keepOrder();
    for (const row of this.#given) writes.insert(table, names, row);
    return hooks.write(writes, new Map(), unguarded);
  }

  /** In a transaction that has changed the schema there are no carriers: what reads no table needs none. */
  get #isAllGiven(): boolean {
    const { tables, routines } = this.body;
    return this.residual.changesSchema && tables.length === 0 && !routines && !this.hooks && !this.body.as;
  }

  /** Writes rows that were all given. */
  async #writeGiven(computed: ComputedWrites): Promise<Computed> {
    const { body, residual, services } = this;
    const { session, plan, formats } = this.#bound;
    const writes = new CloudWrites(this.writes.returns, this.#locks.skipped);
    const held = new HeldRows(heldBytesMax, 'RETURNING');
    const sink = this.#sink(computed, writes, plan.shape.columns && held);
    const given = await residualParameters(body, this.#bound);
    const parameters = { parameters: given.formats, results: formats };
    await residual.given(body.localised, port =>
      port.bind(body.statement, given.values, parameters).execute(0, sink),
    );
    await sink.fillCounters(session);
    await routeWrites(writes, this.writes.names, computed.once, session);
    await flushWrites(writes, new Map(), session, services);
    return { rows: sink.count, held };
  }

  /** Runs a part of the statement that comes first, or after the rest; its columns become parameters. */
  async #boundWith({ plan, columns, later }: FirstQuery, bound: Bound): Promise<Bound> {
    const kept = new KeptRows();
    const formats = new Array<0>(columns).fill(0);
    const { session } = this.bound;
    await runPart(plan, bound.bound, formats, kept, session, this.services).catch(error => {
      throw (later && mayBeMended(error, later, session.catalog())) ?? error;
    });
    return withColumns(bound, kept.rows, columns);
  }

  /** What is to be computed one after the other, and written together. */
  #parts(): readonly TogetherPart[] {
    const { bound, residual, services } = this;
    const { first, then = [] } = this.writes;
    const part = ({ plan, columns }: FirstQuery): TogetherPart => {
      if (plan.kind !== 'protected' || plan.body.kind !== 'split')
        throw new Error('a part of a statement is not computed on the trusted side');
      const body = plan.body as SplitBody;
      const own = { ...bound, plan, formats: new Array<0>(columns).fill(0) };
      return { run: new WritingPortal(body, body.writes!, own, residual, services, undefined), columns };
    };
    return [...first.map(part), { run: this, columns: undefined }, ...then.map(part)];
  }

  compute(parameters: BoundParameters, written: Written): Promise<Run> {
    this.#bound = { ...this.bound, bound: parameters };
    return this.#prepare().then(() => this.#run(written));
  }

  /** Computes what is to be written. */
  async #run(written?: Written): Promise<Run> {
    const { body, bound, services } = this;
    const writes = new CloudWrites(this.writes.returns, this.#locks.skipped, written);
    if (this.hooks) writes.keepOrder();
    const found = this.#locks.find();
    const { shown, apart } = body;
    const shows = {
      shown,
      apart,
      bound: this.#bound.bound,
      seeds: this.#seeds,
      secured: body.as?.secured === true,
    };
    const rows = new CloudRows(bound.session, services, shows, writes);
    const residual = await this.residual.begin(rows, needsOf(body));
    const computed = await this.#compute(residual, rows, writes, found).catch(error => {
      rows.close();
      residual.over();
      throw residual.failure ?? error;
    });
    rows.close();
    residual.over();
    this.#before = rows;
    await residual.settled();
    return { residual, writes, found, computed };
  }

  /** Brings what has been computed to the tables that take it. */
  route({ writes }: Run): Promise<void> {
    return routeWrites(writes, this.writes.names, this.writes.computed?.once, this.bound.session);
  }

  /**
   * Locks the rows that are to be written.
   * @returns undefined: the statement is to begin anew
   * @throws PostgresError of the cloud
   */
  async lock({ residual, writes, found }: Run): Promise<LockedRows | undefined> {
    return (await this.#stillStand(residual, writes)) ? this.#locks.take(found, writes) : undefined;
  }

  /** @returns undefined: it is to begin anew */
  async #attempt(): Promise<Computed | undefined> {
    const { bound, services } = this;
    const { session } = bound;
    const run = await this.#run();
    const { residual, writes, computed } = run;
    if (!computed) {
      await residual.startOver();
      return undefined;
    }
    // what is written its triggers write, by statements of their own
    if (this.hooks && this.writes.triggered?.insteadOf) return this.hooks.write(writes, new Map(), unguarded);
    // with triggers, which partition takes a row is known when they have been fired
    if (!this.hooks) await this.route(run);
    let locked: LockedRows | undefined;
    try {
      locked = await this.lock(run);
    } catch (error) {
      if (!isSerialisation(error)) throw error;
      await residual.startOver(error);
      return undefined;
    }
    if (!locked) {
      await residual.startOver();
      return undefined;
    }
    if (this.writes.policed)
      await mustMeetPolicies(this.writes.policed, writes, this.bound, this.residual, services);
    let refused: unknown;
    const guarded = (work: () => Promise<void>): Promise<void> =>
      this.writes.arbiters.length === 0
        ? work()
        : residual.undoable(work).catch(error => {
            refused = error;
            throw error;
          });
    try {
      if (this.hooks) return await this.hooks.write(writes, locked, guarded);
      await guarded(() => flushWrites(writes, locked, session, services));
    } catch (error) {
      if (!this.hooks && residual.leavesNothing && isSerialisation(error)) {
        await residual.startOver(error);
        return undefined;
      }
      if (error !== refused || !this.#isConflict(error) || this.#isOwn(error)) throw error;
      await residual.startOver(serialisation());
      return undefined;
    }
    return computed;
  }

  #sink(computed: ComputedWrites, writes: CloudWrites, held: HeldRows | undefined): ComputedSink {
    return new ComputedSink(computed, this.#given, writes, held, oid => this.#table(oid));
  }

  /** @returns undefined: the rows were not of one snapshot */
  async #compute(
    residual: Residual,
    fetched: CloudRows,
    writes: CloudWrites,
    found: readonly FoundRows[],
  ): Promise<Computed | undefined> {
    const { body, bound } = this;
    const { names, locks, planned } = this.writes;
    if (this.#before && !(await fetched.bindAgain(this.#before, residual))) return undefined;
    if (planned) await plan(planned, this.#bound.bound, residual.port);
    if (residual.readOnly && (names.length > 0 || locks.length > 0))
      throw readOnly(bound.plan.command, locks[0]);
    const held = new HeldRows(heldBytesMax, 'RETURNING');
    const returns = bound.plan.shape.columns !== undefined;
    const portal = await bindResidual(body, this.#bound, residual);
    const { computed } = this.writes;
    const tableOf = (oid: number): LogicalTable => this.#table(oid);
    const sink = computed && this.#sink(computed, writes, returns ? held : undefined);
    const outcome = await run(
      residual.port,
      portal,
      sink ?? {
        rows(rows: DataRows) {
          if (found.length > 0) takeLocks(rows, found, held.writer, tableOf);
          else if (returns) copyRows(rows, held.writer);
          held.written();
        },
      },
    );
    portal.close();
    if (!(await fetched.areOfOneSnapshot(residual))) return undefined;
    await mustHaveRunAsPlanned(body, residual, bound.session);
    await sink?.fillCounters(bound.session);
    const count = outcome.kind === 'complete' ? Number(/\d+$/.exec(outcome.tag)?.[0] ?? 0) : 0;
    return { rows: sink?.count ?? count, held };
  }

  /**
   * Waits for sessions that delete rows for which others are not inserted, as check_exclusion_or_unique_constraint does
   * (execIndexing.c). Nothing stays locked by that.
   * @returns false: one of them is gone
   */
  async #stillStand(residual: Residual, writes: CloudWrites): Promise<boolean> {
    if (writes.standing.size === 0) return true;
    const done = Symbol('done');
    let all = true;
    const look = async (): Promise<never> => {
      for (const [table, ctids] of writes.standing) {
        const rows = { table, strength: 'KEY SHARE', wait: '' } as const;
        all &&= (await lock(rows, [...ctids], writes, this.bound.session)).size === ctids.size;
      }
      throw done;
    };
    await residual.undoable(look).catch(error => {
      if (error !== done) throw error;
    });
    return all;
  }

  #table(oid: number): LogicalTable {
    const table = this.bound.session.catalog().tables.get(oid);
    if (!table)
      throw new ClarusError('40001', 'a table was changed while the statement read it', {
        hint: 'Try again.',
      });
    return table;
  }

  /** Does a conflict stay as it is, whatever is read anew? Then an UPDATE of the statement's own gives a row the key of another. */
  #isOwn(error: unknown): boolean {
    const { constraint, detail } = (error as PostgresError).diagnostic;
    const said = `${constraint} ${detail}`;
    this.#conflicts = { said, times: this.#conflicts.said === said ? this.#conflicts.times + 1 : 1 };
    return this.#conflicts.times >= ownConflicts;
  }

  #isConflict(error: unknown): boolean {
    return isConflict(error, this.writes.arbiters, this.bound.session.catalog());
  }
}

/** Lets the trusted PostgreSQL plan a statement. @param explain EXPLAIN of it @throws PostgresError what it says to that */
async function plan(
  explain: PhysicalStatement,
  { values, formats }: BoundParameters,
  port: StatementPort,
): Promise<void> {
  const portal = port.bind(explain, values, { parameters: formats, results: [] });
  await run(port, portal, { rows: () => undefined });
}

/** Nothing is to be unguarded alone. */
const unguarded = (work: () => Promise<void>): Promise<void> => work();
