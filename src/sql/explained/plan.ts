/**
 * Plans of EXPLAIN over protected tables. What is explained is what Clarus would run: for a statement that encodings
 * answer the cloud's plan of what it is sent, for every other the plan of the trusted PostgreSQL over carriers.
 */
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { ExplainedBody, SplitBody } from '../execute/bodies.js';
import type { Plan, ProtectedPlan } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { child, fieldsOf, kindOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { securedRefusal } from '../row-security/statements.js';
import type { Touch } from '../touch.js';
import { explainOptions } from './options.js';

/** What planning of an EXPLAIN knows. */
export interface ExplainPlanning {
  readonly analysis: Analysis;
  readonly touch: Touch;
  readonly session: SessionPort;
  /** plans the statement as one of its own */
  readonly plan: (raw: RawNode, sql: string, parameterTypes: readonly number[]) => Promise<Plan>;
}

/**
 * @param raw an ExplainStmt
 * @throws ClarusError 0A000 where the statement itself is refused
 */
export async function planExplained(
  raw: RawNode,
  { analysis: { shape }, touch, session, plan }: ExplainPlanning,
): Promise<ProtectedPlan> {
  const options = explainOptions(raw.ExplainStmt!);
  const statement = child(raw.ExplainStmt!, 'query')!;
  const query = queryOf(statement);
  const sql = deparse(query);
  const planned = await explainable(query, sql, shape.parameterTypes, plan);
  if (planned.kind === 'protected' && planned.body.kind === 'split') {
    const { as, writes } = planned.body as SplitBody;
    if (as?.secured && writes) throw securedRefusal('EXPLAIN of a write');
  }
  const makes = query !== statement && kindOf(statement) !== 'DeclareCursorStmt' && options.runs;
  const text = makes ? deparse(statement) : sql;
  const runs = makes ? await explainable(statement, text, shape.parameterTypes, plan) : planned;
  const body: ExplainedBody = {
    kind: 'explained',
    options,
    sql,
    planned,
    runs,
    tables: touch.tables,
    oids: [...new Set(touch.tables.flatMap(table => [table, ...heirsOf(session.catalog(), table)]))].map(
      ({ oid }) => oid,
    ),
  };
  return {
    kind: 'protected',
    command: 'EXPLAIN',
    shape,
    split: true,
    ...(makes || planned.once ? { once: true as const } : {}),
    ...('homed' in planned && planned.homed ? { homed: true as const } : {}),
    body,
  };
}

async function explainable(
  statement: RawNode,
  sql: string,
  parameterTypes: readonly number[],
  plan: ExplainPlanning['plan'],
): Promise<ExplainedBody['planned']> {
  return mustBeExplainable(await plan(parseOne(sql), sql, parameterTypes), statement);
}

/** @throws ClarusError 0A000 for what has no plan of its own */
export function mustBeExplainable(planned: Plan, statement: RawNode): ExplainedBody['planned'] {
  if (planned.kind !== 'pass' && planned.kind !== 'trusted' && planned.kind !== 'protected')
    throw new ClarusError('0A000', `EXPLAIN of a statement of kind ${kindOf(statement)} is not answered`);
  return planned;
}

/** What a statement runs that makes a table or a cursor of it. */
export function queryOf(statement: RawNode): RawNode {
  if (statement.CreateTableAsStmt ?? statement.DeclareCursorStmt) return child(fieldsOf(statement), 'query')!;
  if (!statement.SelectStmt?.intoClause) return statement;
  const { intoClause: _, ...fields } = statement.SelectStmt;
  return { SelectStmt: fields };
}
