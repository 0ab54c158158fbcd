/**
 * `clarus check`: reads everything that `clarus run` would need, and says what each cloud still learns. Exits 0
 * when everything would work, else 1. It may run beside `clarus run`.
 */
import { gatherReport } from './check/report.js';
import { beyondThePolicy, inTheClear, reportLines } from './check/words.js';
import type { Invocation } from './invocation.js';
import { loadConfig, loadRootKey } from './load.js';

/**
 * @returns exit code: 0 when everything would work, else 1
 * @throws ClarusError when the trusted database cannot be used or the root key is wrong
 */
export async function main({ config: path, json }: Invocation): Promise<number> {
  const config = loadConfig(path);
  const report = await gatherReport(config, loadRootKey(config));
  const text = json
    ? JSON.stringify({
        ...report,
        works: report.problems.length === 0,
        inTheClear: inTheClear(report),
        notReached: beyondThePolicy(report.names),
      })
    : reportLines(report).join('\n');
  process.stdout.write(`${text}\n`);
  return report.problems.length === 0 ? 0 : 1;
}
