/** Nanoseconds of processor time a cell of seal, open and tag, in batches and alone. */
import { openCells, sealCells } from '../src/crypto/cells.js';
import { canonical, columnOf, plain } from '../src/crypto/column.js';
import { tagColumn } from '../src/crypto/tags.js';
import { measure, warmUp } from './crypto.js';

export async function cryptoRows(): Promise<{ what: string; ns: number; goal: string }[]> {
  warmUp();
  const key = new Uint8Array(32).fill(7);
  const address = { table: 1, column: 2, epoch: 1 };
  const result: { what: string; ns: number; goal: string }[] = [];
  for (const [count, goal] of [
    [2_000, 'at most 25'],
    [1, 'at most 1500'],
  ] as const) {
    const values = plain(
      columnOf(Array.from({ length: count }, (_, i) => Buffer.from(String(i).padStart(16, '0')))),
    );
    const rows = Float64Array.from({ length: count }, (_, i) => i + 1);
    const cells = sealCells(key, address, rows, values);
    const batch = count === 1 ? 'a single row' : `batches of ${count}, 16 bytes`;
    result.push({
      what: `seal, ${batch}`,
      ns: measure(() => sealCells(key, address, rows, values)) / count,
      goal,
    });
    result.push({
      what: `open, ${batch}`,
      ns: measure(() => openCells(() => key, address, rows, cells)) / count,
      goal,
    });
    if (count > 1)
      result.push({
        what: `tag, ${batch}`,
        ns: measure(() => tagColumn(key, canonical(values))) / count,
        goal: '',
      });
  }
  return result;
}
