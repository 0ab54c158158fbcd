/** What the audit journal says of a plan: the same each time it runs, and without any value. */
import type { ColumnUse, Direction, StatementFacts } from '../audit/events.js';
import { type Catalog, type LogicalTable, tableNumbered } from '../catalog/catalog.js';
import type { EncodedColumn, Encoding } from '../encodings/encoding.js';
import type { DdlBody } from './ddl/body.js';
import type {
  Answering,
  CopyInBody,
  CopyOutBody,
  CursorBody,
  ExplainBody,
  ExplainedBody,
  InsertBody,
  InsertSelectBody,
  ReadBody,
  RoutedCopyBody,
  SplitBody,
  TriggeredCopyBody,
  UpdateBody,
  WrittenColumn,
} from './execute/bodies.js';
import type { OperandPlan } from './operand.js';
import type { Plan, ProtectedPlan } from './plan.js';
import { grammar } from './raw/grammar.js';
import { visit } from './raw/node.js';
import type { PartsBody } from './temporary/beside.js';

const known = new WeakMap<Plan, StatementFacts>();

/**
 * Facts of a plan; the same object for the same plan.
 * @param catalog that the plan was made with
 */
export function factsOf(plan: Plan, catalog: Catalog): StatementFacts {
  let facts = known.get(plan);
  if (facts === undefined) {
    facts = makeFacts(plan, catalog);
    known.set(plan, facts);
  }
  return facts;
}

function makeFacts(plan: Plan, catalog: Catalog): StatementFacts {
  const nothing = { tables: [], columns: [] };
  switch (plan.kind) {
    case 'protected': {
      const made = withStored(protectedFacts(plan, catalog), plan, catalog);
      return plan.declassifies
        ? { ...made, columns: [...made.columns, ...plan.declassifies.map(inTheClear)] }
        : made;
    }
    case 'pass':
    case 'trusted':
    case 'cursor':
      return {
        fingerprint: fingerprintOf(plan.sql),
        command: /^[a-z]+/i.exec(plan.sql.trimStart())?.[0].toUpperCase() ?? '',
        plan: plan.kind === 'cursor' ? 'trusted' : plan.kind,
        ...nothing,
      };
    default:
      return { fingerprint: plan.kind, command: commandOf(plan), plan: 'session', ...nothing };
  }
}

/** Beside what a split statement fetches, it tells what it stores. */
function withStored(made: StatementFacts, { stores }: ProtectedPlan, catalog: Catalog): StatementFacts {
  if (!stores) return made;
  const tables = new Set(made.tables);
  const columns = [...made.columns];
  for (const { table: number, columns: names } of stores) {
    const table = tableNumbered(catalog, number);
    if (!table) continue;
    const of = `${table.schema}.${table.name}`;
    tables.add(of);
    for (const { name, protection } of table.columns) {
      const column = `${of}.${name}`;
      const isTold = columns.some(
        use => use.column === column && use.direction === 'to-cloud' && use.protection.includes('sealed'),
      );
      if (!protection || !names.includes(name) || isTold) continue;
      const kinds = protection.encodings.map(({ kind }) => kind);
      const known = columns.findIndex(use => use.column === column && use.direction === 'to-cloud');
      const use = { column, direction: 'to-cloud', protection: [...new Set(['sealed', ...kinds])] } as const;
      if (known < 0) columns.push(use);
      else columns[known] = use;
    }
  }
  return { ...made, tables: [...tables], columns };
}

const inTheClear = (column: string): ColumnUse => ({ column, direction: 'to-cloud', protection: ['none'] });

/** The word of SQL for what the gateway does itself. */
const commandOf = (plan: Exclude<Plan, { kind: 'protected' | 'pass' | 'trusted' | 'cursor' }>): string => {
  if (plan.kind === 'transaction') return plan.action.kind.toUpperCase().replace('-', ' ');
  return plan.kind === 'setting' ? 'SET' : plan.kind === 'set-config' ? 'SELECT' : plan.kind.toUpperCase();
};

