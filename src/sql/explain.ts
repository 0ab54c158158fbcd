/** EXPLAIN (CLARUS) and `clarus explain`: which way a statement goes, why, and what it would take to do better. */
import type { LogicalTable } from '../catalog/catalog.js';
import type {
  Answering,
  CopyInBody,
  CursorBody,
  ExplainBody,
  InsertBody,
  InsertSelectBody,
  ReadBody,
  SplitBody,
  UpdateBody,
} from './execute/bodies.js';
import { clarusOptions, explainTypes } from './explained/options.js';
import { mustBeExplainable, queryOf } from './explained/plan.js';
import type { Fact } from './explained/report.js';
import type { OperandPlan } from './operand.js';
import type { Plan, ProtectedPlan, Shape } from './plan.js';
import { child, fieldsOf, list, type RawFields, type RawNode, text } from './raw/node.js';
import { tablesSampled } from './split/sample-condition.js';
import type { PartsBody } from './temporary/beside.js';

/** Is it EXPLAIN (CLARUS)? */
export const asksClarus = ({ ExplainStmt }: RawNode): boolean =>
  ExplainStmt !== undefined &&
  list(ExplainStmt, 'options').some(option => text(fieldsOf(option), 'defname')?.toLowerCase() === 'clarus');

/** How EXPLAIN (CLARUS) has statements planned. */
export interface ClarusPlanning {
  readonly plan: (statement: RawNode) => Promise<Plan>;
  /** as the query that a table is made of */
  readonly source: (query: RawNode) => Promise<Plan>;
}

/**
 * The plan of EXPLAIN (CLARUS): it tells of another one.
 * @param fields of the ExplainStmt
 * @throws ClarusError 0A000 where the statement itself is refused; 42601 and 22023 for options
 */
export async function planClarus(
  fields: RawFields,
  { plan: planOf, source }: ClarusPlanning,
): Promise<ProtectedPlan> {
  const options = clarusOptions(fields);
  const statement = child(fields, 'query')!;
  const query = queryOf(statement);
  const plan = await planOf(statement);
  const makes = query !== statement && !statement.DeclareCursorStmt;
  // of a cursor the query is run
  const run = !options.runs || !statement.DeclareCursorStmt ? plan : await planOf(query);
  const body: ExplainBody = {
    kind: 'explain',
    plan,
    query: makes ? await source(query) : undefined,
    options,
    runs: options.runs ? mustBeExplainable(run, statement) : undefined,
  };
  return {
    kind: 'protected',
    command: 'EXPLAIN',
    shape: {
      parameterTypes: 'shape' in plan ? (plan.shape?.parameterTypes ?? []) : [],
      columns: [{ ...textColumn('QUERY PLAN'), typeOid: explainTypes[options.format] }],
    },
    split: true,
    body,
  };
}

/** What a split statement asks of the cloud, table by table; `plan` is the one whose body it is of. */
export type FetchFacts = (body: SplitBody, plan: ProtectedPlan) => Promise<readonly Fact[]>;

/** Which way a plan goes, and why. No operand's value appears. */
export async function explained(plan: Plan, fetches: FetchFacts): Promise<Fact> {
  switch (plan.kind) {
    case 'pass':
      return {
        label: 'Pass',
        value: 'no protected table is touched; the cloud executes the statement as it stands',
        facts: [{ label: 'Cloud', value: plan.sql }],
      };
    case 'trusted':
      return {
        label: 'Trusted',
        value: plan.figures
          ? 'answered by the trusted database on the shadow schema, with figures of relations that the cloud is asked for'
          : 'answered by the trusted database on the shadow schema; nothing is sent to the cloud',
      };
    case 'setting':
    case 'set-config':
      return { label: 'Setting', value: 'applied to both sides of the session' };
    case 'transaction':
      return { label: 'Transaction control', value: 'applied to both sides of the session' };
    case 'protected': {
      const { facts = [], ...way } = await protectedWay(plan, fetches);
      const comeTo = (plan.declassifies ?? []).map(
        (column): Fact => ({
          label: 'Declassifies',
          value: `protected values come to ${column} in the clear`,
        }),
      );
      return { ...way, facts: [...facts, ...comeTo] };
    }
    default:
      return { label: 'Session statement', value: plan.kind };
  }
}

const each = (label: string, values: readonly string[]): readonly Fact[] =>
  values.map(value => ({ label, value }));

/** Another plan as part of one. */
export async function partOf(label: string, plan: Plan, fetches: FetchFacts): Promise<Fact> {
  const told = await explained(plan, fetches);
  return { label, value: `${told.label}: ${String(told.value)}`, facts: told.facts ?? [] };
}

