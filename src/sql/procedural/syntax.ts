/** Bodies in PL/pgSQL as data. Expressions and statements of SQL stand in them as texts. */

/** A block: its declarations, in their order, its statements, and what it does with errors. */
export interface Block {
  readonly kind: 'block';
  readonly label: string | undefined;
  readonly declarations: readonly Declaration[];
  readonly body: readonly Statement[];
  /** undefined: errors are not caught, and it is no subtransaction */
  readonly handlers: readonly Handler[] | undefined;
}

/** A variable as it is declared. */
export type Declaration =
  | { readonly kind: 'alias'; readonly name: string; readonly of: string }
  | {
      readonly kind: 'variable';
      readonly name: string;
      /** as it is written: `text`, `t.c%TYPE`, `record` */
      readonly type: string;
      readonly constant: boolean;
      readonly notNull: boolean;
      readonly value: string | undefined;
      readonly line: number;
    }
  | CursorDeclaration;

/** A cursor variable with its query. */
export interface CursorDeclaration {
  readonly kind: 'cursor';
  readonly name: string;
  readonly scrolls: Scrolls;
  readonly parameters: readonly { readonly name: string; readonly type: string }[];
  readonly query: string;
}

/** SCROLL or NO SCROLL; undefined: neither is said. */
export type Scrolls = boolean | undefined;

/** Arguments of a cursor, by position and by name; undefined: no parentheses. */
export type CursorArguments =
  | readonly { readonly name: string | undefined; readonly expression: string }[]
  | undefined;

/** Which rows of a cursor FETCH and MOVE go to (FetchDirection in parsenodes.h). */
export interface Direction {
  readonly kind: 'forward' | 'backward' | 'absolute' | 'relative';
  /** an expression, or a number, which may be infinite */
  readonly count: string | number;
}

/** WHEN ... THEN in EXCEPTION. */
export interface Handler {
  /** SQLSTATEs that it catches; undefined: OTHERS */
  readonly states: readonly string[] | undefined;
  readonly body: readonly Statement[];
}

/** What takes values: a variable, a field of one, or several. Each is a list of names. */
export type Target = readonly string[];

/** INTO. */
export interface Into {
  readonly strict: boolean;
  readonly targets: readonly Target[];
}

/** A condition with what is done when it holds. */
export interface Branch {
  readonly condition: string;
  readonly body: readonly Statement[];
}

/** Where the rows of a loop, of a cursor or of RETURN QUERY come from. */
export type Source =
  | {
      readonly kind: 'query';
      readonly sql: string;
      /** of a loop: the text reads as a cursor with its arguments, which it is if there is one of the name */
      readonly cursor?: { readonly name: string; readonly arguments: CursorArguments };
    }
  | { readonly kind: 'dynamic'; readonly text: string; readonly using: readonly string[] };

/** One statement of a body. */
export type Statement =
  | Block
  | { readonly kind: 'null' }
  /** `target` with what stands in brackets or after dots, as it is written */
  | { readonly kind: 'assign'; readonly target: string; readonly expression: string }
  | {
      readonly kind: 'if';
      readonly branches: readonly Branch[];
      readonly otherwise: readonly Statement[] | undefined;
    }
  | {
      readonly kind: 'case';
      readonly subject: string | undefined;
      readonly branches: readonly Branch[];
      /** undefined: no case is an error */
      readonly otherwise: readonly Statement[] | undefined;
    }
  | Loop
  | {
      readonly kind: 'exit';
      readonly goesOn: boolean;
      readonly label: string | undefined;
      readonly when: string | undefined;
    }
  | { readonly kind: 'sql'; readonly sql: string; readonly into: Into | undefined }
  | { readonly kind: 'perform'; readonly sql: string }
  | { readonly kind: 'call'; readonly sql: string }
  | {
      readonly kind: 'execute';
      readonly text: string;
      readonly into: Into | undefined;
      readonly using: readonly string[];
    }
  | { readonly kind: 'return'; readonly expression: string | undefined }
  | { readonly kind: 'return-next'; readonly expression: string | undefined }
  | { readonly kind: 'return-query'; readonly source: Source }
  | Raise
  | { readonly kind: 'assert'; readonly condition: string; readonly message: string | undefined }
  | {
      readonly kind: 'diagnostics';
      readonly stacked: boolean;
      readonly items: readonly { readonly target: Target; readonly item: string }[];
    }
  | {
      readonly kind: 'open';
      readonly cursor: Target;
      readonly scrolls: Scrolls;
      /** undefined: the query is the cursor's own */
      readonly source: Source | undefined;
      readonly arguments: CursorArguments;
    }
  | {
      readonly kind: 'fetch';
      readonly cursor: Target;
      readonly direction: Direction;
      /** undefined: MOVE */
      readonly targets: readonly Target[] | undefined;
    }
  | { readonly kind: 'close'; readonly cursor: Target }
  | { readonly kind: 'end-transaction'; readonly action: 'commit' | 'rollback'; readonly chain: boolean };

/** The loops, by what makes them go round. */
export type Loop = { readonly label: string | undefined; readonly body: readonly Statement[] } & (
  | { readonly kind: 'loop' }
  | { readonly kind: 'while'; readonly condition: string }
  | {
      readonly kind: 'for-integer';
      readonly variable: string;
      readonly reverse: boolean;
      readonly from: string;
      readonly to: string;
      readonly by: string | undefined;
    }
  | { readonly kind: 'for-rows'; readonly targets: readonly Target[]; readonly source: Source }
  | {
      readonly kind: 'foreach';
      readonly targets: readonly Target[];
      readonly slice: number;
      readonly array: string;
    }
);

/** RAISE. */
export interface Raise {
  readonly kind: 'raise';
  readonly level: 'debug' | 'log' | 'info' | 'notice' | 'warning' | 'exception';
  /** name of a condition, or a SQLSTATE */
  readonly condition: string | undefined;
  readonly message: string | undefined;
  readonly arguments: readonly string[];
  readonly options: readonly { readonly name: string; readonly expression: string }[];
  /** RAISE alone: the error that is being handled, again */
  readonly again: boolean;
}
