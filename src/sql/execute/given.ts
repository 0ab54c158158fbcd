/** What a statement was bound with, as its values are evaluated on this side. */
import { PostgresError } from '../../wire/diagnostic.js';
import type { BoundParameters, ProtectedPlan, SessionPort } from '../plan.js';

export class Given {
  readonly parameterTypes: readonly number[];
  #checked: Promise<void> | undefined;

  /** @param portal name of the client's portal, for errors */
  constructor(
    private readonly plan: Pick<ProtectedPlan, 'shape' | 'check'>,
    readonly bound: BoundParameters,
    readonly session: SessionPort,
    private readonly portal: string | undefined,
  ) {
    this.parameterTypes = plan.shape.parameterTypes;
  }

  /**
   * What PostgreSQL says at Bind: of wrong parameters it names the first, whichever column it is for; then it plans
   * the statement, in which it evaluates constants. To be called before anything is evaluated that may be wrong, so
   * that its error is not told in place of an earlier one.
   * @throws PostgresError
   */
  mustBind(): Promise<void> {
    const { check } = this.plan;
    if (!check) return Promise.resolve();
    this.#checked ??= this.session.check(check, this.bound).catch(error => {
      throw this.#placed(error);
    });
    return this.#checked;
  }

  /** The trusted side's portal is not the client's. */
  #placed(error: unknown): unknown {
    if (!(error instanceof PostgresError) || error.diagnostic.where === undefined) return error;
    const portal = this.portal ? `portal "${this.portal}"` : 'unnamed portal';
    const where = error.diagnostic.where.replace(
      /^(?:unnamed portal|portal "clarus_p\d+") parameter \$/m,
      () => `${portal} parameter $`,
    );
    return new PostgresError({ ...error.diagnostic, where });
  }
}
