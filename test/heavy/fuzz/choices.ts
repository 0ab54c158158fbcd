/**
 * A sequence of numbers from which a generator makes all its choices. Where it ends, each choice is the first and
 * simplest: so fast-check makes a failing statement smaller by making the sequence shorter and its numbers smaller.
 */
export class Choices {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  /** @returns 0 <= n < below */
  below(below: number): number {
    return (this.#numbers[this.#at++] ?? 0) % below;
  }

  integer(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True in so many of a hundred cases. */
  chance(percent: number): boolean {
    return this.below(100) >= 100 - percent;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError('nothing to pick from');
    return from[this.below(from.length)]!;
  }

  /** One of several ways, each as often as its weight says. */
  way<T>(...ways: readonly (readonly [weight: number, make: () => T])[]): T {
    let left = this.below(ways.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, make] of ways) {
      if (left < weight) return make();
      left -= weight;
    }
    throw new RangeError('no way');
  }

  /** Between `least` and `most` things. */
  some<T>(least: number, most: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.integer(least, most) }, (_, index) => make(index));
  }
}
