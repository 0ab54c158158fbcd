/** The words of a body, by PostgreSQL's own lexer, with a place to read from. */
import { ClarusError } from '../../errors.js';
import { grammar } from '../raw/grammar.js';

const NEWLINE = 0x0a;

/** One word of a body. */
export interface Token {
  /** byte offsets in the source */
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** lower case where it may be a keyword; undefined: a quoted name, a literal or a number */
  readonly word: string | undefined;
}

/** A body as words, read from left to right. */
export class Tokens {
  readonly #source: Buffer;
  readonly #tokens: readonly Token[];
  #at = 0;
  /** up to which byte lines are counted */
  #counted = { to: 0, line: 1 };

  /** @throws ClarusError 42601 for what is no words */
  constructor(source: string) {
    this.#source = Buffer.from(source);
    try {
      this.#tokens = grammar
        .scanSync(source)
        .tokens.filter(({ tokenName }) => tokenName !== 'C_COMMENT' && tokenName !== 'SQL_COMMENT')
        .map(({ start, end, text }) => ({
          start,
          end,
          text,
          word: /^([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[^\w"'$]+)$/.test(text)
            ? folded(text)
            : undefined,
        }));
    } catch (error) {
      throw new ClarusError('42601', (error as Error).message);
    }
  }

  /** The line on which the next word stands, counted from 1 as plpgsql_location_to_lineno does. */
  get line(): number {
    const to = this.peek()?.start ?? this.#source.length;
    if (to < this.#counted.to) this.#counted = { to: 0, line: 1 };
    let { line } = this.#counted;
    for (let at = this.#source.indexOf(NEWLINE, this.#counted.to); at >= 0 && at < to; line++)
      at = this.#source.indexOf(NEWLINE, at + 1);
    this.#counted = { to, line };
    return line;
  }

  get isOver(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** @param ahead how many words further on */
  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  /** @throws ClarusError 42601 at the end */
  next(): Token {
    const token = this.peek();
    if (!token) throw new ClarusError('42601', 'unexpected end of function definition');
    this.#at++;
    return token;
  }

  /** Is the next one one of these words? */
  is(...words: readonly string[]): boolean {
    const word = this.peek()?.word;
    return word !== undefined && words.includes(word);
  }

  /** Passes over a word if it is the next one. */
  take(...words: readonly string[]): boolean {
    const found = this.is(...words);
    if (found) this.#at++;
    return found;
  }

  /** @throws ClarusError 42601 where the next one is another */
  expect(...words: readonly string[]): Token {
    const token = this.next();
    if (token.word === undefined || !words.includes(token.word)) throw wrong(token);
    return token;
  }

  /** A name: as it is meant, quoted or not. @throws ClarusError 42601 */
  name(): string {
    const token = this.next();
    if (/^"/.test(token.text)) return token.text.slice(1, -1).replaceAll('""', '"');
    if (token.word === undefined || !/^[a-z_\u0080-\uffff]/i.test(token.word)) throw wrong(token);
    return token.word;
  }

  /** Names with dots between them. */
  names(): readonly string[] {
    const names = [this.name()];
    while (this.take('.')) names.push(this.name());
    return names;
  }

  /**
   * The text up to one of the words, outside of parentheses; the word itself is not read.
   * @throws ClarusError 42601 where there is none, or no text
   */
  textUntil(...words: readonly string[]): string {
    const first = this.peek();
    let depth = 0;
    let last: Token | undefined;
    for (;;) {
      const token = this.peek();
      if (!token) throw new ClarusError('42601', 'unexpected end of function definition');
      if (depth === 0 && token.word !== undefined && words.includes(token.word)) break;
      if (token.text === '(' || token.text === '[') depth++;
      if (token.text === ')' || token.text === ']') depth--;
      if (token.text === ';')
        throw depth > 0 ? new ClarusError('42601', 'mismatched parentheses') : wrong(token);
      last = token;
      this.#at++;
    }
    if (!last || !first) throw missing(this.peek()!);
    return this.slice(first.start, last.end);
  }

  /** The source between two byte offsets. */
  slice(start: number, end: number): string {
    return this.#source.subarray(start, end).toString();
  }
}

/** A name without quotes as it is meant: of its letters, those of ASCII are folded (scansup.c, in UTF-8). */
export const folded = (name: string): string => name.replace(/[A-Z]+/g, letters => letters.toLowerCase());

/** The syntax error of a word that does not belong where it stands. */
export const wrong = ({ text }: Token): ClarusError =>
  new ClarusError('42601', `syntax error at or near "${text}"`);

const missing = ({ text }: Token): ClarusError =>
  new ClarusError('42601', `missing expression at or near "${text}"`);
