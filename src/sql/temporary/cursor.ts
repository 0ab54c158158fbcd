/** DECLARE of a cursor over temporary tables: their rows are given to it, as they are when it is declared. */
import { rangeParts } from '../ddl/resolve.js';
import type { SplitBody } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import { deparse } from '../raw/deparse.js';
import { child, fieldsOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { planCursor } from '../split/cursor.js';
import { withSecrets } from '../split/fetching.js';
import { orCause } from '../split/write/computed-plan.js';
import { planSplitQuery } from '../split/write/plan.js';
import { touchOf } from '../touch.js';
import { withViewsWritten } from '../view-definitions.js';
import { hasSameColumns, type PartsBody } from './beside.js';
import { givenRelations } from './given-relations.js';
import { isOwnTemporary, refused, type TemporaryPlanning } from './own.js';

/**
 * @param raw a DeclareCursorStmt
 * @throws ClarusError 0A000 where its query cannot be run over rows that it is given
 */
export async function planTemporaryCursor(raw: RawNode, planning: TemporaryPlanning): Promise<ProtectedPlan> {
  const { homes, session, planIn } = planning;
  const { parameterTypes } = planning.analysis.shape;
  const cause = refused('a cursor');
  const query = child(fieldsOf(raw), 'query')!;
  const said = await session.analyse(deparse(query), parameterTypes);
  const written = await withViewsWritten(query, session, ({ schema }) => schema.startsWith('pg_temp_'));
  if (!written) throw cause;
  const given = await givenRelations(written, parameterTypes, planning, cause, async range =>
    isOwnTemporary(session, rangeParts(range)),
  );
  const hidden = new Set(
    given.types.slice(parameterTypes.length).map((_, i) => parameterTypes.length + i + 1),
  );
  const declare: RawNode = { DeclareCursorStmt: { ...fieldsOf(raw), query: given.raw } };
  const plan = await planCursor(declare, async (sql, why) => {
    const analysis = await session.analyse(sql, given.types).catch(orCause(cause));
    if (!hasSameColumns(analysis.shape.columns, said.shape.columns)) throw cause;
    const touch = await touchOf(analysis, session, homes);
    if (touch.temporary.size > 0 || touch.catalogue) throw cause;
    const split = await planSplitQuery(parseOne(sql), sql, {
      analysis,
      touch,
      homes,
      session,
      cause: why,
      plan: planIn(withSecrets(session, hidden)),
      hides: true,
    });
    return { body: split.body as SplitBody, shape: split.shape };
  });
  const body: PartsBody = { kind: 'parts', first: given.first, rest: { plan }, tables: [] };
  return { ...plan, shape: { parameterTypes, columns: undefined }, body };
}
