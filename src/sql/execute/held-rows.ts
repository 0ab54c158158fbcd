/**
 * Rows of a write that the client takes in parts: the write runs to its end at the first Execute, as it does in
 * PostgreSQL (PORTAL_ONE_RETURNING of pquery.c), and what it returns is kept until the client asks.
 */
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import type { ClientPort, ExecuteOutcome } from '../ports.js';

/** What may be kept for one portal, in bytes. */
const heldBytesMax = 16 * 1024 * 1024;
/** Type byte and length of a message. */
const headerBytes = 5;

/** Stands for the client while the write runs, then gives it the rows. */
export class HeldRows implements Pick<ClientPort, 'writer' | 'written'> {
  readonly writer = new MessageWriter();
  readonly #max: number;
  readonly #what: string;

  /**
   * @param max bytes that may be kept
   * @param what returns the rows, for the error
   */
  constructor(max = heldBytesMax, what = 'RETURNING') {
    this.#max = max;
    this.#what = what;
  }

  readonly #rows: Buffer[] = [];
  #held_bytes = 0;
  #given = 0;

  /** Takes what was written apart into rows. @throws ClarusError 54000 when it gets too much */
  written(): void {
    const bytes = this.writer.take();
    this.#held_bytes += bytes.length;
    if (this.#held_bytes > this.#max)
      throw new ClarusError('54000', `too many rows of ${this.#what} are to be kept for a client`, {
        detail: `A statement that is executed with a limit of rows may return ${this.#max} bytes.`,
        hint: 'Execute it without a limit of rows, or fewer rows at a time.',
      });
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end < at + headerBytes) throw new Error('a row of our own is damaged');
      this.#rows.push(bytes.subarray(at, end));
      at = end;
    }
  }

  /**
   * Gives the client the next rows.
   * @param maxRows 0: all that are left
   * @param command begins the tag: `UPDATE`, `INSERT 0`
   */
  async give(maxRows: number, client: ClientPort, command: string): Promise<ExecuteOutcome> {
    const rows = this.#rows.slice(this.#given, maxRows === 0 ? undefined : this.#given + maxRows);
    this.#given += rows.length;
    if (rows.length > 0) await client.write(Buffer.concat(rows));
    return maxRows > 0 && rows.length === maxRows
      ? { kind: 'suspended' }
      : { kind: 'complete', tag: `${command} ${rows.length}` };
  }
}
