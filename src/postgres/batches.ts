import { type CarefulContext, drained } from './context.js';
import { rollbackTrusted } from './transaction-end.js';

/**
 * The batches of a careful session, each ended by a Sync or a Query: what is known of the transaction between them, and
 * which portals end with them.
 */
export class Batches {
  /** number of those that were sent: one more with each Sync and each Query */
  sent = 0;
  readonly #context: CarefulContext;
  readonly #terminate: (error: unknown) => void;
  /** number of ReadyForQuery told */
  #answered = 0;
  /** number of the batch whose end alone tells whether there is a transaction block, and whether it has failed */
  #unsure = 0;

  /** @param terminate ends the session where the trusted side does not follow */
  constructor(context: CarefulContext, terminate: (error: unknown) => void) {
    this.#context = context;
    this.#terminate = terminate;
  }

  /** It is still to be learnt how the last one has left the transaction. */
  get unsure(): boolean {
    return this.#unsure > this.#answered;
  }

  /** Resolves when it is known how the last one has left the transaction. */
  async sure(): Promise<void> {
    await drained(this.#context);
    this.followCloud();
  }

  /** A Sync or a Query was sent: it ends a batch, and with it an implicit transaction. */
  end(): void {
    const context = this.#context;
    const { transaction, status } = context;
    context.wrote = false;
    context.unseen = false;
    context.executedBefore = context.executed;
    this.sent++;
    if (transaction.explicit || transaction.controlled || status !== 'I') this.#unsure = this.sent;
    else this.#endPortals();
    transaction.controlled = false;
  }

  /** The client is told the end of a batch. */
  answer(): void {
    this.#releaseFailed();
    this.#answered++;
    if (this.#context.status === 'I' && this.#answered === this.#unsure) this.#endPortals();
  }

  /** The cloud's word on whether there is a transaction block is the last one. */
  followCloud(): void {
    const context = this.#context;
    const { transaction, cloud, status } = context;
    if (status !== 'I') {
      transaction.explicit = true;
      this.#releaseFailed();
      return;
    }
    cloud.portals.unnamedTaken = false;
    if (!transaction.explicit) return;
    context.settings.stale = true;
    const rolledBack = rollbackTrusted(context);
    transaction.end(false);
    rolledBack.catch(this.#terminate);
  }

  /** Nothing of a failed transaction can commit any more: others do not wait for what it locks on the trusted side. */
  #releaseFailed(): void {
    const context = this.#context;
    if (context.status === 'E' && !context.transaction.hasSavepoints)
      rollbackTrusted(context).catch(this.#terminate);
  }

  #endPortals(): void {
    const { portals, cloud } = this.#context;
    portals.forget();
    cloud.portals.unnamedTaken = false;
  }
}
