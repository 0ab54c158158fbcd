/** Portals of split statements: the trusted PostgreSQL runs them, and its carriers ask for rows meanwhile. */
import { ClarusError } from '../../errors.js';
import type { SplitBody } from '../execute/bodies.js';
import { transactionTime } from '../execute/given.js';
import { type Bound, named, type Portal } from '../execute/portal.js';
import type { ExecuteOutcome, PortalPort, Residual, ResidualPort } from '../plan.js';
import { CloudRows, type SplitServices } from './cloud-rows.js';

/** @param residual of the session */
export function bindSplit(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Portal {
  return new SplitPortal(body, bound, residual, services);
}

class SplitPortal implements Portal {
  readonly #rows: CloudRows;
  #residual: Residual | undefined;
  #portal: PortalPort | undefined;
  #over = false;

  constructor(
    private readonly body: SplitBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    services: SplitServices,
  ) {
    this.#rows = new CloudRows(bound.session, services, { shown: body.shown, bound: bound.bound });
  }

  async execute(maxRows: number): Promise<ExecuteOutcome> {
    if (this.#over) return { kind: 'complete', tag: 'SELECT 0' };
    this.#residual ??= await this.residual.begin(this.#rows, this.body.tables);
    const residual = this.#residual;
    const { client } = this.bound.session;
    try {
      this.#portal ??= await this.#bind(residual);
      const executed = this.#portal.execute(maxRows, {
        rows: ({ buffer, starts, count }) => {
          const last = starts[count - 1]! - 4;
          // copied: the client takes them in its time
          return client.write(Buffer.from(buffer.subarray(starts[0]! - 5, last + buffer.readInt32BE(last))));
        },
      });
      residual.port.flush();
      const outcome = await executed;
      if (outcome.kind === 'complete') {
        if (!(await residual.oneSnapshot(this.#rows.fetches))) throw changed();
        this.close();
      }
      return outcome;
    } catch (error) {
      this.close();
      throw residual.failure ?? error;
    }
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#portal?.close();
    this.#residual?.over();
  }

  async #bind({ port }: Residual): Promise<PortalPort> {
    const { bound, formats, session } = this.bound;
    const { statement, time } = this.body;
    const parameters = [...bound.formats, ...(time ? [1 as const] : [])];
    const values = [...bound.values, ...(time ? [await transactionTime(session)] : [])];
    return port.bind(statement, values, { parameters, results: formats }, named);
  }
}

const changed = (): ClarusError =>
  new ClarusError('40001', 'the cloud changed while the statement read several times', {
    hint: 'Try again, or read in a transaction of ISOLATION LEVEL REPEATABLE READ.',
  });
