/** Keys in memory: unwrapped once, and what is derived from them, always as the same object. */
import { forgetKey } from '../crypto/aes-key.js';
import { deriveCellKey, deriveDomainKey } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';

/** What a wrapped key is for. */
export type KeyKind = 'table' | 'domain';

/**
 * Cell keys kept of a table. A cloud names the epoch of each cell that it returns, and a lying one may name them
 * all; an honest one holds a few.
 */
const cellKeysMax = 1_024;

interface HeldKey {
  readonly key: Uint8Array;
  /** cell keys by column and epoch, domain keys by purpose */
  readonly derived: Map<number | string, Uint8Array>;
}

/** Keys by kind and number. A key that is not held is an error, 55000: it is never made here. */
export class KeyRing {
  readonly #held: Readonly<Record<KeyKind, Map<number, HeldKey>>> = { table: new Map(), domain: new Map() };

  has(kind: KeyKind, number: number): boolean {
    return this.#held[kind].has(number);
  }

  numbers(kind: KeyKind): IterableIterator<number> {
    return this.#held[kind].keys();
  }

  /** How many keys derived from one are kept. */
  kept(kind: KeyKind, number: number): number {
    return this.#held[kind].get(number)?.derived.size ?? 0;
  }

  /** Takes a key; one that is held already stays, so that what was derived from it stays the same object. */
  hold(kind: KeyKind, number: number, key: Uint8Array): void {
    if (!this.has(kind, number)) this.#held[kind].set(number, { key, derived: new Map() });
  }

  /** Forgets a key and wipes it, and all that was derived from it. */
  drop(kind: KeyKind, number: number): void {
    const held = this.#held[kind].get(number);
    if (held === undefined) return;
    this.#held[kind].delete(number);
    held.key.fill(0);
    for (const key of held.derived.values()) {
      forgetKey(key);
      key.fill(0);
    }
  }

  /** Forgets everything. */
  clear(): void {
    for (const kind of ['table', 'domain'] as const)
      for (const number of [...this.numbers(kind)]) this.drop(kind, number);
  }

  /** Key of the cells of a column under an epoch; columns and epochs are 1 to 65,535. */
  cellKey(table: number, column: number, epoch: number): Uint8Array {
    const held = this.#get('table', table);
    const id = column * 0x10000 + epoch;
    let key = held.derived.get(id);
    if (key === undefined) {
      key = deriveCellKey(held.key, column, epoch);
      // Not wiped: a batch may be using it. It is derived again when it is asked for.
      if (held.derived.size >= cellKeysMax) held.derived.delete(held.derived.keys().next().value!);
      held.derived.set(id, key);
    }
    return key;
  }

  /** Key of a domain for a purpose. */
  domainKey(domain: number, purpose: string): Uint8Array {
    const held = this.#get('domain', domain);
    let key = held.derived.get(purpose);
    if (key === undefined) {
      key = deriveDomainKey(held.key, purpose);
      held.derived.set(purpose, key);
    }
    return key;
  }

  #get(kind: KeyKind, number: number): HeldKey {
    const held = this.#held[kind].get(number);
    if (held !== undefined) return held;
    throw new ClarusError('55000', `the key of ${kind} ${number} is not there`, {
      hint: 'The table was dropped meanwhile, or the trusted database was put back to a state before it was made.',
    });
  }
}
