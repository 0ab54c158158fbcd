/**
 * The command was called wrongly: exit code 2, and a pointer to its help.
 *
 * @example throw new UsageError('"abc" is no port: give a whole number from 0 to 65535')
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** How a command was called. */
export interface Invocation {
  /** path of clarus.yaml */
  readonly config: string;
  /** print facts as JSON */
  readonly json: boolean;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}
