/** A write of a carrier, as postgres_fdw words it, becomes rows to write. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { MessageWriter } from '../../../wire/message-writer.js';
import type { GeneratedExpression } from '../../checks/table-checks.js';
import type { Row } from '../../execute/collect.js';
import type { RawNode } from '../../raw/node.js';
import type { RowCursor, RowsWritten } from '../../residual.js';
import type { CarrierQuery } from '../carrier-query.js';
import { assignedTo } from '../typed-source.js';
import { type CarrierWrite, readCarrierWrite } from './carrier-write.js';
import type { CloudWrites } from './cloud-writes.js';
import { rowsOf, writeRow } from './identified-rows.js';

/** What it needs of the statement's rows. */
export interface WrittenRows {
  table(oid: number): LogicalTable;
  /** names of the columns' types, without modifiers */
  castNames(columns: readonly LogicalColumn[]): Promise<readonly string[]>;
  /** of the generated columns that are returned, those that read a column that is written */
  computed(
    table: LogicalTable,
    written: readonly string[],
    returning: readonly string[],
  ): Promise<readonly GeneratedExpression[]>;
  /** their values, for rows of these columns */
  generated(
    expressions: readonly GeneratedExpression[],
    table: LogicalTable,
    names: readonly string[],
    rows: readonly Row[],
  ): Promise<readonly Row[]>;
  /** rows with what is computed of them */
  open(query: CarrierQuery): Promise<RowCursor>;
}

/** Writes of the same text, parsed. */
const known = new Map<string, CarrierWrite>();
const knownMax = 500;
/** Texts longer than that hold values, and are not kept. */
const keptTextMax = 2 * 1024;

function parsed(sql: string): CarrierWrite {
  const found = known.get(sql);
  if (found) return found;
  const write = readCarrierWrite(sql);
  const byRow = write.kind === 'update' || write.kind === 'delete';
  if (byRow && sql.length <= keptTextMax) {
    known.set(sql, write);
    if (known.size > knownMax) known.delete(known.keys().next().value!);
  }
  return write;
}

/**
 * @param sql UPDATE or DELETE over a carrier
 * @param parameters in text form
 */
export async function writeByCarrier(
  sql: string,
  parameters: Row,
  writes: CloudWrites,
  rows: WrittenRows,
): Promise<RowsWritten> {
  const write = parsed(sql);
  const table = rows.table(write.table);
  const returned = new MessageWriter(1024);
  const { returning } = write;
  const written = writtenBy(write);
  const { computed, read } = await returnedColumns(write, table, rows);
  const back = async (some: readonly (readonly [ctid: string, values: Row])[]): Promise<void> => {
    if (returning.length === 0) return;
    const fetched = writes.fetched(table);
    const changed = some.map(([, values]) => changes(written, values));
    const known = some.map(([ctid], i) => fetched.values(ctid, read, changed[i]!));
    const generated = await rows.generated(computed, table, read, known);
    for (const [i, [ctid]] of some.entries()) {
      const own = computed.map(({ column }, k) => [column.name, generated[i]![k]!] as const);
      writeRow(returned, fetched.values(ctid, returning, new Map([...changed[i]!, ...own])));
    }
  };
  let count = 0;
  switch (write.kind) {
    case 'update': {
      const ctid = textOf(parameters[0]!);
      const values = parameters.slice(1);
      if (!writes.update(table, write.columns, ctid, values)) break;
      await back([[ctid, values]]);
      count = 1;
      break;
    }
    case 'delete': {
      const ctid = textOf(parameters[0]!);
      if (!writes.delete(table, ctid)) break;
      await back([[ctid, []]]);
      count = 1;
      break;
    }
    case 'update-where':
    case 'delete-where': {
      const query = await queryOf(write, table, read, rows);
      const columns = query.columns.map(name => name!);
      const cursor = await rows.open(query);
      const batch = new MessageWriter();
      for (;;) {
        await cursor.next(batchRows, batch);
        const bytes = Buffer.from(batch.take());
        if (bytes.length === 0) break;
        const fetched = new MessageWriter();
        const found: [string, Row][] = [];
        for (const row of rowsOf(bytes)) {
          writeRow(fetched, row.slice(0, columns.length));
          found.push([textOf(row[columns.indexOf('ctid')]!), row.slice(columns.length)]);
        }
        writes.fetched(table).keep(Buffer.from(fetched.take()), columns);
        const done: (readonly [string, Row])[] = [];
        for (const [ctid, values] of found) {
          if (writes.fetched(table).isSkipped(ctid)) continue;
          const isFirst =
            write.kind === 'update-where'
              ? writes.update(table, write.columns, ctid, values)
              : writes.delete(table, ctid);
          if (!isFirst) continue;
          done.push([ctid, values]);
        }
        await back(done);
        count += done.length;
      }
      cursor.close();
    }
  }
  return { tag: tagOf(write, count), width: returning.length, rows: returned.take() };
}

