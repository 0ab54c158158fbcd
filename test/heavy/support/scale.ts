/** How much of its full count a randomised test does in this run, and the seed of its random choices. */
import { appendFileSync } from 'node:fs';

/** Share of the full counts, above 0 and at most 1: small in `npm test`, larger in CI, 1 in a soak. */
export const fraction: number = parsed('CLARUS_FRACTION', 0.01, value => value > 0 && value <= 1);

/** Seed of this run (fast-check's `seed`, or of a generator of one's own); printed by the runner. */
export const seed: number = parsed('CLARUS_SEED', 1, Number.isSafeInteger);

/**
 * The number of cases to run now. It is recorded under `what`, so that the result of a soak can tell the sum.
 *
 * @param what the cases, in the plural
 * @param full the count that a soak reaches
 * @param least never fewer than this, so that a small fraction still tests something
 * @example fc.assert(property, { numRuns: count('hostile frames', 100_000, 500), seed })
 */
export function count(what: string, full: number, least = 1): number {
  const cases = Math.min(full, Math.max(least, Math.ceil(full * fraction)));
  recordCases(what, cases);
  return cases;
}

/** Records how many cases there were of something, for the result of a soak. */
export function recordCases(what: string, cases: number): void {
  const record = process.env.CLARUS_COUNTS_FILE;
  if (record !== undefined) appendFileSync(record, `${JSON.stringify({ what, cases })}\n`);
}

function parsed(name: string, otherwise: number, valid: (value: number) => boolean): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!valid(value)) throw new RangeError(`${name} is not valid: ${process.env[name]}`);
  return value;
}
