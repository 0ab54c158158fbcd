/** Runs permutations of steps as PostgreSQL's isolationtester does (isolationtester.c), and tells what each step came to. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawClient, type RawTarget, say, told } from '../../support/raw-client.js';
import type { PlacedStep, Spec, Step } from './spec.js';

/** What became of a step, in the order in which steps ended. */
export interface Outcome {
  readonly step: string;
  readonly sql: string;
  /** it waited for another session first */
  readonly waited: boolean;
  /** messages of the answer, in words */
  readonly lines: readonly string[];
}

/** A permutation that was run. */
export interface Run {
  /** what the setup came to where it failed, else nothing */
  readonly setup: readonly string[];
  readonly outcomes: readonly Outcome[];
}

/** Where the sessions connect. */
export interface Side {
  readonly target: RawTarget;
  /** Does a server say that a backend waits for one of the others? */
  isBlocked(pid: number, others: readonly number[]): Promise<boolean>;
}

/** A step that does not end is cancelled then. */
const step_ms = 20_000;
/** A step that has not ended then waits for something that the servers' locks do not show. */
const unseen_ms = 1_500;
const poll_ms = 10;

interface Active {
  readonly placed: PlacedStep;
  readonly began_ms: number;
  /** notices that the sessions of its blockers must have told */
  readonly notices: readonly { readonly session: number; readonly count: number }[];
  waited: boolean;
  cancelled: boolean;
  lines: readonly string[] | undefined;
  /** resolves when it has its answer */
  answered: Promise<void>;
}

/** So many sessions of one side. */
export class Tester {
  #control: RawClient | undefined;
  #clients: RawClient[] = [];
  #pids: number[] = [];
  readonly #notices: number[] = [];

  constructor(
    private readonly side: Side,
    private readonly sessions: number,
  ) {}

