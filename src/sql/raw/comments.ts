/**
 * Takes comments out of SQL text: they may hold anything and never reach a cloud. A comment becomes one blank, as
 * PostgreSQL reads it (scan.l); strings, quoted names and dollar quotes are left as they are. The text is known to
 * parse with standard_conforming_strings on.
 */
export function stripComments(sql: string): string {
  if (!sql.includes('--') && !sql.includes('/*')) return sql;
  let out = '';
  let from = 0;
  for (let at = 0; at < sql.length; ) {
    const c = sql[at]!;
    if (c === "'")
      at = endOfString(
        sql,
        at,
        at > 0 && /[eE]/.test(sql[at - 1]!) && !/[\w$\u0080-\uffff]/.test(sql[at - 2] ?? ' '),
      );
    else if (c === '"') at = endOfQuoted(sql, at);
    else if (c === '$' && !/[\w$\u0080-\uffff]/.test(sql[at - 1] ?? ' ')) at = endOfDollar(sql, at);
    else if (c === '-' && sql[at + 1] === '-') {
      out += sql.slice(from, at);
      while (at < sql.length && sql[at] !== '\n' && sql[at] !== '\r') at++;
      out += ' ';
      from = at;
    } else if (c === '/' && sql[at + 1] === '*') {
      out += `${sql.slice(from, at)} `;
      at = endOfComment(sql, at);
      from = at;
    } else at++;
  }
  return out + sql.slice(from);
}

/** Where a string ends that begins at `start`. @param escapes it is one of E'...' */
export function endOfString(sql: string, start: number, escapes: boolean): number {
  for (let at = start + 1; at < sql.length; at++) {
    if (escapes && sql[at] === '\\') at++;
    else if (sql[at] === "'") {
      if (sql[at + 1] !== "'") {
        // it goes on as it began
        const next = escapes ? continued(sql, at + 1) : undefined;
        if (next === undefined) return at + 1;
        at = next;
        continue;
      }
      at++;
    }
  }
  return sql.length;
}

/** Where the quote stands that continues a literal; white space with a newline stands between ({quotecontinue}). */
export function continued(sql: string, from: number): number | undefined {
  let newline = false;
  for (let at = from; at < sql.length; at++) {
    const c = sql[at]!;
    if (c === '\n' || c === '\r') newline = true;
    else if (c === '-' && sql[at + 1] === '-') {
      at = endOfLine(sql, at);
      if (at >= sql.length) return undefined;
      newline = true;
    } else if (c === "'") return newline ? at : undefined;
    else if (!/[ \t\f\v]/.test(c)) return undefined;
  }
  return undefined;
}

/** Where the line ends in which `start` is. */
export function endOfLine(sql: string, start: number): number {
  let at = start;
  while (at < sql.length && sql[at] !== '\n' && sql[at] !== '\r') at++;
  return at;
}

/** Where a quoted name ends that begins at `start`. */
export function endOfQuoted(sql: string, start: number): number {
  const end = sql.indexOf('"', start + 1);
  return end < 0 ? sql.length : end + 1;
}

/** Where a dollar quote ends that begins at `start`; the character after `$` where none does. */
export function endOfDollar(sql: string, start: number): number {
  const tag = /^\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(sql.slice(start, start + 130))?.[0];
  if (tag === undefined) return start + 1;
  const end = sql.indexOf(tag, start + tag.length);
  return end < 0 ? sql.length : end + tag.length;
}

/** Where a comment of C's kind ends, with those in it. */
export function endOfComment(sql: string, start: number): number {
  let depth = 0;
  for (let at = start; at < sql.length; at++) {
    if (sql[at] === '/' && sql[at + 1] === '*') {
      depth++;
      at++;
    } else if (sql[at] === '*' && sql[at + 1] === '/') {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  return sql.length;
}
