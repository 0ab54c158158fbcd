/** A statement that the trusted PostgreSQL finishes over carriers, from its beginning to its end. */
import { ClarusError } from '../errors.js';
import { milliseconds } from '../sql/durations.js';
import type { Residual, StatementPort } from '../sql/ports.js';
import type { RowSource } from '../sql/residual.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import type { CarefulContext } from './context.js';
import { expects, internal } from './expectations.js';
import { SnapshotProof } from './snapshot-proof.js';
import { abandonReading, endReading, inSubtransaction, type Reading } from './transaction-control.js';
import type { TrustedSide } from './trusted-side.js';

/** Notices of one statement that are kept until it has run. */
const noticesMax = 10_000;

/** A statement that is being finished over rows of the cloud. */
export class RunningStatement implements Residual {
  failure: unknown;
  readonly notices: Diagnostic[] = [];
  readonly #proof: SnapshotProof;

  constructor(
    readonly source: RowSource,
    private readonly side: TrustedSide,
    private readonly reading: Reading,
    private readonly context: CarefulContext,
    private readonly ended: () => void,
  ) {
    this.#proof = new SnapshotProof(context, reading);
  }

  get port(): StatementPort {
    return this.side.port;
  }

  noticed(diagnostic: Diagnostic): void {
    if (this.notices.length < noticesMax) this.notices.push(diagnostic);
    else this.failure ??= new ClarusError('54000', `a statement notices more than ${noticesMax} times`);
  }

  get readOnly(): boolean {
    return this.reading.readOnly;
  }

  async commit(): Promise<void> {
    const { pipeline } = this.side;
    // PostgreSQL's own clock does not run while a transaction ends (finish_xact_command in postgres.c)
    const timeout_ms = milliseconds(this.context.settings.current.statementTimeout);
    let late = false;
    const timer =
      timeout_ms > 0
        ? setTimeout(() => {
            late = true;
            void this.side.cancel();
          }, timeout_ms)
        : undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        pipeline.sync(internal(expects.sync, { done: () => resolve(), failed: reject }));
        pipeline.send();
      });
    } catch (error) {
      throw late ? new ClarusError('57014', 'canceling statement due to statement timeout') : error;
    } finally {
      clearTimeout(timer);
    }
  }

  get toBeProven(): boolean {
    return this.#proof.toBeProven;
  }

  isOneSnapshot(queries: number): Promise<boolean> {
    return this.#proof.isOneSnapshot(queries);
  }

  boundInOne(bind: () => Promise<void>): Promise<boolean> {
    return this.#proof.boundInOne(bind);
  }

  async finish(): Promise<void> {
    if (this.reading.ours) await endReading(this.context);
  }

  over(): void {
    this.ended();
  }

  async settled(): Promise<void> {
    await this.side.pipeline.drained();
  }

  get leavesNothing(): boolean {
    return this.reading.frozen;
  }

  startOver(error?: unknown): Promise<void> {
    return startOver(this.context, this.reading, error);
  }

  undoable<T>(work: () => Promise<T>): Promise<T> {
    return inSubtransaction(this.context, work);
  }
}

/**
 * Makes ready to read anew.
 * @param error what the cloud said to what was read; undefined: nothing
 * @throws error where the client's transaction keeps its snapshot
 */
export async function startOver(context: CarefulContext, reading: Reading, error?: unknown): Promise<void> {
  if (reading.frozen) await abandonReading(context);
  else if (error !== undefined && reading.snapshot === undefined) throw error;
}
