/**
 * What the heavy suites point clients at: a running `clarus run`, or, to try the suites themselves without
 * Clarus, a bare pipe to the cloud (`CLARUS_GATEWAY=pipe`).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Installation, type InstallationOptions } from './installation.js';
import { startPipe } from './pipe.js';

/** Whether a bare pipe stands in for Clarus. */
export const pipeStandsIn: boolean = process.env.CLARUS_GATEWAY === 'pipe';

/** A gateway that accepts connections. */
export interface Gateway {
  /** Environment that points a client (libpq) at the gateway. */
  readonly env: Readonly<Record<string, string>>;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Configuration, key, trusted data and log of Clarus. */
  readonly directory: string;
  /** Ends it; what it wrote stays until `stop`. */
  end(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts Clarus, or the pipe, before one database of a cloud; the local user is named like the cloud's. */
export async function startGateway(options: InstallationOptions): Promise<Gateway> {
  const { address, directory, close } = await (pipeStandsIn ? startBarePipe(options) : startClarus(options));
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ending ??= close();
    return ending;
  };
  return {
    env: {
      PGHOST: address.host,
      PGPORT: String(address.port),
      PGUSER: address.user,
      PGPASSWORD: address.password,
      PGDATABASE: address.database,
    },
    ...address,
    directory,
    end,
    stop: async () => {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startClarus(options: InstallationOptions) {
  const installation = await Installation.make(options);
  const { directory } = installation;
  try {
    return { address: await installation.start(), directory, close: () => installation.end() };
  } catch (error) {
    installation.remove();
    throw error;
  }
}

async function startBarePipe({ cloud, database }: InstallationOptions) {
  const { host, port, close } = await startPipe(cloud);
  const { user, password } = cloud;
  return {
    address: { host, port, user, password, database },
    directory: mkdtempSync(join(tmpdir(), 'clarus-gateway-')),
    close,
  };
}
