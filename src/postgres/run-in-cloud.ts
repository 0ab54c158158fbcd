import type { CarefulContext } from './context.js';
import { type AnswerHandler, expects, forwarded, internal, step } from './expectations.js';
import type { Origin } from './failure.js';
import { writeBindValues, writeClose, writeExecute } from './server-statements.js';

type Outcome = Required<Pick<AnswerHandler, 'done' | 'failed'>> & Pick<AnswerHandler, 'notice'>;

/**
 * Runs a statement without parameters as the client's: its rows and tag, or its error, go to the client.
 * @param resultFormats as the client's Bind asked for
 */
export function runInCloud(
  { cloud }: CarefulContext,
  sql: string,
  shift: Origin,
  handler: Outcome,
  resultFormats: readonly (0 | 1)[] = [],
): void {
  const { pipeline } = cloud;
  const name = cloud.statements.prepare(sql, sql, [], true, shift);
  const portal = cloud.portals.take(true);
  writeBindValues(pipeline.writer, portal, name, [], [], resultFormats);
  pipeline.expect(step(expects.bind, { failed: handler.failed }, shift));
  writeExecute(pipeline.writer, portal, 0);
  pipeline.expect(forwarded(expects.execute, handler, shift));
  if (portal === '') cloud.portals.unnamedTaken = false;
  else {
    writeClose(pipeline.writer, 0x50, portal);
    pipeline.expect(internal(expects.close));
  }
}

/**
 * Runs it as `runInCloud` does, and waits.
 * @param recording hears of the outcome first
 * @returns its tag; undefined: it failed, and the client has been told
 */
export function ranInCloud(
  context: CarefulContext,
  sql: string,
  shift: Origin,
  recording: AnswerHandler,
  { resultFormats, notice }: { resultFormats?: readonly (0 | 1)[]; notice?: AnswerHandler['notice'] } = {},
): Promise<string | undefined> {
  return new Promise(resolve => {
    const handler = {
      done: (type: number, tag: string) => {
        recording.done?.(type, tag);
        resolve(tag);
      },
      failed: (error: unknown) => {
        recording.failed?.(error);
        resolve(undefined);
      },
      ...(notice === undefined ? {} : { notice }),
    };
    runInCloud(context, sql, shift, handler, resultFormats);
    context.cloud.flush();
  });
}
