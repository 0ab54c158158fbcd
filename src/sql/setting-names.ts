/** Settings that statements read (current_setting), and which of them mean the same on every server. */
import { type Node, nodesIn } from './analysed/node.js';
import { constantValue } from './analysed/types.js';

/** current_setting with one and with two arguments (pg_proc.dat) */
export const ofSettings: ReadonlySet<number> = new Set([2077, 3294]);

/**
 * @param call of current_setting, as it is analysed
 * @returns undefined: it computes the name
 */
export function settingRead(call: Node): string | undefined {
  const [name] = nodesIn(call, 'args');
  const value = name?.kind === 'CONST' ? constantValue(name) : undefined;
  return value ? Buffer.from(value).toString() : undefined;
}

/** What Clarus itself, and what it uses on the trusted side, read there. */
const ofOthers = /^(clarus|postgres_fdw|plpgsql)\./i;

/**
 * Is a setting one of the application, which is set for a session and for nothing else? Those have a dot in their names; others
 * are those of a server.
 */
export const isOfApplication = (name: string): boolean => name.includes('.') && !ofOthers.test(name);
