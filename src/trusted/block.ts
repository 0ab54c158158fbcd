/** A block of values that were set aside: gives them out in memory, and asks for the next block when it must. */

/** Values from `first` up to, not including, `until`, and what they come with. */
export interface Range<Extra> {
  readonly first: number;
  readonly until: number;
  readonly extra: Extra;
}

/** How many values to set aside at once. */
export interface BlockSize {
  readonly start: number;
  /** each block is this many times as large as the one before */
  readonly growth: number;
  readonly max: number;
}

/**
 * Callers that find the block empty share one pending reservation. Values that do not suffice for a caller are
 * burnt, unless the next block continues them.
 */
export class Block<Extra> {
  readonly #reserve: (count: number) => Promise<Range<Extra>>;
  readonly #continues: (a: Extra, b: Extra) => boolean;
  readonly #size: BlockSize;
  #next_count: number;
  #first = 0;
  #until = 0;
  #extra: Extra | undefined;
  #pending: Promise<void> | undefined;

  /**
   * @param reserve sets `count` values aside durably
   * @param continues whether values that follow each other may go to one caller
   */
  constructor(
    reserve: (count: number) => Promise<Range<Extra>>,
    continues: (a: Extra, b: Extra) => boolean,
    size: BlockSize,
  ) {
    this.#reserve = reserve;
    this.#continues = continues;
    this.#size = size;
    this.#next_count = size.start;
  }

  /**
   * The first of `count` values that follow each other, or undefined when the block has no room: no I/O, no
   * waiting. What they come with is `extra`.
   */
  takeNow(count: number): number | undefined {
    const first = this.#first;
    if (this.#until - first < count) return undefined;
    this.#first = first + count;
    return first;
  }

  /** What the values come with that `takeNow` has just given. */
  get extra(): Extra {
    return this.#extra as Extra;
  }

  /** `count` values that follow each other. */
  async take(count: number): Promise<{ readonly first: number; readonly extra: Extra }> {
    if (!(Number.isSafeInteger(count) && count >= 0)) throw new RangeError(`${count} values cannot be taken`);
    for (;;) {
      const taken = this.takeNow(count);
      if (taken !== undefined) return { first: taken, extra: this.extra };
      this.#pending ??= this.#refill(count).finally(() => {
        this.#pending = undefined;
      });
      await this.#pending;
    }
  }

  async #refill(count: number): Promise<void> {
    const wanted = Math.max(count, this.#next_count);
    const fresh = await this.#reserve(wanted);
    this.#next_count = Math.min(this.#next_count * this.#size.growth, this.#size.max);
    const goesOn =
      this.#until > this.#first && this.#until === fresh.first && this.#continues(this.extra, fresh.extra);
    if (!goesOn) this.#first = fresh.first;
    this.#until = fresh.until;
    this.#extra = fresh.extra;
  }
}
