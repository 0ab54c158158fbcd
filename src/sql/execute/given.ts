/** What a statement was bound with, as its values are evaluated on this side. */
import { PostgresError } from '../../wire/diagnostic.js';
import type { ParameterSource } from '../compilation.js';
import type { BoundParameters, ProtectedPlan, SessionPort } from '../plan.js';

/** Bound parameters with the plan that they are for. PostgreSQL checks them at most once. */
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
      throw this.#placed(error, number => number);
    });
    return this.#checked;
  }

  /**
   * Tells an error of a cloud's Bind of the client's parameter.
   * @param parameters what the cloud's parameters are
   */
  placing(parameters: readonly ParameterSource[]): (error: unknown) => never {
    return error => {
      throw this.#placed(error, number => {
        const source = parameters[number - 1];
        return source?.kind === 'client' ? source.index + 1 : undefined;
      });
    };
  }

  /** A portal of ours is not the client's, and its parameters may have other numbers. */
  #placed(error: unknown, numberOf: (number: number) => number | undefined): unknown {
    if (!(error instanceof PostgresError) || error.diagnostic.where === undefined) return error;
    const portal = this.portal ? `portal "${this.portal}"` : 'unnamed portal';
    const where = error.diagnostic.where.replace(
      /^(?:unnamed portal|portal "clarus_p\d+") parameter \$(\d+)/m,
      (_, number) => `${portal} parameter $${numberOf(Number(number)) ?? '?'}`,
    );
    return new PostgresError({ ...error.diagnostic, where });
  }
}
