import type { Node } from '../../analysed/node.js';
import { functionsIn } from '../../analysed/query.js';
import { physical } from '../../compilation.js';
import { collect } from '../../execute/collect.js';
import type { SessionPort } from '../../ports.js';

const volatileQuery = physical(
  "SELECT 1 FROM pg_catalog.pg_proc WHERE oid = ANY ($1::pg_catalog.oid[]) AND provolatile = 'v' LIMIT 1",
  [1028],
);

/** Does a tree call a function that may give another value each time? */
export async function callsVolatile(tree: Node, { trusted }: SessionPort): Promise<boolean> {
  const called = [...functionsIn([tree])];
  if (called.length === 0) return false;
  return (await collect(trusted, volatileQuery, [Buffer.from(`{${called.join()}}`)], [0], [0])).length > 0;
}
