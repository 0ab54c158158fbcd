/** Portals of EXPLAIN (CLARUS). */
import { performance } from 'node:perf_hooks';
import type { ExplainBody } from '../execute/bodies.js';
import { bindLines } from '../execute/lines.js';
import type { Bound, Portal } from '../execute/portal.js';
import { explained, type FetchFacts, partOf } from '../explain.js';
import { runPart } from '../split/write/parts.js';
import { fetchFacts } from './fetches.js';
import { Nobody } from './nobody.js';
import type { ExplainServices } from './portal.js';
import { type Fact, reported } from './report.js';

/** A portal that answers which way a statement goes; with ANALYZE also what came of it when it was run. */
export const bindClarus = (body: ExplainBody, bound: Bound, services: ExplainServices): Portal =>
  bindLines(async () => {
    const { residual, split } = services;
    const fetches: FetchFacts = async (body, plan) =>
      residual ? fetchFacts(body, { bound: { ...bound, plan }, residual, split }) : [];
    const told = await explained(body.plan, fetches);
    const query = body.query ? [await partOf('Query', body.query, fetches)] : [];
    const ran = await run(body, bound, services);
    return reported({ ...told, facts: [...(told.facts ?? []), ...query, ...ran] }, body.options.format);
  }, bound.session);

/** Runs the statement for what it does. */
async function run(
  { runs, options }: ExplainBody,
  { bound, session }: Bound,
  { split }: ExplainServices,
): Promise<readonly Fact[]> {
  if (!runs) return [];
  const { shape } = runs;
  const formats = (shape?.columns ?? []).map(() => 0 as const);
  const told = session.watchFetches();
  const began_ms = performance.now();
  const outcome = await runPart(
    runs,
    bound,
    formats,
    new Nobody(session),
    session,
    split,
    shape?.parameterTypes ?? [],
  ).finally(told);
  const time_ms = performance.now() - began_ms;
  const rows = outcome.kind === 'complete' ? /\d+$/.exec(outcome.tag)?.[0] : undefined;
  return [
    ...told().map(
      ({ table, columns, rows: fetched, bytes }): Fact => ({
        label: 'Fetched',
        value: table,
        facts: [
          { label: 'Rows', value: fetched },
          { label: 'Columns', value: columns },
          { label: 'Bytes', value: bytes },
        ],
      }),
    ),
    ...(rows === undefined ? [] : [{ label: 'Actual Rows', value: Number(rows) }]),
    ...(options.summary ? [{ label: 'Execution Time', value: Number(time_ms.toFixed(3)), unit: 'ms' }] : []),
  ];
}
