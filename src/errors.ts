/**
 * The one base class of errors that Clarus words itself. Messages never contain a protected value.
 *
 * @example throw new ClarusError('0A000', 'a range over "age" cannot be answered', { hint: 'grant "range"' })
 */
export class ClarusError extends Error {
  override readonly name: string = 'ClarusError';
  /** SQLSTATE of the condition (PostgreSQL, Appendix A). */
  readonly code: string;
  readonly severity: 'ERROR' | 'FATAL';
  readonly fields: ErrorFields;

  /**
   * @param code SQLSTATE
   * @param message one line, lower case, no full stop, in PostgreSQL's manner
   * @param fields detail, hint and the logical names the condition is about
   */
  constructor(code: string, message: string, fields: ErrorFields & { severity?: 'ERROR' | 'FATAL' } = {}) {
    super(message);
    const { severity, ...rest } = fields;
    this.code = code;
    this.severity = severity ?? 'ERROR';
    this.fields = rest;
  }
}

/** The fields of ErrorResponse beside severity, code and message (protocol chapter 54.8). Names are logical. */
export interface ErrorFields {
  readonly detail?: string;
  readonly hint?: string;
  /** 1-based position, in characters, in the client's own statement */
  readonly position?: number;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  readonly where?: string;
}

/**
 * Deep trees overflow the stack of this process before that of PostgreSQL: says so as PostgreSQL does (check_stack_depth of
 * postgres.c).
 * @returns other errors as they are
 */
export const ofDepth = (error: unknown): unknown =>
  error instanceof RangeError && error.message === 'Maximum call stack size exceeded'
    ? new ClarusError('54001', 'stack depth limit exceeded', {
        hint: 'The statement is nested too deeply.',
      })
    : error;
