/** Portals of split statements: the trusted PostgreSQL runs them, and its carriers ask for rows meanwhile. */
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { physical } from '../compilation.js';
import type { SplitBody } from '../execute/bodies.js';
import { type CopyOutFormat, copyEpilogue, copyPrologue, copyRows } from '../execute/copy-out.js';
import { cannotBeRun } from '../execute/given.js';
import { HeldOutput } from '../execute/held-output.js';
import { HeldRows } from '../execute/held-rows.js';
import { OpeningSink } from '../execute/opening.js';
import { type Bound, named, type Portal } from '../execute/portal.js';
import { tell } from '../notices.js';
import type { BoundParameters, PhysicalStatement } from '../plan.js';
import type {
  ClientPort,
  DataRows,
  ExecuteOutcome,
  PortalPort,
  Residual,
  ResidualNeeds,
  ResidualPort,
  RowSink,
  SessionPort,
  StatementPort,
} from '../ports.js';
import { versionsOf } from '../routines.js';
import { askCloud } from './asked.js';
import { CloudRows, changed, type SplitServices } from './cloud-rows.js';
import { nothing } from './fetch.js';
import type { GivenColumns } from './given-columns.js';
import { givenJoin, joinedParameters, joinNeedsCarriers } from './given-join.js';
import { fetchParameters, type GivenTable, givenTable, needsCarrier } from './given-table.js';
import { type GivenTables, givenTables } from './given-tables.js';
import { inTurn } from './in-turn.js';

/** Bytes of rows that may be kept for a client that takes them in parts. */
const heldBytesMax = 64 * 1024 * 1024;
/** Times that a statement is run over rows that turn out to be of several snapshots. */
const attemptsMax = 20;

/**
 * @param residual of the session
 * @param copy COPY (SELECT ...) TO: the rows are its data
 */
export function bindSplit(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  copy?: CopyOutFormat,
): Portal {
  return new SplitPortal(body, bound, residual, services, copy);
}

class SplitPortal implements Portal {
  readonly copyOut?: CopyOutFormat;
  #rows: CloudRows;
  /** what was fetched when the statement ran before */
  #again: CloudRows | undefined;
  #client: ClientPort;
  #residual: Residual | undefined;
  #portal: PortalPort | undefined;
  #held: HeldRows | undefined;
  #over = false;

  constructor(
    private readonly body: SplitBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    copy: CopyOutFormat | undefined,
  ) {
    if (copy) this.copyOut = copy;
    this.#rows = this.#newRows();
    this.#client = bound.session.client;
  }

