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
  #range: Range<Extra> | undefined;
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

  /** `count` values that follow each other, or undefined when the block has no room: no I/O, no waiting. */
  takeNow(count: number): { readonly first: number; readonly extra: Extra } | undefined {
    const range = this.#range;
    if (range === undefined || range.until - range.first < count) return undefined;
    this.#range = { ...range, first: range.first + count };
    return { first: range.first, extra: range.extra };
  }

  /** `count` values that follow each other. */
  async take(count: number): Promise<{ readonly first: number; readonly extra: Extra }> {
    if (!(Number.isSafeInteger(count) && count >= 0)) throw new RangeError(`${count} values cannot be taken`);
    for (;;) {
      const taken = this.takeNow(count);
      if (taken !== undefined) return taken;
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
    const rest = this.#range;
    const goesOn =
      rest !== undefined && rest.until === fresh.first && this.#continues(rest.extra, fresh.extra);
    this.#range = goesOn ? { ...fresh, first: rest.first } : fresh;
  }
}
