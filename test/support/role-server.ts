/** A server without Clarus whose user may make roles: roles are the whole server's, and those of the cloud's are not of the application. */
import pg from 'pg';
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
