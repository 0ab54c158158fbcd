/** Which encodings a protected column gets, and why one that was asked for is not there. */
import type { Encoding, TypeRef } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';
import type { ColumnPolicy, QueryKind } from '../policy/policy.js';

/** The registry as the catalogue needs it (encodings/registry.ts). */
export type Encodings = ReadonlyMap<string, Encoding>;

/** The encoding that key constraints stand on. */
export const KEY_ENCODING = 'equality';

/** The encodings that a column gets from its policy, its type and its keys. */
export interface EncodingChoice {
  /** kinds, `sealed` first */
  readonly encodings: readonly string[];
  /** query kinds that the policy grants and no encoding of this version answers for this type */
  readonly waiting: readonly QueryKind[];
  /** the policy does not grant equality, but a key constraint needs the tag */
  readonly addedForKey: boolean;
}

/**
 * Chooses the encodings of a column.
 * @param needsKey true: a key constraint stands on the column
 * @throws ClarusError 0A000 when a key constraint needs a tag that the type cannot have
 */
export function encodingsFor(
  policy: ColumnPolicy,
  type: TypeRef,
  registry: Encodings,
  needsKey: boolean,
): EncodingChoice {
  const encodings: string[] = [];
  const answered = new Set<QueryKind>();
  for (const encoding of registry.values()) {
    const always = encoding.queries.length === 0;
    const granted = encoding.queries.filter(kind => policy.queries.includes(kind));
    if (!always && granted.length === 0) continue;
    if (encoding.rejects(type) !== undefined) continue;
    encodings.push(encoding.kind);
    for (const kind of granted) answered.add(kind);
  }
  const addedForKey = needsKey && !encodings.includes(KEY_ENCODING);
  if (addedForKey) {
    const reason = registry.has(KEY_ENCODING)
      ? registry.get(KEY_ENCODING)?.rejects(type)
      : 'there is no equality encoding';
    if (reason !== undefined) throw keyRefused(policy.name, reason);
    encodings.push(KEY_ENCODING);
  }
  return { encodings, waiting: policy.queries.filter(kind => !answered.has(kind)), addedForKey };
}

const keyRefused = (column: string, reason: string): ClarusError =>
  new ClarusError('0A000', `a key constraint on the protected column "${column}" is not possible`, {
    detail: `A key constraint stands on equality tags, and this column can have none: ${reason}.`,
    hint: 'Leave the constraint out, or choose another type for the column.',
    column,
  });