/** What is read to finish a statement here. */
async function splitFacts(
  body: SplitBody,
  plan: ProtectedPlan,
  fetches: FetchFacts,
): Promise<readonly Fact[]> {
  const { why, names, statement, writes } = body;
  const first: Fact[] = [];
  for (const part of writes?.first ?? []) first.push(await partOf('First', part.plan, fetches));
  const given = writes?.computed?.given?.body;
  return [
    ...each('Why', why),
    ...each('Reads', names),
    ...each(
      'Samples',
      tablesSampled(statement.sql).map(name => `${name}, in the cloud`),
    ),
    ...each(
      'Writes',
      (writes?.names ?? []).map(name => `${name}, once all is computed`),
    ),
    ...each(
      'Fires',
      (writes?.triggered?.fired ?? []).flatMap(({ triggers, event }) =>
        triggers.map(({ name }) => `${name}, on ${event}, whose statements are planned one by one`),
      ),
    ),
    ...first,
    ...(given ? await fetches(given, plan) : []),
    ...(await fetches(body, plan)),
  ];
}

async function protectedWay(plan: Extract<Plan, { kind: 'protected' }>, fetches: FetchFacts): Promise<Fact> {
  switch (plan.body.kind) {
    case 'read': {
      const body = plan.body as ReadBody;
      return {
        label: 'Push',
        value: 'the cloud executes the whole statement over encodings',
        facts: [
          { label: 'Cloud', value: body.cloud.statement.sql },
          ...operandFacts(body.operands),
          ...openingFacts(body.answering),
        ],
      };
    }
    case 'split':
      return {
        label: 'Split',
        value: 'the trusted database runs the statement over rows that the cloud delivers',
        facts: await splitFacts(plan.body as SplitBody, plan, fetches),
      };
    case 'parts': {
      const { first, rest } = plan.body as PartsBody;
      const parts: Fact[] = [];
      for (const { plan: part } of first) parts.push(await partOf('First', part, fetches));
      const then =
        'plan' in rest
          ? await partOf('Then', rest.plan, fetches)
          : { label: 'Then', value: 'Trusted: it runs where the temporary tables are' };
      return {
        label: 'Parts',
        value: 'rows that the statement is given are had first, then it runs over them',
        facts: [...parts, then],
      };
    }
    case 'cursor': {
      const { source } = plan.body as CursorBody;
      return {
        label: 'Split',
        value: 'the trusted database runs the query at once, and keeps its rows until the cursor is closed',
        facts: await splitFacts(source, plan, fetches),
      };
    }
    case 'insert-select': {
      const { source, copy } = plan.body as InsertSelectBody;
      return {
        label: 'Write',
        value: `the trusted database runs the query, and its rows are copied into ${nameOf(copy.table)}, protected here`,
        facts: [...(await splitFacts(source, plan, fetches)), ...protecting(copy.written)],
      };
    }
    case 'insert': {
      const body = plan.body as InsertBody;
      return {
        label: 'Write',
        value: `${body.rows} row${body.rows === 1 ? '' : 's'} of ${nameOf(body.table)} protected here, then inserted`,
        facts: [
          { label: 'Cloud', value: body.cloud.statement.sql },
          ...protecting(body.written),
          ...openingFacts(body.answering),
        ],
      };
    }
    case 'update': {
      const body = plan.body as UpdateBody;
      return {
        label: 'Write',
        value: `rows of ${nameOf(body.table)} are found and locked, then written by row id`,
        facts: [
          { label: 'Cloud, first', value: body.lock.statement.sql },
          ...operandFacts(body.operands),
          { label: 'Cloud, then', value: body.cloud.statement.sql },
          ...protecting(body.written),
          ...openingFacts(body.answering),
        ],
      };
    }
    default:
      return { label: plan.command, value: `executed on both sides (${plan.body.kind})` };
  }
}

const nameOf = (table: LogicalTable): string => `${table.schema}.${table.name}`;

const protecting = (written: CopyInBody['written']): readonly Fact[] =>
  each(
    'Protects',
    written.map(({ column, forms }) => `${column.name}: ${forms.map(f => f.encoding.kind).join(', ')}`),
  );

const operandFacts = (operands: readonly OperandPlan[]): readonly Fact[] =>
  each(
    'Operand',
    operands.map(
      operand =>
        `${describe(operand)}, protected as ${operand.types.join(', ') || 'nothing'}, for ${operand.used.encoding.kind} of "${operand.used.encoded.name}"`,
    ),
  );

const describe = ({ source }: OperandPlan): string => {
  switch (source.kind) {
    case 'parameter':
      return `parameter $${source.index + 1}`;
    case 'expression':
      return 'an expression evaluated by the trusted database';
    case 'list':
      return `${source.items.length} values`;
    case 'array':
      return 'an array';
    case 'constant':
      return 'a constant';
  }
};

const openingFacts = ({ outputs }: Answering): readonly Fact[] => {
  const opened = outputs.flatMap(output =>
    output.kind === 'cell' ? [output.encoded.name] : output.kind === 'finish' ? ['an aggregate'] : [],
  );
  return opened.length > 0 ? [{ label: 'Opens here', value: opened }] : [];
};

/** A column of type text that is of no table. */
export const textColumn = (name: string): NonNullable<Shape['columns']>[number] => ({
  name,
  tableOid: 0,
  attnum: 0,
  typeOid: 25,
  typeSize: -1,
  typeModifier: -1,
});
