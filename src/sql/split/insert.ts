/**
 * INSERT ... SELECT into a protected table: the trusted PostgreSQL runs the query as it runs every split statement, and
 * what it returns is copied into the table through Clarus. It has been read to its end by then, so it sees nothing of
 * what it inserts.
 */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { backendTypes } from '../../wire/protocol.js';
import { typeOids } from '../../wire/types.js';
import { type Node, nodesIn, numberIn } from '../analysed/node.js';
import { scopeOf } from '../analysed/query.js';
import { protectedColumns } from '../columns.js';
import { physical } from '../compilation.js';
import type { CopyInBody, InsertSelectBody, SplitBody } from '../execute/bodies.js';
import { collect } from '../execute/collect.js';
import type { CopyOutFormat } from '../execute/copy-out.js';
import { cannotBeRun } from '../execute/given.js';
import type { Bound, Portal } from '../execute/portal.js';
import type {
  ClientPort,
  CopyInExecution,
  ProtectedPlan,
  ResidualPort,
  SessionPort,
  Shape,
} from '../plan.js';
import { deparse } from '../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import { parseExpression } from '../raw/parse.js';
import type { SplitServices } from './cloud-rows.js';
import { fetching } from './fetching.js';
import { bindSplit } from './portal.js';

/** What planning gives. */
export interface InsertSelectPlanning {
  /** plans the query as a split statement, whether or not the cloud could answer it */
  split(sql: string): Promise<{ readonly body: SplitBody; readonly shape: Shape }>;
  /** plans a COPY ... FROM STDIN */
  copyIn(sql: string): Promise<CopyInBody>;
}

/**
 * @param raw an InsertStmt whose source is not VALUES of constants
 * @param query its analysed Query
 * @param cause why it is not answered otherwise
 * @throws cause for RETURNING, ON CONFLICT and OVERRIDING; ClarusError 0A000 where a protected value would flow to an
 *   unprotected column
 */
export async function planInsertSelect(
  raw: RawNode,
  query: Node,
  shape: Shape,
  table: LogicalTable,
  session: SessionPort,
  planning: InsertSelectPlanning,
  cause: ClarusError,
): Promise<ProtectedPlan> {
  const fields = raw.InsertStmt!;
  const select = child(fields, 'selectStmt')?.SelectStmt;
  const isPlain =
    select !== undefined &&
    nodesIn(query, 'returningList').length === 0 &&
    !fields.onConflictClause &&
    (fields.override === undefined || fields.override === 'OVERRIDING_NOT_SET');
  if (!isPlain) throw cause;
  refuseFlow(query, table, session);
  const columns = targetColumns(list(fields, 'cols'), query, table, cause);
  const { withClause } = fields;
  const source: RawFields = withClause && !select.withClause ? { ...select, withClause } : select;
  if (withClause && select.withClause) throw cause;
  const casts = await castNames(columns, session);
  const typed = typedLiterals(source, casts);
  const inner = deparse({ SelectStmt: typed });
  const names = columns.map((_, i) => `c${i}`);
  const targets = names.map((name, i) => `s.${name}::${casts[i]}`).join(', ');
  const { body } = await planning.split(`SELECT ${targets} FROM (${inner}) AS s (${names.join(', ')})`);
  const copy = await planning.copyIn(
    `COPY ${quoteQualified(table.schema, table.name)} (${columns.map(c => quoteName(c.name)).join(', ')}) FROM STDIN`,
  );
  const insert: InsertSelectBody = { kind: 'insert-select', source: body, copy };
  return {
    kind: 'protected',
    command: 'INSERT',
    shape: { parameterTypes: shape.parameterTypes, columns: undefined },
    split: true,
    body: insert,
  };
}

/** What depends on a protected column may stand only in protected columns. */
function refuseFlow(query: Node, table: LogicalTable, session: SessionPort): void {
  const scope = scopeOf(query);
  for (const target of nodesIn(query, 'targetList')) {
    const column = table.columns.find(c => c.attnum === numberIn(target, 'resno'));
    const [from] = column?.protection ? [] : protectedColumns(target.fields.expr, scope, session.catalog());
    if (from)
      throw new ClarusError(
        '0A000',
        `values of protected column "${from.column.name}" would flow to "${column?.name}", which is not protected`,
        {
          hint: 'Protect the column that takes them.',
          schema: from.table.schema,
          table: from.table.name,
          column: from.column.name,
        },
      );
  }
}

