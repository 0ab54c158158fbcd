/** Composes the rooms into a proxy: one worker process of it. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { openJournal as openAudit } from './audit/journal.js';
import { changesSchema, type Redo } from './catalog/catalog.js';
import { Commits } from './catalog/commit.js';
import { loadCatalog } from './catalog/store.js';
import { Payloads } from './crypto/payloads.js';
import type { EncodingContext } from './encodings/encoding.js';
import { ClarusError } from './errors.js';
import { Carriers } from './postgres/carriers.js';
import { createGateway, type Gateway } from './postgres/gateway.js';
import type { CancelRouter, LocalUser, Logger } from './postgres/options.js';
import { readCertificate } from './postgres/tls.js';
import { finishAbandoned, watchAbandoned } from './proxy/abandoned.js';
import { CatalogView } from './proxy/catalog-view.js';
import { adminPool, cloudOptions, connectBackend, trustedOptions } from './proxy/cloud.js';
import { type Prepared, type ProxyInputs, prepare, servedCloud, witnessIn } from './proxy/prepare.js';
import { recordEvent, recordKeys, recordPolicy } from './proxy/recorder.js';
import { ChangingTables } from './sql/changing.js';
import { executeDdl, planDdl } from './sql/ddl/index.js';
import { Sql } from './sql/index.js';
import type { SessionPort } from './sql/ports.js';
import { SessionEncodingState } from './trusted/encoding-state.js';
import { type Fence, forgetWorker, openFence } from './trusted/fence.js';
import { openJournal } from './trusted/journal.js';
import { openTrusted } from './trusted/open.js';
import { openKeyStore } from './trusted/open-keys.js';
import type { TrustedServer } from './trusted/server.js';
import { Zones } from './trusted/zones.js';
import { makeVerifier, type ScramVerifier } from './wire/scram.js';

export type { Prepared, ProxyInputs } from './proxy/prepare.js';
export { prepare };

/** What one worker is started with: `prepared` by this process, or the `server` that the primary opened. */
export interface WorkerInputs extends ProxyInputs {
  /** number of this worker, from 0 */
  readonly worker: number;
  /** by which the trusted database knows this process (`workerName`); undefined: one is made */
  readonly name?: string;
  /** the trusted server that the primary process opened; undefined: `prepared` is given */
  readonly server?: TrustedServer;
  /** what this process itself prepared */
  readonly prepared?: Prepared;
  readonly cancels?: CancelRouter;
  /** the connections come from another process, through `gateway.accept` */
  readonly accepts?: 'from the primary';
  /** name of the door for carriers that the primary opened; undefined: that of `prepared`, or there is none */
  readonly door?: string;
  /** verifiers by user, made once by the primary; undefined: made here */
  readonly verifiers?: ReadonlyMap<string, ScramVerifier>;
}

/** A worker process that serves. */
export interface Worker {
  readonly gateway: Gateway;
  readonly carriers: Carriers;
  /** drains, then closes every connection of this process */
  close(timeout_ms: number): Promise<void>;
}

const packageVersion = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/** How long a change of the catalogue waits for the other workers. */
const FENCE_TIMEOUT_MS = 15_000;
/** How long DDL waits for commits of other sessions. */
const SETTLE_TIMEOUT_MS = 15_000;

/** A name for a worker process, never given twice. */
export const workerName = (): string => randomUUID();

/**
 * Settles what a worker left behind whose process has ended: nobody waits for it any more, and the commit that it
 * was in the middle of is finished or forgotten, as the cloud says.
 * @param name of the worker
 */
export async function settleDead(
  { trusted, cloud, keys }: Prepared,
  { config, log }: ProxyInputs,
  name: string,
): Promise<void> {
  await forgetWorker(trusted.state, name);
  const served = servedCloud(config);
  const found = await finishAbandoned({
    state: trusted.state,
    journal: openJournal<Redo>(trusted.state),
    keys,
    cloud: served.name,
    cloudConnection: cloud,
    shadow: trusted.shadowAdmin(served.database),
  });
  if (found.completed + found.forgotten > 0)
    log('info', 'commits that were cut short are settled', { ...found });
}

