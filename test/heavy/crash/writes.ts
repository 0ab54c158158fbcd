/** Writers that know what they were told, to hold it against what is there after a crash. */
import pg from 'pg';
import type { Random } from '../../support/random.js';
import type { ClientAddress } from '../support/installation.js';

/** A row as a writer made it: both values carry its version. */
export interface Row {
  readonly payload: string;
  readonly version: number;
}
/** Stands in every protected value. */
export const sentinel = 'QuetzalcoatlUndersecretary';

/** One transaction: what each row is to become; undefined: deleted. */
export type Change = ReadonlyMap<number, Row | undefined>;

export const table =
  'CREATE TABLE vault (id integer PRIMARY KEY, payload text NOT NULL, version integer NOT NULL)';

/** What must be there, and what may be. */
export class Expected {
  readonly rows = new Map<number, Row>();
  /** sent, and not answered when the connection broke */
  readonly open: Change[] = [];
  acknowledged = 0;

  acknowledge(change: Change): void {
    this.acknowledged++;
    this.#apply(change);
  }

  #apply(change: Change): void {
    for (const [id, row] of change) {
      if (row === undefined) this.rows.delete(id);
      else this.rows.set(id, row);
    }
  }

  /**
   * Holds what was found against what is expected, and takes it for the truth where both outcomes were possible.
   * @returns what is wrong, one line each
   */
  compare(found: ReadonlyMap<number, Row>): string[] {
    const wrong: string[] = [];
    for (const change of this.open.splice(0)) {
      const done = [...change].filter(([id, row]) => same(found.get(id), row)).length;
      const undone = [...change].filter(([id]) => same(found.get(id), this.rows.get(id))).length;
      if (done === change.size) this.#apply(change);
      else if (undone !== change.size)
        wrong.push(`half of a transaction over ${[...change.keys()]} is there`);
    }
    for (const [id, row] of this.rows)
      if (!same(found.get(id), row))
        wrong.push(`row ${id} of version ${row.version}: ${found.get(id)?.version}`);
    for (const id of found.keys()) if (!this.rows.has(id)) wrong.push(`row ${id} should not be there`);
    return wrong;
  }
}

const same = (a: Row | undefined, b: Row | undefined): boolean =>
  a?.payload === b?.payload && a?.version === b?.version;

let versions = 0;

/**
 * Writes until the connection breaks or `enough` says so. Each writer has rows of its own.
 * @param refused takes an error that the server may answer with, and ends the writer; absent: there is none
 * @param carryOut sends one transaction
 */
export async function write(
  address: ClientAddress,
  writer: number,
  expected: Expected,
  random: Random,
  enough: () => boolean,
  refused?: (error: pg.DatabaseError) => void,
  carryOut = carryOutPlainly,
): Promise<void> {
  const client = new pg.Client(address);
  let broken = false;
  client.on('error', () => {
    broken = true;
  });
  await client.connect();
  while (!broken && !enough()) {
    const change = randomChange(writer, expected, random);
    try {
      await carryOut(client, change, expected);
    } catch (error) {
      expected.open.push(change);
      if (!(error instanceof pg.DatabaseError)) return;
      if (!refused) throw error;
      refused(error);
      break;
    }
    expected.acknowledge(change);
  }
  if (!broken) await client.end();
}

function randomChange(writer: number, { rows }: Expected, random: Random): Change {
  const own = [...rows.keys()].filter(id => id % 4 === writer);
  const change = new Map<number, Row | undefined>();
  const size = random.integer(1, 3);
  for (let i = 0; i < size; i++) {
    const fresh = own.length === 0 || random.next() < 0.6;
    const id = fresh ? ++versions * 4 + writer : random.pick(own);
    if (!fresh && random.next() < 0.3) change.set(id, undefined);
    else {
      const version = ++versions;
      change.set(id, {
        version,
        payload: `${id}/${version}/${sentinel}${'x'.repeat(random.integer(0, 3_000))}`,
      });
    }
  }
  return change;
}

async function carryOutPlainly(client: pg.Client, change: Change, { rows }: Expected): Promise<void> {
  const block = change.size > 1;
  if (block) await client.query('BEGIN');
  for (const [id, row] of change) {
    if (row === undefined) await client.query('DELETE FROM vault WHERE id = $1', [id]);
    else if (rows.has(id))
      await client.query('UPDATE vault SET payload = $2, version = $3 WHERE id = $1', [
        id,
        row.payload,
        row.version,
      ]);
    else await client.query('INSERT INTO vault VALUES ($1, $2, $3)', [id, row.payload, row.version]);
  }
  if (block) await client.query('COMMIT');
}

/** Reads every row, opened, and asks for some of them by the tag of their value. */
export async function readAll(
  address: ClientAddress,
  from = 'vault',
): Promise<{ rows: Map<number, Row>; wrong: string[] }> {
  const client = new pg.Client(address);
  await client.connect();
  try {
    const answer = await client.query<Row & { id: number }>(`SELECT id, payload, version FROM ${from}`);
    const wrong: string[] = [];
    for (const { id, payload } of answer.rows.slice(-20)) {
      const asked = await client.query<{ id: number }>(`SELECT id FROM ${from} WHERE payload = $1`, [
        payload,
      ]);
      if (asked.rows.length !== 1 || asked.rows[0]?.id !== id)
        wrong.push(`row ${id} is not found by its value`);
    }
    return {
      rows: new Map(answer.rows.map(({ id, payload, version }) => [id, { payload, version }])),
      wrong,
    };
  } finally {
    await client.end();
  }
}
