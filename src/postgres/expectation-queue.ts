import { type Expectation, expects } from './expectations.js';

/** How far the head may move before the array behind it is cut off. */
const slackMax = 256;

/** A first-in, first-out queue of expectations that can be searched for the next synchronisation point. */
export class ExpectationQueue {
  #entries: Expectation[] = [];
  #head = 0;
  #syncs = 0;
  #own_bytes = 0;

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

  /** Memory that answers worded by us take until their turn comes. */
  get own_bytes(): number {
    return this.#own_bytes;
  }

  push(entry: Expectation): void {
    this.#own_bytes += ownBytes(entry);
    if (isSync(entry)) this.#syncs++;
    this.#entries.push(entry);
  }

  unshift(entry: Expectation): void {
    if (isSync(entry)) this.#syncs++;
    this.#entries.splice(this.#head, 0, entry);
  }

  shift(): void {
    const entry = this.#entries[this.#head]!;
    if (isSync(entry)) this.#syncs--;
    this.#own_bytes -= ownBytes(entry);
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
      if (keep(entry)) kept.push(entry);
      else {
        taken.push(entry);
        this.#own_bytes -= ownBytes(entry);
      }
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
    this.#own_bytes = 0;
    return all;
  }
}

/** An entry takes about this much beside its bytes. */
const entryBytes = 128;

const ownBytes = ({ expects: kind, bytes }: Expectation): number =>
  kind === expects.own ? entryBytes + bytes!.length : 0;

const isSync = (entry: Expectation): boolean =>
  entry.expects === expects.sync || entry.expects === expects.query;
