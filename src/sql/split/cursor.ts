/**
 * DECLARE of a cursor over protected tables or the system catalogue. What a cursor returns is what its query returns
 * when it is declared (PostgreSQL manual, DECLARE: cursors are insensitive), so the trusted PostgreSQL runs it then, as a
 * cursor WITH HOLD in a transaction of its own: by its end the rows stand in a tuplestore that spills to the trusted
 * disk. The session sees to it that the cursor lives no longer than PostgreSQL lets it (postgres/cursors.ts).
 */
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { physical } from '../compilation.js';
import type { CursorBody, SplitBody } from '../execute/bodies.js';
import { cannotBeRun } from '../execute/given.js';
import type { Bound, Portal } from '../execute/portal.js';
import { giveFigures } from '../figures.js';
import { declared } from '../place.js';
import type { Plan, ProtectedPlan, Shape } from '../plan.js';
import type { ExecuteOutcome, Residual, ResidualPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { child, list, type RawFields, type RawNode } from '../raw/node.js';
import { CloudRows, changed, type SplitServices } from './cloud-rows.js';
import { bindResidual, mustHaveRunAsPlanned, needsOf, run } from './portal.js';

/**
 * @param raw a DeclareCursorStmt
 * @param planQuery plans its query as a split statement; it is given why the cloud does not answer it
 */
export async function planCursor(
  raw: RawNode,
  planQuery: (
    sql: string,
    cause: ClarusError,
  ) => Promise<{ readonly body: SplitBody; readonly shape: Shape }>,
): Promise<ProtectedPlan> {
  const fields = raw.DeclareCursorStmt!;
  const query = child(fields, 'query')!;
  if (locks(query))
    throw new ClarusError(
      '0A000',
      'FOR UPDATE or FOR SHARE in a cursor over protected tables is not answered',
      {
        hint: 'Leave it out of the cursor, and lock the rows by key in the statements that change them.',
      },
    );
  const { body, shape } = await planQuery(deparse(query), cause());
  const { name, hold, binary, scrolls } = declared(fields);
  const declaration = { name, hold, binary, localised: body.localised, columns: shape.columns ?? [] };
  // where nothing is said, PostgreSQL allows scrolling in all cases that cost it nothing, and here none does
  const scroll = scrolls ? 'SCROLL' : 'NO SCROLL';
  const { sql, parameterTypes } = body.statement;
  const declare = `DECLARE ${quoteName(name)} ${scroll} CURSOR WITH HOLD FOR ${sql}`;
  const cursor: CursorBody = {
    kind: 'cursor',
    source: { ...body, statement: physical(declare, parameterTypes) },
    declaration,
  };
  return {
    kind: 'protected',
    command: 'DECLARE CURSOR',
    shape: { parameterTypes: shape.parameterTypes, columns: undefined },
    split: true,
    body: cursor,
  };
}

/** A query of the system catalogue as a split statement that reads no table. */
export const overCatalogue = (
  { sql, shape, figures }: Extract<Plan, { kind: 'trusted' }>,
  { message }: ClarusError,
): SplitBody => ({
  kind: 'split',
  ...(figures ? { figures } : {}),
  statement: physical(sql, shape.parameterTypes),
  asked: [],
  localised: false,
  routines: undefined,
  tables: [],
  names: [],
  columns: [],
  shown: [],
  apart: false,
  oneTable: false,
  joins: false,
  writes: undefined,
  why: [message],
});

const locks = (query: RawNode): boolean => list(query.SelectStmt as RawFields, 'lockingClause').length > 0;

const cause = (): ClarusError =>
  new ClarusError('0A000', 'the rows of a cursor are kept on the trusted side, which has to run its query', {
    hint: 'Send the query by itself, or fetch its rows by a portal of the protocol.',
  });

/** Times that a query is run over rows that turn out to be of several snapshots. */
const attemptsMax = 20;

/** @param residual of the session */
export function bindCursor(
  body: CursorBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Portal {
  return new CursorPortal(body, bound, residual, services);
}

class CursorPortal implements Portal {
  #run = false;

  constructor(
    private readonly body: CursorBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
  ) {}

  async execute(): Promise<ExecuteOutcome> {
    if (this.#run) throw new ClarusError('55000', cannotBeRun(this.bound.portal));
    this.#run = true;
    const { source, declaration } = this.body;
    const { session, bound } = this.bound;
    await session.cursors.check(declaration);
    const { shown, apart } = source;
    const secured = source.as?.secured === true;
    let before: CloudRows | undefined;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const rows = new CloudRows(session, this.services, { shown, apart, bound, secured });
      if (await this.#attempt(rows, before)) {
        await session.cursors.declared(declaration);
        return { kind: 'complete', tag: 'DECLARE CURSOR' };
      }
      before = rows;
    }
    throw changed();
  }

  /** @returns false: its rows are not of one snapshot */
  async #attempt(rows: CloudRows, before: CloudRows | undefined): Promise<boolean> {
    const residual = await this.residual.begin(rows, needsOf(this.body.source));
    try {
      if (before && !(await rows.bindAgain(before, residual))) throw changed();
      await this.#declare(residual);
      return await this.#isProven(residual, rows);
    } catch (error) {
      throw error instanceof ClarusError ? error : (residual.failure ?? error);
    } finally {
      rows.close();
      residual.over();
    }
  }

  async #declare(residual: Residual): Promise<void> {
    const { figures } = this.body.source;
    if (figures) await giveFigures(figures, this.bound.session, residual.port);
    const portal = await bindResidual(this.body.source, { ...this.bound, formats: [] }, residual);
    await run(residual.port, portal, { rows: () => undefined });
    await residual.commit();
  }

  /** It stays only if its rows are of one snapshot. */
  async #isProven(residual: Residual, rows: CloudRows): Promise<boolean> {
    const close = `CLOSE ${quoteName(this.body.declaration.name)}`;
    try {
      if (!(await rows.areOfOneSnapshot(residual))) {
        await residual.port.run(close);
        return false;
      }
      await mustHaveRunAsPlanned(this.body.source, residual, this.bound.session);
      await residual.finish();
      return true;
    } catch (error) {
      await residual.port.run(close);
      throw error;
    }
  }

  close(): void {
    // nothing of it is left open: the cursor is the session's
  }
}