  #newRows(): CloudRows {
    const { body, bound } = this;
    const { shown, apart } = body;
    const secured = body.as?.secured === true;
    return new CloudRows(bound.session, this.services, {
      shown,
      apart,
      bound: bound.bound,
      secured,
    });
  }

  async execute(maxRows: number): Promise<ExecuteOutcome> {
    const { copyOut } = this;
    const { client } = this.bound.session;
    if (this.#over) {
      if (copyOut) throw new ClarusError('55000', cannotBeRun(this.bound.portal));
      return this.#held?.give(maxRows, client, 'SELECT') ?? { kind: 'complete', tag: 'SELECT 0' };
    }
    // It is read to its end at once: what is done between two parts of it must not show.
    if (maxRows > 0) this.#held = new HeldRows(heldBytesMax, 'a query');
    const given = await givenTable(this.body, this.bound, this.services);
    const rows = given && (await this.#rows.only(given, fetchParameters(given, this.bound.bound)));
    if (given && rows) {
      this.#over = true;
      const outcome = await this.#overGiven(given, rows);
      return (await this.#held?.give(maxRows, client, 'SELECT')) ?? outcome;
    }
    if (given) needsCarrier(this.body);
    const joined = await this.#overJoin();
    if (joined) return (await this.#held?.give(maxRows, client, 'SELECT')) ?? joined;
    const alone = await this.#withoutTables();
    if (alone) return (await this.#held?.give(maxRows, client, 'SELECT')) ?? alone;
    if (this.residual.changesSchema && !this.body.as) {
      const outcome = await this.#overTables();
      if (outcome) return (await this.#held?.give(maxRows, client, 'SELECT')) ?? outcome;
    }
    // what takes the rows is of the same transaction
    if (this.body.asked.some(value => value.ofTransaction)) await this.bound.session.transaction.begin();
    const outcome = await this.#overCarriers(maxRows > 0);
    return (await this.#held?.give(maxRows, client, 'SELECT')) ?? outcome;
  }

  /** Runs the statement over carriers, anew where the cloud changed between its queries. */
  async #overCarriers(held: boolean): Promise<ExecuteOutcome> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const outcome = await this.#attempt();
      if (outcome) return outcome;
      this.#again = this.#rows;
      this.#rows = this.#newRows();
      if (held) this.#held = new HeldRows(heldBytesMax, 'a query');
    }
    throw changed();
  }

  /** @returns undefined: it is to begin anew */
  async #attempt(): Promise<ExecuteOutcome | undefined> {
    const { body, bound } = this;
    const { session } = bound;
    const rows = this.#rows;
    const residual = await this.residual.begin(rows, needsOf(body));
    this.#residual = residual;
    const client = residual.toBeProven
      ? new HeldOutput(session.client, () => rows.areOfOneSnapshot(residual))
      : undefined;
    this.#client = client ?? session.client;
    try {
      if (this.#again && !(await rows.bindAgain(this.#again, residual))) throw changed();
      this.#portal = await bindResidual(body, bound, residual);
      const outcome = await this.#run(residual.port, this.#portal);
      if (!(await rows.areOfOneSnapshot(residual))) return await this.#startOver(residual, client);
      await client?.give();
      await mustHaveRunAsPlanned(body, residual, session);
      rows.close();
      this.close();
      await residual.finish();
      return outcome;
    } catch (error) {
      // rows of several snapshots may fail where those of one would not
      const ofTrusted = error instanceof PostgresError && residual.failure === undefined;
      const maySee = ofTrusted && residual.toBeProven && !isCancel(error);
      if (maySee && !(await rows.areOfOneSnapshot(residual))) return await this.#startOver(residual, client);
      rows.close();
      this.close();
      throw residual.failure ?? error;
    }
  }

  async #startOver(residual: Residual, client: HeldOutput | undefined): Promise<undefined> {
    this.#rows.close();
    if (client?.isGiven) {
      this.close();
      throw changed();
    }
    this.#portal?.close();
    residual.over();
    await residual.settled();
  }

  /** Runs the statement over rows of the tables that it joins. @returns undefined: it needs carriers */
  async #overJoin(): Promise<ExecuteOutcome | undefined> {
    const { body, bound, residual, services } = this;
    if (residual.changesSchema) return undefined;
    const given = await givenJoin(body, bound.session, services);
    if (!given) return undefined;
    const reading = await residual.reads(body.tables);
    const { fetches } = given;
    const parameters = fetches.map(fetch => joinedParameters(fetch, bound.bound));
    const tables = await this.#rows.wholeOf(fetches, parameters, reading);
    if (!tables) {
      joinNeedsCarriers(body);
      await reading.finish();
      return undefined;
    }
    const arrays = tables.flatMap((rows, i) => rows.arrays(fetches[i]!.columns.length));
    this.#over = true;
    // whatever becomes of it, no more is read
    const finished = reading.finish();
    try {
      return await this.#overRows(given, arrays);
    } finally {
      await finished;
    }
  }

  #overRows(
    { statement }: Pick<GivenTables, 'statement'>,
    arrays: readonly (Uint8Array | null)[],
  ): Promise<ExecuteOutcome> {
    const { body, bound, residual, copyOut } = this;
    const { values, formats } = bound.bound;
    const parameters = [...formats, ...arrays.map(() => 1 as const)];
    return residual.given(body.localised, port => {
      const bind = (): PortalPort =>
        port.bind(statement, [...values, ...arrays], { parameters, results: bound.formats });
      return copyOut ? this.#copy(copyOut, port, bind) : bind().execute(0, this.#sink);
    });
  }

  /** Runs a statement that reads no table. @returns undefined: it reads some, or what its functions read must be looked at */
  async #withoutTables(): Promise<ExecuteOutcome | undefined> {
    const { body, bound, residual } = this;
    if (body.tables.length > 0 || body.as) return undefined;
    if (body.routines && !residual.changesSchema) return undefined;
    this.#over = true;
    if (body.asked.some(value => value.ofTransaction)) await bound.session.transaction.begin();
    const outcome = await this.#overRows(body, await askCloud(body.asked, bound.session));
    await mustBeAsRead(body, bound.session.trusted);
    return outcome;
  }

  /** Runs the statement over rows of all its tables. @returns undefined: it cannot be */
  async #overTables(): Promise<ExecuteOutcome | undefined> {
    const { body, bound, residual, services } = this;
    const { session } = bound;
    const given = await givenTables(body, session, services);
    if (!given) return undefined;
    const reading = await residual.reads(body.tables);
    const { fetches } = given;
    const parameters = fetches.map(() => nothing);
    const tables = await this.#rows.wholeOf(fetches, parameters, reading);
    if (!tables) throw tooLarge(fetches.map(({ table }) => `"${table.name}"`));
    const arrays = tables.flatMap((rows, i) => rows.arrays(fetches[i]!.columns.length));
    this.#over = true;
    const outcome = await this.#overRows(given, [...(await askCloud(body.asked, session)), ...arrays]);
    await mustBeAsRead(body, session.trusted);
    return outcome;
  }

  /** Runs the statement over rows of its table. */
  #overGiven(given: GivenTable, rows: GivenColumns): Promise<ExecuteOutcome> {
    const { copyOut } = this;
    return this.residual.given(this.body.localised, port => {
      const bind = (): PortalPort => bindGiven(given, rows, this.bound, this.bound.formats, port);
      return copyOut ? this.#copy(copyOut, port, bind) : bind().execute(0, this.#sink);
    });
  }

  #run(port: StatementPort, portal: PortalPort): Promise<ExecuteOutcome> {
    const { copyOut } = this;
    return copyOut ? this.#copy(copyOut, port, () => portal) : run(port, portal, this.#sink);
  }

  get #sink(): RowSink {
    return { rows: rows => this.#give(rows) };
  }

  /** Rows as they are. They are copied, because the client takes them in its time. */
  #give({ buffer, starts, count }: DataRows): void | Promise<void> {
    if (count === 0) return;
    const last = starts[count - 1]! - 4;
    const rows = buffer.subarray(starts[0]! - 5, last + buffer.readInt32BE(last));
    if (!this.#held) return this.#client.write(Buffer.from(rows));
    this.#held.writer.bytes(rows);
    this.#held.written();
  }

  /** Rows as data of COPY. */
  async #copy(copy: CopyOutFormat, port: StatementPort, bind: () => PortalPort): Promise<ExecuteOutcome> {
    const { formats, session } = this.bound;
    const outputs = Array.from({ length: copy.columns }, (_, place) => ({ kind: 'open' as const, place }));
    const answering = { outputs, binary: new Set<number>(), width: copy.columns };
    const writer = new MessageWriter();
    const written = (): void | Promise<void> =>
      writer.length > 0 ? this.#client.write(writer.take()) : undefined;
    const sink = new OpeningSink(answering, formats, session, this.services.context, copyRows(copy), {
      writer,
      written,
    });
    copyPrologue(writer, copy);
    await written();
    await run(port, bind(), sink);
    copyEpilogue(writer, copy, sink.rowsOpened);
    await written();
    return { kind: 'complete', tag: `COPY ${sink.rowsOpened}` };
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#portal?.close();
    this.#residual?.over();
  }
}

