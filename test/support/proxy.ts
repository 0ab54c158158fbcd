/**
 * A complete Clarus in this process: an embedded cloud, the trusted database, and one worker of the proxy. The
 * cloud also holds a database that Clarus does not serve, `plain`, to compare with.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Encoding } from '../../src/encodings/encoding.js';
import { encodingRegistry } from '../../src/encodings/registry.js';
import { parseConfig } from '../../src/policy/parse.js';
import { type Prepared, prepare, startWorker, type Worker } from '../../src/proxy.js';
import type { Trusted } from '../../src/trusted/open.js';
import { startServer, type TestServer, type TestServerOptions } from './server.js';

const appUser = 'app';
const appPassword = 'app-password';
/** The database that Clarus serves. */
const served = 'hospital';
/** The database of the same server that it does not serve. */
const unserved = 'plain';

export interface TestProxyOptions {
  /** lines of clarus.yaml after `users`: `unlisted`, `tables`, `declassify`, `limits` ... */
  readonly policy: string;
  /** encodings beside the built-in ones */
  readonly encodings?: readonly Encoding[];
  /** options of CREATE DATABASE for both databases of the cloud: encoding, locale */
  readonly database?: string;
  /** the cloud's server: settings, binaries */
  readonly server?: TestServerOptions;
  /** a server of the owner's for the trusted side; absent: the embedded one */
  readonly trusted?: Omit<Target, 'database'>;
  /** puts something between Clarus and the cloud; returns where Clarus connects instead */
  readonly between?: (cloud: TestServer) => Promise<{ readonly host: string; readonly port: number }>;
}

/** Where a client of `pg` or of the raw protocol connects. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface TestProxy extends Target {
  /** the cloud's server */
  readonly cloud: TestServer;
  /** past Clarus, to what the cloud holds of the served database */
  readonly behind: Target;
  /** a database of the same server without Clarus, to the same kind of user */
  readonly plain: Target;
  /** where the trusted side keeps its files */
  readonly directory: string;
  /** the trusted side's databases */
  readonly trusted: Trusted;
  /** what Clarus logged */
  readonly log: readonly string[];
  /** sessions of clients that are open */
  sessions(): number;
  /** starts another worker of the proxy, and says where it listens; it runs no split statements */
  second(): Promise<Target>;
  /** ends Clarus and starts it again; returns where it listens now */
  restart(): Promise<Target>;
  stop(): Promise<void>;
}

/** Starts everything. Takes about five seconds. */
export async function startProxy(options: TestProxyOptions): Promise<TestProxy> {
  const cloud = await startServer(options.server);
  const directory = mkdtempSync(join(tmpdir(), 'clarus-proxy-'));
  // The embedded server of the trusted side runs as a user of its own and must get through to its directory.
  chmodSync(directory, 0o711);
  const removing = async (): Promise<void> => {
    await cloud.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await makeDatabases(cloud, options.database ?? '');
    const { host: cloudHost, port: cloudPort } = (await options.between?.(cloud)) ?? cloud;
    const reached = { ...cloud, host: cloudHost, port: cloudPort };
    const config = parseConfig(configuration(reached, options), join(directory, 'clarus.yaml'));
    const log: string[] = [];
    const inputs = {
      config,
      rootKey: randomBytes(32),
      resolveSecret,
      registry: encodingRegistry(options.encodings),
      log: (level: string, message: string, fields: object = {}) =>
        void log.push(`${level}: ${message} ${JSON.stringify(fields)}`),
    };
    const start = async (): Promise<{ prepared: Prepared; worker: Worker }> => {
      const prepared = await prepare(inputs);
      return { prepared, worker: await startWorker({ ...inputs, worker: 0, prepared }) };
    };
    let { worker, prepared } = await start();
    const others: Worker[] = [];
    const { host, port } = worker.gateway.address();
    const target = (at: { host: string; port: number }, database: string, password: string): Target => ({
      host: at.host,
      port: at.port,
      user: appUser,
      password,
      database,
    });
    return {
      ...target({ host, port }, served, appPassword),
      cloud,
      behind: target(cloud, served, cloud.password),
      plain: target(cloud, unserved, cloud.password),
      directory: join(directory, 'trusted'),
      get trusted() {
        return prepared.trusted;
      },
      log,
      sessions: () => worker.gateway.sessions,
      async second() {
        others.push(
          await startWorker({ ...inputs, worker: others.length + 1, server: prepared.trusted.server }),
        );
        return target(others.at(-1)!.gateway.address(), served, appPassword);
      },
      async restart() {
        await worker.close(1_000);
        ({ worker, prepared } = await start());
        return target(worker.gateway.address(), served, appPassword);
      },
      async stop() {
        for (const other of others) await other.close(1_000);
        await worker.close(1_000);
        await removing();
      },
    };
  } catch (error) {
    await removing();
    throw error;
  }
}

async function makeDatabases(cloud: TestServer, options: string): Promise<void> {
  const admin = new pg.Client({ ...cloud });
  await admin.connect();
  try {
    await admin.query(`CREATE ROLE ${appUser} LOGIN PASSWORD '${cloud.password}'`);
    for (const database of [served, unserved])
      await admin.query(`CREATE DATABASE ${database} OWNER ${appUser} ${options}`);
  } finally {
    await admin.end();
  }
}

const databaseOf = (trusted: TestProxyOptions['trusted']): string =>
  trusted === undefined
    ? 'embedded'
    : `"postgres://${trusted.user}:${trusted.password}@${trusted.host}:${trusted.port}/postgres"`;

const configuration = (cloud: TestServer, { policy, trusted }: TestProxyOptions): string => `clarus: 1
trusted:
  database: ${databaseOf(trusted)}
  directory: ./trusted
  key: { env: ROOT_KEY }
clouds:
  main: { postgres: "postgres://${appUser}:${cloud.password}@${cloud.host}:${cloud.port}/${served}" }
listen:
  postgres: 127.0.0.1:0
tls: off
workers: 1
users:
  ${appUser}: { password: "env:APP_PASSWORD" }
${policy}
`;

const resolveSecret: Parameters<typeof prepare>[0]['resolveSecret'] = reference =>
  reference.kind === 'url' ? reference.password : appPassword;
