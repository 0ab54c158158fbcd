import { isAscii, readInt32, writeAscii, writeInt32 } from './bytes.js';
import { cursor, firstDay, isBeforeChrist, lastDay, readDay, writeDay, writeEra } from './calendar.js';
import type { Codec, TextReader, TextWriter } from './codec.js';

/** infinity and -infinity of date. */
const infinity = 0x7fffffff;
const negativeInfinity = -0x80000000;

const write: TextWriter = (data, start, end, out, at) => {
  if (end - start !== 4) return -1;
  const days = readInt32(data, start);
  if (days === infinity) return writeAscii(out, at, 'infinity');
  if (days === negativeInfinity) return writeAscii(out, at, '-infinity');
  if (days < firstDay || days > lastDay) return -1;
  return writeEra(out, writeDay(out, at, days), days);
};

const read: TextReader = (text, start, end, out, at) => {
  const beforeChrist = isBeforeChrist(text, start, end);
  const dateEnd = beforeChrist ? end - 3 : end;
  const days = readDay(text, start, dateEnd, beforeChrist);
  if (days >= firstDay && days <= lastDay) return cursor.at === dateEnd ? writeInt32(out, at, days) : -1;
  if (isAscii(text, start, end, 'infinity')) return writeInt32(out, at, infinity);
  return isAscii(text, start, end, '-infinity') ? writeInt32(out, at, negativeInfinity) : -1;
};

/** date: `YYYY-MM-DD[ BC]`, in text whatever the order of day and month in DateStyle. */
export const dateCodec: Codec = {
  writer: settings => (settings.isoDates ? write : undefined),
  reader: () => read,
  acceptable: () => (data, start, end) => {
    if (end - start !== 4) return false;
    const days = readInt32(data, start);
    return (days >= firstDay && days <= lastDay) || days === infinity || days === negativeInfinity;
  },
  textSizeMax: () => 16,
  binarySizeMax: () => 4,
};
