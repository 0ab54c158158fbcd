import {
  contains,
  leftToRight,
  mappedToNothing,
  nonAsciiSpace,
  prohibited,
  rightToLeft,
  unassigned,
} from './stringprep-tables.js';

/**
 * The bytes of a password that enter SCRAM: prepared by SASLprep (RFC 4013), or, where the profile forbids the
 * password, its UTF-8 as it is. PostgreSQL's server and libpq do the same (pg_saslprep in saslprep.c), and a
 * password of ASCII only is never changed.
 */
export function passwordBytes(password: string): Buffer {
  return Buffer.from(saslprep(password) ?? password, 'utf8');
}

/** @returns undefined when the profile forbids the text */
export function saslprep(text: string): string | undefined {
  if (isAscii(text)) return text;
  let mapped = '';
  for (const character of text) {
    const point = character.codePointAt(0)!;
    if (contains(nonAsciiSpace, point)) mapped += ' ';
    else if (!contains(mappedToNothing, point)) mapped += character;
  }
  const prepared = mapped.normalize('NFKC');
  if (prepared === '') return undefined;
  const points = Array.from(prepared, character => character.codePointAt(0)!);
  if (points.some(point => contains(prohibited, point) || contains(unassigned, point))) return undefined;
  return keepsDirection(points) ? prepared : undefined;
}

/** RFC 3454 section 6: right-to-left text begins and ends so, and holds no left-to-right character. */
function keepsDirection(points: readonly number[]): boolean {
  if (!points.some(point => contains(rightToLeft, point))) return true;
  return (
    !points.some(point => contains(leftToRight, point)) &&
    contains(rightToLeft, points[0]!) &&
    contains(rightToLeft, points[points.length - 1]!)
  );
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
