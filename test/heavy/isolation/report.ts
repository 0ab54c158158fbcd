/** docs/isolation.md: what a run of the suite came to. */
import { mayDiffer, type StepVerdict, type Verdict, verdicts } from './compare.js';

/** A specification after its run. */
export interface FileResult {
  readonly file: string;
  readonly permutations: readonly {
    readonly steps: readonly string[];
    readonly verdicts: readonly StepVerdict[];
  }[];
  /** number of its permutations, of which some may not have been run */
  readonly of: number;
}

type Counts = Readonly<Record<Verdict, number>>;

function countsOf(found: readonly StepVerdict[]): Counts {
  const counts = Object.fromEntries(verdicts.map(verdict => [verdict, 0])) as Record<Verdict, number>;
  for (const { verdict } of found) counts[verdict]++;
  return counts;
}

const all = (results: readonly FileResult[]): readonly StepVerdict[] =>
  results.flatMap(({ permutations }) => permutations.flatMap(run => run.verdicts));

/** The page. */
export function reportOf(version: string, results: readonly FileResult[]): string {
  const counts = countsOf(all(results));
  const steps = Object.values(counts).reduce((sum, number) => sum + number, 0);
  const share = (number: number): string => `${((100 * number) / steps).toFixed(1)} %`;
  const runs = results.flatMap(({ permutations }) => permutations);
  const whole = runs.filter(run => run.verdicts.every(({ verdict }) => verdict === 'identical'));
  return `# Isolation
Written by the heavy suite \`isolation\` (\`CLARUS_RECORD=1 node scripts/heavy.mjs isolation\`); do not edit.

PostgreSQL's isolation tests, version ${version} of Debian's source package, through Clarus with the policy
\`unlisted: encrypt\`: every table is encrypted whole, without any query kind. Cloud and trusted database are PostgreSQL 15.
Each step of each permutation is compared with that of a direct run on a server of the same version: its rows, in any
order, its command tags and the SQLSTATEs of its errors. ${runs.length} permutations of ${results.length} files were run.

| outcome | steps | share |
|---|---:|---:|
| identical | ${counts.identical} | ${share(counts.identical)} |
| differs, and may (below) | ${counts.justified} | ${share(counts.justified)} |
| ends in an error that it does not end in directly | ${counts.refused} | ${share(counts.refused)} |
| after such an error in its permutation | ${counts.consequence} | ${share(counts.consequence)} |
| **differs without an error** | **${counts.different}** | ${share(counts.different)} |
| all | ${steps} | |

${whole.length} of ${runs.length} permutations are identical throughout.

## What may differ
${mayDiffer.map(({ file, step, why }) => `- ${file}, step ${step}: ${why}.`).join('\n')}

## Errors
Steps that end in an error that they do not end in directly, by SQLSTATE and message.

| steps | SQLSTATE and message | most in |
|---:|---|---|
${errors(results)}

## By file
| file | permutations | identical | error | after an error | differs |
|---|---:|---:|---:|---:|---:|
${results
  .map(result => {
    const c = countsOf(all([result]));
    return `| ${result.file} | ${result.permutations.length} of ${result.of} | ${c.identical} | ${c.refused} | ${c.consequence} | ${c.different} |`;
  })
  .join('\n')}
`;
}

function errors(results: readonly FileResult[]): string {
  const found = new Map<string, Map<string, number>>();
  for (const result of results)
    for (const { verdict, through } of all([result])) {
      if (verdict !== 'refused') continue;
      const error = through.find(line => line.startsWith('ErrorResponse')) ?? '';
      const key = error
        .replace(/^ErrorResponse \w+ /, '')
        .replace(/"[^"]*"/g, '"..."')
        .trim();
      const files = found.get(key) ?? new Map<string, number>();
      found.set(key, files.set(result.file, (files.get(result.file) ?? 0) + 1));
    }
  const sum = (files: ReadonlyMap<string, number>): number => [...files.values()].reduce((a, b) => a + b, 0);
  return [...found]
    .sort(([, a], [, b]) => sum(b) - sum(a))
    .slice(0, 60)
    .map(([key, files]) => {
      const most = [...files].sort(([, n], [, m]) => m - n).slice(0, 3);
      return `| ${sum(files)} | ${key.replaceAll('|', '\\|')} | ${most.map(([file, n]) => `${file} ${n}`).join(', ')} |`;
    })
    .join('\n');
}
