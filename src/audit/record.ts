/**
 * Lines of the journal (docs/spec/audit.md): JSON objects that begin with their sequence number and end with a
 * checksum of all bytes before it.
 */

const prefix = Buffer.from('{"sequence":');
/** what ends a line: its checksum as eight digits, and the newline */
const tail = Buffer.from(',"crc":"00000000"}\n');
/** where in it the digits begin */
const digitsAt = tail.indexOf('0');
const tail_bytes = tail.length - 1;
const hexadecimal = Buffer.from('0123456789abcdef');
/** room for prefix, number, comma, tail and newline */
const frame_bytes = prefix.length + 16 + 1 + tail_bytes + 1;
const newline = 0x0a;

/**
 * Frames encoded events.
 * @param bodies lines of an `EventBatch`
 * @param first sequence number of the first
 * @returns bytes to append, and how many lines they are
 */
export function frameLines(bodies: Buffer, first: number): { bytes: Buffer; lines: number } {
  let lines = 0;
  for (let at = bodies.indexOf(newline); at >= 0; at = bodies.indexOf(newline, at + 1)) lines++;
  const out = Buffer.allocUnsafe(bodies.length + lines * frame_bytes);
  let position = 0;
  let start = 0;
  for (let i = 0; i < lines; i++) {
    const end = bodies.indexOf(newline, start);
    const from = position;
    position += out.write(`{"sequence":${first + i},`, position, 'latin1');
    position += bodies.copy(out, position, start, end);
    writeTail(out, position, crc32(out, from, position));
    position += tail.length;
    start = end + 1;
  }
  return { bytes: out.subarray(0, position), lines };
}

/** Writes the end of a line: there are thousands a second, and a loop takes a tenth of a native call on a string. */
function writeTail(out: Buffer, at: number, checksum: number): void {
  for (let i = 0; i < tail.length; i++) out[at + i] = tail[i]!;
  for (let i = 0, shift = 28; shift >= 0; i++, shift -= 4)
    out[at + digitsAt + i] = hexadecimal[(checksum >>> shift) & 15]!;
}

/**
 * Checks a line.
 * @param end one past its last byte, the newline not included
 * @returns its sequence number, or undefined when it is torn or damaged
 */
export function sequenceOf(bytes: Buffer, start: number, end: number): number | undefined {
  const tailAt = end - tail_bytes;
  if (
    tailAt < start + prefix.length ||
    bytes.compare(prefix, 0, prefix.length, start, start + prefix.length) !== 0
  ) {
    return undefined;
  }
  const expected = `,"crc":"${crc32(bytes, start, tailAt).toString(16).padStart(8, '0')}"}`;
  if (bytes.toString('latin1', tailAt, end) !== expected) return undefined;
  const digits = /^[0-9]{1,16}(?=,)/.exec(
    bytes.toString('latin1', start + prefix.length, start + prefix.length + 17),
  );
  return digits === null ? undefined : Number(digits[0]);
}

/** What a file of the journal holds. */
export interface JournalScan {
  /** sequence number of the last good line before any damage; 0: none */
  readonly last: number;
  /** bytes of good lines from the start */
  readonly good_bytes: number;
  /** true when good lines follow behind bytes that are not */
  readonly damagedInside: boolean;
}

/** Checks every line of a file. */
export function scanJournal(bytes: Buffer): JournalScan {
  let last = 0;
  let good_bytes = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(newline, start);
    const sequence = end < 0 ? undefined : sequenceOf(bytes, start, end);
    if (sequence === undefined) return { last, good_bytes, damagedInside: anyGoodLine(bytes, start) };
    // a good line with the wrong number: lines are missing
    if (last > 0 && sequence !== last + 1) return { last, good_bytes, damagedInside: true };
    last = sequence;
    start = end + 1;
    good_bytes = start;
  }
  return { last, good_bytes, damagedInside: false };
}

function anyGoodLine(bytes: Buffer, from: number): boolean {
  for (let end = bytes.indexOf(newline, from); end >= 0; ) {
    const start = end + 1;
    end = bytes.indexOf(newline, start);
    if (end >= 0 && sequenceOf(bytes, start, end) !== undefined) return true;
  }
  return false;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

/** CRC-32 as in ISO 3309 and zlib. It finds torn writes, not forgery. */
export function crc32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = 0xffff_ffff;
  for (let i = start; i < end; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}
