/**
 * COPY ... FROM STDIN into a table whose rows stand in several tables of the cloud. Rows are read, and each is brought
 * to the partition that takes it, as many at a time as PostgreSQL gathers before it inserts them.
 *
 * Up to then PostgreSQL has looked at each row by itself: its values, its partition, NOT NULL and CHECK. So what is wrong
 * with a row is told before what is wrong with the keys of those that were gathered with it.
 */
import type { LogicalTable } from '../../../catalog/catalog.js';
import { refersTo } from '../../../catalog/foreign-keys.js';
import { type ByteColumn, type PlainColumn, plain, take, valueAt } from '../../../crypto/column.js';
import type { EncodingContext } from '../../../encodings/encoding.js';
import { ClarusError } from '../../../errors.js';
import type { CopyRows } from '../../../wire/copy-reader.js';
import { firstBroken, timeOf } from '../../checks/broken.js';
import { generatedValues } from '../../checks/generated.js';
import { checksOf } from '../../checks/table-checks.js';
import type { CopyLeaf, RoutedCopyBody } from '../../execute/bodies.js';
import { slice } from '../../execute/conversion.js';
import { fromBinary } from '../../execute/convert.js';
import { InsertBuffer } from '../../execute/copy-buffer.js';
import { chosen, type GivenRows, mustBeEvaluable, onTrusted } from '../../execute/copy-evaluation.js';
import { isOfReference, ofLine, rowOf } from '../../execute/copy-failure.js';
import { type CopyBatches, CopyInput, type ReadRows, type RefusedData } from '../../execute/copy-input.js';
import { binaryRows } from '../../execute/copy-rows.js';
import { transactionTime } from '../../execute/given.js';
import type { ExecutionServices } from '../../execute/portal.js';
import { inOrder, newRowIds, protectRows, type SideWrites, writeSides } from '../../execute/protecting.js';
import type { CopyInExecution, SessionPort, StatementPort } from '../../ports.js';
import { printingFetched } from '../fetching.js';
import { asksSequence, fillingColumns, withDefaulted } from './copy-filling.js';
import { type Bounds, boundsOf, keysOf, type Place, partitionOf, placesOf } from './routing.js';

/** Rows that are read before they are looked at: as many as PostgreSQL gathers. */
const batchRows = 1_000;
const batches: CopyBatches = { isFull: ({ rows }) => rows >= batchRows, next: () => batchRows };

/** @throws ClarusError 0A000 for FREEZE */
export async function startRoutedCopy(
  body: RoutedCopyBody,
  session: SessionPort,
  context: EncodingContext,
  services: ExecutionServices,
): Promise<CopyInExecution> {
  // CopyFrom of copyfrom.c
  if (body.options.freeze && body.table.partitioned)
    throw new ClarusError('0A000', 'cannot perform COPY FREEZE on a partitioned table');
  const catalog = session.catalog();
  if (
    body.leaves.some(
      leaf => leaf.table.bounds && body.leaves.some(other => refersTo(catalog, leaf.table, other.table)),
    )
  )
    throw new ClarusError(
      '0A000',
      `COPY into table "${body.table.name}", which refers to itself, is refused`,
      {
        detail: 'Its rows are brought to several tables, one after the other, and may refer to each other.',
        hint: 'Write the rows with an INSERT.',
        table: body.table.name,
      },
    );
  await mustBeEvaluable(body, session);
  const timed =
    body.where?.time ||
    [...body.fillings, ...(body.markers ?? [])].some(filling => filling?.kind === 'default' && filling.time);
  const time = timed ? await transactionTime(session) : null;
  const { table } = body;
  const bounds = table.partitioned || table.bounds ? await boundsOf(table, session) : undefined;
  return new RoutedCopy(body, session, context, services, time, bounds);
}

/** Rows of one batch: values by column name, and their lines in the data. */
interface Rows {
  readonly values: ReadonlyMap<string, PlainColumn>;
  readonly lines: readonly number[];
}

/** A row, and what PostgreSQL says of it. */
interface Wrong {
  readonly row: number;
  readonly error: unknown;
}