function protectedFacts({ body, command }: ProtectedPlan, catalog: Catalog): StatementFacts {
  switch (body.kind) {
    case 'read':
      return readFacts(body as ReadBody, command, catalog);
    case 'copy-out': {
      const { read } = body as CopyOutBody;
      return read.kind === 'split' ? splitFacts(read, command, catalog) : readFacts(read, command, catalog);
    }
    case 'insert-select': {
      const { source, copy } = body as InsertSelectBody;
      const read = splitFacts(source, command, catalog);
      const wrote = facts(copy.sql, command, writes(copy.table, copy.written), catalog, copy.table);
      return {
        ...wrote,
        plan: 'split',
        tables: [...new Set([...wrote.tables, ...read.tables])],
        columns: [...wrote.columns, ...read.columns],
      };
    }
    case 'explain': {
      const { runs } = body as ExplainBody;
      if (runs) return { ...factsOf(runs, catalog), command };
      return { fingerprint: body.kind, command, plan: body.kind, tables: [], columns: [] };
    }
    case 'explained':
      return explainedFacts(body as ExplainedBody, command, catalog);
    case 'do':
    case 'calls':
      // the statements of bodies are told one by one
      return { fingerprint: body.kind, command, plan: 'split', tables: [], columns: [] };
    case 'parts':
      return partsFacts(body as PartsBody, command, catalog);
    case 'cursor':
      return splitFacts((body as CursorBody).source, command, catalog);
    case 'split':
      return splitFacts(body as SplitBody, command, catalog);
    case 'insert': {
      const { cloud, table, written, answering } = body as InsertBody;
      return facts(
        cloud.statement.sql,
        command,
        [...writes(table, written), ...opens(answering)],
        catalog,
        table,
      );
    }
    case 'update': {
      const { cloud, table, written, operands, answering } = body as UpdateBody;
      const uses = [...writes(table, written), ...compares(operands), ...opens(answering)];
      return facts(cloud.statement.sql, command, uses, catalog, table);
    }
    case 'copy-in': {
      const { sql, table, written } = body as CopyInBody;
      return facts(sql, command, writes(table, written), catalog, table);
    }
    case 'routed-copy': {
      const { leaves, table } = body as RoutedCopyBody;
      const uses = leaves.flatMap(leaf => writes(leaf.table, leaf.written));
      return facts(leaves.map(({ sql }) => sql).join('; '), command, uses, catalog, table);
    }
    case 'triggered-copy':
      return protectedFacts((body as TriggeredCopyBody).insert, catalog);
    case 'ddl': {
      const tables = new Set<string>();
      visit((body as DdlBody).node, (kind, { schemaname, relname }) => {
        if (typeof relname === 'string' && (kind === 'RangeVar' || kind === 'relation'))
          tables.add(typeof schemaname === 'string' ? `${schemaname}.${relname}` : relname);
      });
      return {
        fingerprint: fingerprintOf((body as DdlBody).text),
        command,
        plan: 'ddl',
        tables: [...tables],
        columns: [],
      };
    }
    default:
      return { fingerprint: body.kind, command, plan: body.kind, tables: [], columns: [] };
  }
}

/** A statement of parts tells what they all touch. */
function partsFacts({ first, rest }: PartsBody, command: string, catalog: Catalog): StatementFacts {
  const plans = [...first.map(({ plan }) => plan), ...('plan' in rest ? [rest.plan] : [])];
  const all = plans.map(plan => factsOf(plan, catalog));
  return {
    fingerprint: 'plan' in rest ? (all.at(-1)?.fingerprint ?? '') : fingerprintOf(rest.statement.sql),
    command,
    plan: 'split',
    tables: [...new Set(all.flatMap(({ tables }) => tables))],
    columns: all.flatMap(({ columns }) => columns),
  };
}

/** What is not run is only compared. */
function explainedFacts(
  { planned, runs, options, tables }: ExplainedBody,
  command: string,
  catalog: Catalog,
): StatementFacts {
  if (planned.kind === 'protected' && (options.runs || planned.body.kind === 'read'))
    return { ...protectedFacts(runs.kind === 'protected' ? runs : planned, catalog), command };
  const names = tables.map(({ schema, name }) => `${schema}.${name}`);
  const isPushed = planned.kind === 'protected' && planned.split !== true;
  return { fingerprint: 'explained', command, plan: isPushed ? 'push' : 'split', tables: names, columns: [] };
}

