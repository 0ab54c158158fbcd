/**
 * String literals as PostgreSQL's scanner reads them (scan.l), under standard_conforming_strings on and off. What the
 * setting decides on is an ordinary literal with a backslash in it, and U&'...', which is an error where it is off. Our
 * grammar reads every text with the setting on.
 */
import { ClarusError } from '../../errors.js';
import { continued, endOfComment, endOfDollar, endOfLine, endOfQuoted } from './comments.js';

/** Can the setting decide on anything in a text? False is certain. */
export const mayDepend = (sql: string): boolean => sql.includes('\\') || /u&'/i.test(sql);

/** Is a text read otherwise, where standard_conforming_strings is off? */
export const dependsOnStrings = (sql: string): boolean =>
  mayDepend(sql) &&
  literalsIn(sql, false).some(({ kind, text }) => kind === 'unicode' || text.includes('\\'));

/**
 * Bodies are read when they are run, by the setting that is in force then: under the other one, what Clarus has found out
 * about them would be wrong.
 * @param body whose literals these are, in words
 * @throws ClarusError 0A000
 */
export function mustNotDepend(
  texts: readonly string[],
  { standardConformingStrings }: { readonly standardConformingStrings: boolean },
  body: string,
): void {
  if (standardConformingStrings || !texts.some(dependsOnStrings)) return;
  throw new ClarusError(
    '0A000',
    `${body} has literals with backslashes, which standard_conforming_strings decides on`,
    {
      detail:
        'Bodies are read while they run. In a database with protected tables they are read with the setting on.',
      hint: "Write such literals as E'...', or set standard_conforming_strings to on.",
    },
  );
}

/** What PostgreSQL warns of in a text, with the place of the literal: in characters, from 1. */
export interface StringWarning {
  readonly message: string;
  readonly hint: string;
  readonly position: number;
}

/** A text that means with standard_conforming_strings on what another one means with it off. */
export interface Rewritten {
  readonly sql: string;
  readonly warnings: readonly StringWarning[];
  /** what the scanner refuses first; `sql` ends before it */
  readonly refused: ClarusError | undefined;
  /** @param position in `sql`, in characters from 1 @returns that in the other text */
  readonly place: (position: number) => number;
  /** @returns the message of an error at a position of `sql`, which quotes the text there, with the other text */
  readonly quoted: (message: string, position: number) => string;
}

/**
 * @param sql read with standard_conforming_strings off
 * @param quotes backslash_quote allows `\'`; what the session's encoding is does not matter: it is UTF8
 */
export function withEscapes(sql: string, quotes: boolean): Rewritten {
  const warnings: StringWarning[] = [];
  const insertions: { readonly at: number; readonly size: number }[] = [];
  let out = '';
  let from = 0;
  let characters = 0;
  let size = 0;
  let refused: ClarusError | undefined;
  for (const literal of literalsIn(sql, true)) {
    const { kind, start, escaped } = literal;
    if (kind !== 'unicode' && escaped === undefined) continue;
    const before = sql.slice(from, start);
    characters += [...before].length;
    const position = characters + 1;
    from = start;
    out += before;
    if (kind === 'unicode') refused = unsafeUnicode(position);
    else if (!quotes && literal.quotesEscaped) refused = unsafeQuote(position);
    if (refused) break;
    if (!isWrongUnicode(escaped!)) warnings.push({ ...warningOf(escaped!), position });
    // N'...' is NCHAR '...': no prefix of its own stands before E
    const prefix =
      kind === 'national' ? 'CHAR E' : /[\w$\u0080-\uffff]/.test(sql[start - 1] ?? '') ? ' E' : 'E';
    insertions.push({ at: characters + size, size: prefix.length });
    size += prefix.length;
    out += prefix;
  }
  if (!refused) out += sql.slice(from);
  return {
    sql: out,
    warnings,
    refused,
    place: position =>
      position -
      insertions.reduce((sum, { at, size }) => sum + Math.max(0, Math.min(size, position - 1 - at)), 0),
    quoted: (message, position) => {
      if (insertions.some(({ at, size }) => at + size === position))
        return message.replace(/ at or near "E'/, ' at or near "\'');
      const ofName = insertions.some(({ at }) => at === position);
      return ofName ? message.replace(/ at or near "(n)CHAR"/i, ' at or near "$1"') : message;
    },
  };
}

/**
 * A text that means the same under both: what it means with standard_conforming_strings on.
 * @throws ClarusError 0A000 for U&'...', which cannot be said where it is off
 */
export function withoutDoubt(sql: string): string {
  if (!mayDepend(sql)) return sql;
  let out = '';
  let from = 0;
  for (const { kind, start, end, text } of literalsIn(sql, false)) {
    if (kind === 'unicode')
      throw new ClarusError(
        '0A000',
        "a statement with U&'...' cannot be run while standard_conforming_strings is off",
        {
          hint: "Set it to on, or prepare the statement anew with E'...'.",
        },
      );
    if (!text.includes('\\')) continue;
    out += `${sql.slice(from, start)}${kind === 'national' ? 'CHAR' : ''} E${text.replaceAll('\\', '\\\\')}`;
    from = end;
  }
  return out + sql.slice(from);
}