class RoutedCopy implements CopyInExecution {
  private readonly input: CopyInput;
  private readonly leaves: ReadonlyMap<number, CopyLeaf>;
  private readonly buffer = new InsertBuffer();
  /** rows that wait, by the table that takes them, in the order in which PostgreSQL inserts */
  #waiting = new Map<CopyLeaf, Rows[]>();
  #counted = 0;
  /** a row refers to none: PostgreSQL looks at that when all rows are there */
  #early: { readonly error: unknown } | undefined;

  constructor(
    private readonly body: RoutedCopyBody,
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly services: ExecutionServices,
    /** of the transaction, where a default asks for it */
    private readonly time: Uint8Array | null,
    private readonly bounds: Bounds | undefined,
  ) {
    this.input = new CopyInput(body, batches, session, (rows, endsEarly) => this.#take(rows, endsEarly));
    this.leaves = new Map(body.leaves.map(leaf => [leaf.table.number, leaf]));
  }

  get format(): 0 | 1 {
    return this.input.format;
  }

  get columns(): number {
    return this.input.columns;
  }

  async write(data: Uint8Array): Promise<void> {
    mustBeWhole(await this.input.push(data));
  }

  async finish(): Promise<{ tag: string }> {
    mustBeWhole(await this.input.end());
    await this.#insert();
    this.input.skipped.tellCount();
    if (this.#early) throw this.#early.error;
    return { tag: `COPY ${this.#counted}` };
  }

  /** Nothing is on its way. */
  fail(): Promise<void> {
    return this.input.giveUp();
  }

  /** @param endsEarly the last row is not complete: it is looked at, and not inserted */
  async #take(rows: CopyRows, endsEarly: boolean): Promise<void> {
    const { body, buffer } = this;
    if (body.where || body.markers || body.options.onError === 'ignore')
      return this.#takeChosen(await this.input.read(rows, endsEarly));
    const { columns, lines, sizes_bytes } = rows;
    const count = lines.length - (endsEarly ? 1 : 0);
    for (let from = 0; from < lines.length; ) {
      const before = buffer.inserted;
      let to = from;
      while (to < count && buffer.inserted === before) buffer.add(sizes_bytes[to++]!);
      const isLast = to >= count;
      const end = isLast && buffer.inserted === before ? lines.length : to;
      const piece = {
        columns: columns.map(column => slice(column, from, end)),
        lines: lines.slice(from, end),
        sizes_bytes: sizes_bytes.slice(from, end),
      };
      await this.#look(piece, end > to);
      if (buffer.inserted > before) await this.#insert();
      from = end;
    }
  }

  /** The same of rows of which some are left out, or take defaults. */
  async #takeChosen(read: ReadRows): Promise<void> {
    const { body, buffer, input, session, time } = this;
    const filled = await this.#filled(read);
    const known = [...body.columns, ...body.fillings.map(({ column }) => column)];
    const { columns, lines, sizes_bytes, refusal } = await chosen(body, known, filled, time, session);
    for (let from = 0; from < lines.length; ) {
      const before = buffer.inserted;
      let to = from;
      while (to < lines.length && buffer.inserted === before) buffer.add(sizes_bytes[to++]!);
      const piece = this.#rows(
        columns.map(column => slice(column, from, to)),
        lines.slice(from, to),
      );
      await onTrusted(session, refusal !== undefined, port => this.#place(piece, port));
      if (buffer.inserted > before) {
        input.skipped.tell(lines[to - 1]);
        await this.#insert();
      }
      from = to;
    }
    input.skipped.tell(refusal?.line);
    if (refusal) throw refusal.error;
  }

