/** What a permutation came to through Clarus, beside what it came to directly. */
import type { Outcome, Run } from './run.js';

export const verdicts = ['identical', 'justified', 'refused', 'consequence', 'different'] as const;
/**
 * Of a step: it answers as it does directly; it answers otherwise, which is right too (`mayDiffer`); it ends in an error
 * that it does not end in directly; a step or the setup before it did; it answers otherwise.
 */
export type Verdict = (typeof verdicts)[number];

export interface StepVerdict {
  readonly step: string;
  readonly verdict: Verdict;
  /** the answer through Clarus, where it is not the same */
  readonly through: readonly string[];
  readonly direct: readonly string[];
}

/** Steps whose answers may differ, and why. */
export const mayDiffer: readonly { readonly file: string; readonly step: string; readonly why: string }[] = [
  {
    file: 'vacuum-no-cleanup-lock',
    step: 'vacuumer_pg_class_stats',
    why: 'reltuples and relpages are estimates, and the trusted side, which answers queries of the catalogue, has no rows',
  },
  {
    file: 'partition-drop-index-locking',
    step: 's3getlocks',
    why: 'pg_locks and pg_stat_activity are those of the cloud, with the locks that Clarus takes',
  },
  ...['explaini', 'explains'].map(step => ({
    file: 'drop-index-concurrently-1',
    step,
    why: 'the plan that EXPLAIN tells is the one of what Clarus runs',
  })),
  ...['pruner_query_plan', 'pruner_query'].map(step => ({
    file: 'horizons',
    step,
    why: 'the plan that EXPLAIN tells is the one of what Clarus runs',
  })),
  {
    file: 'nowait-5',
    step: 'sl1_exec',
    why: 'PostgreSQL gathers the rows of EXECUTE before it sends any; Clarus sends a row before the error that the next one ends in',
  },
  {
    file: 'alter-table-4',
    step: 's2sel',
    why: 'a query that waits for DDL is planned when that is over, and sees the tables as they are then: PostgreSQL has found the children before it waits for one of them',
  },
];

const isError = (line: string): boolean => line.startsWith('ErrorResponse');
const withoutDetail = (line: string): string =>
  isError(line) || line.startsWith('NoticeResponse') ? line.split(' ').slice(0, 3).join(' ') : line;
/** Notices of Clarus: what the cloud learns by keys and indexes. */
const isNotice = (line: string): boolean => line.startsWith('NoticeResponse');

/** Compares step by step, in the order in which they ended directly. */
export function compare(direct: Run, through: Run, file = ''): readonly StepVerdict[] {
  let refused = through.setup.length > direct.setup.length;
  const setup: StepVerdict[] = refused
    ? [{ step: 'setup', verdict: 'refused', through: through.setup, direct: direct.setup }]
    : [];
  const left = through.outcomes.map((ours, place) => ({ ours, place }));
  const pairs = direct.outcomes.map(outcome => {
    const at = left.findIndex(({ ours }) => ours.step === outcome.step);
    const [found] = at < 0 ? [] : left.splice(at, 1);
    return { outcome, ...found };
  });
  // what waits directly may be refused at once: what ended after that is a consequence too
  const refusals = pairs.filter(({ outcome, ours }) => verdictOf(outcome, ours, false) === 'refused');
  const first = Math.min(...refusals.map(({ place }) => place ?? Number.POSITIVE_INFINITY));
  const steps = pairs.map(({ outcome, ours, place = 0 }): StepVerdict => {
    const found = verdictOf(outcome, ours, refused || place > first);
    const known = mayDiffer.some(one => one.file === file && one.step === outcome.step);
    const verdict = found === 'different' && known ? 'justified' : found;
    if (verdict === 'refused') refused = true;
    return { step: outcome.step, verdict, through: ours?.lines ?? [], direct: outcome.lines };
  });
  return [...setup, ...steps];
}

function verdictOf(direct: Outcome, through: Outcome | undefined, refused: boolean): Verdict {
  const [wanted, got] = [direct.lines, through?.lines ?? []].map(lines =>
    lines.filter(line => !isNotice(line)).map(withoutDetail),
  );
  if (wanted!.length === got!.length && wanted!.every((line, i) => line === got![i])) return 'identical';
  if (refused) return 'consequence';
  return got!.some(line => isError(line) && !wanted!.includes(line)) ? 'refused' : 'different';
}
