/** What the audit journal says of a plan: the same each time it runs, and without any value. */
import { createRequire } from 'node:module';
import type { ColumnUse, StatementFacts } from '../audit/events.js';
import type { LogicalTable } from '../catalog/catalog.js';
import type {
  Answering,
  CopyInBody,
  CopyOutBody,
  InsertBody,
  ReadBody,
  UpdateBody,
  WrittenColumn,
} from './execute/bodies.js';
import type { Plan, ProtectedPlan } from './plan.js';

const { fingerprintSync } = createRequire(import.meta.url)('libpg-query') as {
  fingerprintSync(sql: string): string;
};

const known = new WeakMap<Plan, StatementFacts>();

/** Facts of a plan; the same object for the same plan. */
export function factsOf(plan: Plan): StatementFacts {
  let facts = known.get(plan);
  if (facts === undefined) {
    facts = makeFacts(plan);
    known.set(plan, facts);
  }
  return facts;
}

function makeFacts(plan: Plan): StatementFacts {
  const nothing = { tables: [], columns: [] };
  switch (plan.kind) {
    case 'protected':
      return protectedFacts(plan);
    case 'pass':
    case 'trusted':
      return {
        fingerprint: fingerprintOf(plan.sql),
        command: plan.copy ? 'COPY' : '',
        plan: plan.kind,
        ...nothing,
      };
    default:
      return { fingerprint: plan.kind, command: plan.kind, plan: 'session', ...nothing };
  }
}

function protectedFacts({ body, command }: ProtectedPlan): StatementFacts {
  switch (body.kind) {
    case 'read': {
      const read = body as ReadBody;
      return facts(read.cloud.statement.sql, command, [], opened(read.answering));
    }
    case 'insert': {
      const insert = body as InsertBody;
      return facts(
        insert.cloud.statement.sql,
        command,
        [insert.table],
        [...written(insert.table, insert.written), ...opened(insert.answering)],
      );
    }
    case 'update': {
      const update = body as UpdateBody;
      return facts(
        update.cloud.statement.sql,
        command,
        [update.table],
        [...written(update.table, update.written), ...opened(update.answering)],
      );
    }
    case 'copy-in': {
      const copy = body as CopyInBody;
      return facts(copy.sql, command, [copy.table], written(copy.table, copy.written));
    }
    case 'copy-out': {
      const { read } = body as CopyOutBody;
      return facts(read.cloud.statement.sql, command, [], opened(read.answering));
    }
    default:
      return { fingerprint: body.kind, command, plan: body.kind, tables: [], columns: [] };
  }
}

const facts = (
  sql: string,
  command: string,
  tables: readonly LogicalTable[],
  columns: readonly ColumnUse[],
): StatementFacts => ({
  fingerprint: fingerprintOf(sql),
  command,
  plan: 'push',
  tables: tables.map(({ schema, name }) => `${schema}.${name}`),
  columns,
});

/** libpg_query's fingerprint: equal for statements that differ in literals only. */
function fingerprintOf(sql: string): string {
  try {
    return fingerprintSync(sql);
  } catch {
    return 'unknown';
  }
}

const opened = ({ outputs }: Answering): ColumnUse[] =>
  outputs.flatMap(output =>
    output.kind === 'cell'
      ? [
          {
            column: `${output.encoded.table}.${output.encoded.name}`,
            direction: 'from-cloud' as const,
            protection: [output.encoding.kind],
          },
        ]
      : [],
  );

const written = (table: LogicalTable, columns: readonly WrittenColumn[]): ColumnUse[] =>
  columns.map(({ column, forms }) => ({
    column: `${table.schema}.${table.name}.${column.name}`,
    direction: 'to-cloud' as const,
    protection: forms.map(form => form.encoding.kind),
  }));
