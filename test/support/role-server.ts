/** A server without Clarus whose user may make roles: roles are the whole server's, and those of the cloud's are not of the application. */
import pg from 'pg';
import { type RecordedProxy, startRecordedProxy } from './recorded-proxy.js';
import { startServer, type TestServer } from './server.js';

/** @param user its name, as that of the cloud's @returns the server, and the user's login to a database of its own */
export async function startRoleServer(
  user: string,
): Promise<{ readonly server: TestServer; readonly login: pg.ClientConfig }> {
  const server = await startServer();
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE ${pg.escapeIdentifier(user)} LOGIN CREATEROLE PASSWORD 'secret'`);
  await admin.query(`CREATE DATABASE app OWNER ${pg.escapeIdentifier(user)}`);
  await admin.end();
  return { server, login: { ...server, user, password: 'secret', database: 'app' } };
}

/** A session of Clarus, and one of a server without it, whose users may both make roles. */
export interface RoleSides {
  readonly recorded: RecordedProxy;
  /** the one without Clarus */
  readonly server: TestServer;
  readonly ours: pg.Client;
  readonly plain: pg.Client;
  stop(): Promise<void>;
}

/**
 * @param policy lines of clarus.yaml after `users`
 * @param ddl what both run first
 */
export async function startRoleSides(policy: string, ddl: readonly string[]): Promise<RoleSides> {
  const recorded = await startRecordedProxy(policy);
  const { ours } = recorded;
  const { server, login } = await startRoleServer(recorded.proxy.behind.user);
  const plain = new pg.Client(login);
  await plain.connect();
  for (const client of [ours, plain]) for (const sql of ddl) await client.query(sql);
  return {
    recorded,
    server,
    ours,
    plain,
    async stop() {
      await plain.end();
      await recorded.stop();
      await server.stop();
    },
  };
}
