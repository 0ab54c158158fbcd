/** `clarus explain "SELECT ..."`: the plan, as the running proxy makes it. Nothing is executed. */

import { connectToProxy } from './client.js';
import type { Invocation } from './invocation.js';
import { loadConfig } from './load.js';

/**
 * Prints what EXPLAIN (CLARUS) answers for the first argument, as the local user `--user` (default: the first).
 * @returns exit code 0
 */
export async function main({ config: path, json, values, positionals }: Invocation): Promise<number> {
  const client = await connectToProxy(loadConfig(path), values.user as string | undefined);
  try {
    const { rows } = await client.query<[string]>({
      text: `EXPLAIN (CLARUS) ${positionals[0]!}`,
      rowMode: 'array',
    });
    const lines = rows.map(([line]) => line);
    process.stdout.write(json ? `${JSON.stringify({ plan: lines })}\n` : `${lines.join('\n')}\n`);
    return 0;
  } finally {
    await client.end();
  }
}
