/** `clarus explain "SELECT ..."`: the plan, as the running proxy makes it. Nothing is executed. */
import pg from 'pg';
import { connectToProxy } from './client.js';
import type { Invocation } from './invocation.js';
import { loadConfig } from './load.js';
import { serverErrorLines } from './server-error.js';

/**
 * Prints what EXPLAIN (CLARUS) answers for the first argument, as the local user `--user` (default: the first).
 * @returns exit code: 1 when the statement is refused or wrong; the reason, the policy line and a hint are printed
 */
export async function main({ config: path, json, values, positionals }: Invocation): Promise<number> {
  const client = await connectToProxy(loadConfig(path), values.user as string | undefined);
  try {
    if (json) {
      const text = `EXPLAIN (CLARUS, FORMAT JSON) ${positionals[0]!}`;
      const { rows } = await client.query<[[{ Plan: object }]]>({ text, rowMode: 'array' });
      process.stdout.write(`${JSON.stringify({ plan: rows[0]![0][0].Plan })}\n`);
      return 0;
    }
    const text = `EXPLAIN (CLARUS) ${positionals[0]!}`;
    const { rows } = await client.query<[string]>({ text, rowMode: 'array' });
    process.stdout.write(`${rows.map(([line]) => line).join('\n')}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    if (json) {
      const { code, message, detail, hint } = error;
      process.stdout.write(`${JSON.stringify({ refused: { code, message, detail, hint } })}\n`);
    } else process.stderr.write(serverErrorLines(error));
    return 1;
  } finally {
    await client.end();
  }
}
