/** Errors as bodies see them: which of them a handler may catch, and what it learns. */
import type { Catalog } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { type Diagnostic, diagnosticOf, PostgresError } from '../../wire/diagnostic.js';
import { withoutRows } from '../acting/told.js';
import { logicalError } from '../client-error.js';
import { isOfCondition } from './conditions.js';
import type { Handler } from './syntax.js';

/** An error that a body may handle. */
export interface Caught {
  readonly error: ClarusError | PostgresError;
  readonly diagnostic: Diagnostic;
  /** what it says may depend on a protected column */
  readonly secret: boolean;
  /** so may its SQLSTATE, which the body computed */
  readonly secretState: boolean;
}

/** Errors of RAISE whose words depend on no protected column. */
const openErrors = new WeakSet<object>();

/** Notes that what an error says may come to the open. */
export function markOpen(error: ClarusError): ClarusError {
  openErrors.add(error);
  return error;
}

/** Errors of RAISE whose SQLSTATE depends on a protected column. */
const secretStates = new WeakSet<object>();

/** Notes that the SQLSTATE of an error may not come to the open. */
export const markSecretState = (error: ClarusError): void => void secretStates.add(error);

/**
 * PostgreSQL's own errors and those that we word in its place. What Clarus refuses is not PostgreSQL's: a handler that
 * caught it would answer otherwise than PostgreSQL.
 */
const ours = /^(2[0-3]|2D|2F|38|39|42|P|[I-OQ-Z])/;
/** errors of carriers, of defects, of lock waits of our own */
const notTheirs = /^(HV|XX|08|57P|55P03)/;

/**
 * @param acting the body runs as a role that may not be told all of a row
 * @returns undefined: it cannot be handled
 */
export function caught(thrown: unknown, catalog: Catalog, acting: boolean): Caught | undefined {
  const isRaised = typeof thrown === 'object' && thrown !== null && raised.has(thrown);
  const error = acting && !isRaised ? withoutRows(thrown) : thrown;
  const secret = typeof error === 'object' && error !== null && !openErrors.has(error);
  if (error instanceof PostgresError) {
    if (notTheirs.test(error.code) || /^(FATAL|PANIC)$/.test(error.diagnostic.severity)) return undefined;
    const logical = logicalError(error, catalog);
    // PostgreSQL would have waited, and gone on
    if (logical.code === '40001' && error.code !== '40001') return undefined;
    return { error, diagnostic: logical.diagnostic, secret, secretState: false };
  }
  if (!(error instanceof ClarusError) || error.severity !== 'ERROR') return undefined;
  if (!raised.has(error) && (!ours.test(error.code) || error.code === '42702')) return undefined;
  return { error, diagnostic: diagnosticOf(error), secret, secretState: secretStates.has(error) };
}

/** Errors of RAISE and ASSERT, with whatever SQLSTATE the body gave them. */
const raised = new WeakSet<object>();

/** Notes that a body has raised an error itself. */
export function markRaised(error: ClarusError): ClarusError {
  raised.add(error);
  return error;
}

/** Does a handler catch an error? OTHERS leaves out cancelling and failed assertions (pl_exec.c). */
export function catches({ states }: Handler, code: string): boolean {
  if (states === undefined) return code !== '57014' && code !== 'P0004';
  return states.some(state => isOfCondition(code, state));
}

/** What GET STACKED DIAGNOSTICS calls the fields of an error. */
export const diagnosticItem = (diagnostic: Diagnostic, item: string): string => {
  const fields: Readonly<Record<string, string | undefined>> = {
    returned_sqlstate: diagnostic.code,
    message_text: diagnostic.message,
    pg_exception_detail: diagnostic.detail,
    pg_exception_hint: diagnostic.hint,
    column_name: diagnostic.column,
    constraint_name: diagnostic.constraint,
    pg_datatype_name: diagnostic.dataType,
    table_name: diagnostic.table,
    schema_name: diagnostic.schema,
  };
  return fields[item] ?? '';
};
