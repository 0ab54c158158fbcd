/** The encodings that a proxy knows, by kind. A new mechanism is one file and one entry here. */
import type { Encoding } from './encoding.js';
import { equality } from './equality.js';
import { sealed } from './sealed.js';

/** Encodings by kind, `sealed` first. */
export type EncodingRegistry = ReadonlyMap<string, Encoding>;

/**
 * @param more encodings beside the built-in ones (tests, extensions)
 * @throws Error when two encodings have one kind
 */
export function encodingRegistry(more: readonly Encoding[] = []): EncodingRegistry {
  const registry = new Map<string, Encoding>();
  for (const encoding of [sealed, equality, ...more]) {
    if (registry.has(encoding.kind)) throw new Error(`two encodings are called ${encoding.kind}`);
    registry.set(encoding.kind, encoding);
  }
  return registry;
}

/** The encoding of a kind. */
export function encodingNamed(registry: EncodingRegistry, kind: string): Encoding {
  const encoding = registry.get(kind);
  if (!encoding) throw new Error(`there is no encoding "${kind}"`);
  return encoding;
}
