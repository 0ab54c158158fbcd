/** What the session's temporary tables are told by, and what the trusted side cannot answer alone beside them. */
import { ClarusError } from '../../errors.js';
import { nameText } from '../ddl/resolve.js';
import { type FunctionHomes, isOfSequence } from '../functions.js';
import type { Plan } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { SplitPlanning } from '../split/plan.js';
import type { Touch } from '../touch.js';

/** What planning of a statement over temporary tables knows. */
export interface TemporaryPlanning {
  readonly analysis: Analysis;
  readonly touch: Touch;
  readonly homes: FunctionHomes;
  readonly session: SessionPort;
  readonly plan: SplitPlanning['plan'];
  /** the same in another session */
  readonly planIn: (session: SessionPort) => SplitPlanning['plan'];
  /** plans a query whose constants and parameters no cloud may see */
  readonly source: (sql: string, parameterTypes: readonly number[]) => Promise<Plan>;
}

/** Does a statement ask for what another side answers? */
export const asksElsewhere = (touch: Touch, homes: FunctionHomes): boolean =>
  elsewhere(touch, homes) !== undefined;

/** @throws ClarusError 0A000 for functions and sequences that are answered elsewhere */
export function mustBeOfTrustedSide(touch: Touch, homes: FunctionHomes): void {
  const cause = elsewhere(touch, homes);
  if (cause) throw cause;
}

/** Why the trusted side cannot answer a statement alone, beside the tables that it touches; undefined: it can. */
export function elsewhere(
  { homes, time, sequences, temporary, routines }: Touch,
  all: FunctionHomes,
): ClarusError | undefined {
  const { named, unknown, last } = sequences;
  if (unknown || last || [...named].some(oid => !temporary.has(oid))) return refused('a sequence');
  const called = [...(routines?.builtins ?? [])].filter(oid => !isOfSequence(oid)).map(oid => all.home(oid));
  const asked = new Set([...homes, ...called]);
  if (time || asked.has('cloud') || routines?.time)
    return refused('the time, or what else only the cloud answers');
  for (const home of ['settings', 'statistics', 'sequence-values', 'unproven'])
    if (asked.has(home)) return refused('a function that another side answers');
  return routines?.sequences ? refused('a sequence') : undefined;
}

/** The refusal of a temporary table beside something else. */
export const refused = (what: string): ClarusError =>
  new ClarusError('0A000', `a temporary table together with ${what} is not answered yet`, {
    hint: 'Ask for them in two statements, or use an ordinary table.',
  });

/** Does a name mean a temporary relation of the session? */
export async function isOwnTemporary(session: SessionPort, parts: readonly string[]): Promise<boolean> {
  const rows = await readerOn(session.trusted)(
    `SELECT FROM pg_catalog.pg_class c
      WHERE c.oid = pg_catalog.to_regclass($1) AND c.relnamespace = pg_catalog.pg_my_temp_schema()`,
    [nameText(parts)],
  );
  return rows.length > 0;
}
