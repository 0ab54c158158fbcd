/** What an Execute of ours came to, at its place in the pipeline. */
import type { ExecuteOutcome, OutcomeListener } from '../sql/ports.js';
import type { CarefulContext } from './context.js';
import type { Work } from './expectations.js';
import type { Recording } from './recording.js';
import { commandComplete, messages } from './shapes.js';

/** What ends an Execute. */
export const completion = (outcome: ExecuteOutcome): Buffer =>
  outcome.kind === 'suspended' ? messages.suspended : commandComplete(outcome.tag);

/** An outcome that has its place in the pipeline: later messages are sent before it is known. */
export class QueuedOutcome implements OutcomeListener, Work {
  settled = false;
  wake: (() => void) | undefined;
  readonly #context: CarefulContext;
  readonly #recording: Recording;
  readonly #fallible: boolean;
  #outcome: ExecuteOutcome | undefined;
  #error: unknown;

  /** @param fallible work of ours may fail after the cloud has answered */
  constructor(context: CarefulContext, recording: Recording, fallible: boolean) {
    this.#context = context;
    this.#recording = recording;
    this.#fallible = fallible;
  }

  /** Takes its place. */
  wait(): void {
    if (this.#fallible) this.#context.pending++;
    this.#context.cloud.pipeline.wait(this);
  }

  done(outcome: ExecuteOutcome): void {
    this.#recording.outcome(outcome);
    this.#outcome = outcome;
    this.#settle();
  }

  failed(error: unknown): void {
    this.#recording.failed(error);
    this.#error = error;
    this.#settle();
  }

  finish(): void {
    const { trusted, output } = this.#context;
    // the client's Sync may have been before: an error that it made must not stand when the next statement comes
    trusted.settle();
    if (this.#outcome === undefined) this.#context.failAtTurn(this.#error);
    else output.bytes(completion(this.#outcome));
    this.dropped();
  }

  dropped(): void {
    if (this.#fallible) this.#context.workSettled();
  }

  #settle(): void {
    this.settled = true;
    if (this.wake !== undefined) this.wake();
    else this.#context.cloud.pipeline.advance();
  }
}
