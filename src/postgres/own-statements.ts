import type { PhysicalStatement } from '../sql/plan.js';

/** Numbers below 0 are the gateway's own; those of plans are above. */
let last = 0;

/** A statement that the gateway itself asks of a server. */
export const physicalQuery = (sql: string, parameterTypes: readonly number[] = []): PhysicalStatement => ({
  id: --last,
  sql,
  parameterTypes,
});