  /** Rows with all that is given for them. */
  async #filled(read: ReadRows): Promise<GivenRows> {
    const { body, session, time } = this;
    const refused = read.refusal !== undefined;
    // the cloud answers nothing more
    if (this.#early && asksSequence(body, read)) throw this.#early.error;
    const columns = await onTrusted(session, refused, port => withDefaulted(body, read, time, session, port));
    return { ...read, columns: [...columns, ...(await this.#fillings(read.lines.length, refused))] };
  }

  /**
   * Looks at rows, and has them wait for the table that takes each.
   * @param endsEarly the last of them is not complete
   */
  async #look(rows: CopyRows, endsEarly: boolean): Promise<void> {
    // first, because after a refusal the trusted side answers nothing more in this transaction
    const filled = await this.#fillings(rows.lines.length, false);
    const { columns, lines, refusal } = await this.input.read(rows, endsEarly);
    const known = this.#rows([...columns, ...filled.map(column => slice(column, 0, lines.length))], lines);
    await onTrusted(this.session, refusal !== undefined, port => this.#place(known, port));
    if (refusal) throw refusal.error;
  }

  /** @param columns one a column of the data, and one a filling */
  #rows(columns: readonly PlainColumn[], lines: readonly number[]): Rows {
    const { body } = this;
    const known = [...body.columns, ...body.fillings.map(({ column }) => column)];
    return { values: new Map(known.map(({ name }, i) => [name, columns[i]!])), lines };
  }

  async #fillings(count: number, refused: boolean): Promise<readonly PlainColumn[]> {
    const { body, session, time } = this;
    return onTrusted(session, refused, port =>
      fillingColumns(body.fillings, count, time, session, port, () => {
        // the cloud answers nothing more
        if (this.#early) throw this.#early.error;
      }),
    );
  }

  /** @throws what is wrong with the first row that is */
  async #place(rows: Rows, port: StatementPort): Promise<void> {
    const { body, bounds, session } = this;
    const count = rows.lines.length;
    if (count === 0) return;
    let wrong: Wrong | undefined;
    const found = bounds && (await this.#placesOf(rows, bounds, port));
    const byLeaf = new Map<CopyLeaf, number[]>();
    for (let row = 0; row < count && !wrong; row++)
      try {
        const leaf = found && bounds ? this.#leaf(partitionOf(found[row], bounds).number) : body.leaves[0]!;
        const places = byLeaf.get(leaf);
        if (places) places.push(row);
        else byLeaf.set(leaf, [row]);
      } catch (error) {
        wrong = { row, error };
      }
    const whole = new Map<CopyLeaf, Rows>();
    for (const [leaf, places] of byLeaf) {
      const { rows: own, failure } = await this.#withGenerated(leaf, taken(rows, places), port);
      whole.set(leaf, own);
      const broken = nullIn(leaf, own) ?? (await this.#brokenIn(leaf, own, port)) ?? failure;
      const row = broken && places[broken.row]!;
      if (broken && row !== undefined && row < (wrong?.row ?? count)) wrong = { ...broken, row };
    }
    if (wrong) {
      const line = rows.lines[wrong.row]!;
      this.input.skipped.tell(line);
      throw atLine(wrong.error, body.table.name, line, session);
    }
    for (const [leaf, own] of whole) this.#waiting.set(leaf, [...(this.#waiting.get(leaf) ?? []), own]);
  }

  /** Rows with their protected generated columns, up to the first of which one cannot be computed. */
  async #withGenerated(
    { table, generated }: CopyLeaf,
    rows: Rows,
    port: StatementPort,
  ): Promise<{ readonly rows: Rows; readonly failure: Wrong | undefined }> {
    const count = rows.lines.length;
    if (!generated || count === 0) return { rows, failure: undefined };
    const { expressions } = generated;
    const given = byNumber(table, rows);
    const found = await generatedValues(expressions, generated, given, count, this.session, port);
    const left = found.refusal?.row ?? count;
    const values = new Map([...rows.values].map(([name, column]) => [name, slice(column, 0, left)] as const));
    for (const { column } of expressions) values.set(column.name, found.columns.get(column.number)!);
    return { rows: { values, lines: rows.lines.slice(0, left) }, failure: found.refusal };
  }

  /** Which tables take the rows: the bounds are asked of the columns that they read, as text. */
  async #placesOf(
    { values, lines }: Rows,
    bounds: Bounds,
    port: StatementPort,
  ): Promise<readonly (Place | undefined)[]> {
    const { session } = this;
    const keys = keysOf(bounds);
    const printing = printingFetched(session, session.client);
    const columns = new Map<string, ByteColumn>();
    for (const [name, column] of values) {
      if (keys && !keys.has(name)) continue;
      const { type } = this.body.table.columns.find(c => c.name === name)!;
      columns.set(name, await fromBinary(column, type.oid, 0, printing));
    }
    const rows = lines.map((_, row) => Array.from(columns.values(), column => valueAt(column, row)));
    return placesOf(bounds, [...columns.keys()], rows, port);
  }

  #leaf(number: number): CopyLeaf {
    const leaf = this.leaves.get(number);
    if (!leaf) throw new ClarusError('40001', 'a table got another partition while rows were copied into it');
    return leaf;
  }

