import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';

/**
 * Errors of constraints show rows and keys, of which PostgreSQL leaves out what the role may not read
 * (ExecBuildSlotValueDescription of execMain.c). The cloud tells its own user all.
 * @returns other errors as they are
 */
export function withoutRows<E>(error: E): E {
  if (error instanceof PostgresError && error.code.startsWith('23')) {
    const { detail: _, ...diagnostic } = error.diagnostic;
    return new PostgresError(diagnostic) as E;
  }
  if (error instanceof ClarusError && error.code.startsWith('23')) {
    const { detail: _, ...fields } = error.fields;
    return new ClarusError(error.code, error.message, { ...fields, severity: error.severity }) as E;
  }
  return error;
}
