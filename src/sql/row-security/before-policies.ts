/** What carriers are asked for under row level security. */
import { ClarusError } from '../../errors.js';
import type { CarrierQuery } from '../split/carrier-query.js';
import { comparisonsOnly } from '../split/comparisons.js';
import { neverFails } from '../split/in-turn.js';

/**
 * What a carrier is asked for is computed of rows that policies hide too: postgres_fdw does not ask whether a condition has to
 * wait for another.
 * @throws ClarusError 0A000 for what may fail, or tell in another way of a row that it has seen
 */
export function refuseBeforePolicies({ conditions, order }: CarrierQuery): void {
  if (!conditions.every(({ tree }) => comparisonsOnly(tree) || neverFails(tree)))
    throw new ClarusError(
      '0A000',
      'a condition is computed of rows under row level security that policies may hide',
      {
        hint: 'Put the table into a subquery with OFFSET 0, and the condition around it. A policy may compare, and not compute.',
      },
    );
  if (!order.every(({ tree }) => neverFails(tree)))
    throw new ClarusError(
      '0A000',
      'an order is computed of rows under row level security that policies may hide',
      {
        hint: 'Put what is computed into a subquery with OFFSET 0, and order by its columns.',
      },
    );
}
