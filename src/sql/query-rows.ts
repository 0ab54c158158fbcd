/** Queries within DDL: they run as statements of their own, and what they return is written by COPY. */

import { columnOf } from '../crypto/column.js';
import type { EncodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { MessageWriter } from '../wire/message-writer.js';
import { viewsOfRoles } from './acting/views.js';
import { copyInto } from './copy/planning.js';
import type { QueryRunner, TextValues } from './ddl/body.js';
import type { CopyInBody, SplitBody } from './execute/bodies.js';
import { type CopyOutFormat, copyRows } from './execute/copy-out.js';
import type { BoundParameters, Plan } from './plan.js';
import type { CopyInExecution, SessionPort } from './ports.js';
import type { RoutineServices } from './procedural/run.js';
import type { SplitServices } from './split/cloud-rows.js';
import { mustTravelExactly, printingExactly } from './split/exact.js';
import { KeptRows } from './split/write/computed-writes.js';
import { KeptData, withoutPlace } from './split/write/insert.js';
import { runPart } from './split/write/parts.js';
import { nameCheck } from './split/zone-names.js';
import { Firing } from './triggers/fire.js';

/** What running of queries needs of planning and execution. */
export interface QueryServices extends Pick<SplitServices, 'bind' | 'readsZoneNames'> {
  /** values of the statement's parameters, which all of its queries have */
  readonly bound: BoundParameters;
  readonly parameterTypes: readonly number[];
  plan(sql: string): Promise<Plan>;
  /** plans a query whose constants no cloud may see */
  source(sql: string): Promise<Plan>;
  copyIn(body: CopyInBody): Promise<CopyInExecution>;
  readonly registry: EncodingRegistry;
  readonly routines: RoutineServices;
}

/** Rows that are written at a time. */
const batch = 2_000;

/** The queries of one statement of DDL. */
export const queryRunner = (session: SessionPort, services: QueryServices): QueryRunner => ({
  async rows(query, hidden) {
    if (session.transaction.acting !== undefined || (await viewsOfRoles(session)).size > 0)
      await services.routines.permit(await services.plan(query), session);
    const plan = await (hidden ? services.source(query) : services.plan(query));
    if (plan.kind !== 'pass' && plan.kind !== 'trusted' && plan.kind !== 'protected')
      throw new ClarusError('0A000', 'a query that changes settings cannot make a table');
    const kept = new KeptRows();
    const formats = (plan.shape?.columns ?? []).map(() => 0 as const);
    const { bound, parameterTypes } = services;
    await runPart(printedExactly(plan, session), bound, formats, kept, session, services, parameterTypes);
    if (plan.kind === 'trusted' && plan.homed) await session.transaction.keepSequences([]);
    return kept.rows;
  },
  firing: fired => new Firing(fired, session, services.routines),
  async fill(table, rows) {
    const plan = await services.plan(`COPY ${table} FROM STDIN`);
    const begin = (): Promise<Taking> =>
      plan.kind === 'protected'
        ? services.copyIn(plan.body as CopyInBody)
        : session.cloud.copyIn((plan as Extract<Plan, { kind: 'pass' }>).sql);
    return write(rows, begin, await nameCheck(session, services.readsZoneNames));
  },
  async fillView(view, rows) {
    const { columns } = view;
    if (columns.length === 0)
      throw new ClarusError('0A000', 'a materialized view without columns is not filled');
    const { written, sql } = copyInto(view, columns, services.registry, textOptions);
    const body: CopyInBody = {
      kind: 'copy-in',
      table: view,
      columns,
      written,
      defaults: [],
      options: textOptions,
      checks: undefined,
      generated: undefined,
      markers: undefined,
      where: undefined,
      bounds: undefined,
      sql,
    };
    await write(rows, () => services.copyIn(body), await nameCheck(session, services.readsZoneNames));
  },
  keep: (table, rows) => write(rows, () => session.trusted.copyIn(`COPY ${table} FROM STDIN`), undefined),
});

/** @throws ClarusError 0A000 where floating-point numbers would be printed rounded */
function printedExactly<T extends Extract<Plan, { kind: 'pass' | 'trusted' | 'protected' }>>(
  plan: T,
  session: SessionPort,
): T {
  const columns = plan.shape?.columns ?? [];
  const body = plan.kind === 'protected' ? (plan.body as SplitBody) : undefined;
  if (body?.kind !== 'split' || body.writes) {
    mustTravelExactly(columns, session);
    return plan;
  }
  const types = columns.map(({ typeOid }) => typeOid);
  return { ...plan, body: { ...body, statement: printingExactly(body.statement, types, session.settings) } };
}

type Taking = Pick<CopyInExecution, 'write' | 'finish'>;

async function write(
  rows: readonly TextValues[],
  begin: () => Promise<Taking>,
  check: Awaited<ReturnType<typeof nameCheck>>,
): Promise<number> {
  const data = copyData(rows);
  for (const chunk of data) check?.(chunk);
  try {
    const into = await begin();
    for (const chunk of data) await into.write(chunk);
    await into.finish();
  } catch (error) {
    throw withoutPlace(error);
  }
  return rows.length;
}

/** Rows in the text format of COPY. */
function copyData(rows: readonly TextValues[]): readonly Buffer[] {
  const kept = new KeptData();
  const columns = rows[0]?.length ?? 0;
  const write = copyRows({ format: 0, columns, options: textOptions, names: [] });
  for (let at = 0; at < rows.length; at += batch) {
    const some = rows.slice(at, at + batch);
    const bytes = Array.from({ length: columns }, (_, i) => {
      const { data, offsets, nulls } = columnOf(some.map(row => row[i]!));
      return { data, starts: offsets, sizes: undefined, nulls };
    });
    const writer = new MessageWriter();
    write(writer, bytes, some.length);
    kept.write(writer.take());
  }
  return kept.chunks;
}

const textOptions: CopyOutFormat['options'] = {
  format: 'text',
  delimiter: '\t',
  nullString: '\\N',
  header: false,
  quote: '"',
  escape: '"',
  forceQuote: [],
  forceNotNull: [],
  forceNull: [],
  defaultString: undefined,
  onError: 'stop',
  logVerbosity: 'default',
  rejectLimit: undefined,
  freeze: false,
  csvEndMarker: false,
};
