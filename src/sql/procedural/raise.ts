/** RAISE and ASSERT. */
import { ClarusError, type ErrorFields } from '../../errors.js';
import { tell } from '../notices.js';
import { activityOf } from './activity.js';
import { statesOf } from './conditions.js';
import { markOpen, markRaised, markSecretState } from './errors.js';
import type { Frame } from './frame.js';
import { contextOf } from './places.js';
import type { Raise } from './syntax.js';
import { textOf, type Value } from './types.js';
import type { Scope } from './variables.js';

/** What RAISE says, by the names of its options. */
type Words = Partial<Record<string, string>>;

/** Tells the client, or throws. @throws ClarusError of an EXCEPTION; 22004, 42601 */
export async function raise(statement: Raise, frame: Frame, scope: Scope): Promise<void> {
  const given: Value[] = [];
  for (const expression of statement.arguments) given.push(await frame.evaluate(expression, scope));
  const words: Words = {};
  let secret = given.some(v => v.secret);
  let secretState = false;
  if (statement.message !== undefined) words.message = formatted(statement.message, given);
  for (const { name, expression } of statement.options) {
    const value = await frame.evaluate(expression, scope);
    const text = textOf(value);
    if (text === null) throw new ClarusError('22004', 'RAISE statement option cannot be null');
    if (words[name] !== undefined)
      throw new ClarusError('42601', `RAISE option already specified: ${name.toUpperCase()}`);
    if (name === 'errcode' && statement.condition !== undefined)
      throw new ClarusError('42601', 'RAISE option already specified: ERRCODE');
    words[name] = text;
    secret ||= value.secret;
    secretState ||= name === 'errcode' && value.secret;
  }
  const code = codeOf(statement, words.errcode);
  const message = words.message ?? statement.condition ?? words.errcode ?? code;
  if (statement.level === 'exception') {
    const error = markRaised(new ClarusError(code, message, fieldsOf(words)));
    if (secretState) markSecretState(error);
    throw secret ? error : markOpen(error);
  }
  const { session } = frame.execution;
  const severity = statement.level.toUpperCase();
  const where = contextOf(activityOf(session).places);
  await tell(session, [{ severity, severityPlain: severity, code, message, ...fieldsOf(words), where }]);
}

/** `%` stands for an argument, `%%` for itself. */
function formatted(format: string, given: readonly Value[]): string {
  let next = 0;
  return format.replace(/%%|%/g, mark => {
    if (mark === '%%') return '%';
    const value = given[next++]!;
    return textOf(value) ?? '<NULL>';
  });
}

const codeOf = ({ level, condition }: Raise, errcode: string | undefined): string => {
  const named = errcode ?? condition;
  if (named === undefined) return { exception: 'P0001', warning: '01000' }[level as string] ?? '00000';
  if (/^[0-9A-Z]{5}$/.test(named)) return named;
  const [state] = statesOf(named);
  if (state === undefined) throw new ClarusError('42704', `unrecognized exception condition "${named}"`);
  return state;
};

function fieldsOf({
  detail,
  hint,
  column,
  constraint,
  datatype,
  table,
  schema,
}: Words): Omit<ErrorFields, 'position'> {
  const fields = { detail, hint, column, constraint, dataType: datatype, table, schema };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** The error of an ASSERT that does not hold. */
export function failedAssertion(message: Value | undefined): ClarusError {
  const text = (message && textOf(message)) ?? 'assertion failed';
  const error = markRaised(new ClarusError('P0004', text));
  return message?.secret ? error : markOpen(error);
}
