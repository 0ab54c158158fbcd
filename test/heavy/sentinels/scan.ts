/** Looks for needles in files of any size, all at once. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Needle } from './needles.js';

/** Where a needle was found. */
export interface Finding {
  readonly needle: Needle;
  readonly hits: number;
  /** The first places, as `file:offset`. */
  readonly places: readonly string[];
}

/** What a scan saw. */
export interface ScanResult {
  readonly files: number;
  readonly bytes: number;
  /** Needles that chance does not explain. */
  readonly findings: readonly Finding[];
}

const chunk_bytes = 4 * 1024 * 1024;
const windowBytes = 4;
const placesShown = 3;
/** By chance, fewer than one scan in so many may report a needle. */
const falseAlarm = 1e-9;

/**
 * Looks through files, and through all files of directories.
 *
 * A needle of four bytes lies in noise by chance, so a finding is reported only where it is seen more often than
 * noise of this size explains: plant short values many times.
 *
 * @param paths files and directories; symbolic links are followed
 * @param needles each of at least four bytes
 */
export function scan(paths: readonly string[], needles: readonly Needle[]): ScanResult {
  const index = indexed(needles);
  const found = new Map<Needle, { hits: number; places: string[] }>();
  let bytes = 0;
  const files = paths.flatMap(path => filesUnder(path));
  for (const file of files)
    bytes += scanFile(file, index, (needle, offset) => {
      const seen = found.get(needle) ?? { hits: 0, places: [] };
      found.set(needle, seen);
      seen.hits++;
      if (seen.places.length < placesShown) seen.places.push(`${file}:${offset}`);
    });
  const findings = [...found]
    .map(([needle, seen]) => ({ needle, ...seen }))
    .filter(({ needle, hits }) => hits >= leastHits(bytes * 2 ** -needle.bits));
  return { files: files.length, bytes, findings };
}

/** The least count of hits that chance explains less often than `falseAlarm`, where it gives `expected` on average. */
export function leastHits(expected: number): number {
  let term = Math.exp(-expected);
  let below = term;
  let hits = 1;
  while (1 - below > falseAlarm && hits < 1000) {
    term *= expected / hits;
    below += term;
    hits++;
  }
  return hits;
}

interface Index {
  /** One for each hash of a window that some needle has. */
  readonly filter: Uint8Array;
  /** By the window's four bytes as a number. */
  readonly entries: ReadonlyMap<number, readonly { needle: Needle; offset: number }[]>;
  readonly longest: number;
}

const hashed = (window: number) => Math.imul(window, 0x9e3779b1) >>> 12;

function indexed(needles: readonly Needle[]): Index {
  const filter = new Uint8Array(2 ** 20);
  const entries = new Map<number, { needle: Needle; offset: number }[]>();
  let longest = windowBytes;
  for (const needle of needles) {
    if (needle.bytes.length < windowBytes) throw new RangeError(`needle of ${needle.sentinel} is too short`);
    const offset = rarestWindow(needle.bytes);
    const window = needle.bytes.readUInt32BE(offset);
    filter[hashed(window)] = 1;
    entries.set(window, [...(entries.get(window) ?? []), { needle, offset }]);
    longest = Math.max(longest, needle.bytes.length);
  }
  return { filter, entries, longest };
}

/** The window with the most different bytes other than zero: a window of zeros would match everywhere. */
function rarestWindow(bytes: Buffer): number {
  let best = 0;
  let bestScore = -1;
  for (let offset = 0; offset + windowBytes <= bytes.length; offset++) {
    const window = bytes.subarray(offset, offset + windowBytes);
    const score = new Set(window).size - window.filter(byte => byte === 0).length;
    if (score > bestScore) [best, bestScore] = [offset, score];
  }
  return best;
}

function scanFile(path: string, index: Index, hit: (needle: Needle, offset: number) => void): number {
  const file = opened(path);
  if (file === undefined) return 0;
  try {
    const kept = index.longest - 1;
    const buffer = Buffer.alloc(kept + chunk_bytes);
    let tail = 0;
    let position = 0;
    for (;;) {
      const read = readSync(file, buffer, tail, chunk_bytes, position);
      if (read === 0) return position;
      const end = tail + read;
      // A match that ends inside the tail was seen with the chunk before.
      scanBuffer(buffer.subarray(0, end), tail, index, (needle, at) => hit(needle, position - tail + at));
      position += read;
      const next = Math.min(kept, end);
      buffer.copyWithin(0, end - next, end);
      tail = next;
    }
  } finally {
    closeSync(file);
  }
}

/** undefined: it went since it was listed, as files of a server that runs do */
function opened(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function scanBuffer(
  data: Buffer,
  seen: number,
  index: Index,
  hit: (needle: Needle, at: number) => void,
): void {
  const { filter, entries } = index;
  let window = 0;
  for (let i = 0; i < data.length; i++) {
    window = ((window << 8) | data[i]!) >>> 0;
    if (filter[hashed(window)] === 0 || i < windowBytes - 1) continue;
    for (const { needle, offset } of entries.get(window) ?? []) {
      const start = i - (windowBytes - 1) - offset;
      const end = start + needle.bytes.length;
      if (start < 0 || end > data.length || end <= seen) continue;
      if (data.compare(needle.bytes, 0, needle.bytes.length, start, end) === 0) hit(needle, start);
    }
  }
}

function filesUnder(path: string, listed = false): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined && listed) return [];
  if (stat === undefined) throw new Error(`${path} does not exist`);
  if (stat.isDirectory()) return readdirSync(path).flatMap(name => filesUnder(join(path, name), true));
  return stat.isFile() ? [path] : [];
}
