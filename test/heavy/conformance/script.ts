/**
 * Scripts of PostgreSQL's regression suite, taken apart into units: what psql does between two moments at which it has
 * nothing to send (psqlscan.l). Each unit is run with a marker after it, so that two runs are compared unit by unit.
 */
import { endOfComment, endOfDollar, endOfQuoted, endOfString } from '../../../src/sql/raw/comments.js';

/** What psql is told between two markers. */
export interface Unit {
  /** as it stands in the file, comments before it included */
  readonly text: string;
  /** `statement` sends something to the server; `control` is for psql alone */
  readonly kind: 'statement' | 'control';
}

/** Directories that scripts name. */
export interface ScriptPlaces {
  /** of `data` and `sql` */
  readonly input: string;
  /** where scripts write */
  readonly output: string;
  /** Keeps data that stood in the script. @returns path of the file */
  keep(data: string): string;
}

/** Backslash commands that send what was gathered. */
const sends = /^\\(g|gx|gset|gexec|gdesc|crosstabview|watch)(\s|$|\()/;
/** Backslash commands that query the server by themselves. */
const asks = /^\\(d\S*|l\+?|z|sf\+?|sv\+?|lo_\S+|copy|c|connect|password)(\s|$)/;

/**
 * Takes a script apart.
 *
 * Two things are adapted, in every run alike: statements that follow each other on one line stand on lines of their
 * own, and COPY between a table and a file of the server, or data within the script, becomes psql's \copy, because the
 * server's files are not the client's, and because psql would take the data of a refused COPY for statements.
 */
export function unitsOf(script: string, places: ScriptPlaces): readonly Unit[] {
  return new Splitter(script, places).units();
}

class Splitter {
  readonly #units: Unit[] = [];
  readonly #variables = new Map<string, string>();
  #at = 0;

  constructor(
    private readonly script: string,
    private readonly places: ScriptPlaces,
  ) {
    this.#variables.set('abs_srcdir', places.input).set('abs_builddir', places.output);
  }

  units(): readonly Unit[] {
    while (this.#at < this.script.length) this.#unit();
    return this.#units;
  }

  /** Reads up to the end of a statement, or of a line of backslash commands with nothing gathered. */
  #unit(): void {
    const { script } = this;
    const start = this.#at;
    let gathered = false;
    let parentheses = 0;
    let blocks = 0;
    const identifiers: string[] = [];
    for (;;) {
      const c = script[this.#at];
      if (c === undefined) {
        this.#add(start, 'control');
        return;
      }
      const word = /^[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/.exec(
        script.slice(this.#at, this.#at + 200),
      )?.[0];
      if (c === '\\') {
        const line = this.#line();
        if (/^\\[;:]/.test(line)) {
          this.#at += 2;
          continue;
        }
        if (this.#backslash(start, line, gathered)) return;
      } else if (c === ';' && parentheses === 0 && blocks === 0) {
        this.#at++;
        this.#statement(start);
        return;
      } else if (/\s/.test(c)) this.#at++;
      else if (script.startsWith('--', this.#at)) this.#at += this.#line().length;
      else if (script.startsWith('/*', this.#at)) this.#at = endOfComment(script, this.#at);
      else {
        gathered = true;
        if (word !== undefined) {
          this.#at += word.length;
          const lower = word.toLowerCase();
          if (identifiers.length < 4) identifiers.push(lower);
          // psql_scan's own rule for CREATE FUNCTION ... BEGIN ATOMIC
          if (/^create (or replace )?(function|procedure)/.test(identifiers.join(' '))) {
            if (lower === 'begin') blocks++;
            else if (lower === 'case' && blocks > 0) blocks++;
            else if (lower === 'end' && blocks > 0) blocks--;
          }
          if (script[this.#at] === "'" && /^(e|b|x|n)$/i.test(word))
            this.#at = endOfString(script, this.#at, lower === 'e');
        } else if (c === "'") this.#at = endOfString(script, this.#at, false);
        else if (c === '"') this.#at = endOfQuoted(script, this.#at);
        else if (c === '$') this.#at = endOfDollar(script, this.#at);
        else if (/\d/.test(c)) this.#at += /^[\w.$]+/.exec(script.slice(this.#at, this.#at + 200))![0].length;
        else {
          if (c === '(') parentheses++;
          if (c === ')' && parentheses > 0) parentheses--;
          this.#at++;
        }
      }
    }
  }

  /** Passes over a line of backslash commands. @returns whether it ended the unit */
  #backslash(start: number, line: string, gathered: boolean): boolean {
    this.#at += line.length;
    if (gathered && !sends.test(line) && !/^\\r(eset)?\b/.test(line)) return false;
    if (this.script[this.#at] === '\n') this.#at++;
    this.#remember(line);
    this.#add(start, gathered || asks.test(line) ? 'statement' : 'control');
    return true;
  }

  /** Values of variables that name files. */
  #remember(line: string): void {
    const [, name, value] = /^\\set\s+(\w+)\s+(.*\S)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return;
    const parts = value.match(/:\w+|'[^']*'|\S+/g) ?? [];
    const resolved = parts.map(part =>
      part.startsWith(':') ? (this.#variables.get(part.slice(1)) ?? part) : part.replace(/^'|'$/g, ''),
    );
    this.#variables.set(name, resolved.join(''));
  }

  #statement(start: number): void {
    const text = this.script.slice(start, this.#at);
    const [, before, table, direction, source, options] = copyStatement.exec(text) ?? [];
    if (table === undefined) {
      this.#rest(start);
      return;
    }
    const named = /^:'(\w+)'$/.exec(source!)?.[1];
    const path = named === undefined ? undefined : this.#variables.get(named);
    if (path !== undefined) {
      this.#copy(before!, `${table} ${direction} '${path}'${options}`);
      return;
    }
    if (!/^from$/i.test(direction!) || !/^stdin$/i.test(source!)) this.#rest(start);
    else this.#copy(before!, `${table} from '${this.places.keep(this.#data())}'${options}`);
  }

  #copy(before: string, command: string): void {
    const comments = before.trim() === '' ? '' : `${before.trimEnd()}\n`;
    this.#units.push({
      text: `${comments}\\copy ${command.replace(/;\s*$/, '').replace(/\s+/g, ' ')}`,
      kind: 'statement',
    });
  }

  /** What follows on the line up to its end belongs to the next unit, if it is more than a comment. */
  #rest(start: number): void {
    const rest = this.#line();
    if (/^\s*(--.*)?$/.test(rest)) this.#at += rest.length + 1;
    for (const _ of this.script.slice(start, this.#at).matchAll(/\bcopy\s[^;]*\bfrom\s+stdin\s*\\;/gi)) {
      const end = /^\\\.$/m.exec(this.script.slice(this.#at));
      if (end) this.#at += end.index + 3;
    }
    this.#add(start, 'statement');
  }

  /** Data of COPY FROM STDIN up to their end. A statement that is expected to fail has none. */
  #data(): string {
    const end = /^\\\.$/m;
    const from = this.script.indexOf('\n', this.#at) + 1;
    const rest = this.script.slice(from);
    const found = end.exec(rest);
    if (from === 0 || found === null) return '';
    const data = rest.slice(0, found.index);
    // the next data are another statement's
    if (/^\s*(--|copy\s|create\s|select\s|drop\s|insert\s|begin;|commit;|rollback;)/im.test(data)) return '';
    this.#at = from + found.index + 3;
    return data;
  }

  #line(): string {
    const end = this.script.indexOf('\n', this.#at);
    return this.script.slice(this.#at, end < 0 ? undefined : end);
  }

  #add(start: number, kind: Unit['kind']): void {
    const text = this.script.slice(start, this.#at).replace(/\n$/, '');
    if (text.trim() !== '') this.#units.push({ text, kind });
  }
}

/** COPY between a table and something else, after comments; not of a query. */
const copyStatement =
  /^((?:\s|--[^\n]*\n)*)copy\s+((?:binary\s+)?[\w."]+\s*(?:\([^)]*\))?)\s*(from|to)\s+(stdin|:'\w+')([\s\S]*);$/i;
