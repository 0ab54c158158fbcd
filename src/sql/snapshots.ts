/**
 * Transactions of clients that keep one snapshot. Rows that another session has given new forms since then stand in it
 * without these, as if their values were NULL: PostgreSQL would find the old rows, or none (ALTER TABLE in its manual).
 */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import type { SessionPort } from './ports.js';
import { readerOn } from './reading.js';

/** What a catalogue had given numbers to. */
interface Numbers {
  readonly table: number;
  readonly generation: number;
}

/** When a transaction began. */
interface Begun extends Numbers {
  readonly transaction: number;
}

const numbersOf = new WeakMap<Catalog, Numbers>();

function lastNumbers(catalog: Catalog): Numbers {
  const known = numbersOf.get(catalog);
  if (known) return known;
  const tables = [...catalog.tables.values()];
  const found = {
    table: Math.max(0, ...tables.map(({ number }) => number)),
    generation: Math.max(0, ...tables.flatMap(generationsOf)),
  };
  numbersOf.set(catalog, found);
  return found;
}

const encodedOf = ({ columns }: LogicalTable) =>
  columns.flatMap(({ protection }) => protection?.encodings.map(({ encoded }) => encoded) ?? []);

const generationsOf = (table: LogicalTable): readonly number[] => encodedOf(table).map(e => e.generation);

const begunAt = new WeakMap<SessionPort['transaction'], Begun>();

/** To be told of each statement before it is run: so it knows a transaction before that takes its snapshot. */
export function noteTransaction(session: SessionPort): void {
  const { transaction } = session;
  const { number } = transaction;
  if (transaction.explicit && begunAt.get(transaction)?.transaction === number) return;
  begunAt.set(transaction, { ...lastNumbers(session.catalog()), transaction: number });
}

/**
 * May a query read forms that rows have got since its transaction began?
 * @param sql as the cloud gets it
 */
export function mayLackForms(sql: string, session: SessionPort): boolean {
  const begun = begunAt.get(session.transaction);
  if (!session.transaction.explicit || begun === undefined) return false;
  const catalog = session.catalog();
  if (lastNumbers(catalog).generation <= begun.generation) return false;
  const own = new Set(
    session.transaction.changes.flatMap(c => (c.kind === 'put-table' ? generationsOf(c.table) : [])),
  );
  const isForeign = (generation: number): boolean => generation > begun.generation && !own.has(generation);
  return [...catalog.tables.values()]
    .filter(({ number }) => number <= begun.table)
    .flatMap(encodedOf)
    .some(
      ({ generation, columns }) =>
        isForeign(generation) && Object.values(columns).some(name => sql.includes(name)),
    );
}

/** @throws ClarusError 40001 in a transaction that sees rows as of its beginning */
export async function mustSeeNow(session: SessionPort): Promise<void> {
  if (await keepsSnapshot(session))
    throw new ClarusError('40001', 'could not serialize access due to concurrent update', {
      detail: 'Another session has changed the table since the transaction began.',
      hint: 'Begin the transaction anew.',
    });
}

/** Does the transaction see rows as of its beginning? */
export async function keepsSnapshot({ cloud }: SessionPort): Promise<boolean> {
  const [row] = await readerOn(cloud)('SHOW transaction_isolation', []);
  return row?.[0] !== 'read committed' && row?.[0] !== 'read uncommitted';
}
