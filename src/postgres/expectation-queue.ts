import { type Expectation, expects } from './expectations.js';

/** How far the head may move before the array behind it is cut off. */
const slackMax = 256;

/** A first-in, first-out queue of expectations that can be searched for the next synchronisation point. */
export class ExpectationQueue {
  #entries: Expectation[] = [];
  #head = 0;
  #syncs = 0;

  get first(): Expectation | undefined {
    return this.#entries[this.#head];
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** A ReadyForQuery is to come for what is queued. */
  get synchronised(): boolean {
    return this.#syncs > 0;
  }

  push(entry: Expectation): void {
    if (isSync(entry)) this.#syncs++;
    this.#entries.push(entry);
  }

  unshift(entry: Expectation): void {
    if (isSync(entry)) this.#syncs++;
    this.#entries.splice(this.#head, 0, entry);
  }

  shift(): void {
    if (isSync(this.#entries[this.#head]!)) this.#syncs--;
    this.#head++;
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0;
      this.#head = 0;
    } else if (this.#head > slackMax) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /**
   * Takes out entries before the next synchronisation point (or all, if there is none).
   * @param keep which of them stay
   */
  cutToSync(keep: (entry: Expectation) => boolean): Expectation[] {
    const taken: Expectation[] = [];
    const kept: Expectation[] = [];
    let at = this.#head;
    for (; at < this.#entries.length; at++) {
      const entry = this.#entries[at]!;
      if (isSync(entry) || entry.expects === expects.ready) break;
      (keep(entry) ? kept : taken).push(entry);
    }
    this.#entries = [...kept, ...this.#entries.slice(at)];
    this.#head = 0;
    return taken;
  }

  /** Takes out everything. */
  clear(): Expectation[] {
    const all = this.#entries.slice(this.#head);
    this.#entries = [];
    this.#head = 0;
    this.#syncs = 0;
    return all;
  }
}

const isSync = (entry: Expectation): boolean =>
  entry.expects === expects.sync || entry.expects === expects.query;
