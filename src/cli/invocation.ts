/** How a command was called. */
export interface Invocation {
  /** path of clarus.yaml */
  readonly config: string;
  /** print facts as JSON */
  readonly json: boolean;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}
