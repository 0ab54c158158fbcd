/** docs/conformance.md: what a run of the whole suite came to. */
import { type Outcome, outcomes, type Verdict } from './compare.js';
import { normalisations } from './normalisations.js';
import type { FileResult } from './sides.js';

/** Statements by their outcome. */
export type Counts = Readonly<Record<Outcome, number>>;

/** How many statements came to each outcome. */
export function countsOf(verdicts: readonly Verdict[]): Counts {
  const counts = Object.fromEntries(outcomes.map(outcome => [outcome, 0])) as Record<Outcome, number>;
  for (const { outcome } of verdicts) counts[outcome]++;
  return counts;
}

/** The page. */
export function reportOf(version: string, results: readonly FileResult[], files: number): string {
  const all = countsOf(results.flatMap(({ verdicts }) => verdicts));
  const statements = Object.values(all).reduce((sum, count) => sum + count, 0);
  const whole = results.filter(({ verdicts }) => verdicts.every(({ outcome }) => outcome === 'identical'));
  const share = (count: number): string => `${((100 * count) / statements).toFixed(1)} %`;
  return `# Conformance
Written by the heavy suite \`conformance\` (\`CLARUS_RECORD=1 node scripts/heavy.mjs conformance\`); do not edit.

PostgreSQL's own regression suite, version ${version} of Debian's source package, through Clarus with the policy
\`unlisted: encrypt\`: every table is encrypted whole, without any query kind. Cloud and trusted database are PostgreSQL 15.
Each statement's output is compared with that of a direct run on a server of the same version. ${results.length} of the
suite's ${files} files were run, in the order of its schedule.

| outcome | statements | share |
|---|---:|---:|
| identical | ${all.identical} | ${share(all.identical)} |
| ends in an error of Clarus | ${all.refused} | ${share(all.refused)} |
| consequence of such an error before it | ${all.consequence} | ${share(all.consequence)} |
| not reached: the file's time was over, or the session was lost | ${all.unreached} | ${share(all.unreached)} |
| **differs without an error** | **${all.different}** | ${share(all.different)} |
| all | ${statements} | |

${whole.length} of ${results.length} files are identical throughout.

A consequence is proven: a third server runs the same files with every statement that Clarus refused replaced by an
error, and there PostgreSQL answers the statement as Clarus does.

## What may differ
${normalisations.map(({ what, why }) => `- ${what}: ${why}.`).join('\n')}

In every run alike, \`COPY\` of a table from data in the script, and from or to a file of the server, is psql's \`\\copy\`: the
server's files are not the client's.

## What is refused
Statements that end in an error of Clarus, by its message.

| statements | SQLSTATE and message | most in |
|---:|---|---|
${refusals(results)}

## By file
| file | identical | error of Clarus | consequence | not reached | differs |
|---|---:|---:|---:|---:|---:|
${results
  .map(({ file, verdicts }) => {
    const c = countsOf(verdicts);
    return `| ${file} | ${c.identical} | ${c.refused} | ${c.consequence} | ${c.unreached} | ${c.different} |`;
  })
  .join('\n')}
`;
}

const shown = 100;

function refusals(results: readonly FileResult[]): string {
  const found = new Map<string, Map<string, number>>();
  for (const { file, verdicts } of results)
    for (const { outcome, state, message } of verdicts) {
      if (outcome !== 'refused') continue;
      const key = `${state} ${message?.replace(/^\w+: {2}/, '').replace(/"[^"]*"/g, '"..."')}`;
      const files = found.get(key) ?? new Map<string, number>();
      found.set(key, files.set(file, (files.get(file) ?? 0) + 1));
    }
  const sum = (files: ReadonlyMap<string, number>): number => [...files.values()].reduce((a, b) => a + b, 0);
  return [...found]
    .sort(([a, filesOfA], [b, filesOfB]) => sum(filesOfB) - sum(filesOfA) || (a < b ? -1 : 1))
    .slice(0, shown)
    .map(([key, files]) => {
      const most = [...files].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, 3);
      return `| ${sum(files)} | ${key.replaceAll('|', '\\|')} | ${most.map(([file, n]) => `${file} ${n}`).join(', ')} |`;
    })
    .join('\n');
}