  /** The first row that breaks a check which reads protected columns. */
  async #brokenIn({ table }: CopyLeaf, rows: Rows, port: StatementPort): Promise<Wrong | undefined> {
    const { session } = this;
    const of = await checksOf(table, session);
    const count = rows.lines.length;
    if (!of || count === 0) return undefined;
    const time = this.time ?? (await timeOf(of.checks, session));
    const values = byNumber(table, rows);
    const broken = await firstBroken(of.checks, of, values, count, time, session, port);
    return broken && { row: broken.row, error: broken.failure };
  }

  /** Inserts the rows that wait. */
  async #insert(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const [leaf, pieces] of waiting) {
      if (this.#early) return;
      const lines = pieces.flatMap(piece => piece.lines);
      await this.#copyInto(leaf, pieces).catch(said => {
        const row = rowOf(said);
        const error = ofLine(
          said,
          this.body.table.name,
          row === undefined ? undefined : lines[row],
          this.session.catalog(),
        );
        if (!isOfReference(said)) throw error;
        this.#early = { error };
      });
    }
  }

  async #copyInto(leaf: CopyLeaf, pieces: readonly Rows[]): Promise<void> {
    const { context, services, session } = this;
    const port = await session.cloud.copyIn(leaf.sql);
    const sides: SideWrites[] = [];
    for (const [i, { values, lines }] of pieces.entries()) {
      const rows = await newRowIds(leaf.table, lines.length, services);
      const valuesOf = (name: string): PlainColumn => values.get(name)!;
      const given = leaf.written.map(({ column }) => valuesOf(column.name));
      const written = await protectRows(leaf.written, rows, given, context, session);
      sides.push(...written.sides);
      await port.write(binaryRows(rows, [...leaf.open.map(valuesOf), ...inOrder(written)], i === 0));
    }
    await port.write(Uint8Array.of(0xff, 0xff));
    const { tag } = await port.finish();
    this.#counted += Number(/\d+$/.exec(tag)?.[0] ?? 0);
    await writeSides(sides, session);
  }
}

const byNumber = ({ columns }: LogicalTable, { values }: Rows): ReadonlyMap<number, PlainColumn> =>
  new Map(columns.flatMap(c => (values.has(c.name) ? [[c.number, values.get(c.name)!] as const] : [])));

function mustBeWhole(refused: RefusedData | undefined): void {
  if (refused) throw refused.error;
}

/** The first row with a NULL where there must be none (ExecConstraints of execMain.c). */
function nullIn({ table }: CopyLeaf, { values, lines }: Rows): Wrong | undefined {
  const columns = table.columns.filter(({ notNull, name }) => notNull && values.get(name)?.nulls);
  for (let row = 0; row < lines.length; row++)
    for (const { name } of columns)
      if (values.get(name)!.nulls![row])
        return {
          row,
          error: new ClarusError(
            '23502',
            `null value in column "${name}" of relation "${table.name}" violates not-null constraint`,
            { schema: table.schema, table: table.name, column: name },
          ),
        };
  return undefined;
}

/** An error of a row with its place in the data. */
function atLine(error: unknown, table: string, line: number, session: SessionPort): unknown {
  return error instanceof ClarusError
    ? new ClarusError(error.code, error.message, { ...error.fields, where: `COPY ${table}, line ${line}` })
    : ofLine(error, table, line, session.catalog());
}

const taken = ({ values, lines }: Rows, places: readonly number[]): Rows => ({
  values: new Map([...values].map(([name, column]) => [name, plain(take(column, places))])),
  lines: places.map(place => lines[place]!),
});
