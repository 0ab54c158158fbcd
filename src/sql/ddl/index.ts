/** DDL in a database that Clarus plans for: one plan kind, one executor. */
export type { DdlBody, DdlDependencies } from './body.js';
export { executeDdl } from './execute.js';
export { planDdl } from './plan.js';
