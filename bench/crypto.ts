/**
 * What cells and tags cost: nanoseconds of processor time a value and a byte, each the median of 5 runs. Runs by
 * itself: `node --import tsx bench/crypto.ts`.
 */
import { randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { openCells, sealCells } from '../src/crypto/cells.js';
import { type ByteColumn, canonical, columnOf, plain } from '../src/crypto/column.js';
import { tagColumn } from '../src/crypto/tags.js';

/** One figure. */
export interface Row {
  readonly what: 'seal' | 'open' | 'tag';
  readonly shape: string;
  /** nanoseconds a value */
  readonly value_ns: number;
  /** nanoseconds a byte of the values */
  readonly byte_ns: number;
  /** in the unit the goal is in */
  readonly goal: string;
}

const run_ms = 200;
const runs = 5;
/** Until the engine has compiled the kernel with its optimising compiler, and the heap has its size. */
const warm_calls = 2000;

const shapes: readonly {
  readonly shape: string;
  readonly count: number;
  readonly length: () => number;
  readonly goal: string;
}[] = [
  { shape: '16 bytes, batches of 1000', count: 1000, length: () => 16, goal: '25 ns a value' },
  { shape: '16 bytes, batches of 2000', count: 2000, length: () => 16, goal: '25 ns a value' },
  { shape: '8 bytes, batches of 2000', count: 2000, length: () => 8, goal: '25 ns a value' },
  {
    shape: '0 to 40 bytes, batches of 2000',
    count: 2000,
    length: () => Math.floor(Math.random() * 41),
    goal: '43 ns a value',
  },
  { shape: '16 bytes, one', count: 1, length: () => 16, goal: '1500 ns a value' },
  { shape: '300 bytes, batches of 500', count: 500, length: () => 300, goal: '2 ns a byte' },
  { shape: '1000 bytes, batches of 200', count: 200, length: () => 1000, goal: '2 ns a byte' },
  { shape: '20000 bytes, batches of 10', count: 10, length: () => 20000, goal: '2 ns a byte' },
];

/** Goes through the kernel until it is as fast as it gets; measurements of one process begin with it. */
export function warmUp(): void {
  const values = plain(columnOf(Array.from({ length: 1000 }, (_, i) => new Uint8Array(i % 5 ? 16 : 40))));
  const uniform = plain(columnOf(Array.from({ length: 1000 }, () => new Uint8Array(16))));
  const key = new Uint8Array(32).fill(1);
  const address = { table: 1, column: 1, epoch: 1 };
  const rows = Float64Array.from({ length: 1000 }, (_, i) => i);
  for (let i = 0; i < warm_calls; i++)
    for (const column of [values, uniform]) {
      openCells(() => key, address, rows, sealCells(key, address, rows, column));
      tagColumn(key, canonical(column));
    }
}

/** Measures seal, open and tag for values of several shapes. */
export async function cryptoBench(): Promise<Row[]> {
  warmUp();
  const key = new Uint8Array(randomBytes(32));
  const address = { table: 1, column: 2, epoch: 1 };
  const rows: Row[] = [];
  for (const { shape, count, length, goal } of shapes) {
    const column: ByteColumn = columnOf(Array.from({ length: count }, () => randomBytes(length())));
    const ids = Float64Array.from({ length: count }, (_, i) => 1000 + i);
    const cells = sealCells(key, address, ids, plain(column));
    const work = {
      seal: () => sealCells(key, address, ids, plain(column)),
      open: () => openCells(() => key, address, ids, cells),
      tag: () => tagColumn(key, canonical(column)),
    };
    for (const what of ['seal', 'open', 'tag'] as const) {
      const call_ns = measure(work[what]);
      const [value_ns, byte_ns] = [call_ns / count, call_ns / column.data.length];
      rows.push({ what, shape, value_ns, byte_ns, goal: what === 'tag' ? '' : goal });
      // Others get their turn between measurements.
      await new Promise(resolve => setImmediate(resolve));
    }
  }
  return rows;
}

/**
 * Nanoseconds of processor time a call, the garbage collector's threads included: what others do on the machine counts
 * less than in elapsed time. The median of some runs, after one that does not count.
 */
export function measure(work: () => unknown): number {
  const figures: number[] = [];
  let calls = 1;
  for (let run = 0; run <= runs; run++) {
    const begun = performance.now();
    const before = process.cpuUsage();
    let done = 0;
    do {
      for (let i = 0; i < calls; i++) work();
      done += calls;
    } while (performance.now() - begun < run_ms);
    const { user, system } = process.cpuUsage(before);
    if (run === 0) calls = Math.max(1, Math.floor(done / 20));
    else figures.push(((user + system) * 1e3) / done);
  }
  return figures.sort((a, b) => a - b)[runs >> 1]!;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log('| what | shape | ns a value | ns a byte | goal |\n|---|---|---|---|---|');
  for (const { what, shape, value_ns, byte_ns, goal } of await cryptoBench())
    console.log(`| ${what} | ${shape} | ${value_ns.toFixed(1)} | ${byte_ns.toFixed(2)} | ${goal} |`);
}