/** Binds the statement on the trusted side. */
export async function bindResidual(
  body: SplitBody,
  bound: Bound,
  { port }: Pick<Residual, 'port'>,
): Promise<PortalPort> {
  const { values, formats } = await residualParameters(body, bound);
  return port.bind(carried(body), values, { parameters: formats, results: bound.formats }, named);
}

const inTurnOf = new WeakMap<SplitBody, PhysicalStatement>();

/** The statement over carriers: where rows were to be given to it, its conditions have not been put in their turn yet. */
function carried(body: SplitBody): PhysicalStatement {
  if (!body.oneTable && !body.joins) return body.statement;
  const found = inTurnOf.get(body);
  if (found) return found;
  const { sql, parameterTypes } = body.statement;
  const turned = inTurn(sql, false);
  const statement = turned === sql ? body.statement : physical(turned, parameterTypes);
  inTurnOf.set(body, statement);
  return statement;
}

/** What the statement is bound with on the trusted side: what the cloud is asked for comes last. */
export async function residualParameters(
  { asked }: SplitBody,
  { bound: { values, formats }, session }: Bound,
): Promise<BoundParameters> {
  return {
    values: [...values, ...(await askCloud(asked, session))],
    formats: [...formats, ...asked.map(() => 1 as const)],
  };
}

/** Binds a statement over rows that are given. @param results formats of what it returns */
export function bindGiven(
  { statement, columns }: GivenTable,
  rows: GivenColumns,
  { bound: { values, formats } }: Pick<Bound, 'bound'>,
  results: readonly (0 | 1)[],
  port: StatementPort,
): PortalPort {
  const arrays = rows.arrays(columns.length);
  const parameters = [...formats, ...arrays.map(() => 1 as const)];
  return port.bind(statement, [...values, ...arrays], { parameters, results });
}

/** What a statement needs of the residual engine. */
export const needsOf = ({ tables, localised, writes, as }: SplitBody): ResidualNeeds => ({
  tables,
  localised,
  writes: writes !== undefined,
  ...(as ? { as } : {}),
});

/** Runs a portal to its end. */
export async function run(port: StatementPort, portal: PortalPort, sink: RowSink): Promise<ExecuteOutcome> {
  const outcome = portal.execute(0, sink);
  port.flush();
  return outcome;
}

/**
 * Tells what the statement noticed. A function of users may have caught what a carrier failed with, and one may have been replaced
 * since the statement was planned: what it reads may then not have been there.
 * @throws what a carrier failed with; ClarusError 40001
 */
export async function mustHaveRunAsPlanned(
  { routines }: SplitBody,
  residual: Residual,
  session: SessionPort,
): Promise<void> {
  await tell(session, residual.notices);
  if (routines && residual.failure !== undefined) throw residual.failure;
  await mustBeAsRead({ routines }, residual.port);
}

/** @throws ClarusError 40001 where a function is another one than was read when the statement was planned */
async function mustBeAsRead({ routines }: Pick<SplitBody, 'routines'>, port: StatementPort): Promise<void> {
  if (routines && (await versionsOf(routines.oids, port)) !== routines.text)
    throw new ClarusError('40001', 'a function was replaced while a statement called it', {
      hint: 'Try again.',
    });
}

/** It, or the time that it may take, is over. */
const isCancel = ({ code }: PostgresError): boolean => code.startsWith('57');

const tooLarge = (tables: readonly string[]): ClarusError =>
  new ClarusError(
    '54000',
    `table ${tables.join(' or ')} is too large to be read in a transaction that has changed the schema`,
    {
      hint: 'Commit first.',
    },
  );
