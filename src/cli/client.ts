/** A connection to the running proxy, as one of its local users. */
import pg from 'pg';
import { ClarusError } from '../errors.js';
import type { Config } from '../policy/policy.js';
import { resolveSecret } from './load.js';

/**
 * @param name local user; undefined: the first one of clarus.yaml
 * @throws ClarusError when there is no such user; the driver's error when the proxy does not run
 */
export async function connectToProxy(config: Config, name: string | undefined): Promise<pg.Client> {
  const user = name === undefined ? config.users[0] : config.users.find(u => u.name === name);
  if (!user)
    throw new ClarusError(
      '28000',
      name === undefined ? 'clarus.yaml names no user' : `clarus.yaml has no user "${name}"`,
    );
  const { host, port } = config.listen.postgres;
  if (port === 0)
    throw new ClarusError('08001', 'clarus.yaml leaves the port of the proxy open (port 0)', {
      hint: 'Name one under listen:, so that this command finds it.',
    });
  const client = new pg.Client({
    host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host,
    port,
    user: user.name,
    password: resolveSecret(user.password),
    database: config.clouds[0]!.database,
    // The proxy's certificate is usually its own; the connection stays on this machine.
    ssl: config.tls === 'off' ? false : { rejectUnauthorized: false },
    application_name: 'clarus sql',
    connectionTimeoutMillis: 10_000,
  });
  await client.connect().catch((error: Error & { code?: string }) => {
    throw error.code === WRONG_PASSWORD ? wrongPassword(error.message, user) : error;
  });
  return client;
}

/** invalid_password */
const WRONG_PASSWORD = '28P01';

function wrongPassword(message: string, { name, password }: Config['users'][number]): ClarusError {
  const where = password.kind === 'env' ? `the environment variable ${password.name}` : password.path;
  return new ClarusError(WRONG_PASSWORD, message, {
    hint: `The password is read from ${where}, as users.${name}.password says: "clarus run" was started with another one. Give this command the same, or start it anew.`,
  });
}
