/** Specifications of PostgreSQL's isolation tests (src/test/isolation/README): sessions, their steps, and in which order these run. */

/** SQL that a session sends as one message. */
export interface Step {
  readonly name: string;
  readonly sql: string;
  /** number of its session */
  readonly session: number;
}

/** When a step may be told to be over, beside its being over. */
export type Blocker =
  /** not at once: it is told to be waiting first */
  | { readonly kind: 'once' }
  /** not before another step is over */
  | { readonly kind: 'other'; readonly step: string }
  /** not before the session of another step has told so many notices */
  | { readonly kind: 'notices'; readonly step: string; readonly count: number };

export interface PlacedStep {
  readonly step: Step;
  readonly blockers: readonly Blocker[];
}

export interface Spec {
  readonly setup: readonly string[];
  readonly teardown: string | undefined;
  readonly sessions: readonly {
    readonly name: string;
    readonly setup: string | undefined;
    readonly teardown: string | undefined;
  }[];
  readonly permutations: readonly (readonly PlacedStep[])[];
}

type Token = { readonly kind: 'word' | 'quoted' | 'sql' | 'mark'; readonly text: string };

const tokenPattern = /#[^\n]*|\s+|\{([^}]*)\}|"([^"]*)"|([A-Za-z0-9_$-]+)|([(),*])/gy;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const at = tokenPattern.lastIndex;
    const found = tokenPattern.exec(text);
    if (!found) throw new Error(`not understood: ${text.slice(at, at + 40)}`);
    const [, sql, quoted, word, mark] = found;
    if (sql !== undefined) tokens.push({ kind: 'sql', text: sql.trim() });
    else if (quoted !== undefined) tokens.push({ kind: 'quoted', text: quoted });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
  }
  return tokens;
}

const keywords: ReadonlySet<string> = new Set(['setup', 'teardown', 'session', 'step', 'permutation']);

/** Reads a specification. @throws Error for what is none */
export function parseSpec(text: string): Spec {
  return new Parser(tokensOf(text)).spec();
}

class Parser {
  #at = 0;
  readonly #steps = new Map<string, Step>();

  constructor(private readonly tokens: readonly Token[]) {}

  spec(): Spec {
    const setup: string[] = [];
    for (let sql = this.#block('setup'); sql !== undefined; sql = this.#block('setup')) setup.push(sql);
    const teardown = this.#block('teardown');
    const sessions: Spec['sessions'][number][] = [];
    const stepsOf: Step[][] = [];
    while (this.#keyword('session')) {
      const name = this.#take().text;
      const own = this.#block('setup');
      const steps: Step[] = [];
      while (this.#keyword('step')) {
        const step = { name: this.#take().text, sql: this.#take().text, session: sessions.length };
        steps.push(step);
        this.#steps.set(step.name, step);
      }
      stepsOf.push(steps);
      sessions.push({ name, setup: own, teardown: this.#block('teardown') });
    }
    const permutations: (readonly PlacedStep[])[] = [];
    while (this.#keyword('permutation')) permutations.push(this.#permutation());
    if (this.#at < this.tokens.length) throw new Error(`not understood: ${this.tokens[this.#at]!.text}`);
    return {
      setup,
      teardown,
      sessions,
      permutations: permutations.length > 0 ? permutations : interleavings(stepsOf),
    };
  }

  #take(): Token {
    const token = this.tokens[this.#at++];
    if (!token) throw new Error('the specification ends too early');
    return token;
  }

  #keyword(word: string): boolean {
    const token = this.tokens[this.#at];
    if (token?.kind !== 'word' || token.text !== word) return false;
    this.#at++;
    return true;
  }

  #mark(text: string): boolean {
    const token = this.tokens[this.#at];
    if (token?.kind !== 'mark' || token.text !== text) return false;
    this.#at++;
    return true;
  }

  #block(word: string): string | undefined {
    return this.#keyword(word) ? this.#take().text : undefined;
  }

  #permutation(): readonly PlacedStep[] {
    const placed: PlacedStep[] = [];
    for (let token = this.tokens[this.#at]; token; token = this.tokens[this.#at]) {
      if (token.kind === 'word' && keywords.has(token.text)) break;
      const step = this.#steps.get(this.#take().text);
      if (!step) throw new Error(`no step is called ${token.text}`);
      const blockers: Blocker[] = [];
      if (this.#mark('('))
        do blockers.push(this.#blocker());
        while (this.#mark(','));
      if (blockers.length > 0 && !this.#mark(')')) throw new Error('a parenthesis is not closed');
      placed.push({ step, blockers });
    }
    return placed;
  }

  #blocker(): Blocker {
    if (this.#mark('*')) return { kind: 'once' };
    const step = this.#take().text;
    return this.#keyword('notices')
      ? { kind: 'notices', step, count: Number(this.#take().text) }
      : { kind: 'other', step };
  }
}

/** All orders in which the steps of each session keep theirs. */
function interleavings(sessions: readonly (readonly Step[])[]): readonly (readonly PlacedStep[])[] {
  const found: PlacedStep[][] = [];
  const go = (places: readonly number[], before: readonly PlacedStep[]): void => {
    if (places.every((place, i) => place === sessions[i]!.length)) found.push([...before]);
    for (const [i, place] of places.entries()) {
      const step = sessions[i]![place];
      if (step) go(places.with(i, place + 1), [...before, { step, blockers: [] }]);
    }
  };
  go(
    sessions.map(() => 0),
    [],
  );
  return found;
}