/**
 * Serves in this process alone: it listens when this returns.
 * @param given what was prepared; undefined: it is prepared here
 * @throws what `prepare` and `startWorker` throw; nothing that was opened is left open then
 */
export async function startAlone(
  inputs: ProxyInputs & Pick<WorkerInputs, 'verifiers'>,
  given?: Prepared,
): Promise<Worker> {
  const prepared = given ?? (await prepare(inputs));
  try {
    return await startWorker({ ...inputs, worker: 0, prepared });
  } catch (error) {
    prepared.door?.close();
    prepared.keys.close();
    await prepared.cloud.end();
    await prepared.trusted.close();
    throw error;
  }
}

/**
 * What the passwords of the local users are checked by.
 * @throws ClarusError where a password cannot be had
 */
export const userVerifiers = ({
  config,
  resolveSecret,
}: Pick<ProxyInputs, 'config' | 'resolveSecret'>): ReadonlyMap<string, ScramVerifier> =>
  new Map(config.users.map(user => [user.name, makeVerifier(resolveSecret(user.password))]));

/** Starts a worker: it serves when this returns. */
export async function startWorker(inputs: WorkerInputs): Promise<Worker> {
  const { config, rootKey, resolveSecret, registry, log, name = workerName() } = inputs;
  // what may be missing is looked for before anything is opened
  const verifiers = inputs.verifiers ?? userVerifiers(inputs);
  const served = servedCloud(config);
  const onProblem = (message: string): void => log('warning', message);
  const trusted =
    inputs.prepared?.trusted ??
    (await openTrusted({
      trusted: config.trusted,
      rootKey,
      resolveSecret,
      server: inputs.server!,
      onProblem,
    }));
  const cloud = inputs.prepared?.cloud ?? adminPool(served, resolveSecret, onProblem);
  const keys =
    inputs.prepared?.keys ??
    (await openKeyStore({ state: trusted.state, rootKey, witness: witnessIn(cloud), compare: false })).keys;

  const audit = await openAudit({
    directory: join(config.trusted.directory, 'audit'),
    origin: `worker-${inputs.worker}`,
    level: config.audit,
  });
  let fence: Fence | undefined;
  const changing = new ChangingTables(
    async (announcement, timeout_ms) => fence?.announce(JSON.stringify(announcement), timeout_ms) ?? true,
  );
  const catalog = new CatalogView(
    inputs.prepared?.catalog ?? (await loadCatalog(trusted.state, served.name)),
    {
      load: () => loadCatalog(trusted.state, served.name),
      before: () => keys.refresh(),
      after: async (next, previous) => {
        recordPolicy(audit, previous, next);
        recordKeys(audit, previous, next);
        await fence?.acknowledge(next.version);
      },
      failed: error => log('error', 'the catalogue could not be read', { what: (error as Error).message }),
    },
  );
  fence = await openFence({
    server: trusted.server,
    state: trusted.state,
    worker: name,
    cloud: served.name,
    onVersion: () => catalog.follow(),
    onAnnounced: text => changing.hear(JSON.parse(text)),
    onProblem,
  });
  await fence.acknowledge(catalog.current.version);
  audit.append({ kind: 'started', version: packageVersion, policyVersion: catalog.current.policyVersion });

  const journal = openJournal<Redo>(trusted.state);
  const recovery = {
    state: trusted.state,
    journal,
    keys,
    cloud: served.name,
    cloudConnection: cloud,
    shadow: trusted.shadowAdmin(served.database),
  };
  const abandoned = watchAbandoned(
    recovery,
    found => log('info', 'commits that were cut short are settled', { ...found }),
    error => onProblem(`commits that were cut short could not be settled: ${error.message}`),
  );
  const commits = new Commits({
    ...recovery,
    proxy: name,
    left: entry => abandoned.left(entry),
    applied: async () => {
      await catalog.reload();
      await fence?.awaitAcknowledgement(catalog.current.version, FENCE_TIMEOUT_MS);
    },
  });
  const settle = async (): Promise<void> => {
    const unsettled = async (): Promise<boolean> =>
      (await journal.pending(served.name)).some(({ redo }) => changesSchema(redo));
    for (let waited_ms = 0; await unsettled(); waited_ms += 20) {
      if (waited_ms > SETTLE_TIMEOUT_MS)
        throw new ClarusError('55P03', 'another change of the schema is not finished');
      await new Promise(done => setTimeout(done, 20));
    }
    await catalog.reload();
  };
  const { split_rows_max: rows_max, split_bytes_max: bytes_max } = config.limits;
  const splitLimits = { rows_max, bytes_max };
  const ddlDependencies = async (session: SessionPort) => ({
    registry,
    homes: await sql.homes(session),
    numbers: keys.numbers(served.name),
    cloud: served.name,
    changing,
    context,
    settle,
    limits: splitLimits,
  });
  const context = (session: SessionPort): EncodingContext => ({
    keys,
    state: session.transaction.encodings,
  });
  const payloads = new Payloads(rootKey);
  const sql: Sql = new Sql({
    payloads,
    registry,
    plansMax: config.limits.plans_max,
    splitLimits,
    changing,
    settle,
    mustBeLive: () => {
      if (!fence?.isLive())
        throw new ClarusError('57P03', 'the trusted database does not answer, and statements wait for it', {
          hint: 'Is it running? Clarus serves again as soon as it is reached.',
        });
    },
    context,
    rowIds: (table, count) => keys.rowIds(table, count),
    ddl: {
      plan: planDdl,
      execute: async (plan, session, queries) =>
        executeDdl(plan, session, await ddlDependencies(session), queries),
    },
  });
  const users = new Map<string, LocalUser>(
    config.users.map(({ name }) => [name, { name, verifier: verifiers.get(name)! }]),
  );
  const carriers = new Carriers();
  const door = inputs.prepared?.door?.proxy ?? inputs.door;
  const { host, port } = config.listen.postgres;
  const gateway = await createGateway({
    worker: inputs.worker,
    host,
    port,
    database: served.database,
    tls: readCertificate(config.tls),
    users,
    limits: config.limits,
    planner: sql,
    commits,
    payloads,
    zones: new Zones(trusted.state),
    encodingState: () => new SessionEncodingState(trusted.state),
    catalog: () => catalog.current,
    onCatalogChanged: listener => catalog.onChanged(listener),
    connectCloud: (user, settings) =>
      connectBackend(
        cloudOptions(
          served,
          config.users.find(u => u.name === user.name),
          resolveSecret,
          settings,
        ),
      ),
    connectTrusted: (user, settings) =>
      connectBackend(trustedOptions(trusted.sessionTarget(served.database, user.name), settings)),
    ...(inputs.cancels ? { cancels: inputs.cancels } : {}),
    residual: door === undefined ? undefined : { carriers, proxy: door, major: trusted.major },
    audit: event => recordEvent(audit, event, () => catalog.current),
    auditsRows: audit.records('rows'),
    log: log as Logger,
  });
  /** Lets go of what this worker opened, and of what was prepared for it. */
  const release = async (ofPreparation: boolean): Promise<void> => {
    abandoned.close();
    catalog.close();
    audit.append({ kind: 'stopped' });
    await audit.close();
    await fence?.close();
    if (!ofPreparation) return;
    inputs.prepared?.door?.close();
    keys.close();
    await (cloud as pg.Pool).end();
    await trusted.close();
  };
  if (inputs.prepared?.door) inputs.prepared.door.deliver = (socket, call) => carriers.serve(socket, call);
  try {
    await catalog.reload();
    if (inputs.accepts) gateway.serve();
    else await gateway.listen();
  } catch (error) {
    await release(inputs.prepared === undefined);
    throw error;
  }
  return {
    gateway,
    carriers,
    async close(timeout_ms) {
      await gateway.drain(timeout_ms);
      await new Promise(done => setImmediate(done)); // what cut statements came to is recorded
      await release(true);
    },
  };
}
