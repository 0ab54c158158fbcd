/** `clarus policy export`: clarus.yaml with the policy version in force. */
import { readFileSync } from 'node:fs';
import { writtenOut } from '../catalog/protection.js';
import { loadCatalog } from '../catalog/store.js';
import { ClarusError } from '../errors.js';
import { replacePolicy } from '../policy/format.js';
import { servedCloud } from '../proxy/prepare.js';
import { type Invocation, UsageError } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { openOrJoinTrusted } from './trusted.js';

/**
 * Prints the file with the policy in force put in, what was renamed by its own name too, or the policy alone as JSON.
 * @returns exit code 0
 * @throws ClarusError 55000 when none is in force yet; UsageError for another word than `export`
 */
export async function main({ config: path, json, positionals }: Invocation): Promise<number> {
  if (positionals[0] !== 'export') throw new UsageError(`there is no "clarus policy ${positionals[0]}"`);
  const config = loadConfig(path);
  const { trusted } = await openOrJoinTrusted({
    trusted: config.trusted,
    rootKey: loadRootKey(config),
    resolveSecret,
  });
  try {
    const catalog = await loadCatalog(trusted.state, servedCloud(config).name);
    if (catalog.policyVersion === 0)
      throw new ClarusError('55000', 'no policy is in force yet', {
        hint: 'the first "clarus run" takes that of the file',
      });
    const policy = writtenOut(catalog.policy, catalog.tables.values());
    process.stdout.write(
      json
        ? `${JSON.stringify({ version: catalog.policyVersion, policy })}\n`
        : replacePolicy(readFileSync(config.file, 'utf8'), policy),
    );
    return 0;
  } finally {
    await trusted.close();
  }
}
