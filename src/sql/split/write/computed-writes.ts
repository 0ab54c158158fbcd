/** Runs statements whose rows say what is written (ComputedWrites). */
import type { LogicalTable } from '../../../catalog/catalog.js';
import { columnOf } from '../../../crypto/column.js';
import { ClarusError } from '../../../errors.js';
import { arrayOf } from '../../../wire/arrays.js';
import { MessageWriter } from '../../../wire/message-writer.js';
import { typeOids } from '../../../wire/types.js';
import type { ComputedWrites, GivenRows } from '../../execute/bodies.js';
import { collect, fieldsAt, type Row } from '../../execute/collect.js';
import { statement } from '../../execute/convert.js';
import type { Bound } from '../../execute/portal.js';
import type { ClientPort, DataRows, ResidualPort, SessionPort, StatementPort } from '../../ports.js';
import { violation } from '../../row-security/policies.js';
import { livesInCloud, sequenceInCloud } from '../../sequences.js';
import type { SplitServices } from '../cloud-rows.js';
import { fetching } from '../fetching.js';
import { bindSplit } from '../portal.js';
import type { CloudWrites } from './cloud-writes.js';
import { keptOut, prefix, untouched } from './computed-plan.js';
import { rowsOf, writeRow } from './identified-rows.js';

/** Bytes of rows that an INSERT may give. */
const givenBytesMax = 64 * 1024 * 1024;

/** Takes rows in place of the client. */
export class KeptRows implements ClientPort {
  readonly writer = new MessageWriter();
  readonly rows: Row[] = [];
  #bytes = 0;

