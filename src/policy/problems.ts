/** Problems of a configuration file: each with its place and what to write instead. All are collected. */
import { ClarusError } from '../errors.js';
import type { ConfigWarning, SourcePosition } from './policy.js';

/** One thing wrong in a configuration file. Its words never hold a value of the file that could be a secret. */
export interface Problem {
  readonly message: string;
  /** what to write instead; undefined when the message says it */
  readonly suggestion: string | undefined;
  readonly position: SourcePosition;
}

/** `file:line:column: message (suggestion)`, one line. */
export function formatProblem(problem: Problem): string {
  const { file, line, column } = problem.position;
  const suggestion = problem.suggestion === undefined ? '' : ` (${problem.suggestion})`;
  return `${file}:${line}:${column}: ${problem.message}${suggestion}`;
}

/**
 * A configuration that cannot be used. The message is one line: the first problem, and how many more there are;
 * `problems` has all of them in the order of the file, and `report()` words them a line each.
 */
export class ConfigError extends ClarusError {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  /** @param problems at least one */
  constructor(problems: readonly [Problem, ...Problem[]]) {
    const more = problems.length - 1;
    const rest = more === 0 ? '' : ` (and ${more} more ${more === 1 ? 'problem' : 'problems'})`;
    super('F0000', `${formatProblem(problems[0])}${rest}`);
    this.problems = problems;
  }

  /** Every problem, a line each. */
  report(): string {
    return this.problems.map(formatProblem).join('\n');
  }
}

/** Gathers what is wrong and what must be said loudly while a file is read. */
export class Findings {
  readonly warnings: ConfigWarning[] = [];
  readonly #problems: Problem[] = [];

  problem(position: SourcePosition, message: string, suggestion?: string): void {
    this.#problems.push({ message, suggestion, position });
  }

  warning(position: SourcePosition, message: string): void {
    this.warnings.push({ message, position });
  }

  /** @throws ConfigError when anything is wrong, with the problems in the order of the file */
  settle(): void {
    const byPlace = (a: Problem, b: Problem): number =>
      a.position.line - b.position.line || a.position.column - b.position.column;
    const [first, ...rest] = this.#problems.sort(byPlace);
    if (first) throw new ConfigError([first, ...rest]);
  }
}
