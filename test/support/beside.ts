/** Clarus beside a plain PostgreSQL, for the tests of a suite: both run the same statements, and are compared. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { type FullOutcome, fullOutcomeOf, outcomeOf, type Step } from './outcome.js';
import { RawClient } from './raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './recorded-proxy.js';
import { answerTo, type TextStep } from './steps.js';

/** A session of Clarus and one of PostgreSQL, message by message. */
export interface RawSessions {
  readonly clarus: RawClient;
  readonly plain: RawClient;
}

export class Beside {
  readonly #sessions: RawSessions[] = [];
  readonly #notices = new Map<pg.Client, string[]>();
  #recorded: RecordedProxy | undefined;

  get recorded(): RecordedProxy {
    return this.#recorded!;
  }

  get ours(): pg.Client {
    return this.recorded.ours;
  }

  get plain(): pg.Client {
    return this.recorded.plain;
  }

  /** Both clients, Clarus's first. */
  get clients(): readonly [pg.Client, pg.Client] {
    return [this.ours, this.plain];
  }

  /** Runs statements, which must succeed, on both. */
  async both(...statements: readonly string[]): Promise<void> {
    for (const sql of statements) for (const client of this.clients) await client.query(sql);
  }

  /** A new session of each; they end with the suite at the latest. */
  async sessions(): Promise<RawSessions> {
    const { proxy } = this.recorded;
    const opened = { clarus: await RawClient.connect(proxy), plain: await RawClient.connect(proxy.plain) };
    this.#sessions.push(opened);
    return opened;
  }

  /** Both answer steps alike, message by message, each in a session of its own. */
  async play(steps: readonly TextStep[], extended: boolean): Promise<void> {
    const { clarus, plain } = await this.sessions();
    try {
      for (const step of steps) {
        const expected = await answerTo(plain, step, extended);
        assert.equal(await answerTo(clarus, step, extended), expected, String(step));
      }
    } finally {
      await clarus.close();
      await plain.close();
    }
  }

  /** A step comes to the same on both. @param after what is to blame if not @returns what it comes to */
  async alike(step: Step, after: Step = step): Promise<object> {
    const [ours, theirs] = [await outcomeOf(this.ours, step), await outcomeOf(this.plain, step)];
    assert.deepEqual(ours, theirs, String(after));
    return theirs;
  }

  /** All that one of the clients is told of a step, with the notices that come meanwhile. */
  async outcome(client: pg.Client, step: Step, extended = false): Promise<FullOutcome> {
    const notices = this.#notices.get(client)!;
    notices.length = 0;
    const outcome = await fullOutcomeOf(client, step, extended);
    return { ...outcome, notices: [...notices] };
  }

  /**
   * The steps of whose outcomes not all is alike.
   * @param outcome what is compared; all that a client is told unless it is given
   */
  async differences(
    steps: readonly Step[],
    outcome: (client: pg.Client, step: Step) => Promise<unknown> = (client, step) =>
      this.outcome(client, step),
  ): Promise<unknown[]> {
    const found: unknown[] = [];
    for (const step of steps) {
      const [got, wanted] = [await outcome(this.ours, step), await outcome(this.plain, step)];
      if (!isDeepStrictEqual(got, wanted)) found.push({ step, got, wanted });
    }
    return found;
  }

  /** As `differences`, but for details, and for the order of rows where no ORDER BY says one. */
  unorderedDifferences(steps: readonly Step[], extended = false): Promise<unknown[]> {
    return this.differences(steps, async (client, step) => {
      const { rows, detail: _detail, ...told } = await this.outcome(client, step, extended);
      const [sql] = typeof step === 'string' ? [step] : step;
      return { ...told, rows: /ORDER BY/.test(sql) ? rows : rows?.map(row => JSON.stringify(row)).sort() };
    });
  }

  /** @param policy lines of clarus.yaml after `users` */
  async start(policy: string, ddl: readonly string[]): Promise<void> {
    this.#recorded = await startRecordedProxy(policy);
    for (const client of this.clients) {
      const notices: string[] = [];
      this.#notices.set(client, notices);
      client.on('notice', ({ severity, code, message, hint }) =>
        notices.push([severity, code, message, hint].join(' ')),
      );
    }
    await this.both(...ddl);
  }

  async stop(): Promise<void> {
    for (const { clarus, plain } of this.#sessions) {
      await clarus.close();
      await plain.close();
    }
    await this.#recorded?.stop();
  }
}

/**
 * Called in a suite: starts before its tests, and stops after them.
 * @param policy lines of clarus.yaml after `users`
 * @param ddl what both run first
 */
export function beside(policy: string, ddl: readonly string[] = []): Beside {
  const made = new Beside();
  before(() => made.start(policy, ddl));
  after(() => made.stop());
  return made;
}
