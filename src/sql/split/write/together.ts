/**
 * Parts of one statement of which some read what others write: all are computed first, each over what those before it
 * return, and written when everything is known. So each sees the tables as they were before the statement.
 */
import type { SplitBody, SplitWrites } from '../../execute/bodies.js';
import type { Bound } from '../../execute/portal.js';
import type { BoundParameters } from '../../plan.js';
import type { OneSnapshot, Residual, ResidualPort } from '../../ports.js';
import type { SplitServices } from '../cloud-rows.js';
import type { RowsToWrite, Written } from './cloud-writes.js';
import { KeptRows, withColumns } from './computed-writes.js';
import { flushWrites } from './flush.js';
import { mayBeActedOn } from './parts.js';
import type { Locked, LockedRows } from './row-locks.js';
import {
  attemptsMax,
  type Computed,
  isConflict,
  isSerialisation,
  type Run,
  serialisation,
  tooFast,
} from './run.js';

/** A statement that can be computed without being written. */
export interface Computing {
  readonly body: SplitBody;
  readonly writes: SplitWrites;
  /** @param written rows that other parts have written: PostgreSQL writes each once */
  compute(parameters: BoundParameters, written: Written): Promise<Run>;
  /** Brings what has been computed to the tables that take it. */
  route(run: Run): Promise<void>;
  /** Locks the rows that are to be written. @returns undefined: all is to begin anew @throws PostgresError of the cloud */
  lock(run: Run): Promise<LockedRows | undefined>;
}

/** A part of a statement. */
export interface TogetherPart {
  readonly run: Computing;
  /** how many of its columns are parameters of the parts after it; undefined: it is the main one, whose rows the client gets */
  readonly columns: number | undefined;
}

type Reading = OneSnapshot & Pick<Residual, 'startOver' | 'leavesNothing'>;

/**
 * @param parts in their order
 * @returns what the main one has come to
 * @throws ClarusError 40001 where the cloud changes too fast
 */
export async function writeTogether(
  parts: readonly TogetherPart[],
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Promise<Computed> {
  const tables = [...new Set(parts.flatMap(({ run }) => tablesOf(run)))];
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const reading = await residual.reads(tables);
    const done = await attemptOf(parts, bound, reading, services);
    if (done) return done;
  }
  throw tooFast();
}

const tablesOf = ({ body, writes }: Computing): readonly number[] => [
  ...body.tables,
  ...(writes.computed?.given?.body.tables ?? []),
];

/** @returns undefined: it is to begin anew, and made ready for that */
async function attemptOf(
  parts: readonly TogetherPart[],
  bound: Bound,
  reading: Reading,
  services: SplitServices,
): Promise<Computed | undefined> {
  const { session } = bound;
  const runs = await computed(parts, bound, reading);
  if (!runs) {
    await reading.startOver();
    return undefined;
  }
  for (const [i, { run }] of parts.entries()) await run.route(runs[i]!);
  const batches: RowsToWrite[] = [];
  const locked = new Map<RowsToWrite, Locked>();
  const arbiters = parts.flatMap(({ run }) => run.writes.arbiters);
  try {
    for (const [i, { run }] of parts.entries()) {
      const own = await run.lock(runs[i]!);
      if (!own) {
        await reading.startOver();
        return undefined;
      }
      batches.push(...runs[i]!.writes.batches);
      for (const [batch, rows] of own) locked.set(batch, rows);
    }
  } catch (error) {
    if (!isSerialisation(error)) throw error;
    await reading.startOver(error);
    return undefined;
  }
  const flush = (): Promise<void> => flushWrites({ batches }, locked, session, services);
  try {
    await (arbiters.length === 0 ? flush() : runs[0]!.residual.undoable(flush));
  } catch (error) {
    if (reading.leavesNothing && isSerialisation(error)) {
      await reading.startOver(error);
      return undefined;
    }
    const catalog = session.catalog();
    if (!isConflict(error, arbiters, catalog)) throw mayBeActedOn(error, batches, catalog) ?? error;
    await reading.startOver(serialisation());
    return undefined;
  }
  return runs[parts.findIndex(({ columns }) => columns === undefined)]!.computed;
}

/** @returns undefined: what was read was not of one snapshot */
async function computed(
  parts: readonly TogetherPart[],
  bound: Bound,
  reading: Reading,
): Promise<readonly Run[] | undefined> {
  const written: Written = new Map();
  const runs: Run[] = [];
  let given = bound;
  for (const { run, columns } of parts) {
    const found = await run.compute(given.bound, written);
    if (!found.computed) return undefined;
    runs.push(found);
    if (columns === undefined) continue;
    const kept = new KeptRows();
    await found.computed.held.give(0, kept, '');
    given = withColumns(given, kept.rows, columns);
  }
  return (await reading.isOneSnapshot(parts.length)) ? runs : undefined;
}