  written(): void {
    this.write(this.writer.take());
  }
  notice(): void {}
  write(messages: Uint8Array): void {
    this.#bytes += messages.length;
    if (this.#bytes > givenBytesMax)
      throw new ClarusError('54000', 'too many rows are inserted by one statement', {
        detail: `The rows that an INSERT gives may take ${givenBytesMax} bytes.`,
        hint: 'Insert the rows in several statements.',
      });
    for (const row of rowsOf(Buffer.from(messages))) this.rows.push(row);
  }
}

/** Computes the rows that an INSERT gives: values in text form, those of its counters last. */
export async function computeGiven(
  given: GivenRows,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Promise<readonly Row[]> {
  const kept = new KeptRows();
  const source: Bound = {
    ...bound,
    session: fetching(bound.session, kept),
    // the last one is the place of a rule that the row breaks
    formats: [...given.columns.map(() => 0 as const), 0],
  };
  const portal = bindSplit(given.body, source, residual, services);
  await portal.execute(0, { done: () => undefined, failed: () => undefined });
  for (const row of kept.rows) mustMeetPolicies(row, given);
  if (given.checked) for (const row of kept.rows) mustBeAllowed(row, given);
  const counted = await countedRows(given.counters, kept.rows.length, bound.session);
  return kept.rows.map((row, i) => [...row.slice(0, -1), ...counted.map(values => values[i]!)]);
}

/** Columns that take values of one sequence take them row by row, and within a row in their order. @returns a list a column */
async function countedRows(
  counters: GivenRows['counters'],
  rows: number,
  session: SessionPort,
): Promise<readonly Row[]> {
  const taken = new Map<string, { readonly values: Row; readonly width: number; next: number }>();
  for (const { sequence } of counters) {
    if (taken.has(sequence)) continue;
    const width = counters.filter(other => other.sequence === sequence).length;
    taken.set(sequence, { values: await nextValues(sequence, rows * width, session), width, next: 0 });
  }
  return counters.map(({ sequence }) => {
    const of = taken.get(sequence)!;
    const first = of.next++;
    return Array.from({ length: rows }, (_, row) => of.values[row * of.width + first]!);
  });
}

/** PostgreSQL looks at policies before constraints (ExecInsert of nodeModifyTable.c). */
function mustMeetPolicies(row: Row, { table, rules }: GivenRows): void {
  const broken = row.at(-1);
  const rule = broken && rules[Number(Buffer.from(broken).toString())];
  if (rule && rule.kind === 'policy') throw violation(table, rule.name);
}

/** ExecConstraints of execMain.c: NOT NULL, column by column, then CHECK; then what views check (ExecWithCheckOptions). */
function mustBeAllowed(row: Row, { table, columns, rules }: GivenRows): void {
  for (const [i, { name, notNull }] of columns.entries())
    if (notNull && row[i] === null)
      throw new ClarusError(
        '23502',
        `null value in column "${name}" of relation "${table.name}" violates not-null constraint`,
        { schema: table.schema, table: table.name, column: name },
      );
  const broken = row.at(-1);
  if (!broken) return;
  const rule = rules[Number(Buffer.from(broken).toString())]!;
  if (rule.kind === 'policy') return;
  const { kind, name } = rule;
  if (kind === 'view') throw new ClarusError('44000', `new row violates check option for view "${name}"`);
  throw new ClarusError('23514', `new row for relation "${table.name}" violates check constraint "${name}"`, {
    schema: table.schema,
    table: table.name,
    constraint: name,
  });
}

/** Takes values from a sequence, where it lives. @param trusted what is asked of the trusted side */
export async function nextValues(
  sequence: string,
  count: number,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<Row> {
  if (count === 0) return [];
  const isThere = await livesInCloud(sequence, session, trusted);
  const rows = await collect(
    isThere ? session.cloud : trusted,
    statement(
      'SELECT pg_catalog.nextval($1::pg_catalog.text::pg_catalog.regclass) FROM pg_catalog.generate_series(1, $2::pg_catalog.int4)',
      [typeOids.text, typeOids.int4],
    ),
    [Buffer.from(isThere ? sequenceInCloud(sequence, session) : sequence), Buffer.from(String(count))],
    [0, 0],
    [0],
  );
  if (!isThere) await session.transaction.keepSequences([sequence]);
  return rows.map(([value]) => value!);
}

/** The statement as it is bound: with the given rows, a column a parameter, and the values of keys. */
export function boundWith({ keys, given, width }: ComputedWrites, rows: readonly Row[], bound: Bound): Bound {
  const columns = given ? given.columns.length + given.counters.length : 0;
  const { bound: whole } = withColumns(bound, rows, columns);
  const values = keys.map(key => arrayLiteral(rows.map(row => row[key]!)));
  return {
    ...bound,
    bound: {
      values: [...whole.values, ...values],
      formats: [...whole.formats, ...values.map(() => 0 as const)],
    },
    formats: [...new Array<0>(width).fill(0), ...bound.formats],
  };
}

/** The same with further parameters: the columns of rows, as arrays of text. */
export function withColumns(bound: Bound, rows: readonly Row[], columns: number): Bound {
  const arrays = Array.from({ length: columns }, (_, i) =>
    arrayOf(columnOf(rows.map(row => row[i]!)), typeOids.text),
  );
  const { values, formats } = bound.bound;
  return {
    ...bound,
    bound: {
      values: [...values, ...arrays],
      formats: [...formats, ...arrays.map(() => 1 as const)],
    },
  };
}

/** An array as text, without NULLs. */
function arrayLiteral(values: Row): Uint8Array {
  const quoted = values.flatMap(value =>
    value === null ? [] : [`"${Buffer.from(value).toString('latin1').replace(/["\\]/g, '\\$&')}"`],
  );
  return Buffer.from(`{${quoted.join()}}`, 'latin1');
}

/** Rows that say what is written, and how many of them say something. */
export class ComputedSink {
  count = 0;
  readonly #counted: { readonly values: (Uint8Array | null)[]; readonly sequence: string }[] = [];

  constructor(
    private readonly computed: ComputedWrites,
    private readonly given: readonly Row[],
    private readonly writes: CloudWrites,
    /** takes what the client gets; undefined: nothing */
    private readonly returned: { readonly writer: MessageWriter; written(): void } | undefined,
    /** a table by its shadow OID */
    private readonly tableOf: (oid: number) => LogicalTable,
  ) {}

  rows({ buffer, starts, count }: DataRows): void {
    for (let i = 0; i < count; i++) {
      const row = fieldsAt(buffer, starts[i]!);
      if (!this.#apply(row)) continue;
      this.count++;
      if (this.returned) writeRow(this.returned.writer, row.slice(this.computed.width));
    }
    this.returned?.written();
  }

  /** Gives the rows that were inserted the values that their sequences have for them. */
  async fillCounters(session: SessionPort): Promise<void> {
    for (const sequence of new Set(this.#counted.map(c => c.sequence))) {
      const wanted = this.#counted.filter(c => c.sequence === sequence);
      const values = await nextValues(sequence, wanted.length, session);
      wanted.forEach(({ values: row }, i) => {
        row.push(values[i]!);
      });
    }
  }

  /** @returns false: nothing is done */
  #apply([number, ctid, place, oid, ...rest]: Row): boolean {
    if (number === null || number === undefined) return false;
    const { table: named, actions, once } = this.computed;
    const table = oid ? this.tableOf(Number(textOf(oid))) : named;
    if (Number(textOf(number)) === untouched) {
      if (this.writes.isWritten(table, textOf(ctid!))) throw twice(once);
      this.writes.leaveAsItIs(table, textOf(ctid!));
      return false;
    }
    if (Number(textOf(number)) === keptOut) {
      this.writes.keepOut(table, textOf(ctid!));
      return false;
    }
    const action = actions[Number(textOf(number))];
    if (!action) throw twice(once);
    const { kind, columns, from, counters, old } = action;
    const values =
      from === undefined
        ? [...this.given[Number(textOf(place!)) - 1]!]
        : rest.slice(from - prefix, from - prefix + columns.length - counters.length);
    if (kind === 'insert') {
      this.writes.insert(named, columns, values);
      for (const { sequence } of counters) this.#counted.push({ values, sequence });
      return true;
    }
    const isFirst =
      kind === 'update'
        ? this.writes.update(table, columns, textOf(ctid!), values)
        : this.writes.delete(table, textOf(ctid!));
    if (!isFirst) {
      if (once === undefined) return false;
      throw twice(once);
    }
    if (old !== undefined)
      this.writes.noteOld(
        table,
        textOf(ctid!),
        rest.slice(old - prefix, old - prefix + named.columns.length),
      );
    return true;
  }
}

const textOf = (field: Uint8Array | null): string => Buffer.from(field ?? []).toString();

/** ExecOnConflictUpdate and ExecMergeMatched of nodeModifyTable.c */
const twice = (command: ComputedWrites['once']): ClarusError =>
  command === 'MERGE'
    ? new ClarusError('21000', 'MERGE command cannot affect row a second time', {
        hint: 'Ensure that not more than one source row matches any one target row.',
      })
    : new ClarusError('21000', 'ON CONFLICT DO UPDATE command cannot affect row a second time', {
        hint: 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.',
      });