const readFacts = ({ cloud, operands, answering, deletes }: ReadBody, command: string, catalog: Catalog) =>
  facts(cloud.statement.sql, command, [...compares(operands), ...opens(answering)], catalog, deletes);

/** What of it the cloud is asked to compare is decided as it runs: every column that it can compare may be. */
function splitFacts(
  { statement, columns, writes: written }: SplitBody,
  command: string,
  catalog: Catalog,
): StatementFacts {
  // parts that run before and after it read too
  const read = [...columns, ...(written?.computed?.given?.body.columns ?? [])];
  const uses = read.flatMap(({ table, name }): Use[] => [
    { table, column: name, direction: 'from-cloud', protection: 'sealed' },
    ...comparable(catalog, table, name),
  ]);
  const own = facts(statement.sql, command, uses, catalog, undefined);
  const parts = [...(written?.first ?? []), ...(written?.then ?? [])].map(({ plan }) =>
    factsOf(plan, catalog),
  );
  return {
    ...own,
    plan: 'split',
    tables: [...new Set([...own.tables, ...parts.flatMap(({ tables }) => tables)])],
    columns: [...own.columns, ...parts.flatMap(part => part.columns)],
  };
}

const comparable = (catalog: Catalog, table: number, name: string): Use[] =>
  (tableNumbered(catalog, table)?.columns.find(column => column.name === name)?.protection?.encodings ?? [])
    .filter(({ kind }) => kind !== 'sealed')
    .map(({ kind }) => ({ table, column: name, direction: 'to-cloud', protection: kind }));

/** A use of a column by an encoding. */
interface Use {
  readonly table: number;
  readonly column: string;
  readonly direction: Direction;
  readonly protection: string;
}

/** @param target the table that is written to */
function facts(
  sql: string,
  command: string,
  uses: readonly Use[],
  catalog: Catalog,
  target: LogicalTable | undefined,
): StatementFacts {
  const nameOf = (number: number): string => {
    const table = target?.number === number ? target : tableNumbered(catalog, number);
    return table ? `${table.schema}.${table.name}` : `table ${number}`;
  };
  const columns = new Map<string, ColumnUse & { protection: string[] }>();
  const tables = new Set<string>(target ? [nameOf(target.number)] : []);
  for (const { table, column: name, direction, protection } of uses) {
    tables.add(nameOf(table));
    const column = `${nameOf(table)}.${name}`;
    const before = columns.get(`${direction} ${column}`);
    if (!before) columns.set(`${direction} ${column}`, { column, direction, protection: [protection] });
    else if (!before.protection.includes(protection)) before.protection.push(protection);
  }
  return {
    fingerprint: fingerprintOf(sql),
    command,
    plan: 'push',
    tables: [...tables],
    columns: [...columns.values()],
  };
}

/** libpg_query's fingerprint: equal for statements that differ in literals only. */
function fingerprintOf(sql: string): string {
  try {
    return grammar.fingerprintSync(sql);
  } catch {
    return 'unknown';
  }
}

const opens = ({ outputs }: Answering): Use[] =>
  outputs.flatMap(output =>
    output.kind === 'cell' ? [useOf(output.encoded, output.encoding, 'from-cloud')] : [],
  );

const compares = (operands: readonly OperandPlan[]): Use[] =>
  operands.map(({ used }) => useOf(used.encoded, used.encoding, 'to-cloud'));

const writes = (table: LogicalTable, columns: readonly WrittenColumn[]): Use[] =>
  columns.flatMap(({ column, forms }) =>
    forms.map(({ encoding }) => ({
      table: table.number,
      column: column.name,
      direction: 'to-cloud',
      protection: encoding.kind,
    })),
  );

const useOf = ({ table, name }: EncodedColumn, { kind }: Encoding, direction: Direction): Use => ({
  table,
  column: name,
  direction,
  protection: kind,
});
