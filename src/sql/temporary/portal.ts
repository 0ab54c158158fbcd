/** Portals of statements over temporary and other tables: parts run first, and the rest over what they return. */
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { cannotBeRun } from '../execute/given.js';
import { HeldRows } from '../execute/held-rows.js';
import { type Bound, named, type Portal } from '../execute/portal.js';
import type { ExecuteOutcome, Execution, OutcomeListener, ResidualPort } from '../ports.js';
import { askCloud } from '../split/asked.js';
import { changed, type SplitServices } from '../split/cloud-rows.js';
import { copyRows } from '../split/fetch.js';
import { KeptRows, withColumns } from '../split/write/computed-writes.js';
import { runPart } from '../split/write/parts.js';
import type { OwnStatement, PartsBody } from './beside.js';
import type { Part } from './given-relations.js';

/** Bytes of rows that may be kept for a client that takes them in parts. */
const heldBytesMax = 64 * 1024 * 1024;
/** Times that parts are run whose rows turn out to be of several snapshots. */
const attemptsMax = 20;

/** @param residual of the session */
export function bindParts(
  body: PartsBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Portal {
  return new PartsPortal(body, bound, residual, services);
}

class PartsPortal implements Portal {
  #rest: Portal | undefined;
  #held: HeldRows | undefined;
  #over = false;

  constructor(
    private readonly body: PartsBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
  ) {}

  async execute(maxRows: number, listener: OutcomeListener): Promise<Execution> {
    if (this.#over) return this.#rest ? this.#rest.execute(maxRows, listener) : this.#again(maxRows);
    this.#over = true;
    const { rest } = this.body;
    const bound = await this.#given();
    if ('plan' in rest) {
      this.#rest = await this.services.bind(rest.plan, bound.bound, bound.formats, bound.session.client);
      return this.#rest.execute(maxRows, listener);
    }
    const outcome = await this.#own(rest, bound, maxRows);
    return (await this.#held?.give(maxRows, bound.session.client, this.#command)) ?? outcome;
  }

  close(): void {
    this.#over = true;
    this.#rest?.close();
  }

  get #command(): string {
    const { command } = this.bound.plan;
    return command === 'INSERT' ? 'INSERT 0' : command;
  }

  #again(maxRows: number): ExecuteOutcome | Promise<ExecuteOutcome> {
    const { plan, session, portal } = this.bound;
    if (!plan.shape.columns) throw new ClarusError('55000', cannotBeRun(portal));
    return (
      this.#held?.give(maxRows, session.client, this.#command) ?? {
        kind: 'complete',
        tag: `${this.#command} 0`,
      }
    );
  }

  /** What the rest is bound with. @throws ClarusError 40001 where the cloud's rows are not of one snapshot */
  async #given(): Promise<Bound> {
    const { body, bound, residual } = this;
    const asked = body.first.filter(({ plan }) => plan.kind !== 'trusted').length;
    const run = async (): Promise<Bound> => {
      let given = bound;
      for (const part of body.first) given = await this.#withRows(part, given);
      return given;
    };
    if (asked <= 1) return run();
    const reading = await residual.reads(body.tables);
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const given = await run();
      if (await reading.isOneSnapshot(asked)) {
        await reading.finish();
        return given;
      }
      await reading.boundInOne(async () => undefined);
    }
    throw changed();
  }

  async #withRows({ plan, parameterTypes, columns }: Part, given: Bound): Promise<Bound> {
    const { bound, session } = this.bound;
    const kept = new KeptRows();
    const formats = new Array<0>(columns).fill(0);
    await runPart(plan, bound, formats, kept, session, this.services, parameterTypes);
    return withColumns(given, kept.rows, columns);
  }

  /** Runs it where the temporary tables are. */
  async #own(
    { statement, asked, writes }: OwnStatement,
    { bound, formats, session }: Bound,
    maxRows: number,
  ): Promise<ExecuteOutcome> {
    if (writes || session.transaction.explicit) await session.transaction.touchTrusted();
    const values = [...bound.values, ...(await askCloud(asked, session))];
    const parameters = [...bound.formats, ...asked.map(() => 1 as const)];
    const held = maxRows > 0 ? new HeldRows(heldBytesMax, 'a query') : undefined;
    this.#held = held;
    const written = held?.writer ?? new MessageWriter();
    const portal = session.trusted.bind(statement, values, { parameters, results: formats }, named);
    const done = portal.execute(0, {
      rows: rows => {
        copyRows(rows, written);
        return held ? held.written() : session.client.write(written.take());
      },
    });
    session.trusted.flush();
    const outcome = await done;
    portal.close();
    return outcome;
  }
}
