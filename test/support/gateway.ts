/** A gateway before a test server, in this process, with ports that a test may replace. */

import type { Catalog } from '../../src/catalog/catalog.js';
import { Backend } from '../../src/clouds/backend.js';
import { Payloads } from '../../src/crypto/payloads.js';
import { ClarusError } from '../../src/errors.js';
import type { Limits } from '../../src/policy/policy.js';
import { createGateway, type Gateway } from '../../src/postgres/gateway.js';
import type { Connect, GatewayOptions, LocalUser } from '../../src/postgres/options.js';
import { makeVerifier } from '../../src/wire/scram.js';
import type { TestServer } from './server.js';

export const appUser = 'app';
export const appPassword = 'app-password';

const limits: Limits = {
  message_bytes_max: 64 * 1024 * 1024,
  connections_max: 100,
  prepared_statements_max: 1_000,
  portals_max: 1_000,
  idle_timeout_ms: 0,
  authentication_timeout_ms: 10_000,
  plans_max: 1_000,
  client_buffer_bytes_max: 1024 * 1024,
  split_rows_max: 1_000_000,
  split_bytes_max: 1024 * 1024 * 1024,
  drain_timeout_ms: 5_000,
};

export interface TestGateway {
  readonly gateway: Gateway;
  readonly host: string;
  readonly port: number;
  /** for `pg` and `postgres` */
  readonly client: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
    readonly database: string;
  };
  /** for psql and pgbench */
  readonly url: string;
  stop(): Promise<void>;
}

/** A catalogue without protected tables. */
export const emptyCatalog: Catalog = {
  version: 1,
  policyVersion: 1,
  policy: { unlisted: 'pass', declassify: [], tables: [] },
  tables: new Map(),
  passThrough: true,
};

/** Connects every user to the server as its superuser. */
export const connectTo =
  (server: TestServer, label: string): Connect =>
  (_user, settings) =>
    Backend.connect({
      label,
      address: { kind: 'tcp', host: server.host, port: server.port },
      user: server.user,
      password: server.password,
      database: server.database,
      tls: 'off',
      parameters: settings,
    });

export type GatewayChanges = Partial<Omit<GatewayOptions, 'limits'>> & { readonly limits?: Partial<Limits> };

/** Starts a gateway in pass-through mode, or with what `changes` says. */
export async function startGateway(server: TestServer, changes: GatewayChanges = {}): Promise<TestGateway> {
  const user: LocalUser = { name: appUser, verifier: makeVerifier(appPassword) };
  const gateway = await createGateway({
    worker: 0,
    host: '127.0.0.1',
    port: 0,
    database: server.database,
    tls: 'off',
    users: new Map([[appUser, user]]),
    planner: noPlanner,
    payloads: new Payloads(new Uint8Array(32)),
    commits: {
      prepare: () => Promise.resolve(1),
      finish: () => Promise.resolve(),
      abandon: () => Promise.resolve(),
      leave: () => undefined,
    },
    catalog: () => emptyCatalog,
    onCatalogChanged: () => () => undefined,
    connectCloud: connectTo(server, 'cloud "main"'),
    connectTrusted: connectTo(server, 'the trusted database'),
    ...changes,
    limits: { ...limits, ...changes.limits },
  });
  await gateway.listen();
  const { host, port } = gateway.address();
  return {
    gateway,
    host,
    port,
    client: { host, port, user: appUser, password: appPassword, database: server.database },
    url: `postgres://${appUser}:${appPassword}@${host}:${port}/${server.database}`,
    stop: () => gateway.drain(1_000),
  };
}

const refuse = (): never => {
  throw new ClarusError('0A000', 'this gateway has no planner');
};
const noPlanner: GatewayOptions['planner'] = {
  statements: refuse,
  speaksToClarus: () => false,
  plan: refuse,
  bind: refuse,
  copyIn: refuse,
};
