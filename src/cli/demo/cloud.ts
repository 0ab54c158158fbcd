/** The demonstration's cloud: an embedded PostgreSQL that plays the untrusted provider. */
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedServer, startEmbedded } from '../../trusted/embedded.js';
import type { DemoFiles } from './files.js';

/** Starts it on a free port of this machine, with the role and the database `hospital`. */
export async function startCloud(
  files: DemoFiles,
): Promise<{ readonly server: EmbeddedServer; readonly port: number }> {
  const server = await startEmbedded({
    name: 'cloud of the demonstration',
    directory: join(files.directory, 'cloud'),
    port: 0,
    superuser: 'provider',
    password: files.cloudPassword,
  });
  const admin = new pg.Client({ ...server.target('postgres') });
  await admin.connect();
  try {
    const { rowCount } = await admin.query("SELECT FROM pg_roles WHERE rolname = 'hospital'");
    if (!rowCount) await admin.query(`CREATE ROLE hospital LOGIN PASSWORD '${files.cloudPassword}'`);
    const database = await admin.query("SELECT FROM pg_database WHERE datname = 'hospital'");
    if (!database.rowCount) await admin.query('CREATE DATABASE hospital OWNER hospital');
  } finally {
    await admin.end();
  }
  return { server, port: server.port };
}
