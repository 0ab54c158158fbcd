/** `clarus.yaml`, version 1: text in, data out. */
import { dirname, resolve } from 'node:path';
import { rejectName } from './names.js';
import { type CloudConfig, type Config, defaultLimits, type Limits, type UserConfig } from './policy.js';
import { ConfigError, Findings } from './problems.js';
import { isLoopback, type RawServer, type Reading, readSecret, readServer } from './server.js';
import { readSource, type Source } from './source.js';
import { checkStructure } from './structure.js';
import { type RawPolicy, readPolicy } from './tables.js';

export { ConfigError };

/** A file's data, checked against the schema; what did not fit is gone, so required keys may be missing. */
interface RawConfig extends RawPolicy {
  readonly trusted?: RawServer & {
    readonly database?: string;
    readonly directory?: string;
    readonly key?: { readonly file?: string; readonly env?: string };
  };
  readonly clouds?: Readonly<Record<string, RawServer & { readonly postgres?: string }>>;
  readonly listen?: { readonly postgres?: string };
  readonly tls?: 'self-made' | 'off' | { readonly certificate?: string; readonly key?: string };
  readonly audit?: Config['audit'];
  readonly users?: Readonly<Record<string, RawUser>> | null;
  readonly limits?: Partial<Limits> | null;
  readonly workers?: number;
}

interface RawUser {
  readonly password?: string;
  readonly cloud?: { readonly user?: string; readonly password?: string };
}

/**
 * Reads a configuration file.
 * @param text its contents (YAML 1.2)
 * @param file its path; relative paths in the text are relative to its directory
 * @throws ConfigError with every problem of the file, each with line, column and what to write instead
 *
 * @example const config = parseConfig(await readFile('clarus.yaml', 'utf8'), 'clarus.yaml');
 */
export function parseConfig(text: string, file: string): Config {
  const findings = new Findings();
  const source = readSource(text, file, findings);
  const config = source && readConfig(source, file, findings);
  findings.settle();
  if (!config) throw new Error('a file without problems was not read');
  return config;
}

function readConfig(source: Source, file: string, findings: Findings): Config {
  const directory = dirname(resolve(file));
  const reading: Reading = { source, findings, resolvePath: path => resolve(directory, path) };
  checkStructure(source, findings);
  const isMapping = typeof source.value === 'object' && source.value !== null && !Array.isArray(source.value);
  const raw = (isMapping ? source.value : {}) as RawConfig;
  const policy = readPolicy(raw, reading);
  return {
    file: resolve(file),
    trusted: readTrusted(raw.trusted ?? {}, reading),
    clouds: readClouds(raw.clouds ?? {}, reading),
    listen: { postgres: readListen(raw, reading) },
    tls: readListenTls(raw.tls, reading),
    audit: raw.audit ?? 'statements',
    users: readUsers(raw.users ?? {}, reading),
    limits: { ...defaultLimits, ...raw.limits },
    workers: raw.workers,
    policy,
    warnings: findings.warnings,
  };
}

function readTrusted(raw: NonNullable<RawConfig['trusted']>, reading: Reading): Config['trusted'] {
  const directory = reading.resolvePath(raw.directory ?? './clarus-data');
  const key: Config['trusted']['key'] =
    raw.key?.env !== undefined
      ? { kind: 'env', name: raw.key.env }
      : {
          kind: 'file',
          path:
            raw.key?.file === undefined ? resolve(directory, 'root.key') : reading.resolvePath(raw.key.file),
        };
  return { database: readTrustedDatabase(raw, reading), directory, key };
}

function readTrustedDatabase(
  raw: NonNullable<RawConfig['trusted']>,
  reading: Reading,
): Config['trusted']['database'] {
  const url = raw.database ?? 'embedded';
  if (url === 'embedded') {
    for (const key of ['password', 'tls', 'ca'] as const) {
      if (raw[key] === undefined) continue;
      const at = reading.source.keyAt(['trusted', key]);
      reading.findings.problem(at, `${key} has no use with the embedded database`, `remove ${key}:`);
    }
    return 'embedded';
  }
  const server = readServer(url, ['trusted', 'database'], raw, ['trusted'], reading);
  if (!server) return 'embedded';
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  const [user, database] = [server.user, server.database].map(encodeURIComponent);
  return { ...server, url: `postgres://${user}@${host}:${server.port}/${database}` };
}

/** Databases of the trusted PostgreSQL that no shadow schema may be called after. */
const takenDatabases = ['clarus', 'template0', 'template1'];

function readClouds(raw: NonNullable<RawConfig['clouds']>, reading: Reading): readonly CloudConfig[] {
  const { source, findings } = reading;
  const clouds: CloudConfig[] = [];
  for (const [name, cloud] of Object.entries(raw)) {
    const path = ['clouds', name];
    const rejected = rejectName(name);
    if (rejected !== undefined)
      findings.problem(source.keyAt(path), `no cloud can be called so: ${rejected}`);
    if (cloud.postgres === undefined) continue;
    const server = readServer(cloud.postgres, [...path, 'postgres'], cloud, path, reading);
    if (!server) continue;
    const at = source.valueAt([...path, 'postgres']);
    const same = clouds.find(other => other.database === server.database);
    if (same) {
      const suggestion = 'a client chooses a cloud by its database, so the names must differ';
      findings.problem(at, `the clouds "${same.name}" and "${name}" have databases of one name`, suggestion);
    }
    if (takenDatabases.includes(server.database)) {
      findings.problem(at, `the database name "${server.database}" is taken on the trusted side`);
    }
    clouds.push({ name, ...server });
  }
  return clouds;
}

function readListen({ listen, tls }: RawConfig, { source, findings }: Reading): Config['listen']['postgres'] {
  const text = listen?.postgres ?? '127.0.0.1:6432';
  const at = source.valueAt(['listen', 'postgres']);
  const colon = text.lastIndexOf(':');
  const written = text.slice(0, colon).replace(/^\[(.*)\]$/u, '$1');
  const host = written === '*' ? '0.0.0.0' : written;
  const port = Number(text.slice(colon + 1));
  if (port > 65535) findings.problem(at, 'there are ports from 0 to 65535 only');
  if (tls === 'off' && !isLoopback(host)) {
    findings.warning(
      at,
      `clients of ${text} speak without TLS (tls: off): whoever is on the way reads everything`,
    );
  }
  return { host, port };
}

function readListenTls(raw: RawConfig['tls'], reading: Reading): Config['tls'] {
  if (typeof raw !== 'object') return raw ?? 'self-made';
  return {
    certificate: reading.resolvePath(raw.certificate ?? ''),
    key: reading.resolvePath(raw.key ?? ''),
  };
}

function readUsers(raw: NonNullable<RawConfig['users']>, reading: Reading): readonly UserConfig[] {
  const { source, findings } = reading;
  const users: UserConfig[] = [];
  for (const [name, { password, cloud }] of Object.entries(raw)) {
    const path = ['users', name];
    const rejected = rejectName(name);
    if (rejected !== undefined) findings.problem(source.keyAt(path), `no user can be called so: ${rejected}`);
    if (password === undefined) continue;
    const own =
      cloud?.user === undefined || cloud.password === undefined
        ? undefined
        : { user: cloud.user, password: readSecret(cloud.password, reading) };
    users.push({ name, password: readSecret(password, reading), cloud: own });
  }
  if (Object.keys(raw).length === 0) {
    findings.warning(source.keyAt(['users']), 'no users are named: nobody can connect');
  }
  return users;
}
