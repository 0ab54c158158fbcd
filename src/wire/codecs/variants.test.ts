/** Array literals, and texts changed a little, for the codec tests. */
import fc from 'fast-check';

/** Array literals over elements, of up to three dimensions, with NULLs, lower bounds and needless quotes. */
export function arrayTexts(element: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const shape = fc.oneof(
    fc.nat({ max: 4 }).map(length => [length]),
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).map(lengths => [...lengths]),
    fc
      .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }))
      .map(l => [...l]),
  );
  return shape.chain(lengths => {
    const count = lengths.reduce((product, length) => product * length, 1);
    const elements = fc.array(fc.option(element, { freq: 6 }), { minLength: count, maxLength: count });
    return fc
      .tuple(elements, fc.option(fc.integer({ min: -3, max: 3 }), { freq: 5 }))
      .map(([values, lower]) => {
        if (count === 0) return '{}';
        const bounds =
          lower === null ? '' : `${lengths.map(length => `[${lower}:${lower + length - 1}]`).join('')}=`;
        return bounds + nested(values.map(quoted), lengths);
      });
  });
}

const quoted = (value: string | null): string =>
  value === null
    ? 'NULL'
    : /^[\w.+-]+$/.test(value) && !/^null$/i.test(value)
      ? value
      : `"${value.replace(/["\\]/g, '\\$&')}"`;

function nested(values: readonly string[], lengths: readonly number[]): string {
  const [length = 1, ...rest] = lengths;
  if (rest.length === 0) return `{${values.join(',')}}`;
  const size = values.length / length;
  const rows = Array.from({ length }, (_, i) => nested(values.slice(i * size, (i + 1) * size), rest));
  return `{${rows.join(',')}}`;
}

/** The text, changed in a place or two: most results are invalid or spelled in an unusual way. */
export function mutated(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const piece = fc.constantFrom(
    ...'0123456789-+:. /,_eE"\\{}[]TZtn',
    '00',
    ' BC',
    ' AD',
    '1',
    'NaN',
    'x',
    'é',
    '\ud83d\ude00',
  );
  const change = fc.record({
    place: fc.nat({ max: 40 }),
    remove: fc.nat({ max: 2 }),
    insert: fc.oneof(fc.constant(''), piece),
  });
  return fc.tuple(texts, fc.array(change, { minLength: 1, maxLength: 2 })).map(([original, changes]) => {
    let result = [...original];
    for (const { place, remove, insert } of changes) {
      const at = result.length === 0 ? 0 : place % (result.length + 1);
      result = [...result.slice(0, at), insert, ...result.slice(at + remove)];
    }
    return result.join('');
  });
}
