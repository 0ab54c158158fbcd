/** EXPLAIN (CLARUS) and `clarus explain`: which way a statement goes, why, and what it would take to do better. */
import type { LogicalTable } from '../catalog/catalog.js';
import type {
  Answering,
  CursorBody,
  ExplainBody,
  InsertBody,
  InsertSelectBody,
  ReadBody,
  SplitBody,
  UpdateBody,
} from './execute/bodies.js';
import type { OperandPlan } from './operand.js';
import type { Plan, ProtectedPlan, Shape } from './plan.js';
import { fieldsOf, list, type RawNode, text } from './raw/node.js';
import { tablesSampled } from './split/sample-condition.js';
import type { PartsBody } from './temporary/beside.js';

/** Is it EXPLAIN (CLARUS)? */
export const asksClarus = ({ ExplainStmt }: RawNode): boolean =>
  ExplainStmt !== undefined &&
  list(ExplainStmt, 'options').some(option => text(fieldsOf(option), 'defname')?.toLowerCase() === 'clarus');

/** The plan of EXPLAIN (CLARUS): it tells of another one. */
export function explainOf(plan: Plan): ProtectedPlan {
  const body: ExplainBody = { kind: 'explain', lines: explainPlan(plan) };
  return {
    kind: 'protected',
    command: 'EXPLAIN',
    shape: {
      parameterTypes: 'shape' in plan ? (plan.shape?.parameterTypes ?? []) : [],
      columns: [textColumn('QUERY PLAN')],
    },
    body,
  };
}

/** One line a fact. No operand's value appears. */
export function explainPlan(plan: Plan): string[] {
  switch (plan.kind) {
    case 'pass':
      return [
        'Pass: no protected table is touched; the cloud executes the statement as it stands',
        `  Cloud: ${plan.sql}`,
      ];
    case 'trusted':
      return ['Trusted: answered by the trusted database on the shadow schema; nothing is sent to the cloud'];
    case 'setting':
    case 'set-config':
      return ['Setting: applied to both sides of the session'];
    case 'transaction':
      return ['Transaction control: applied to both sides of the session'];
    case 'protected':
      return [
        ...protectedLines(plan),
        ...(plan.declassifies ?? []).map(
          column => `  Declassifies: protected values come to ${column} in the clear`,
        ),
      ];
    default:
      return [`Session statement: ${plan.kind}`];
  }
}

const sampleLines = ({ statement }: SplitBody): readonly string[] =>
  tablesSampled(statement.sql).map(name => `  Samples: ${name}, in the cloud`);

function protectedLines(plan: Extract<Plan, { kind: 'protected' }>): string[] {
  switch (plan.body.kind) {
    case 'read': {
      const body = plan.body as ReadBody;
      return [
        'Push: the cloud executes the whole statement over encodings',
        `  Cloud: ${body.cloud.statement.sql}`,
        ...operandLines(body.operands),
        ...openingLines(body.answering),
      ];
    }
    case 'split': {
      const body = plan.body as SplitBody;
      return [
        'Split: the trusted database runs the statement over rows that the cloud delivers',
        ...body.why.map(reason => `  Why: ${reason}`),
        ...body.names.map(name => `  Reads: ${name}`),
        ...sampleLines(body),
        ...(body.writes?.names ?? []).map(name => `  Writes: ${name}, once all is computed`),
      ];
    }
    case 'parts': {
      const { first, rest } = plan.body as PartsBody;
      return [
        ...first.flatMap(({ plan: part }) => [
          'First, rows that it is given:',
          ...explainPlan(part).map(inner),
        ]),
        ...('plan' in rest
          ? ['Then, over these:', ...explainPlan(rest.plan).map(inner)]
          : ['Then: the trusted database runs it where the temporary tables are']),
      ];
    }
    case 'cursor': {
      const { source } = plan.body as CursorBody;
      return [
        'Split: the trusted database runs the query at once, and keeps its rows until the cursor is closed',
        ...source.why.map(reason => `  Why: ${reason}`),
        ...source.names.map(name => `  Reads: ${name}`),
        ...sampleLines(source),
      ];
    }
    case 'insert-select': {
      const { source, copy } = plan.body as InsertSelectBody;
      return [
        `Write: the trusted database runs the query, and its rows are copied into ${nameOf(copy.table)}, protected here`,
        ...source.names.map(name => `  Reads: ${name}`),
        ...sampleLines(source),
        ...copy.written.map(
          w => `  Protects ${w.column.name}: ${w.forms.map(f => f.encoding.kind).join(', ')}`,
        ),
      ];
    }
    case 'insert': {
      const body = plan.body as InsertBody;
      return [
        `Write: ${body.rows} row${body.rows === 1 ? '' : 's'} of ${nameOf(body.table)} protected here, then inserted`,
        `  Cloud: ${body.cloud.statement.sql}`,
        ...body.written.map(
          w => `  Protects ${w.column.name}: ${w.forms.map(f => f.encoded && f.encoding.kind).join(', ')}`,
        ),
        ...openingLines(body.answering),
      ];
    }
    case 'update': {
      const body = plan.body as UpdateBody;
      return [
        `Write: rows of ${nameOf(body.table)} are found and locked, then written by row id`,
        `  Cloud, first: ${body.lock.statement.sql}`,
        ...operandLines(body.operands),
        `  Cloud, then: ${body.cloud.statement.sql}`,
        ...body.written.map(
          w => `  Protects ${w.column.name}: ${w.forms.map(f => f.encoding.kind).join(', ')}`,
        ),
        ...openingLines(body.answering),
      ];
    }
    default:
      return [`${plan.command}: executed on both sides (${plan.body.kind})`];
  }
}

const inner = (line: string): string => `  ${line}`;

const nameOf = (table: LogicalTable): string => `${table.schema}.${table.name}`;

const operandLines = (operands: readonly OperandPlan[]): string[] =>
  operands.map(
    (operand, i) =>
      `  Operand ${i + 1}: ${describe(operand)} protected as ${operand.types.join(', ') || 'nothing'}`,
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

const openingLines = ({ outputs }: Answering): string[] => {
  const opened = outputs.flatMap(output =>
    output.kind === 'cell' ? [output.encoded.name] : output.kind === 'finish' ? ['an aggregate'] : [],
  );
  return opened.length ? [`  Opens here: ${opened.join(', ')}`] : [];
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
