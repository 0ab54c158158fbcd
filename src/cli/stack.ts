/** How deep the stack of a worker may be. */
import { readFileSync } from 'node:fs';

/**
 * With that a statement that PostgreSQL's own stack bears (max_stack_depth, 2 MB unless it says otherwise) is borne here. V8
 * has 984 KiB by itself.
 */
const wanted_kib = 3_900;
const ownOfV8_kib = 984;

/**
 * Arguments of a node process that give it that much. The operating system must have twice as much for it: what is not
 * known to be there is not asked for.
 * @param limits as /proc/self/limits of Linux tells them; undefined: they are not known
 */
export function stackArguments(limits = limitsOfProcess()): readonly string[] {
  const [, soft] = /^Max stack size +(\S+)/m.exec(limits ?? '') ?? [];
  if (soft === undefined) return [];
  const room_kib = soft === 'unlimited' ? Number.POSITIVE_INFINITY : Math.floor(Number(soft) / 1_024);
  const stack_kib = Math.min(wanted_kib, Math.floor(room_kib / 2));
  return stack_kib > ownOfV8_kib ? [`--stack-size=${stack_kib}`] : [];
}

function limitsOfProcess(): string | undefined {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return undefined;
  }
}
