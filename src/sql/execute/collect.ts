/** Gathers the rows of a small internal statement. */
import { fieldBounds } from '../../wire/decode-backend.js';
import type { PhysicalStatement } from '../plan.js';
import type { DataRows, ExecuteOutcome, RowSink, StatementPort } from '../ports.js';

/** Fields of one row, null for NULL, in the format that was asked for. */
export type Row = readonly (Uint8Array | null)[];

/** Bytes of all fields. */
export const sizeOf = (rows: readonly Row[]): number =>
  rows.reduce((sum, row) => sum + row.reduce((size, field) => size + (field?.length ?? 0), 0), 0);

/**
 * Runs a statement and returns all its rows; queued, flushed and awaited.
 * @throws what the backend answers
 */
export async function collect(
  port: StatementPort,
  statement: PhysicalStatement,
  parameters: Row,
  parameterFormats: readonly (0 | 1)[],
  resultFormats: readonly (0 | 1)[],
): Promise<Row[]> {
  const { rows } = await collectTagged(port, statement, parameters, parameterFormats, resultFormats);
  return rows;
}

/**
 * Queues a statement without flushing; its rows come with the answers to what was queued before.
 * @throws what the backend answers
 */
export async function queued(
  port: StatementPort,
  statement: PhysicalStatement,
  parameters: Row,
  parameterFormats: readonly (0 | 1)[],
  resultFormats: readonly (0 | 1)[],
): Promise<Row[]> {
  const { found, outcome } = begin(port, statement, parameters, parameterFormats, resultFormats);
  await outcome;
  return found;
}

/** The same with the command tag. */
export async function collectTagged(
  port: StatementPort,
  statement: PhysicalStatement,
  parameters: Row,
  parameterFormats: readonly (0 | 1)[],
  resultFormats: readonly (0 | 1)[],
): Promise<{ rows: Row[]; tag: string }> {
  const { found, outcome } = begin(port, statement, parameters, parameterFormats, resultFormats);
  port.flush();
  const done = await outcome;
  return { rows: found, tag: done.kind === 'complete' ? done.tag : '' };
}

/** Queues a statement; `found` is filled when `outcome` has settled. */
function begin(
  port: StatementPort,
  statement: PhysicalStatement,
  parameters: Row,
  parameterFormats: readonly (0 | 1)[],
  resultFormats: readonly (0 | 1)[],
): { found: Row[]; outcome: Promise<ExecuteOutcome> } {
  const sink = new RowArray();
  const portal = port.bind(statement, parameters, { parameters: parameterFormats, results: resultFormats });
  return { found: sink.found, outcome: portal.execute(0, sink) };
}

class RowArray implements RowSink {
  readonly found: Row[] = [];
  rows({ buffer, starts, count }: DataRows): void {
    for (let i = 0; i < count; i++) this.found.push(fieldsAt(buffer, starts[i]!));
  }
}

/** Fields of one DataRow body as copies. */
export function fieldsAt(buffer: Buffer, start: number): Row {
  const width = buffer.readInt16BE(start);
  const bounds = new Int32Array(2 * width);
  let end = start + 2;
  for (let i = 0; i < width; i++) {
    const size = buffer.readInt32BE(end);
    end += 4 + Math.max(0, size);
  }
  fieldBounds(buffer, start, end, bounds);
  return Array.from({ length: width }, (_, i) => {
    const at = bounds[2 * i]!;
    const size = bounds[2 * i + 1]!;
    return size < 0 ? null : Buffer.from(buffer.subarray(at, at + size));
  });
}
