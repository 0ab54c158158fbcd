/** Rows that a statement may write: where they stand in the cloud, and in which version they were read. */
import { ClarusError } from '../../../errors.js';
import type { Row } from '../../execute/collect.js';
import { fieldsAt } from '../../execute/collect.js';

/** A row as it was fetched. */
interface Fetched {
  /** transaction that made this version of it, as text */
  readonly xmin: string;
  readonly columns: readonly string[];
  /** the batch in which it came, and where its DataRow's body begins */
  readonly batch: Buffer;
  readonly start: number;
}

/** Bytes of rows that may be kept for one statement. */
const keptBytesMax = 256 * 1024 * 1024;

/** Rows of one table by their ctid. */
export class WritableRows {
  readonly #rows = new Map<string, Fetched>();
  #bytes = 0;

  /** @param skipped ctids of rows that are left out, because others hold them */
  constructor(private readonly skipped: ReadonlySet<string> = new Set()) {}

  isSkipped(ctid: string): boolean {
    return this.skipped.has(ctid);
  }

  /**
   * Keeps rows.
   * @param batch whole DataRow messages in text form
   * @param columns names of their fields: `ctid` and `xmin` are among them
   */
  keep(batch: Buffer, columns: readonly string[]): void {
    this.#bytes += batch.length;
    if (this.#bytes > keptBytesMax)
      throw new ClarusError('54000', 'the statement may write too many rows', {
        detail: `The rows from which it chooses may take ${keptBytesMax} bytes.`,
        hint: 'Write the rows in several statements, or compare with a column that the cloud can search.',
      });
    const at = columns.indexOf('ctid');
    const version = columns.indexOf('xmin');
    for (let from = 0; from < batch.length; from += 1 + batch.readInt32BE(from + 1)) {
      const row = fieldsAt(batch, from + 5);
      this.#rows.set(textOf(row[at]!), {
        xmin: textOf(row[version]!),
        columns,
        batch,
        start: from + 5,
      });
    }
  }

  /** Takes down where rows stand, whose values nobody asks for. */
  note(ctids: readonly string[], xmins: readonly string[]): void {
    for (const [i, ctid] of ctids.entries())
      this.#rows.set(ctid, { xmin: xmins[i]!, columns: [], batch: nothing, start: 0 });
  }

  /** @returns undefined: no such row has been fetched */
  xmin(ctid: string): string | undefined {
    return this.#rows.get(ctid)?.xmin;
  }

  /**
   * Values of a row, as text, with others in the place of some.
   * @throws Error where it was fetched without one of them
   */
  values(ctid: string, columns: readonly string[], changed: ReadonlyMap<string, Uint8Array | null>): Row {
    const fetched = this.#rows.get(ctid);
    if (!fetched) throw new Error('a row is written that was not fetched');
    const row = fieldsAt(fetched.batch, fetched.start);
    return columns.map(name => {
      if (changed.has(name)) return changed.get(name)!;
      const at = fetched.columns.indexOf(name);
      if (at < 0) throw new Error('a column is returned that was not fetched');
      return row[at]!;
    });
  }
}

const nothing = Buffer.alloc(0);
const textOf = (field: Uint8Array | null): string => Buffer.from(field ?? []).toString();
