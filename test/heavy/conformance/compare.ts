/** Compares what one file of the suite answered through Clarus with what PostgreSQL answers. */
import { normalised } from './normalisations.js';
import type { Answer, ScriptRun } from './run.js';
import type { Unit } from './script.js';

/**
 * What became of a statement:
 * - `identical`: it answered what PostgreSQL answers
 * - `refused`: it ended in an error that PostgreSQL does not give
 * - `consequence`: it answered what PostgreSQL answers where the statements that were refused before are refused too
 * - `unreached`: the session was lost, or the file's time was over
 * - `different`: none of these: a wrong answer without an error
 */
export type Outcome = (typeof outcomes)[number];
export const outcomes = ['identical', 'refused', 'consequence', 'unreached', 'different'] as const;

/** One statement's outcome. */
export interface Verdict {
  readonly unit: number;
  readonly outcome: Outcome;
  /** of the error, where it is refused */
  readonly state?: string;
  readonly message?: string;
}

/** SQLSTATEs of what is not there: where PostgreSQL has it, something before was refused. */
const missing = new Set('42P01 42703 42883 42704 25P02 3F000 3D000 34000 26000 42P02 2F003'.split(' '));

const errorLines = /^(?:ERROR|FATAL|PANIC): .*$/gm;

/** The first error that an answer tells and another does not. */
function errorOf(answer: Answer, other: Answer | undefined): string | undefined {
  const told = new Set(other?.output.match(errorLines) ?? []);
  return answer.output.match(errorLines)?.find(line => !told.has(line));
}

/** Does a statement end in an error of Clarus: one that PostgreSQL does not give, and no consequence of another? */
export function isRefused(through: Answer, direct: Answer | undefined): boolean {
  return errorOf(through, direct) !== undefined && !missing.has(through.state);
}

/**
 * Texts for the reference run, in which what failed through Clarus alone leaves nothing behind either: a statement that
 * Clarus refused is an error there too; one that failed for want of something is run, and taken back.
 */
export function refusals(
  units: readonly Unit[],
  direct: ScriptRun,
  through: ScriptRun,
): ReadonlyMap<number, string> {
  const replaced = new Map<number, string>();
  let block = false;
  for (const [i, { text }] of units.entries()) {
    const answer = through.answers[i];
    const error = answer && errorOf(answer, direct.answers[i]);
    if (error !== undefined && isRefused(answer!, direct.answers[i])) replaced.set(i, refusal(error));
    const statement = text.replace(/^(\s*--.*\n|\s)+/, '');
    if (answer?.output.match(errorLines) && !replaced.has(i) && !leavesNothing(statement, answer))
      replaced.set(i, block ? takenBackInBlock(text) : takenBack(text));
    const [, prepared] = /^prepare\s+transaction\s+('[^']*')/i.exec(statement) ?? [];
    if (prepared !== undefined && answer?.output.match(errorLines) && !replaced.has(i))
      replaced.set(i, `${text}\n\\if :ERROR\n\\else\nROLLBACK PREPARED ${prepared};\n\\endif`);
    if (/^(begin|start\s+transaction)\b/i.test(statement)) block = true;
    if (/^(commit|end|abort|rollback(?!\s+(work\s+|transaction\s+)?to\b))\b/i.test(statement)) block = false;
  }
  return replaced;
}

/** Does it leave nothing behind, wherever it runs? Or can it run in no transaction block? */
const leavesNothing = (statement: string, { state }: Answer): boolean =>
  state === '25P02' ||
  statement.includes('\\;') ||
  /^(select|table|values|with|explain|vacuum|analyze|reindex|cluster|\\d)\b/i.test(statement);

const refusal = (line: string): string =>
  `DO $refused$ BEGIN RAISE feature_not_supported USING MESSAGE = '${line.replace(/^\w+: {2}/, '').replaceAll("'", "''")}'; END $refused$;`;
const takenBack = (text: string): string => `BEGIN;\n${text}\nROLLBACK;`;
const takenBackInBlock = (text: string): string =>
  `SAVEPOINT taken_back;\n${text}\n\\if :ERROR\n\\else\nROLLBACK TO taken_back;\n${refusal('ERROR:  refused')}\n\\endif`;

/** The outcome of each statement of a file. */
export function verdicts(
  units: readonly Unit[],
  direct: ScriptRun,
  through: ScriptRun,
  reference: ScriptRun,
): readonly Verdict[] {
  return units.flatMap((unit, i): readonly Verdict[] =>
    unit.kind === 'control' || direct.answers[i] === undefined
      ? []
      : [{ unit: i, ...outcomeOf(unit, direct.answers[i], through.answers[i], reference.answers[i]) }],
  );
}

function outcomeOf(
  unit: Unit,
  direct: Answer,
  through: Answer | undefined,
  reference: Answer | undefined,
): Omit<Verdict, 'unit'> {
  if (through === undefined) return { outcome: 'unreached' };
  const told = normalised(through.output, unit);
  if (told === normalised(direct.output, unit)) return { outcome: 'identical' };
  const error = errorOf(through, direct);
  if (isRefused(through, direct)) return { outcome: 'refused', state: through.state, message: error ?? '' };
  if (reference !== undefined && told === normalised(reference.output, unit))
    return { outcome: 'consequence' };
  if (error !== undefined) return { outcome: 'refused', state: through.state, message: error };
  return { outcome: 'different' };
}
