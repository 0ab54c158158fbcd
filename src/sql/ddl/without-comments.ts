/** SQL text without its comments: what a client writes there may be anything, so it never reaches a cloud. */
import { createRequire } from 'node:module';
import '../raw/parse.js';

interface Scanner {
  scanSync(query: string): {
    readonly tokens: readonly { readonly start: number; readonly end: number; readonly tokenName: string }[];
  };
}
const library = createRequire(import.meta.url)('libpg-query') as Scanner;

/** Each comment becomes one space. Comments inside function bodies are strings to the grammar and stay. */
export function withoutComments(sql: string): string {
  const bytes = Buffer.from(sql);
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, tokenName } of library.scanSync(sql).tokens) {
    if (tokenName !== 'SQL_COMMENT' && tokenName !== 'C_COMMENT') continue;
    parts.push(bytes.subarray(at, start), Buffer.from(' '));
    at = end;
  }
  return Buffer.concat([...parts, bytes.subarray(at)])
    .toString()
    .trim();
}
