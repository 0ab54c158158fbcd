/** New protected values for the rows of tables that a statement changes. */
export { mayHoldRows, refillsOf } from './need.js';
export { type PreparedRefill, prepareRefill } from './refill.js';