interface Literal {
  readonly kind: 'ordinary' | 'national' | 'unicode';
  /** where its quote stands, of U&'...' its U; in UTF-16 units */
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** the characters behind the first backslash that escapes something; undefined: there is none */
  readonly escaped: string | undefined;
  /** one of its quotes is escaped so */
  readonly quotesEscaped: boolean;
}

/** Ordinary literals, N'...' and U&'...'. @param escapes backslashes escape in ordinary ones */
function literalsIn(sql: string, escapes: boolean): readonly Literal[] {
  const found: Literal[] = [];
  const add = (kind: Literal['kind'], start: number, quote: number): number => {
    const rest = endOfLiteral(sql, quote, escapes && kind !== 'unicode');
    found.push({ kind, start, text: sql.slice(start, rest.end), ...rest });
    return rest.end;
  };
  for (let at = 0; at < sql.length; ) {
    const c = sql[at]!;
    if (c === "'") at = add('ordinary', at, at);
    else if (c === '"') at = endOfQuoted(sql, at);
    else if (c === '$') at = endOfDollar(sql, at);
    else if (c === '-' && sql[at + 1] === '-') at = endOfLine(sql, at);
    else if (c === '/' && sql[at + 1] === '*') at = endOfComment(sql, at);
    else if (/[0-9]/.test(c)) at = endOfNumber(sql, at);
    else if (isNameStart(c)) {
      if (/[bx]/i.test(c) && sql[at + 1] === "'") at = endOfBits(sql, at + 1);
      else if (/e/i.test(c) && sql[at + 1] === "'") at = endOfLiteral(sql, at + 1, true).end;
      else if (/n/i.test(c) && sql[at + 1] === "'") at = add('national', at + 1, at + 1);
      else if (/u/i.test(c) && sql[at + 1] === '&' && sql[at + 2] === "'") at = add('unicode', at, at + 2);
      else at = endOfName(sql, at);
    } else at++;
  }
  return found;
}

/** A literal with what continues it, from its quote on. */
function endOfLiteral(
  sql: string,
  quote: number,
  escapes: boolean,
): Pick<Literal, 'end' | 'escaped' | 'quotesEscaped'> {
  let escaped: string | undefined;
  let quotesEscaped = false;
  for (let at = quote + 1; at < sql.length; at++) {
    if (escapes && sql[at] === '\\') {
      at++;
      escaped ??= sql.slice(at, at + 9) || undefined;
      quotesEscaped ||= sql[at] === "'";
    } else if (sql[at] === "'") {
      if (sql[at + 1] === "'") {
        at++;
        continue;
      }
      const next = continued(sql, at + 1);
      if (next === undefined) return { end: at + 1, escaped, quotesEscaped };
      at = next;
    }
  }
  return { end: sql.length, escaped, quotesEscaped };
}

/** B'...' and X'...': two quotes in them end one literal and begin another. */
function endOfBits(sql: string, quote: number): number {
  for (let at = quote + 1; at < sql.length; at++) {
    if (sql[at] !== "'") continue;
    const next = continued(sql, at + 1);
    if (next === undefined) return at + 1;
    at = next;
  }
  return sql.length;
}

const isNameStart = (c: string): boolean => /[A-Za-z_\u0080-\uffff]/.test(c);

/** Letters that follow digits are no prefix of a literal: they belong to the number, or are an error. */
function endOfNumber(sql: string, start: number): number {
  let at = start;
  while (/[0-9]/.test(sql[at] ?? '') || (sql[at] === '_' && /[0-9]/.test(sql[at + 1] ?? ''))) at++;
  return isNameStart(sql[at] ?? '') ? endOfName(sql, at) : at;
}

function endOfName(sql: string, start: number): number {
  let at = start + 1;
  while (at < sql.length && /[\w$\u0080-\uffff]/.test(sql[at]!)) at++;
  return at;
}

/** check_string_escape_warning and check_escape_warning of scan.l: one warning a literal, of its first escape */
function warningOf(escaped: string): Omit<StringWarning, 'position'> {
  if (escaped[0] === "'")
    return {
      message: "nonstandard use of \\' in a string literal",
      hint: "Use '' to write quotes in strings, or use the escape string syntax (E'...').",
    };
  if (escaped[0] === '\\')
    return {
      message: 'nonstandard use of \\\\ in a string literal',
      hint: "Use the escape string syntax for backslashes, e.g., E'\\\\'.",
    };
  return {
    message: 'nonstandard use of escape in a string literal',
    hint: "Use the escape string syntax for escapes, e.g., E'\\r\\n'.",
  };
}

/** {xeunicodefail}, which is an error before there is a warning */
const isWrongUnicode = (escaped: string): boolean =>
  /^u/i.test(escaped) && !/^(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})/.test(escaped);

const unsafeUnicode = (position: number): ClarusError =>
  new ClarusError('0A000', 'unsafe use of string constant with Unicode escapes', {
    detail: 'String constants with Unicode escapes cannot be used when "standard_conforming_strings" is off.',
    position,
  });

const unsafeQuote = (position: number): ClarusError =>
  new ClarusError('22P06', "unsafe use of \\' in a string literal", {
    hint: "Use '' to write quotes in strings. \\' is insecure in client-only encodings.",
    position,
  });
