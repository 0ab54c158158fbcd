/** COPY data for the differential test: generated rows in the formats of COPY, and COPY itself on one side. */
import fc from 'fast-check';
import type { BackendMessage } from '../../src/wire/messages.js';
import type { Target } from '../support/proxy.js';
import { RawClient, told } from '../support/raw-client.js';
import { type ColumnShape, columns } from './schema.js';

export interface CopyRows {
  /** names beside `id` */
  readonly columns: readonly string[];
  /** text of each value by row */
  readonly rows: readonly (readonly (string | null)[])[];
}

const fieldOf = (column: ColumnShape, wrong: number): fc.Arbitrary<string | null> =>
  fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(...column.pool) },
    { weight: 20, arbitrary: column.other },
    { weight: 10, arbitrary: fc.constant(null) },
    ...(column.bad.length ? [{ weight: wrong, arbitrary: fc.constantFrom(...column.bad) }] : []),
  );

/** Rows, in some data sets with several wrong values. */
export const copyRows: fc.Arbitrary<CopyRows> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...columns), { minLength: 1, maxLength: 4 }),
    fc.constantFrom(0, 0, 0, 0, 1, 1, 20),
  )
  .chain(([chosen, wrong]) =>
    fc
      .array(fc.tuple(...chosen.map(column => fieldOf(column, wrong))), { maxLength: 8 })
      .map(rows => ({ columns: chosen.map(c => c.name), rows: rows.map((row, i) => [String(i), ...row]) })),
  );

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Rows as COPY's text or csv format has them. */
export function copyData({ rows }: CopyRows, format: 'text' | 'csv'): string {
  const field = (value: string | null): string => {
    if (format === 'csv') return value === null ? '' : `"${value.replaceAll('"', '""')}"`;
    return value === null ? '\\N' : value.replace(/[\\\n\r\t]/g, char => escapes[char]!);
  };
  return rows.map(row => `${row.map(field).join(format === 'csv' ? ',' : '\t')}\n`).join('');
}

/** The place of an error, without the line itself where it names no column: what Clarus lets go of it cannot quote. */
const placeOf = (message: BackendMessage): string[] =>
  message.kind === 'ErrorResponse'
    ? [(message.diagnostic.where ?? 'nowhere').replace(/^(COPY \w+, line \d+): ".*"$/s, '$1')]
    : [];

/** Errors of constraints without the row or the key: Clarus does not word them. */
const withoutRow = (message: BackendMessage): BackendMessage => {
  if (message.kind !== 'ErrorResponse' || !message.diagnostic.code.startsWith('23')) return message;
  const { detail: _, ...diagnostic } = message.diagnostic;
  return { ...message, diagnostic };
};

/** Rows of texts, and of an int4 before them, in COPY's binary format. What is no number is sent as it is. */
export function binaryCopyData({ rows }: Pick<CopyRows, 'rows'>): Buffer {
  const count = Buffer.alloc(2);
  const parts: Uint8Array[] = [Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')];
  for (const row of rows) {
    count.writeInt16BE(row.length);
    parts.push(Buffer.from(count));
    for (const [i, value] of row.entries()) {
      const data = value === null ? null : i === 0 ? int4(value) : Buffer.from(value);
      const size = Buffer.alloc(4);
      size.writeInt32BE(data === null ? -1 : data.length);
      parts.push(size, data ?? Buffer.alloc(0));
    }
  }
  return Buffer.concat([...parts, Buffer.from([0xff, 0xff])]);
}

function int4(value: string): Buffer {
  if (!/^\d{1,9}$/.test(value)) return Buffer.from(value);
  const data = Buffer.alloc(4);
  data.writeInt32BE(Number(value));
  return data;
}

export class CopySide {
  private constructor(readonly client: RawClient) {}

  static async connect(target: Target): Promise<CopySide> {
    return new CopySide(await RawClient.connect(target));
  }

  /** Sends data in pieces; what came back, in lines. */
  async in(sql: string, data: Uint8Array, pieceBytes = 1_000): Promise<string[]> {
    this.client.send({ kind: 'Query', sql });
    const [first] = await this.client.until('CopyInResponse').then(messages => messages.slice(-1));
    if (first?.kind !== 'CopyInResponse') throw new Error(`COPY did not begin: ${told([first!]).join()}`);
    for (let at = 0; at < data.length; at += pieceBytes)
      this.client.send({ kind: 'CopyData', data: data.subarray(at, at + pieceBytes) });
    this.client.send({ kind: 'CopyDone' });
    const answer = await this.client.until();
    return [...told(answer.map(withoutRow)), ...answer.flatMap(placeOf)];
  }

  /** All bytes that COPY sends, and the other messages in lines. */
  async out(sql: string): Promise<{ readonly data: Buffer; readonly messages: string[] }> {
    const messages = await this.client.query(sql);
    const pieces = messages.flatMap(message => (message.kind === 'CopyData' ? [message.data] : []));
    return {
      data: Buffer.concat(pieces),
      messages: told(messages.filter(message => message.kind !== 'CopyData')),
    };
  }

  close(): Promise<void> {
    return this.client.close();
  }
}
