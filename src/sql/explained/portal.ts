/** Portals of EXPLAIN over protected tables. */
import { performance } from 'node:perf_hooks';
import { quoteLiteral } from '../../catalog/quote.js';
import { type CloudStatement, physical } from '../compilation.js';
import type {
  ExplainedBody,
  InsertBody,
  InsertSelectBody,
  ReadBody,
  SplitBody,
  UpdateBody,
} from '../execute/bodies.js';
import { collect } from '../execute/collect.js';
import { bindLines } from '../execute/lines.js';
import { physicalParameters } from '../execute/operands.js';
import { type Bound, bindOperands, givenOf, type Portal } from '../execute/portal.js';
import { hiddenNames, ownPlan, spelled, spelledIn } from '../opaque/index.js';
import type { PhysicalStatement, ProtectedPlan } from '../plan.js';
import type { ResidualPort, StatementPort } from '../ports.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { fetching } from '../split/fetching.js';
import { withoutTurns } from '../split/in-turn.js';
import { saysSample, withSamplesNamed } from '../split/sample-condition.js';
import { runPart } from '../split/write/parts.js';
import { carrierPlan, textOf } from './carrier-plan.js';
import { withCloudSql } from './carrier-queries.js';
import { ofCarriers, ofCloud } from './names.js';
import { Nobody } from './nobody.js';
import { withExecutionTime } from './summary.js';

/** What an EXPLAIN needs beside the session. */
export interface ExplainServices {
  readonly residual: ResidualPort | undefined;
  readonly split: SplitServices;
}

/** A portal that answers the plan, a row a line, as PostgreSQL does. */
export const bindExplained = (body: ExplainedBody, bound: Bound, services: ExplainServices): Portal =>
  bindLines(() => new Explanation(body, bound, services).lines(), bound.session);

class Explanation {
  constructor(
    private readonly body: ExplainedBody,
    private readonly bound: Bound,
    private readonly services: ExplainServices,
  ) {}

  async lines(): Promise<readonly string[]> {
    const { options } = this.body;
    const direct = options.runs && this.#runsWhileExplained;
    const lines = await this.#plan(direct ? options.asked : options.plans);
    if (direct || !options.runs) return lines;
    const began_ms = performance.now();
    await this.#run();
    return withExecutionTime(lines, performance.now() - began_ms, options);
  }

