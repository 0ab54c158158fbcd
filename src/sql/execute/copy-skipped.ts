/** The rows that ON_ERROR ignore leaves out of a COPY, and what the client is told of them (CopyFrom of copyfrom.c). */
import { PostgresError } from '../../wire/diagnostic.js';
import type { ClientPort } from '../ports.js';
import type { CopyInBody } from './bodies.js';
import { type CopyField, limited, ofField } from './copy-failure.js';

/** Counts them for one COPY. */
export class SkippedRows {
  #count = 0;
  /** what is to be told when the rows before have been taken */
  #notices: { readonly line: number; readonly message: string }[] = [];

  constructor(
    private readonly copy: Pick<CopyInBody, 'table' | 'options'>,
    private readonly client: ClientPort,
  ) {}

  /**
   * Leaves a row out.
   * @param field whose value is none of its column's
   * @returns the error that ends the COPY where too many were left out
   */
  skip(field: CopyField): unknown {
    const { logVerbosity, rejectLimit } = this.copy.options;
    const { line, column, value } = field;
    this.#count++;
    if (logVerbosity === 'verbose') {
      const shown = value === null || value === undefined ? 'null input' : `"${limited(value)}"`;
      this.#notices.push({
        line,
        message: `skipping row due to data type incompatibility at line ${line} for column "${column}": ${shown}`,
      });
    }
    if (rejectLimit === undefined || this.#count <= rejectLimit) return undefined;
    const message = `skipped more than REJECT_LIMIT (${rejectLimit}) rows due to data type incompatibility`;
    return ofField(new PostgresError({ severity: 'ERROR', code: '22P02', message }), field);
  }

  /** Tells of those up to a line. */
  tell(line = Number.POSITIVE_INFINITY): void {
    for (const notice of this.#notices)
      if (notice.line <= line) this.#notice(notice.message, `COPY ${this.copy.table.name}`);
    this.#notices = this.#notices.filter(notice => notice.line > line);
  }

  /** Tells how many there were, when all rows have been inserted. */
  tellCount(): void {
    if (this.#count === 0 || this.copy.options.logVerbosity === 'silent') return;
    const rows = this.#count === 1 ? '1 row was' : `${this.#count} rows were`;
    this.#notice(`${rows} skipped due to data type incompatibility`);
  }

  #notice(message: string, where?: string): void {
    const told = { severity: 'NOTICE', code: '00000', message, ...(where === undefined ? {} : { where }) };
    this.client.notice(told, true);
  }
}
