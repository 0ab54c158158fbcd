import type { PostgresError } from '../wire/diagnostic.js';
import { writeError } from '../wire/diagnostic.js';
import type { ClientOutput } from './client-output.js';
import type { ExpectationQueue } from './expectation-queue.js';
import { dropped, type Expectation, expects, ownError } from './expectations.js';
import { shifted } from './failure.js';
import type { PipelineHooks } from './pipeline-hooks.js';

/**
 * What becomes of a batch in which something was refused, by the server or by us. After an error the server skips
 * everything until Sync (PostgreSQL manual, 54.2.3), and so do the expectations; the client is told one error a batch.
 */
export class Refusals {
  /** the server skips until Sync, and none is queued */
  failed = false;
  /** the client has been told the error of this batch */
  told = false;
  readonly #queue: ExpectationQueue;
  readonly #output: ClientOutput;
  readonly #hooks: PipelineHooks;

  constructor(queue: ExpectationQueue, output: ClientOutput, hooks: PipelineHooks) {
    this.#queue = queue;
    this.#output = output;
    this.#hooks = hooks;
  }

  /** A Sync is queued: what comes after it is another batch. */
  synchronised(): void {
    this.failed = false;
    this.told = false;
  }

  /** Tells the client an error of ours in its turn, unless it has been told another in this batch. */
  tell(bytes: Buffer): void {
    if (this.told) return;
    this.told = true;
    if (this.#queue.length === 0) this.#output.bytes(bytes);
    else this.#queue.push(ownError(bytes));
  }

  /**
   * Work of ours failed at its turn: the client is told, and sees nothing more of this batch.
   * @returns true when the Sync of the batch is already queued
   */
  atTurn(bytes: Buffer): boolean {
    const { synchronised } = this.#queue;
    // an error that was to be told later is not: this one is earlier
    let unheard = !this.told;
    const unanswered = this.#queue.cutToSync(entry => {
      unheard ||= entry.expects === expects.own && entry.tells;
      entry.toClient = false;
      entry.tells = false;
      return entry.expects < expects.own;
    });
    if (unheard) this.#output.bytes(bytes);
    if (!synchronised) this.told = true;
    for (const { work } of unanswered) work?.dropped();
    return synchronised;
  }

  /** The server has refused what is expected first. */
  ofServer(error: PostgresError, head: Expectation): void {
    const toldNow = head.tells;
    if (toldNow) writeError(this.#output.message(), shifted(this.#hooks.clientError(error), head.shift));
    if (head.expects === expects.query || head.expects === expects.sync) {
      // ReadyForQuery follows
      head.handler?.failed?.(error);
      return;
    }
    this.#queue.shift();
    let reporter = !toldNow && head.expects !== expects.poison;
    const skippedEntries = this.#queue.cutToSync(entry => {
      // work of ours that waits for this answer is the one to tell the client
      const keep = reporter && entry.expects === expects.wait;
      reporter &&= !keep;
      return keep || (!toldNow && entry.expects === expects.own && entry.tells);
    });
    this.failed = !this.#queue.synchronised;
    if (toldNow && this.failed) this.told = true;
    head.handler?.failed?.(error);
    dropped(skippedEntries, error);
    if (toldNow && this.failed) this.#hooks.skipping();
  }
}
