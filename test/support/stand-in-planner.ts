/**
 * A planner for tests of the gateway alone: every statement is analysed by the trusted server and then passed to
 * the cloud, except those of the session itself, and catalogue queries, which the trusted server answers. With
 * one server as both sides, a session then behaves like a plain PostgreSQL, through all the machinery of careful
 * mode. `protect` turns chosen statements into plans that run through the ports of executors.
 */
import type { Planner, ProtectedPortal } from '../../src/postgres/planner-port.js';
import type { PhysicalStatement, Plan, ProtectedBody, ProtectedPlan } from '../../src/sql/plan.js';
import type { CopyInExecution, SessionPort } from '../../src/sql/ports.js';
import { parseStatements, type RawStatement } from '../../src/sql/raw/parse.js';
import { planSessionStatement } from '../../src/sql/session-statements.js';

/** Body of plans that run as they stand through the ports of executors. */
interface Relayed extends ProtectedBody {
  readonly kind: 'relayed';
  readonly statement: PhysicalStatement;
  /** rows are handed on only after this many milliseconds */
  readonly delay_ms: number;
  /** the outcome fails after the cloud has answered */
  readonly fails: boolean;
  readonly ddl: string | undefined;
}

export interface StandInOptions {
  /** statements that match run as protected plans */
  readonly protect?: RegExp;
  /** protected plans that match fail on our side after the cloud has answered */
  readonly fail?: RegExp;
  readonly delay_ms?: number;
}

let nextId = 1;

/** Makes the planner. */
export function standInPlanner(options: StandInOptions = {}): Planner {
  const plans = new Map<string, Plan>();
  const key = (text: string, types: readonly number[], session: SessionPort): string =>
    `${types.join()} ${session.settings.searchPath} ${text}`;
  return {
    statements: text =>
      parseStatements(text).map(statement => ({
        ...statement,
        start: Buffer.from(text).subarray(0, statement.offset).toString().length,
      })),
    speaksToClarus: text => /security\s+label\s+for\s+clarus/i.test(text),
    cached: (text, types, session) => plans.get(key(text, types, session)),
    async plan(statement, types, session) {
      const known = plans.get(key(statement.text, types, session));
      if (known !== undefined) return known;
      const raw = parseStatements(statement.text)[0] as RawStatement;
      const plan = await planOf(raw, types, session, options);
      if (plan.kind === 'pass' || plan.kind === 'trusted' || plan.kind === 'protected') {
        plans.set(key(statement.text, types, session), plan);
      }
      return plan;
    },
    bind: (plan, parameters, resultFormats, session, portal) =>
      relay(plan, parameters, resultFormats, session, portal),
    copyIn: (plan, session) => relayCopy(plan, session),
  };
}

async function planOf(
  raw: RawStatement,
  types: readonly number[],
  session: SessionPort,
  { protect, fail, delay_ms = 0 }: StandInOptions,
): Promise<Plan> {
  const { text: sql, node } = raw;
  const own = planSessionStatement(node, sql);
  if (own !== undefined) return own;
  if ('FetchStmt' in node) return { kind: 'pass', sql, shape: undefined };
  const copy = (node as { CopyStmt?: { is_from?: boolean; filename?: string } }).CopyStmt;
  const direction = copy === undefined ? {} : { copy: copy.is_from ? ('in' as const) : ('out' as const) };
  const { shape } = await session.analyse(sql, types);
  if (protect?.test(sql) && !('copy' in direction && direction.copy === 'out')) {
    const ddl = 'CreateStmt' in node ? sql : undefined;
    const statement = { id: nextId++, sql, parameterTypes: types };
    const body: Relayed = { kind: 'relayed', statement, delay_ms, fails: fail?.test(sql) ?? false, ddl };
    return {
      kind: 'protected',
      command: 'SelectStmt' in node ? 'SELECT' : 'OTHER',
      shape,
      body,
      ...direction,
    };
  }
  // the catalogue's, and the arguments of EXECUTE
  if (/\bpg_catalog\.|^SELECT \(/.test(sql) && 'SelectStmt' in node) return { kind: 'trusted', sql, shape };
  return { kind: 'pass', sql, shape, ...direction };
}

async function relay(
  plan: ProtectedPlan,
  parameters: { values: readonly (Uint8Array | null)[]; formats: readonly (0 | 1)[] },
  resultFormats: readonly (0 | 1)[],
  session: SessionPort,
  portal: string | undefined,
): Promise<ProtectedPortal> {
  const { statement, delay_ms, fails, ddl } = plan.body as Relayed;
  if (ddl !== undefined) return runDdl(ddl, session);
  const formats = { parameters: parameters.formats, results: resultFormats };
  const bound = session.cloud.bind(statement, parameters.values, formats, portal);
  return {
    async execute(maxRows, listener) {
      const outcome = bound.execute(maxRows, {
        async rows({ buffer, starts, count }) {
          if (delay_ms > 0) await new Promise(resolve => setTimeout(resolve, delay_ms));
          const from = starts[0]! - 5;
          const last = starts[count - 1]!;
          const end = last - 4 + buffer.readInt32BE(last - 4);
          await session.client.write(buffer.subarray(from, end));
        },
      });
      const checked = fails ? outcome.then(() => Promise.reject(new Error('a cell does not open'))) : outcome;
      checked.then(
        done => listener.done(done),
        error => listener.failed(error),
      );
      return { kind: 'pipelined' };
    },
    close: () => bound.close(),
  };
}

function runDdl(ddl: string, session: SessionPort): ProtectedPortal {
  return {
    async execute() {
      await session.transaction.touchTrusted();
      const tag = await session.cloud.run(ddl);
      session.transaction.record(ddl, []);
      return { kind: 'complete', tag };
    },
    close: () => undefined,
  };
}

async function relayCopy(plan: ProtectedPlan, session: SessionPort): Promise<CopyInExecution> {
  const copy = await session.cloud.copyIn((plan.body as Relayed).statement.sql);
  return {
    format: 0,
    columns: 2,
    write: data => copy.write(data),
    finish: () => copy.finish(),
    fail: reason => copy.fail(reason),
  };
}
