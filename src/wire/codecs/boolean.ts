import { isAscii } from './bytes.js';
import type { Codec } from './codec.js';

const letterT = 0x74;
const letterF = 0x66;

/** bool: `t` and `f` in text, one byte 1 or 0 in binary. */
export const boolCodec: Codec = {
  writer: () => (data, start, end, out, at) => {
    if (end - start !== 1) return -1;
    out[at] = data[start] === 0 ? letterF : letterT;
    return at + 1;
  },
  reader: () => (text, start, end, out, at) => {
    const first = text[start];
    if (end - start === 1 ? first === letterT : isAscii(text, start, end, 'true')) out[at] = 1;
    else if (end - start === 1 ? first === letterF : isAscii(text, start, end, 'false')) out[at] = 0;
    else return -1;
    return at + 1;
  },
  acceptable: () => (data, start, end) => end - start === 1 && data[start]! <= 1,
  textSizeMax: () => 1,
  binarySizeMax: () => 1,
};
