/** What a statement was bound with, as its values are evaluated on this side. */
import { PostgresError } from '../../wire/diagnostic.js';
import type { CloudStatement, ParameterSource } from '../compilation.js';
import type { BoundParameters, ProtectedPlan } from '../plan.js';
import type { OutcomeListener, SessionPort } from '../ports.js';
import { collect } from './collect.js';
import { statement } from './convert.js';

/** What PostgreSQL says to a portal that cannot be executed again (MarkPortalActive in portalmem.c). */
export const cannotBeRun = (portal: string | undefined): string => `portal "${portal ?? ''}" cannot be run`;

const timeQuery = statement('SELECT pg_catalog.now()', []);

/** Asks the cloud for the time of the session's transaction: a timestamptz in binary form. */
export async function transactionTime(session: SessionPort): Promise<Uint8Array | null> {
  return (await collect(session.cloud, timeQuery, [], [], [1]))[0]?.[0] ?? null;
}

/** Bound parameters with the plan that they are for. PostgreSQL checks them at most once. */
export class Given {
  readonly parameterTypes: readonly number[];
  #checked: Promise<void> | undefined;
  #time: Promise<Uint8Array | null> | undefined;

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

  /** The time of the transaction, as the cloud says: a timestamptz in binary form. */
  time(): Promise<Uint8Array | null> {
    this.#time ??= transactionTime(this.session);
    return this.#time;
  }

  /**
   * Tells an error of a cloud's Bind of the client's parameter.
   * @param statement the cloud's, with what its parameters are
   */
  placing({ parameters }: Pick<CloudStatement, 'parameters'>): (error: unknown) => never {
    return error => {
      throw this.#clients(error, parameters);
    };
  }

  /** Who hears the same of an execution. */
  placed(listener: OutcomeListener, { parameters }: Pick<CloudStatement, 'parameters'>): OutcomeListener {
    return {
      done: outcome => listener.done(outcome),
      failed: error => listener.failed(this.#clients(error, parameters)),
    };
  }

  #clients(error: unknown, parameters: readonly ParameterSource[]): unknown {
    return this.#placed(error, number => {
      const source = parameters[number - 1];
      return source?.kind === 'client' ? source.index + 1 : undefined;
    });
  }

  /** A portal of ours is not the client's, and its parameters may have other numbers. */
  #placed(error: unknown, numberOf: (number: number) => number | undefined): unknown {
    if (!(error instanceof PostgresError)) return error;
    const { message, where, ...diagnostic } = error.diagnostic;
    const portal = this.portal ? `portal "${this.portal}"` : 'unnamed portal';
    const placed = where?.replace(
      /^(?:unnamed portal|portal "clarus_p\d+") parameter \$(\d+)/m,
      (_, number) => `${portal} parameter $${numberOf(Number(number)) ?? '?'}`,
    );
    return new PostgresError({
      ...diagnostic,
      message: message.replace(
        /^portal "(?:clarus_p\d+)?" (?=cannot be run$|does not exist$)/,
        `portal "${this.portal ?? ''}" `,
      ),
      ...(placed === undefined ? {} : { where: placed }),
    });
  }
}
