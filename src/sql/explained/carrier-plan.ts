/** Plans of the trusted PostgreSQL over carriers. */
import { elementType } from '../../wire/types.js';
import type { SplitBody } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import type { Bound } from '../execute/portal.js';
import type { BoundParameters } from '../plan.js';
import type { ResidualPort } from '../ports.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { fetching } from '../split/fetching.js';
import { bindSplit } from '../split/portal.js';
import { KeptRows } from '../split/write/computed-writes.js';

/**
 * The lines that an EXPLAIN answers.
 * @param explain its statement is the EXPLAIN
 */
export async function carrierPlan(
  explain: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Promise<readonly string[]> {
  const kept = new KeptRows();
  const portal = bindSplit(
    explain,
    {
      ...bound,
      bound: withUnknown(bound.bound, explain),
      formats: [0],
      session: fetching(bound.session, kept, residual),
    },
    residual,
    services,
  );
  await portal.execute(0, { done: () => undefined, failed: () => undefined });
  return textOf(kept.rows);
}

/** Answers of one column of text. */
export const textOf = (rows: readonly Row[]): readonly string[] =>
  rows.map(([line]) => Buffer.from(line ?? []).toString());

/** What is known only when the statement runs is NULL; of rows there are none. */
function withUnknown({ values, formats }: BoundParameters, { statement, asked }: SplitBody): BoundParameters {
  const { parameterTypes } = statement;
  const more = parameterTypes
    .slice(values.length, parameterTypes.length - asked.length)
    .map(type => (elementType(type) === undefined ? null : Buffer.from('{}')));
  return { values: [...values, ...more], formats: [...formats, ...more.map(() => 0 as const)] };
}
