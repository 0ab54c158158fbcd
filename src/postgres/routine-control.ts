/** What bodies of functions and DO blocks do with the session's transaction, and work in another search_path. */
import { quoteLiteral } from '../catalog/quote.js';
import { sidesOf } from '../sql/settings.js';
import type { CarefulContext } from './context.js';
import { expects, internal } from './expectations.js';
import { physicalQuery } from './own-statements.js';
import { beginInternal, rollbackCloud, touchTrusted } from './transaction-control.js';
import { commit, ended, rollbackTrusted, uncancelled } from './transaction-end.js';

/** No client can have a savepoint of that name: it is no name that is written without quotes. */
const name = 'clarus block';
const savepoint = `SAVEPOINT "${name}"`;
const rollbackTo = `ROLLBACK TO ${savepoint}`;
const release = `RELEASE ${savepoint}`;

/**
 * Does something in a subtransaction, on both sides where the trusted one takes part. When it fails, nothing of it
 * remains.
 */
export async function inSavepoint<T>(context: CarefulContext, work: () => Promise<T>): Promise<T> {
  const { transaction, cloud, trusted, portals } = context;
  await beginInternal(context);
  await cloud.run(savepoint);
  if (transaction.joined) await trusted.port.run(savepoint);
  transaction.savepoint(name, savepoint, portals.bound);
  try {
    const result = await work();
    await cloud.run(release);
    if (transaction.joined) await trusted.port.run(release);
    transaction.release(name);
    return result;
  } catch (error) {
    await takeBack(context);
    throw error;
  }
}

async function takeBack(context: CarefulContext): Promise<void> {
  const { transaction, cloud, trusted, settings } = context;
  await uncancelled(() => {
    cloud.pipeline.sync(internal(expects.sync));
    return cloud.run(rollbackTo);
  });
  await cloud.run(release);
  trusted.settle();
  if (transaction.joined) {
    await trusted.port.run(rollbackTo);
    await trusted.port.run(release);
  }
  transaction.rollbackTo(name);
  transaction.release(name);
  // the server told that the transaction had failed before it went back
  context.status = 'T';
  settings.stale = true;
  if (settings.setWithin) await settings.refresh(cloud, true);
}

/**
 * COMMIT and ROLLBACK in a procedure: ends the block that was begun for the client's statement, and begins another.
 * @throws PostgresError where it cannot be committed
 */
export async function renewInternal(context: CarefulContext, action: 'commit' | 'rollback'): Promise<void> {
  const { transaction, settings, trusted } = context;
  if (transaction.internal) {
    if (action === 'commit') ended(context, await commit(context, 'COMMIT'));
    else {
      settings.stale = true;
      await rollbackTrusted(context);
      await rollbackCloud(context);
    }
    transaction.end(false);
    trusted.settle();
  }
  await beginInternal(context);
  if (settings.setWithin) await settings.refresh(context.cloud, true);
}

const current = physicalQuery('SELECT pg_catalog.current_setting($1, true)', [25]);

/**
 * Does something under settings, as under the SET clauses of a function (fmgr_security_definer of fmgr.c). SET LOCAL twice
 * leaves the session's own values as they are; where the work fails, the end of its subtransaction or transaction puts them back.
 * @param lasting names of those that are not put back, in lower case
 */
export async function underSettings<T>(
  context: CarefulContext,
  set: readonly { readonly name: string; readonly value: string }[],
  lasting: ReadonlySet<string>,
  work: () => Promise<T>,
): Promise<T> {
  const { settings, cloud, trusted } = context;
  await beginInternal(context);
  await touchTrusted(context);
  const put = async (name: string, value: string): Promise<void> => {
    const sql = `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, true)`;
    await cloud.run(sql);
    if (sidesOf(name, value) === 'both') await trusted.port.run(sql);
  };
  settings.setWithin = true;
  settings.stale = true;
  const before: (readonly [string, string])[] = [];
  for (const { name, value } of set) {
    const { rows } = await cloud.gather(current, [Buffer.from(name)], false);
    before.unshift([name, Buffer.from(rows[0]?.[0] ?? []).toString()]);
    await put(name, value);
  }
  await settings.refresh(cloud, true);
  const result = await work();
  for (const [name, value] of before) if (!lasting.has(name.toLowerCase())) await put(name, value);
  await settings.refresh(cloud, true);
  return result;
}

/**
 * Does something while names are looked up in another search_path, on both sides. SET LOCAL twice leaves the session's own
 * value as it is; where the work fails, the end of its subtransaction or transaction puts it back.
 * @param path as `set_config` takes it
 */
export async function inSearchPath<T>(
  context: CarefulContext,
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  const { settings, cloud, trusted } = context;
  await beginInternal(context);
  await touchTrusted(context);
  const exchange = async (value: string): Promise<void> => {
    const sql = `SELECT pg_catalog.set_config('search_path', ${quoteLiteral(value)}, true)`;
    await cloud.run(sql);
    await trusted.port.run(sql);
    settings.report('search_path', value);
  };
  const before = settings.current.searchPath;
  try {
    await exchange(path);
    const result = await work();
    await exchange(before);
    return result;
  } catch (error) {
    settings.report('search_path', before);
    settings.stale = true;
    throw error;
  }
}
