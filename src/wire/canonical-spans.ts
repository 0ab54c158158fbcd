/** Canonical forms of intervals and of network addresses. */
import type { CanonicalColumn, PlainColumn } from '../crypto/column.js';
import { assertSize, formsOf, malformed } from './canonical-form.js';
import { readInt32, writeInt16, writeInt32 } from './codecs/bytes.js';
import { clock } from './codecs/clock.js';
import { daysIn, setClock } from './codecs/int64.js';

const daysPerMonth = 30;
const intervalFormSize = 14;

/**
 * Forms of interval: the span in which a month is 30 days and a day is 24 hours (interval_cmp_value), as code, whole
 * days (48 bits, two's complement), seconds of the day (24 bits) and microseconds of the second (32 bits).
 */
export function intervalForms(code: number, values: PlainColumn): CanonicalColumn {
  return formsOf(values, values.length * intervalFormSize, (data, start, end, out, at) => {
    assertSize(start, end, 16);
    const timeDays = daysIn(data, start);
    setClock(data, start, timeDays);
    const days = readInt32(data, start + 12) * daysPerMonth + readInt32(data, start + 8) + timeDays;
    out[at] = code;
    const high = Math.floor(days / 4294967296);
    let to = writeInt32(out, writeInt16(out, at + 1, high), days - high * 4294967296);
    out[to++] = clock.seconds >> 16;
    to = writeInt16(out, to, clock.seconds);
    return writeInt32(out, to, clock.microseconds);
  });
}

const headerSize = 4;

/** Forms of inet and cidr: code, bits of the network, address; the length of the address tells its family. */
export function networkForms(code: number, values: PlainColumn): CanonicalColumn {
  return formsOf(values, values.length * 18, (data, start, end, out, at) => {
    const size = end - start - headerSize;
    if ((size !== 4 && size !== 16) || data[start + 3] !== size) throw malformed();
    out[at] = code;
    out[at + 1] = data[start + 1]!;
    for (let i = 0; i < size; i++) out[at + 2 + i] = data[start + headerSize + i]!;
    return at + 2 + size;
  });
}
