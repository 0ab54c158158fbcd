/** One line with cause and remedy for everything that can stop a command. */

import { ClarusError } from '../errors.js';
import { ConfigError } from '../policy/problems.js';
import { PostgresError } from '../wire/diagnostic.js';

const remedies: Readonly<Record<string, (error: NodeJS.ErrnoException) => string>> = {
  EADDRINUSE: error =>
    `port ${(error as { port?: number }).port ?? ''} is in use; stop what listens there, or name another under listen:`,
  EACCES: error =>
    `no permission for ${error.path ?? 'this port or file'}; change its rights, or name another`,
  ENOENT: error => `${error.path ?? 'a file'} does not exist; "clarus init" makes what is missing`,
  EISDIR: error => `${error.path ?? 'the file that was named'} is a directory; name a file`,
  ENOTDIR: error => `${error.path ?? 'the path'} leads through a file; name a directory`,
  ENOSPC: error => `the disk is full${error.path ? ` (${error.path})` : ''}; free some space`,
  ENOTFOUND: error =>
    `host ${(error as { hostname?: string }).hostname ?? ''} is unknown; correct its name in clarus.yaml`,
  ECONNREFUSED: error =>
    `nothing listens on ${(error as { address?: string }).address ?? 'the host'}:${(error as { port?: number }).port ?? ''}; is the server, or "clarus run", started?`,
};

/** A hint is a sentence; behind a semicolon it begins small, unless with a name, and ends without a full stop. */
const afterSemicolon = (hint: string): string =>
  hint.replace(/^(?!Clarus\b)[A-Z](?=[a-z]*\b)/, letter => letter.toLowerCase()).replace(/\.$/, '');

/** What stopped a command and what to do about it, for people; of a configuration file, all its problems. */
export function explainProblem(error: unknown): string {
  if (error instanceof ConfigError) return error.report();
  if (error instanceof ClarusError)
    return `${error.message}${error.fields.hint ? `; ${afterSemicolon(error.fields.hint)}` : ''}`;
  if (error instanceof PostgresError) {
    const { detail, hint } = error.diagnostic;
    // The detail of a refusal is ours; that of other errors may hold a value.
    const more = [error.code === '0A000' ? detail : undefined, hint].flatMap(text =>
      text ? `; ${afterSemicolon(text)}` : [],
    );
    return `${error.message} (SQLSTATE ${error.code})${more.join('')}`;
  }
  const failure = error as NodeJS.ErrnoException;
  return remedies[failure.code ?? '']?.(failure) ?? failure.message;
}