  async connect(): Promise<void> {
    await this.close();
    this.#control = await RawClient.connect(this.side.target);
    this.#clients = [];
    for (let i = 0; i < this.sessions; i++) this.#clients.push(await RawClient.connect(this.side.target));
    this.#pids = [];
    for (const client of this.#clients) {
      const answer = told(await client.query('SELECT pg_catalog.pg_backend_pid()'));
      this.#pids.push(
        Number(/^DataRow (\d+)$/.exec(answer.find(line => line.startsWith('DataRow')) ?? '')?.[1]),
      );
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.#control, ...this.#clients].map(client => client?.close().catch(() => undefined)),
    );
  }

  /** @throws Error where a step does not end, even when it is cancelled */
  run(spec: Spec, permutation: readonly PlacedStep[]): Promise<Run> {
    return this.#run(spec, () => this.#steps(spec, permutation));
  }

  /**
   * Runs the steps of the sessions in an order that is found meanwhile: no session is asked for a step while it waits for
   * another.
   * @param queues steps of each session
   * @param choose one of so many sessions
   * @returns the order too
   */
  async explore(
    spec: Spec,
    queues: readonly (readonly Step[])[],
    choose: (count: number) => number,
  ): Promise<Run & { readonly order: readonly PlacedStep[] }> {
    const order: PlacedStep[] = [];
    const run = await this.#run(spec, async () => {
      const outcomes: Outcome[] = [];
      const active: Active[] = [];
      const left = queues.map(queue => [...queue]);
      for (;;) {
        const free = left.filter(
          (queue, i) => queue.length > 0 && !active.some(({ placed }) => placed.step.session === i),
        );
        if (free.length === 0) {
          if (active.length === 0) break;
          await this.#settle(active[0]!, active, outcomes, false);
          continue;
        }
        const placed: PlacedStep = { step: free[choose(free.length)]!.shift()!, blockers: [] };
        order.push(placed);
        const one = this.#launch(placed, spec);
        active.push(one);
        for (const each of [one, ...active.filter(other => other !== one)])
          await this.#settle(each, active, outcomes, true);
      }
      return outcomes;
    });
    return { ...run, order };
  }

  async #run(spec: Spec, steps: () => Promise<readonly Outcome[]>): Promise<Run> {
    if ([this.#control, ...this.#clients].some(client => !client || client.closed)) await this.connect();
    const failed: string[] = [];
    const prepare = async (client: RawClient, sql: string): Promise<void> => {
      failed.push(...linesOf(told(await client.query(sql))).filter(line => line.startsWith('ErrorResponse')));
    };
    for (const sql of spec.setup) await prepare(this.#control!, sql);
    for (const [i, { setup }] of spec.sessions.entries()) if (setup) await prepare(this.#clients[i]!, setup);
    const outcomes = failed.length > 0 ? [] : await steps();
    for (const [i, { teardown }] of spec.sessions.entries())
      if (teardown) await this.#clients[i]!.query(teardown);
    if (spec.teardown) await this.#control!.query(spec.teardown);
    return { setup: failed, outcomes };
  }

  async #steps(spec: Spec, permutation: readonly PlacedStep[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    const active: Active[] = [];
    const settle = async (only: readonly Active[], waits: boolean): Promise<void> => {
      for (const one of only) await this.#settle(one, active, outcomes, waits);
    };
    for (const placed of permutation) {
      const { session } = placed.step;
      for (;;) {
        const busy = active.find(one => one.placed.step.session === session);
        if (!busy) break;
        await settle([busy], false);
        await settle([...active], true);
      }
      const one = this.#launch(placed, spec);
      active.push(one);
      if (placed.blockers.some(blocker => blocker.kind === 'once')) one.waited = true;
      else await settle([one], true);
      for (let before = -1; before !== active.length; ) {
        before = active.length;
        await settle(
          active.filter(other => other !== one),
          true,
        );
      }
    }
    while (active.length > 0) await settle([...active], false);
    return outcomes;
  }

  #launch(placed: PlacedStep, spec: Spec): Active {
    const { step, blockers } = placed;
    const client = this.#clients[step.session]!;
    const notices = blockers.flatMap(blocker => {
      if (blocker.kind !== 'notices') return [];
      const session = sessionOf(blocker.step, spec);
      return [{ session, count: (this.#notices[session] ?? 0) + blocker.count }];
    });
    const one: Active = {
      ...{ placed, began_ms: Date.now(), notices },
      ...{ waited: false, cancelled: false, lines: undefined, answered: Promise.resolve() },
    };
    client.send(say.query(step.sql));
    one.answered = this.#answer(client, step.session).then(lines => {
      one.lines = lines;
    });
    return one;
  }

  async #answer(client: RawClient, session: number): Promise<readonly string[]> {
    const messages = [];
    for (;;) {
      const message = await client.next();
      if (message === undefined) break;
      if (message.kind === 'NoticeResponse') this.#notices[session] = (this.#notices[session] ?? 0) + 1;
      messages.push(message);
      if (message.kind === 'ReadyForQuery') break;
    }
    return linesOf(told(messages));
  }

  /** Waits until a step has ended, or, where it may, until it waits itself. */
  async #settle(one: Active, active: Active[], outcomes: Outcome[], mayWait: boolean): Promise<void> {
    if (!active.includes(one)) return;
    while (one.lines === undefined) {
      await Promise.race([one.answered, sleep(poll_ms)]);
      if (one.lines !== undefined) break;
      const since_ms = Date.now() - one.began_ms;
      if (mayWait && (since_ms > unseen_ms || (await this.#isBlocked(one)))) {
        if (one.lines !== undefined) break;
        one.waited = true;
        return;
      }
      const { session } = one.placed.step;
      if (since_ms > step_ms && !one.cancelled) {
        one.cancelled = true;
        await this.#clients[session]!.backend.cancel();
      }
      if (since_ms > 2 * step_ms) throw new Error(`step ${one.placed.step.name} does not end`);
    }
    if (this.#isHeld(one, active)) {
      one.waited = true;
      await sleep(poll_ms);
      return;
    }
    active.splice(active.indexOf(one), 1);
    const { name, sql } = one.placed.step;
    outcomes.push({ step: name, sql, waited: one.waited, lines: one.lines });
  }

  #isHeld({ placed, notices }: Active, active: readonly Active[]): boolean {
    return (
      placed.blockers.some(
        blocker =>
          blocker.kind === 'other' && active.some(({ placed: { step } }) => step.name === blocker.step),
      ) || notices.some(({ session, count }) => (this.#notices[session] ?? 0) < count)
    );
  }

  #isBlocked({ placed }: Active): Promise<boolean> {
    return this.side.isBlocked(this.#pids[placed.step.session]!, this.#pids);
  }
}

function sessionOf(step: string, { permutations }: Spec): number {
  for (const permutation of permutations)
    for (const placed of permutation) if (placed.step.name === step) return placed.step.session;
  throw new Error(`no step is called ${step}`);
}

/** What two servers tell alike: no types of columns, no place and detail of errors, rows in any order. */
function linesOf(lines: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let rows: string[] = [];
  for (const line of lines) {
    if (line.startsWith('DataRow')) {
      rows.push(line);
      continue;
    }
    kept.push(...rows.sort());
    rows = [];
    if (/^(RowDescription|ReadyForQuery|BackendKeyData)/.test(line)) continue;
    kept.push(line);
  }
  return [...kept, ...rows.sort()];
}
