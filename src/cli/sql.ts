/** `clarus sql`: a small SQL prompt. Statements end with a semicolon; \q or Ctrl-D ends it. */
import { createInterface } from 'node:readline/promises';
import pg from 'pg';
import { connectToProxy } from './client.js';
import type { Invocation } from './invocation.js';
import { loadConfig } from './load.js';
import { serverErrorLines } from './server-error.js';
import { formatTable } from './table.js';

/**
 * Runs the statements of `--command`, else those of standard input, as the local user `--user` (default: the first).
 * @returns exit code: 1 when a statement of `--command` or of a script failed; a person at a terminal has seen it
 */
export async function main({ config: path, json, values }: Invocation): Promise<number> {
  const client = await connectToProxy(loadConfig(path), values.user as string | undefined);
  client.on('notice', notice => void process.stderr.write(`${notice.severity}:  ${notice.message}\n`));
  try {
    if (typeof values.command === 'string') return (await run(client, values.command, json)) ? 0 : 1;
    return await prompt(client, json);
  } finally {
    await client.end().catch((error: Error) => void process.stderr.write(`${error.message}\n`));
  }
}

async function prompt(client: pg.Client, json: boolean): Promise<number> {
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    ...(terminal ? { output: process.stdout } : {}),
    prompt: 'clarus> ',
  });
  let pending = '';
  let failed = false;
  if (terminal) lines.prompt();
  for await (const line of lines) {
    if (pending === '' && /^\s*(\\q|quit|exit)\s*$/.test(line)) break;
    pending += `${line}\n`;
    if (/;\s*$/.test(pending)) {
      failed = !(await run(client, pending, json)) || failed;
      pending = '';
    }
    lines.setPrompt(pending === '' ? 'clarus> ' : '     -> ');
    if (terminal) lines.prompt();
  }
  if (pending.trim() !== '') failed = !(await run(client, pending, json)) || failed;
  // A script tells its failure; a person at a terminal has seen it.
  return failed && !terminal ? 1 : 0;
}

/** Runs one message of statements and prints what each returned. */
async function run(client: pg.Client, text: string, json: boolean): Promise<boolean> {
  const asText = { getTypeParser: () => (value: string) => value };
  try {
    const answer = await client.query<(string | null)[]>({
      text,
      rowMode: 'array',
      types: asText as pg.CustomTypesConfig,
    });
    for (const result of Array.isArray(answer) ? (answer as (typeof answer)[]) : [answer])
      print(result, json);
    return true;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    process.stderr.write(serverErrorLines(error));
    return false;
  }
}

function print(result: pg.QueryArrayResult<(string | null)[]>, json: boolean): void {
  const names = result.fields.map(field => field.name);
  if (json)
    process.stdout.write(
      `${JSON.stringify({ command: result.command, rowCount: result.rowCount, fields: names, rows: result.rows })}\n`,
    );
  else if (names.length)
    process.stdout.write(
      `${formatTable(names, result.rows)}\n(${result.rows.length} row${result.rows.length === 1 ? '' : 's'})\n\n`,
    );
  else process.stdout.write(`${result.command}${result.rowCount === null ? '' : ` ${result.rowCount}`}\n`);
}