const writtenBy = (write: CarrierWrite): readonly string[] =>
  write.kind === 'update' || write.kind === 'update-where' ? write.columns : [];

/** The generated columns that a write returns anew, and what they read. */
async function returnedColumns(
  write: CarrierWrite,
  table: LogicalTable,
  rows: Pick<WrittenRows, 'computed'>,
): Promise<{ readonly computed: readonly GeneratedExpression[]; readonly read: readonly string[] }> {
  const written = writtenBy(write);
  const { returning } = write;
  const computed =
    written.length > 0 && returning.length > 0 ? await rows.computed(table, written, returning) : [];
  return { computed, read: [...new Set(computed.flatMap(({ columns }) => columns.map(({ name }) => name)))] };
}

/** What is read of the rows that meet the conditions of a write, with what is computed of them. */
async function queryOf(
  write: Extract<CarrierWrite, { kind: 'update-where' | 'delete-where' }>,
  table: LogicalTable,
  read: readonly string[],
  rows: Pick<WrittenRows, 'castNames'>,
): Promise<CarrierQuery> {
  // a row that goes to another partition is written there whole
  const whole = table.bounds ? table.columns.map(({ name }) => name) : [];
  return {
    table: write.table,
    columns: [...new Set([...write.returning, ...read, ...whole, 'ctid', 'xmin'])],
    expressions: write.kind === 'update-where' ? await coerced(write, table, rows) : [],
    conditions: write.conditions,
    order: [],
  };
}

/**
 * What a write of a carrier reads.
 * @param sql UPDATE or DELETE over a carrier
 * @returns undefined: it writes a row that has been read before
 */
export async function readByWrite(
  sql: string,
  rows: Pick<WrittenRows, 'table' | 'castNames' | 'computed'>,
): Promise<CarrierQuery | undefined> {
  const write = parsed(sql);
  if (write.kind !== 'update-where' && write.kind !== 'delete-where') return undefined;
  const table = rows.table(write.table);
  const { read } = await returnedColumns(write, table, rows);
  return queryOf(write, table, read, rows);
}

/** postgres_fdw leaves the assignment to the column's type out. */
async function coerced(
  { columns, expressions }: Extract<CarrierWrite, { kind: 'update-where' }>,
  table: LogicalTable,
  rows: Pick<WrittenRows, 'castNames'>,
): Promise<readonly RawNode[]> {
  const assigned = columns.map(name => table.columns.find(c => c.name === name)!);
  const casts = await rows.castNames(assigned);
  return expressions.map((expression, i) => assignedTo(expression, casts[i]!, assigned[i]!));
}

const batchRows = 1_000;

const tagOf = ({ kind }: CarrierWrite, count: number): string =>
  `${kind.startsWith('update') ? 'UPDATE' : 'DELETE'} ${count}`;

const changes = (columns: readonly string[], values: Row): ReadonlyMap<string, Uint8Array | null> =>
  new Map(columns.map((name, i) => [name, values[i]!]));

const textOf = (field: Uint8Array | null): string => Buffer.from(field ?? []).toString();