/** Columns in the order of the query's; those that are not named are the first ones. */
function targetColumns(
  cols: readonly RawNode[],
  query: Node,
  table: LogicalTable,
  cause: ClarusError,
): readonly LogicalColumn[] {
  if (cols.length === 0) {
    const subquery = nodesIn(query, 'rtable')
      .flatMap(rte => (rte.fields.subquery ? [rte.fields.subquery as Node] : []))
      .at(-1);
    const width = subquery
      ? nodesIn(subquery, 'targetList').filter(t => t.fields.resjunk !== 'true').length
      : nodesIn(query, 'targetList').length;
    return table.columns.slice(0, width);
  }
  return cols.map(col => {
    const column = table.columns.find(c => c.name === text(fieldsOf(col), 'name'));
    if (!column || list(fieldsOf(col), 'indirection').length > 0) throw cause;
    return column;
  });
}

const typeNames = physical(
  'SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS u (t, i) ORDER BY i',
  [1028],
);

/** The columns' types without their modifiers: what does not fit is refused when it is stored, and never cut. */
async function castNames(
  columns: readonly LogicalColumn[],
  session: SessionPort,
): Promise<readonly string[]> {
  const oids = Buffer.from(`{${columns.map(c => c.type.oid).join()}}`);
  const rows = await collect(session.trusted, typeNames, [oids], [0], [0]);
  return rows.map(([name], i) => {
    const oid = columns[i]!.type.oid;
    if (oid === typeOids.bpchar) return 'pg_catalog.bpchar';
    if (oid === bit) return 'pg_catalog."bit"';
    return Buffer.from(name ?? []).toString();
  });
}

const bit = 1560;

/** Literals and parameters of the select list take the type of their column, as they do in the INSERT itself. */
function typedLiterals(select: RawFields, casts: readonly string[]): RawFields {
  const targets = list(select, 'targetList');
  if (select.valuesLists || select.larg || targets.length !== casts.length) return select;
  return {
    ...select,
    targetList: targets.map((target, i) => {
      const value = child(fieldsOf(target), 'val');
      const isLiteral =
        value !== undefined &&
        (kindOf(value) === 'ParamRef' || (value.A_Const !== undefined && value.A_Const.sval !== undefined));
      return isLiteral ? { ResTarget: { ...fieldsOf(target), val: castOf(value, casts[i]!) } } : target;
    }),
  };
}

const castOf = (arg: RawNode, type: string): RawNode => {
  const cast = parseExpression(`NULL::${type}`).TypeCast!;
  return { TypeCast: { ...cast, arg } };
};

/** Bytes of rows that are kept between the query and the table. */
const keptBytesMax = 64 * 1024 * 1024;

/** Takes the data of COPY in place of the client. */
class KeptData implements ClientPort {
  readonly writer = new MessageWriter();
  readonly chunks: Buffer[] = [];
  #bytes = 0;

  written(): void {}
  notice(): void {}
  write(messages: Uint8Array): void {
    const buffer = Buffer.from(messages.buffer, messages.byteOffset, messages.length);
    for (let at = 0; at < buffer.length; ) {
      const end = at + 1 + buffer.readInt32BE(at + 1);
      if (buffer[at] !== backendTypes.copyData) throw new Error('data of COPY are expected');
      this.chunks.push(buffer.subarray(at + 5, end));
      at = end;
    }
    this.#bytes += buffer.length;
    if (this.#bytes > keptBytesMax)
      throw new ClarusError('54000', 'too many rows are inserted by one statement', {
        detail: `What a query gives to INSERT may take ${keptBytesMax} bytes.`,
        hint: 'Insert the rows in several statements.',
      });
  }
}

/** @param copyIn begins the COPY into the table */
export function bindInsertSelect(
  body: InsertSelectBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  copyIn: (body: CopyInBody) => Promise<CopyInExecution>,
): Portal {
  let over = false;
  return {
    async execute() {
      if (over) throw new ClarusError('55000', cannotBeRun(bound.portal));
      over = true;
      const kept = new KeptData();
      const { columns, options } = body.copy;
      const copy: CopyOutFormat = { format: 0, columns: columns.length, options, names: [] };
      const source: Bound = {
        ...bound,
        session: fetching(bound.session, kept),
        formats: columns.map(() => 0 as const),
      };
      const portal = bindSplit(body.source, source, residual, services, copy);
      await portal.execute(0, { done: () => undefined, failed: () => undefined });
      try {
        const into = await copyIn(body.copy);
        for (const chunk of kept.chunks) await into.write(chunk);
        const { tag } = await into.finish();
        return { kind: 'complete', tag: tag.replace('COPY', 'INSERT 0') };
      } catch (error) {
        throw withoutPlace(error);
      }
    },
    close: () => undefined,
  };
}

/** The line of a COPY that nobody sent. */
function withoutPlace(error: unknown): unknown {
  if (!(error instanceof PostgresError)) return error;
  const { where: _where, ...diagnostic } = error.diagnostic;
  return new PostgresError(diagnostic);
}
