/**
 * `clarus copy SCHEMA.TABLE`: makes the protected copy of a listed table that stands unprotected in the cloud, while
 * neither the application nor `clarus run` works on it. Safe to call again after anything went wrong.
 */
import type pg from 'pg';
import { type Catalog, tableNamed } from '../catalog/catalog.js';
import { isEncoded } from '../catalog/compare.js';
import { columnPolicy } from '../catalog/protection.js';
import { quoteQualified } from '../catalog/quote.js';
import { readerOf } from '../catalog/reader.js';
import type { SetAside } from '../catalog/set-aside.js';
import { BackendClient } from '../clouds/backend-client.js';
import { encodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { joinName, splitName } from '../policy/names.js';
import type { Config, UserConfig } from '../policy/policy.js';
import { formatProblem } from '../policy/problems.js';
import { missingColumns } from '../policy/unmatched.js';
import { adminPool, cloudOptions } from '../proxy/cloud.js';
import {
  type Copied,
  columnsOfOriginal,
  copySettings,
  copyStands,
  fillCopy,
  finishOrPutBack,
  giveForeignKeysBack,
  mustEqualOriginal,
  originalOf,
  putOriginalBack,
  setOriginalAside,
} from '../proxy/copy-table.js';
import { describeOriginal, type Original, readersOf } from '../proxy/original.js';
import { servedCloud } from '../proxy/prepare.js';
import { type Prepared, type ProxyInputs, prepare, startAlone } from '../proxy.js';
import { type Invocation, UsageError } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { type Log, quietLog } from './log.js';

/** Tables that wait for their copies are what the command is about, and no news. */
const copyingLog: Log = (level, message, fields) => {
  if (fields?.table === undefined) quietLog(level, message, fields);
};

/**
 * Makes the copy, or ends one that was cut short.
 * @returns exit code 0
 * @throws ClarusError when it cannot be made; the original has its name back then, unless the copy had committed
 */
export async function main({ config: path, json, values, positionals }: Invocation): Promise<number> {
  const [schema, name] = tableOf(positionals[0]!);
  if (values['discard-changes'] === true && values.undo !== true)
    throw new UsageError('--discard-changes goes with --undo');
  const title = joinName([schema, name]);
  const config = forCopying(loadConfig(path));
  const inputs: ProxyInputs = {
    config,
    rootKey: loadRootKey(config),
    resolveSecret,
    registry: encodingRegistry(),
    log: copyingLog,
  };
  const say = (line: string): void => void (json || process.stdout.write(`${line}\n`));
  const cloud = adminPool(servedCloud(config), resolveSecret, message => quietLog('warning', message));
  try {
    if (values.undo === true) {
      await undo(inputs, cloud, schema, name, values['discard-changes'] === true);
      say(`${title}: the plaintext original has its name back; take ${title} out of clarus.yaml to serve it`);
      if (json) process.stdout.write(`${JSON.stringify({ table: title, undone: true })}\n`);
      return 0;
    }
    const earlier = await finishOrPutBack(cloud, schema, name);
    if (earlier === 'finished') {
      say(`${title}: an earlier copy was complete; it is noted now`);
      if (json) process.stdout.write(`${JSON.stringify({ table: title, finished: true })}\n`);
      return 0;
    }
    if (earlier === 'put back') say(`${title}: an earlier copy was cut short; it begins anew`);
    const original = await look(inputs, cloud, schema, name);
    const aside = await setOriginalAside(cloud, original);
    try {
      const { rows, digest } = await copyThrough(inputs, original, aside, say);
      await finishOrPutBack(cloud, schema, name);
      const kept = joinName([aside.schema, aside.name]);
      say(`${title}: ${rows} rows are protected; count and digest agree (${digest})`);
      say(
        `the plaintext original is ${kept} in the cloud; when you are sure, drop it there, after the originals of tables that refer to it: DROP TABLE ${kept}`,
      );
      say(`until then the way back is "clarus copy --undo ${title}"`);
      if (json) process.stdout.write(`${JSON.stringify({ table: title, rows, digest, original: kept })}\n`);
      return 0;
    } catch (error) {
      await finishOrPutBack(cloud, schema, name);
      throw error;
    }
  } finally {
    await cloud.end();
  }
}

function tableOf(text: string): readonly [string, string] {
  const [first, second, ...more] = splitName(text) ?? [];
  if (first === undefined || more.length > 0)
    throw new ClarusError('42601', `"${text}" is not the name of a table`, { hint: 'Write SCHEMA.TABLE.' });
  return second === undefined ? ['public', first] : [first, second];
}

/** A proxy for this command alone, on a port of this machine that nobody knows. */
function forCopying(config: Config): Config {
  return {
    ...config,
    listen: { ...config.listen, postgres: { host: '127.0.0.1', port: 0 } },
    tls: 'off',
    workers: 1,
  };
}

/** A local user that works as the cloud's own user where there is one: it owns the original. */
function copyingUser({ users }: Config): UserConfig {
  const user = users.find(({ cloud }) => cloud === undefined) ?? users[0];
  if (!user)
    throw new ClarusError('28000', 'clarus.yaml names no user, and a copy is made as one', {
      hint: 'Name a user under users:.',
    });
  return user;
}

/** Makes sure that the table waits for its copy and can be copied, before anything changes. */
async function look(inputs: ProxyInputs, cloud: pg.Pool, schema: string, name: string): Promise<Original> {
  copyingUser(inputs.config);
  const prepared = await prepare(inputs);
  const { catalog, trusted, keys } = prepared;
  try {
    await nobodyServes(prepared, inputs.config);
    mustWait(catalog, schema, name);
    mustBeNamedRight(inputs.config, catalog, schema, name);
    const client = await cloud.connect();
    try {
      await client.query('BEGIN TRANSACTION READ ONLY ISOLATION LEVEL REPEATABLE READ');
      return await describeOriginal(readerOf(client), schema, name, {
        waits: (s, n) => waits(catalog, s, n),
        open: (s, n) => tableNamed(catalog, s, n)?.state === 'open',
        protects: (s, n, column) => columnPolicy(catalog.policy, s, n, column)?.protect === 'encrypt',
      });
    } finally {
      client.release(true);
    }
  } finally {
    prepared.door?.close();
    keys.close();
    await prepared.cloud.end();
    await trusted.close();
  }
}

/** @throws ClarusError 55006 */
async function nobodyServes({ trusted }: Prepared, config: Config): Promise<void> {
  const serving = await trusted.state.query(
    "SELECT FROM clarus.workers WHERE cloud = $1 AND heartbeat > clock_timestamp() - interval '10 s'",
    [servedCloud(config).name],
  );
  if (serving.rowCount)
    throw new ClarusError('55006', 'a proxy serves this cloud now', {
      hint: 'Stop the application and "clarus run" first.',
    });
}

const waits = (catalog: Catalog, schema: string, name: string): boolean => {
  const table = tableNamed(catalog, schema, name);
  return table?.state === 'blocked' && !isEncoded(table);
};

/** @throws ClarusError 55000 when there is nothing to copy */
function mustWait(catalog: Catalog, schema: string, name: string): void {
  const title = joinName([schema, name]);
  const table = tableNamed(catalog, schema, name);
  if (!table) throw new ClarusError('42P01', `there is no table ${title} in the cloud`);
  if (table.state === 'protected') throw new ClarusError('55000', `${title} is protected already`);
  if (table.state === 'open')
    throw new ClarusError('55000', `the policy protects no column of ${title}`, {
      hint: 'List its columns in clarus.yaml first.',
    });
  if (isEncoded(table))
    throw new ClarusError('55000', `${title} is blocked for another reason: ${table.reason}`);
  if (
    !catalog.policy.tables.some(t => t.schema === schema && t.name === name) &&
    catalog.policy.unlisted === 'refuse'
  )
    throw new ClarusError('55000', `the policy does not list ${title}`, {
      hint: 'List it in clarus.yaml first.',
    });
}

/** A slip in a name would protect the copy otherwise than meant. @throws ClarusError 42703 */
function mustBeNamedRight(config: Config, catalog: Catalog, schema: string, name: string): void {
  const [slip] = missingColumns(
    config.policy,
    [tableNamed(catalog, schema, name)].flatMap(t => t ?? []),
  );
  if (slip) throw new ClarusError('42703', formatProblem(slip));
}

/**
 * Drops the copy and gives the original its name back. Cut short at any point, the next call ends it.
 * @throws ClarusError 42P01 when no original is set aside, 55000 when rows would be lost
 */
async function undo(
  inputs: ProxyInputs,
  cloud: pg.Pool,
  schema: string,
  name: string,
  discard: boolean,
): Promise<void> {
  const title = joinName([schema, name]);
  const prepared = await prepare(inputs);
  const { catalog } = prepared;
  try {
    await nobodyServes(prepared, inputs.config);
    await nothingReads(prepared, inputs.config, schema, name);
  } finally {
    prepared.door?.close();
    prepared.keys.close();
    await prepared.cloud.end();
    await prepared.trusted.close();
  }
  const aside = await originalOf(cloud, schema, name);
  if (!aside)
    throw new ClarusError('42P01', `no plaintext original of ${title} is set aside in the cloud`, {
      hint: 'It was dropped, or there was no copy.',
    });
  if (await copyStands(cloud, schema, name)) {
    const columns = await columnsOfOriginal(cloud, aside);
    if (!discard)
      await throughProxy(inputs, (proxy, source) => mustEqualOriginal(proxy, source, aside, columns));
    await giveForeignKeysBack(cloud, aside, (s, n) => tableNamed(catalog, s, n)?.state === 'open');
    await throughProxy(inputs, proxy => proxy.simple(`DROP TABLE ${quoteQualified(schema, name)}`));
  }
  await putOriginalBack(cloud, aside);
}

/** Before anything changes. @throws ClarusError 2BP01 for views and functions that would keep the copy from going */
async function nothingReads(
  { trusted }: Prepared,
  config: Config,
  schema: string,
  name: string,
): Promise<void> {
  const client = await trusted.shadowAdmin(servedCloud(config).database).connect();
  try {
    const readers = await readersOf(readerOf(client), schema, name);
    if (readers.length > 0)
      throw new ClarusError(
        '2BP01',
        `the copy of ${joinName([schema, name])} cannot be dropped: ${readers.map(reader => `${reader} depends on it`).join('; ')}`,
        {
          hint: 'Nothing was changed. Drop them through Clarus first, and make them again when the original has its name back.',
        },
      );
  } finally {
    client.release();
  }
}

async function copyThrough(
  inputs: ProxyInputs,
  original: Original,
  aside: SetAside,
  say: (line: string) => void,
): Promise<Copied> {
  let told = 0;
  return throughProxy(inputs, (proxy, source) =>
    fillCopy(proxy, source, original, aside, rows => {
      if (rows < told + 100_000) return;
      told = rows;
      say(`  ${rows} rows`);
    }),
  );
}

/** Works with a session of the proxy and a connection to the cloud that print values alike. */
async function throughProxy<T>(
  inputs: ProxyInputs,
  work: (proxy: BackendClient, source: BackendClient) => Promise<T>,
): Promise<T> {
  const { config } = inputs;
  const served = servedCloud(config);
  const user = copyingUser(config);
  const worker = await startAlone(inputs);
  try {
    const { host, port } = worker.gateway.address();
    const password = resolveSecret(user.password);
    const proxy = await BackendClient.connect({
      label: 'the proxy',
      address: { kind: 'tcp', host, port },
      user: user.name,
      password,
      database: served.database,
      tls: 'off',
      parameters: copySettings,
    });
    try {
      const source = await BackendClient.connect(
        cloudOptions(served, undefined, resolveSecret, new Map(copySettings)),
      );
      try {
        return await work(proxy, source);
      } finally {
        await source.close();
      }
    } finally {
      await proxy.close();
    }
  } finally {
    await worker.close(1_000);
  }
}
