/** The statements of a script for psql, without what is psql's own. */

/**
 * @param parses whether a text is one statement or several
 * @returns the texts that parse; what the script gets wrong on purpose is left out
 */
export function statementsOf(script: string, parses: (text: string) => boolean): string[] {
  const found: string[] = [];
  let gathered: string[] = [];
  let data = false;
  for (const line of script.split('\n')) {
    if (data) {
      data = line !== '\\.';
      continue;
    }
    if (line.startsWith('\\')) {
      gathered = [];
      continue;
    }
    gathered.push(line.replace(/\\g\w*.*$/, ';'));
    if (!/;\s*(--.*)?$/.test(gathered.at(-1) ?? '')) continue;
    const text = gathered.join('\n');
    if (parses(text)) {
      if (/\bcopy\b[^;]*\bfrom\s+stdin\b/i.test(text)) data = true;
      found.push(text);
      gathered = [];
    } else if (gathered.length > linesMax || !insideQuotes(text)) gathered = [];
  }
  return found;
}

/** Longest statement whose lines are tried together. */
const linesMax = 200;

/** Whether a semicolon at the end may stand inside a string: a body of a function, mostly. */
const insideQuotes = (text: string): boolean =>
  text.split("'").length % 2 === 0 ||
  /\$(\w*)\$(?:(?!\$\1\$)[\s\S])*$/.test(text) ||
  /\bbegin\s+atomic\b/i.test(text);
