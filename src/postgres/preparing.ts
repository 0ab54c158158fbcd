/** Statements of the client that the cloud prepares: their results must be those that the client is told of. */
import type { Plan } from '../sql/plan.js';
import type { CarefulContext } from './context.js';
import { changedPast, isOtherwise } from './described.js';
import type { AnswerHandler } from './expectations.js';
import type { PreparedStatement } from './prepared.js';

/** What changes nothing may run before it is known that its result is described rightly. */
const reads = /^\s*(?:select|values|table|show)\b/i;

/**
 * Prepares a statement in the cloud, and holds what the cloud says of its result against what the client is told.
 * @returns a promise when the statement must not run before that is known
 */
export function prepareChecked(
  context: CarefulContext,
  plan: Extract<Plan, { kind: 'pass' }>,
  { statement, parameterTypes }: PreparedStatement,
): Promise<void> | undefined {
  const { statements, pipeline } = context.cloud;
  const columns = plan.copy === undefined ? plan.shape?.columns : undefined;
  if (columns === undefined || statements.has(plan)) return undefined;
  const prepare = (described: AnswerHandler): void => {
    statements.prepare(plan, plan.sql, parameterTypes, true, statement.start, described);
  };
  const otherwise = (type: number, buffer: Buffer, body: number): boolean => {
    const is = isOtherwise(columns, type, buffer, body);
    if (is) context.options.log?.('warning', changedPast().message, {});
    return is;
  };
  if (reads.test(plan.sql)) {
    prepare({
      message: (type, buffer, body) => {
        if (!otherwise(type, buffer, body)) return;
        context.failAtTurn(changedPast());
        statements.drop(plan);
        // somebody may wait for the end of what is asked, which has just become more
        pipeline.flush();
      },
    });
    return undefined;
  }
  return new Promise((resolve, reject) => {
    prepare({
      message: (type, buffer, body) => {
        if (!otherwise(type, buffer, body)) return;
        reject(changedPast());
        statements.drop(plan);
      },
      done: () => resolve(),
      // the client is told by what failed
      failed: () => resolve(),
    });
    pipeline.flush();
  });
}
