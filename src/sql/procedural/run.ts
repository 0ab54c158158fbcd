/** Statements of a body: each is planned as a statement of its own, and run to its end. */
import type { Payloads } from '../../crypto/payloads.js';
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { physical } from '../compilation.js';
import { makesTemporary } from '../ddl/makes-temporary.js';
import type { SplitBody } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { named } from '../execute/portal.js';
import { giveFigures } from '../figures.js';
import type { OutputColumn, PhysicalStatement, Plan, ProtectedPlan } from '../plan.js';
import type { ClientPort, DataRows, SessionPort, StatementPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { mustTravelExactly } from '../split/exact.js';
import { copyRows } from '../split/fetch.js';
import { withSecrets } from '../split/fetching.js';
import { rowsOf } from '../split/write/identified-rows.js';
import type { CallsBody } from './bodies.js';
import { noteSet } from './body-settings.js';
import { openOutputs } from './relations.js';
import { type Value, withoutPlace } from './types.js';

/** What bodies need to run statements. */
export interface RoutineServices extends Pick<SplitServices, 'bind'> {
  /** plans a statement in a session */
  planIn(sql: string, parameterTypes: readonly number[], session: SessionPort): Promise<Plan>;
  /** @throws where the role that the session acts as may not run a plan */
  permit(plan: Plan, session: SessionPort): Promise<void> | undefined;
  readonly payloads: Payloads;
}

/** What a statement gave. */
export interface Outcome {
  readonly rows: readonly Row[];
  readonly columns: readonly OutputColumn[];
  /** by column: it may depend on a protected one */
  readonly secret: readonly boolean[];
  /** undefined: it is not one that writes or reads rows */
  readonly tag: string;
  /** the statement is a query */
  readonly isQuery: boolean;
  /** how many rows it was about may depend on a protected column, and no cloud knows it */
  readonly secretCount: boolean;
  /** CALL: places of the arguments that stand for its output parameters, one a column */
  readonly outputs?: readonly number[];
}

/** Bytes of rows that one statement of a body may give. */
const bytesMax = 64 * 1024 * 1024;

/** Takes the rows of a statement in place of the client; notices are the client's. */
export class StatementRows implements ClientPort {
  readonly writer = new MessageWriter();
  readonly rows: Row[] = [];
  /** what functions that were run have returned depends on protected columns; undefined: none was run */
  returnsSecrets: boolean | undefined;
  #bytes = 0;

  constructor(private readonly client: ClientPort) {}

  written(): void {
    this.write(this.writer.take());
  }
  notice(fields: Parameters<ClientPort['notice']>[0]): void {
    this.client.notice(fields);
  }
  write(messages: Uint8Array): void {
    this.#bytes += messages.length;
    if (this.#bytes > bytesMax)
      throw new ClarusError('54000', 'too many rows are read by one statement of a function or DO block', {
        detail: `They may take ${bytesMax} bytes.`,
        hint: 'Read fewer rows at a time.',
      });
    for (const row of rowsOf(Buffer.from(messages))) this.rows.push(row);
  }
}

const physicals = new WeakMap<Plan, PhysicalStatement>();

/** The statement of a plan that one server runs as it stands. */
export function physicalOf(plan: Extract<Plan, { kind: 'pass' | 'trusted' }>): PhysicalStatement {
  const known = physicals.get(plan) ?? physical(plan.sql, plan.shape?.parameterTypes ?? []);
  physicals.set(plan, known);
  return known;
}

/** The session as statements of a body are planned in it. */
export const statementSession = (session: SessionPort, values: readonly Value[]): SessionPort =>
  withSecrets(session, new Set(values.flatMap(({ secret }, i) => (secret ? [i + 1] : []))));

/**
 * @param overGiven some of its parameters are rows of relations that the body is given
 * @throws ClarusError 0A000 for statements that bodies may not hold, and where a protected value would come to the open;
 *   PostgresError without a position: it would be one in a text of ours
 */
export async function runStatement(
  sql: string,
  values: readonly Value[],
  session: SessionPort,
  services: RoutineServices,
  overGiven = false,
): Promise<Outcome> {
  try {
    const types = values.map(v => v.type.oid);
    const plan = await services.planIn(sql, types, statementSession(session, values));
    if (values.some(v => v.secret) && parseOne(sql).ExplainStmt) throw tellsValues();
    await services.permit(plan, session);
    const outcome = await session.recorded(plan, () => runPlan(plan, values, session, services));
    if (!overGiven || !outcome.secret.includes(true)) return outcome;
    const open = await openOutputs(sql, values, session);
    return { ...outcome, secret: outcome.secret.map((secret, i) => secret && !open[i]) };
  } catch (error) {
    throw withoutPlace(error);
  }
}

async function runPlan(
  plan: Plan,
  values: readonly Value[],
  session: SessionPort,
  services: RoutineServices,
): Promise<Outcome> {
  const columns = ('shape' in plan ? plan.shape?.columns : undefined) ?? [];
  mustTravelExactly(columns, session);
  const kept = new StatementRows(session.client);
  const texts = values.map(v => v.text);
  const formats = columns.map(() => 0 as const);
  let tag: string;
  let secret: readonly boolean[];
  let secretCount = false;
  switch (plan.kind) {
    case 'pass':
      if (plan.copy || plan.cursor !== undefined || plan.declares || plan.closes) throw notInBody();
      await session.transaction.begin();
      tag = await runOn(session.cloud, physicalOf(plan), texts, formats, kept);
      secret = columns.map(() => false);
      break;
    case 'trusted':
      if (plan.copy || plan.estimates) throw notInBody();
      // a body that catches errors takes back what it has written here, too
      if (plan.temporary) await session.transaction.touchTrusted();
      if (plan.figures) await giveFigures(plan.figures, session);
      tag = await tellingStrings(session, () =>
        runOn(session.trusted, physicalOf(plan), texts, formats, kept),
      );
      if (plan.homed) await session.transaction.keepSequences([]);
      secretCount = plan.temporary !== undefined || values.some(v => v.secret);
      // a sequence of this side feeds a protected column
      secret = columns.map(() => secretCount || plan.homed === true);
      break;
    case 'protected': {
      if (plan.copy || /^(cursor|explain)$/.test(plan.body.kind)) throw notInBody();
      await session.transaction.begin();
      if (plan.body.kind === 'parts') await session.transaction.touchTrusted();
      const bound = { values: texts, formats: texts.map(() => 0 as const) };
      const portal = await services.bind(plan, bound, formats, kept);
      tag = await new Promise<string>((resolve, reject) => {
        const done = (outcome: { readonly kind: string; readonly tag?: string }): void =>
          resolve(outcome.tag ?? '');
        Promise.resolve(portal.execute(0, { done, failed: reject })).then(outcome => {
          session.cloud.flush();
          if (outcome.kind !== 'pipelined') done(outcome);
        }, reject);
      });
      portal.close();
      secret = columns.map(column => kept.returnsSecrets ?? !isOpenColumn(column, session));
      // what is written the cloud counts, and rows that it chose alone
      secretCount =
        kept.returnsSecrets ??
        ((plan.split === true && tag.startsWith('SELECT')) ||
          /^(parts|explained)$/.test(plan.body.kind) ||
          fillsTemporary(plan, session) ||
          isInsteadOf(plan));
      break;
    }
    case 'setting': {
      const { name, is_local: local, kind } = parseOne(plan.sql).VariableSetStmt!;
      noteSet(String(name), local === true && kind !== 'VAR_RESET', session);
      tag = await session.transaction.set(plan.sql, plan.sides);
      secret = [];
      break;
    }
    case 'set-config': {
      if (values.some(v => v.secret)) throw secretSetting();
      const { sql, sides, followed = sql, set } = plan.given({ values: texts, formats: texts.map(() => 0) });
      if (sides === 'trusted') throw notInBody();
      for (const { name, local } of set) noteSet(name, local, session);
      await session.transaction.begin();
      tag = await runOn(session.cloud, physical(sql, []), [], formats, kept);
      await session.transaction.follow(sides === 'both' ? followed : undefined);
      secret = columns.map(() => false);
      break;
    }
    default:
      throw notInBody();
  }
  const outputs =
    plan.kind === 'protected' && plan.body.kind === 'calls' ? (plan.body as CallsBody).outputs : undefined;
  // CREATE TABLE AS says SELECT too
  const isQuery = /^(SELECT|EXPLAIN)/.test(tag) && 'shape' in plan && plan.shape?.columns !== undefined;
  return { rows: kept.rows, columns, secret, tag, isQuery, secretCount, ...(outputs ? { outputs } : {}) };
}

/**
 * Does something while the trusted side tells of standard_conforming_strings as the session has it: it reads all with the
 * setting on. Where it fails, what takes back the rest puts it back.
 */
async function tellingStrings<T>({ settings, trusted }: SessionPort, work: () => Promise<T>): Promise<T> {
  if (settings.standardConformingStrings) return work();
  await trusted.run('SET standard_conforming_strings = off');
  const result = await work();
  await trusted.run('SET standard_conforming_strings = on');
  return result;
}

/** With how many rows a temporary table was made no cloud knows. */
const fillsTemporary = ({ body }: ProtectedPlan, session: SessionPort): boolean =>
  body.kind === 'ddl' && 'node' in body && makesTemporary(body.node as RawNode, session);

/** Functions of triggers say how many rows it has written. */
const isInsteadOf = ({ body }: ProtectedPlan): boolean =>
  body.kind === 'split' && (body as SplitBody).writes?.triggered?.insteadOf === true;

/** Is an output column nothing but an unprotected column of a table? */
const isOpenColumn = ({ tableOid, attnum }: OutputColumn, session: SessionPort): boolean => {
  const column = session
    .catalog()
    .tables.get(tableOid)
    ?.columns.find(c => c.attnum === attnum);
  return column !== undefined && column.protection === undefined;
};

/** Runs a statement that a server runs as it stands. @returns its tag */
async function runOn(
  port: StatementPort,
  statement: PhysicalStatement,
  values: readonly (Uint8Array | null)[],
  results: readonly (0 | 1)[],
  kept: StatementRows,
): Promise<string> {
  const portal = port.bind(statement, values, { parameters: values.map(() => 0 as const), results }, named);
  const done = portal.execute(0, {
    rows: (rows: DataRows) => {
      copyRows(rows, kept.writer);
      kept.written();
    },
  });
  port.flush();
  const outcome = await done;
  portal.close();
  return outcome.kind === 'complete' ? outcome.tag : '';
}

const secretSetting = (): ClarusError =>
  new ClarusError('0A000', 'a value that may depend on a protected column would come to a setting', {
    detail: 'The cloud has it, too.',
  });

/** A plan is made with values, and the cloud makes some. */
const tellsValues = (): ClarusError =>
  new ClarusError('0A000', 'EXPLAIN with a value that may depend on a protected column is not answered', {
    hint: 'Explain the statement with a constant.',
  });

const notInBody = (): ClarusError =>
  new ClarusError('0A000', 'this statement is not answered within a function or DO block', {
    hint: 'Send it by itself.',
  });
