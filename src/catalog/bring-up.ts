/**
 * What a start does to the catalogue: the file's policy takes effect where it may, and what stands in the cloud past
 * Clarus is taken in; cloud, shadow and catalogue commit as one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { ClarusError } from '../errors.js';
import type { Policy } from '../policy/policy.js';
import { adoptPolicy, type Hindered, locksAndLooks, type SpellingOf } from './adopt.js';
import { type Catalog, changesSchema, type LogicalTable } from './catalog.js';
import { applyChanges } from './changes.js';
import { dropUnneeded, missingTypes, typesAround } from './cloud-types.js';
import { type CommitServices, Commits } from './commit.js';
import { lockDdl } from './ddl-lock.js';
import type { CatalogNumbers } from './derive-input.js';
import { qualified } from './describe.js';
import type { Encodings } from './encodings-for.js';
import type { KeptColumn } from './labelled.js';
import { quoteName } from './quote.js';
import { readerOf } from './reader.js';
import type { Underived } from './shadow-ddl.js';
import { single } from './single.js';
import { filedPolicy, loadCatalog } from './store.js';
import { takeIn } from './take-in.js';

/** What `bringUp` needs: services of commits, both servers, and the policy of the file. */
export interface BringUpInput extends CommitServices {
  readonly cloudPool: Pool;
  /** administrator's connections to the shadow database */
  readonly shadow: Pool;
  /** role that owns what is made in the shadow */
  readonly owner: string;
  readonly registry: Encodings;
  readonly numbers: CatalogNumbers;
  readonly policy: Policy;
  /** where the policy comes from, in words */
  readonly origin: string;
  /** how definitions are spelled where names are hidden */
  readonly spellingOf: SpellingOf;
}

/** What a start did to the catalogue. */
export interface BroughtUp {
  /** the catalogue as it stood before */
  readonly before: Catalog;
  /** protected tables with rows that the policy would change: nothing was done, and Clarus may not start */
  readonly refused: readonly Hindered[];
  /** what labels have said against the file and stands */
  readonly kept: readonly KeptColumn[];
  /** true: the policy is a new version */
  readonly adopted: boolean;
  /** what the policy before said otherwise, in words */
  readonly differences: readonly string[];
  /** tables that are neither served nor written */
  readonly blocked: readonly LogicalTable[];
  readonly underived: readonly Underived[];
}

const SETTLE_MS_MAX = 15_000;

/** Run after `recover`, before serving. Safe beside another proxy that serves. */
export async function bringUp(input: BringUpInput): Promise<BroughtUp> {
  const shadow = await input.shadow.connect();
  const cloud = await input.cloudPool.connect();
  try {
    await shadow.query('BEGIN');
    await shadow.query(`SET LOCAL ROLE ${quoteName(input.owner)}`);
    await lockDdl(readerOf(shadow));
    await settled(input);
    // Not REPEATABLE READ: whether a locked table is empty must be seen as of after the lock.
    await cloud.query('BEGIN');
    return await derive(input, cloud, shadow);
  } finally {
    // Whatever is not committed by now is given up with the connection.
    shadow.release(true);
    cloud.release(true);
  }
}

async function settled({ journal, cloud }: BringUpInput): Promise<void> {
  for (
    const deadline = Date.now() + SETTLE_MS_MAX;
    (await journal.pending(cloud)).some(({ redo }) => changesSchema(redo));
    await sleep(20)
  )
    if (Date.now() > deadline)
      throw new ClarusError('55P03', 'a commit that changes the schema has not ended');
}

async function derive(input: BringUpInput, cloud: PoolClient, shadow: PoolClient): Promise<BroughtUp> {
  const { registry, numbers, policy, origin, spellingOf } = input;
  const catalog = await loadCatalog(input.state, input.cloud);
  const [readCloud, readShadow] = [readerOf(cloud), readerOf(shadow)];
  const common = { cloud: input.cloud, registry, numbers };
  const adoption = await adoptPolicy({
    ...common,
    catalog,
    policy,
    filed: await filedPolicy(input.state),
    origin,
    spellingOf,
    shadow: readShadow,
    hasRows: locksAndLooks(readCloud),
  });
  if (adoption.refused.length > 0)
    return {
      before: catalog,
      refused: adoption.refused,
      kept: [],
      adopted: false,
      differences: [],
      blocked: [],
      underived: [],
    };
  const types = await qualified(readShadow, () => missingTypes(readShadow, readCloud, adoption.types.after));
  for (const sql of [...types, ...adoption.statements]) await cloud.query(sql);
  const inCloud = { read: readCloud, run: (sql: string) => cloud.query(sql) };
  await dropUnneeded(inCloud, await typesAround(readShadow, adoption.types.before));
  const next = applyChanges(catalog, adoption.changes);
  // Nothing is kept in step with a cloud whose bytes go through untouched.
  const untouched = next.passThrough && next.tables.size === 0;
  const connection = { read: readShadow, run: (sql: string) => shadow.query(single(sql)) };
  const taken = untouched
    ? { changes: [], ddl: [], underived: [] }
    : await takeIn({ ...common, catalog: next, readCloud, shadow: connection });
  const changes = [...adoption.changes, ...taken.changes];
  if (changes.length + taken.ddl.length > 0) {
    const ddl = taken.ddl.map(sql => ({ user: input.owner, searchPath: '', sql }));
    const commits = new Commits(input);
    const entry = await commits.prepare({ ddl, changes }, await idOf(cloud), await idOf(shadow));
    await cloud.query('COMMIT');
    await shadow.query('COMMIT');
    await commits.finish(entry);
  }
  const { differences, kept } = adoption;
  const adopted = adoption.changes.length > 0;
  const known = applyChanges(next, taken.changes).tables.values();
  const blocked = [...known].filter(({ state }) => state === 'blocked');
  return { before: catalog, refused: [], kept, adopted, differences, blocked, underived: taken.underived };
}

async function idOf(client: PoolClient): Promise<string> {
  const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  return rows[0]!.xid;
}