  /** Does the server that plans it also run all of it? */
  get #runsWhileExplained(): boolean {
    const { planned, runs } = this.body;
    if (planned !== runs) return false;
    if (planned.kind !== 'protected') return true;
    if (planned.body.kind === 'read') return (planned.body as ReadBody).deletes === undefined;
    return (
      planned.body.kind === 'split' &&
      (planned.body as SplitBody).writes === undefined &&
      this.services.residual?.changesSchema === false
    );
  }

  /** The plan as lines. @param explain EXPLAIN with its options */
  async #plan(explain: string): Promise<readonly string[]> {
    const { planned, sql } = this.body;
    const { session } = this.bound;
    if (planned.kind === 'pass')
      return this.#ofCloud(await this.#asked(session.cloud, explain + planned.sql), explain + planned.sql);
    if (planned.kind === 'trusted') return this.#asked(session.trusted, explain + planned.sql);
    switch (planned.body.kind) {
      case 'read': {
        const { cloud, operands } = planned.body as ReadBody;
        return this.#inCloud(explain, cloud, operands);
      }
      case 'insert':
        return this.#inCloud(explain, (planned.body as InsertBody).cloud, undefined);
      case 'update': {
        const { lock, operands, cloud } = planned.body as UpdateBody;
        const first = await this.#inCloud(explain, lock, operands);
        return several(first, await this.#inCloud(explain, cloud, undefined), this.body.options.format);
      }
      default:
        return this.#overCarriers(explain, sql);
    }
  }

  /** @param sql what the cloud explains */
  #ofCloud(lines: readonly string[], sql: string): readonly string[] {
    const { tables, options } = this.body;
    const names = hiddenNames(this.bound.session.catalog().tables);
    if (!names) return lines.map(line => ofCloud(line, tables, options.format));
    const { aliases } = spelledIn(sql, names);
    return lines.map(line => ofCloud(ownPlan(line, names, aliases, options.format), tables, options.format));
  }

  /** @param operands undefined: values are protected when it is run, and NULL stands for them here */
  async #inCloud(
    explain: string,
    { statement, parameters }: CloudStatement,
    operands: ReadBody['operands'] | undefined,
  ): Promise<readonly string[]> {
    const { bound, body } = this;
    const { session } = bound;
    const sql = explain + statement.sql;
    if (this.#isValueless)
      return this.#ofCloud(await generic(session.cloud, spelled(sql, session.catalog().tables)), sql);
    const made =
      operands &&
      (await bindOperands(
        operands,
        givenOf({ ...bound, plan: body.planned as ProtectedPlan }),
        bound.context,
      ));
    const { values, formats } = physicalParameters(parameters, bound.bound, (operand, part) =>
      made ? made[operand]![part]! : null,
    );
    const rows = await collect(session.cloud, physical(sql, statement.parameterTypes), values, formats, [0]);
    return this.#ofCloud(textOf(rows), sql);
  }

  /** The plan of a statement of the client. */
  async #asked(port: StatementPort, sql: string): Promise<readonly string[]> {
    if (this.#isValueless) return generic(port, sql);
    const { bound, plan } = this.bound;
    const statement = physical(sql, plan.shape.parameterTypes);
    return textOf(await collect(port, statement, bound.values, bound.formats, [0]));
  }

  /** GENERIC_PLAN in a Query: it has parameters, and no values for them. */
  get #isValueless(): boolean {
    return this.body.options.generic && this.bound.bound.values.length === 0;
  }

  async #overCarriers(explain: string, sql: string): Promise<readonly string[]> {
    const { services, bound, body } = this;
    const { session } = bound;
    const { residual } = services;
    const { format } = body.options;
    if (!residual || residual.changesSchema || this.#isValueless) {
      // carriers are not attached for uncommitted tables
      await session.transaction.touchTrusted();
      const lines = await this.#asked(session.trusted, explain + sql);
      return lines.map(line => ofCarriers(line, session.catalog(), format));
    }
    const rows = this.#overRows(explain, sql);
    const told = await carrierPlan(rows, bound, residual, services.split);
    const shows = { shown: rows.shown, apart: rows.apart, bound: bound.bound };
    const lines: string[] = [];
    for (const line of told)
      lines.push(
        ofCarriers(
          withSamplesNamed(
            await withCloudSql(withoutTurns(line), format, fetching(session), services.split, shows),
          ),
          session.catalog(),
          format,
        ),
      );
    return lines;
  }

  /** What the trusted side runs. */
  #overRows(explain: string, sql: string): SplitBody {
    const { body } = this;
    const planned =
      body.planned.kind === 'protected' ? (body.planned.body as SplitBody | InsertSelectBody) : undefined;
    const explained = (statement: Pick<PhysicalStatement, 'sql' | 'parameterTypes'>): PhysicalStatement =>
      physical(explain + statement.sql, statement.parameterTypes);
    if (planned?.kind === 'split' && !planned.writes)
      return { ...planned, statement: explained(planned.statement), oneTable: false, joins: false };
    const reads = planned && sourceOf(planned);
    const isOurs = isMerge(body.planned) || (reads !== undefined && saysSample(reads.statement.sql));
    const statement = isOurs ? reads?.statement : undefined;
    return {
      kind: 'split',
      statement: explained(statement ?? { sql, parameterTypes: this.bound.plan.shape.parameterTypes }),
      asked: [],
      localised: false,
      routines: undefined,
      tables: body.oids,
      names: [],
      columns: [],
      shown: reads?.shown ?? [],
      apart: reads?.apart ?? false,
      why: [],
      oneTable: false,
      joins: false,
      writes: undefined,
    };
  }

  /** Runs the statement for what it does. */
  async #run(): Promise<void> {
    const { body, bound, services } = this;
    const { session } = bound;
    const formats = (body.runs.shape?.columns ?? []).map(() => 0 as const);
    const nobody = new Nobody(session);
    await runPart(body.runs, bound.bound, formats, nobody, session, services.split);
  }
}

/** What of a statement reads rows. */
function sourceOf(body: SplitBody | InsertSelectBody): SplitBody | undefined {
  if (body.kind === 'insert-select') return body.source;
  return body.kind === 'split' ? body : undefined;
}

/** Foreign tables take no MERGE: it is explained as the query that says what is written. */
const isMerge = (plan: ExplainedBody['planned']): boolean =>
  plan.kind === 'protected' && plan.command === 'MERGE';

/**
 * Asks for a plan of a statement whose parameters have no values. A prepared statement always has some, but what PL/pgSQL
 * executes has none, and it can only tell.
 */
async function generic(port: StatementPort, sql: string): Promise<readonly string[]> {
  const lines: string[] = [];
  const block = `DECLARE line text; BEGIN FOR line IN EXECUTE ${quoteLiteral(sql)} LOOP RAISE INFO '%', line; END LOOP; END`;
  await port.run(`DO ${quoteLiteral(block)}`, ({ severity, message }) => {
    // the side that analyses tells the trees too
    if (severity === 'INFO') lines.push(message);
  });
  return lines;
}

/** Plans of statements that run one after the other, as PostgreSQL tells those that a rule makes. */
function several(
  first: readonly string[],
  second: readonly string[],
  format: ExplainedBody['options']['format'],
): readonly string[] {
  switch (format) {
    case 'text':
      return [...first, '', ...second];
    case 'json':
      return [`${first.join('\n').replace(/\s*\]\s*$/, '')},${second.join('\n').replace(/^\s*\[/, '')}`];
    case 'xml':
      return [
        `${first.join('\n').replace(/\s*<\/explain>\s*$/, '')}\n${second.join('\n').replace(/^\s*<explain[^>]*>\s*?\n/, '')}`,
      ];
    case 'yaml':
      return [`${first.join('\n')}\n${second.join('\n')}`];
  }
}
