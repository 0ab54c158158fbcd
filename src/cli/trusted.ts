/** Opens the trusted database for a command that may run beside `clarus run`: then it joins the server there. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClarusError } from '../errors.js';
import type { Config } from '../policy/policy.js';
import { type OpenTrustedOptions, openTrusted, type Trusted } from '../trusted/open.js';
import { superuserPassword } from '../trusted/root-key.js';
import type { TrustedServer } from '../trusted/server.js';

/** The trusted database, opened by this command or joined. */
export interface Joined {
  readonly trusted: Trusted;
  /** true: a running Clarus owns the embedded server */
  readonly running: boolean;
}

/**
 * @throws ClarusError when the database can neither be started nor joined; 28000 for a wrong root key
 */
export async function openOrJoinTrusted(options: OpenTrustedOptions): Promise<Joined> {
  try {
    return { trusted: await openTrusted(options), running: false };
  } catch (error) {
    // 55006: a living Clarus runs the server on this directory.
    const server =
      error instanceof ClarusError && error.code === '55006'
        ? await runningServer(options.trusted, options.rootKey)
        : undefined;
    if (!server) throw error;
    return { trusted: await joined(options, server), running: true };
  }
}

async function joined(options: OpenTrustedOptions, server: TrustedServer): Promise<Trusted> {
  try {
    return await openTrusted({ ...options, server });
  } catch (error) {
    if ((error as { code?: string }).code !== '28P01') throw error;
    throw new ClarusError('28000', 'the root key is not the one of the trusted database that runs here', {
      hint: 'Put the right key where trusted.key says; without it the data cannot be read.',
    });
  }
}

/** The embedded server that runs on the directory, as its postmaster.pid tells (miscinit.c, pidfile.h). */
async function runningServer(
  { database, directory }: Config['trusted'],
  rootKey: Uint8Array,
): Promise<TrustedServer | undefined> {
  if (database !== 'embedded') return undefined;
  const lines = (await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8').catch(() => '')).split(
    '\n',
  );
  const [, , , port, sockets] = lines;
  if (!port || !sockets) return undefined;
  const password = superuserPassword(rootKey);
  return {
    host: sockets,
    port: Number(port),
    user: 'clarus_admin',
    password,
    tls: 'off',
    ca: undefined,
    maintenance: 'postgres',
    embedded: true,
  };
}
