/**
 * The SQL of a client. Where standard_conforming_strings is off its literals are given the prefix E that they mean, when it
 * comes: all else reads texts as they are read with the setting on, and what is kept of a text goes on meaning what it meant.
 */
import type { ClarusError } from '../errors.js';
import { isTold } from '../sql/notices.js';
import { mayDepend, type StringWarning, withEscapes } from '../sql/raw/string-literals.js';
import { PostgresError } from '../wire/diagnostic.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { type Origin, positionOf, shifted } from './failure.js';
import { refreshSettings } from './planned.js';
import type { Statement } from './planner-port.js';

/** A text of the client, to be read as with standard_conforming_strings on. */
export interface ClientText {
  readonly sql: string;
  /** where in what the client has sent something stands that begins at a character of `sql` */
  readonly origin: (at: number) => Origin;
  readonly warnings: readonly StringWarning[];
  /** what PostgreSQL's scanner refuses; `sql` ends before it */
  readonly refused: ClarusError | undefined;
}

const asSent = (at: number): Origin => at;
const noWarnings: readonly StringWarning[] = [];

/** Reads a text under the settings that are in force when it comes. */
export function clientText(context: CarefulContext, sql: string): ClientText | Promise<ClientText> {
  const { settings } = context;
  const plain: ClientText = { sql, origin: asSent, warnings: noWarnings, refused: undefined };
  if (!mayDepend(sql)) return plain;
  const read = (): ClientText => {
    const { standardConformingStrings, backslashQuote } = settings.current;
    if (standardConformingStrings) return plain;
    const rewritten = withEscapes(sql, backslashQuote);
    return { ...rewritten, origin: at => ({ at, in: rewritten }) };
  };
  const isSettled = !settings.stale && !settings.hasBeenOff;
  if (isSettled || isFailed(context)) return read();
  return drained(context).then(async going => {
    if (going && settings.stale && !isFailed(context)) await refreshSettings(context);
    return read();
  });
}

/** Tells what PostgreSQL warns of in the literals of a text. @param end of what was read of it, in the client's characters */
export function tellWarnings({ settings, port }: CarefulContext, text: ClientText, end = Infinity): void {
  const { escapeStringWarning, clientMinMessages } = settings.current;
  if (!escapeStringWarning || !isTold('WARNING', clientMinMessages)) return;
  for (const { message, hint, position } of text.warnings)
    if (position <= end)
      port.client.notice({
        severity: 'WARNING',
        code: '22P06',
        message,
        hint,
        position: String(position),
      });
}

/** The codes of what PostgreSQL's scanner and grammar find wrong (scan.l, gram.y). */
const ofGrammar: ReadonlySet<unknown> = new Set(['42601', '22021', '22025', '22P06']);

/**
 * Splits a text into statements, and tells what there is to warn of. Where it cannot be parsed, the trusted PostgreSQL says what
 * is wrong with it.
 * @returns a promise that is rejected with that
 */
export function split(context: CarefulContext, text: ClientText): readonly Statement[] | Promise<never> {
  let found: readonly (Statement & { readonly start: number })[] = [];
  try {
    found = context.options.planner.statements(text.sql);
  } catch (error) {
    const isCutShort = text.refused !== undefined && / at end of input$/.test((error as Error).message);
    if (!isCutShort) return wrong(context, text, error);
  }
  tellWarnings(context, text);
  if (text.refused) throw text.refused;
  return found.map(statement => ({ ...statement, start: text.origin(statement.start) }));
}

async function wrong(context: CarefulContext, text: ClientText, error: unknown): Promise<never> {
  const said = await context.trusted.analyse(text.sql, []).then(
    () => error,
    told => (told instanceof PostgresError && ofGrammar.has(told.code) ? told : error),
  );
  const placed = shifted(said, text.origin(0));
  tellWarnings(context, text, positionOf(placed));
  throw placed;
}
