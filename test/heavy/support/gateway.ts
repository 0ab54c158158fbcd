/**
 * What the heavy suites point clients at: a running `clarus run`, or, to try the suites themselves without
 * Clarus, a bare pipe to the cloud (`CLARUS_GATEWAY=pipe`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { must } from './command.js';
import { startPipe } from './pipe.js';

const program = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const start_ms = 120_000;

/** Whether a bare pipe stands in for Clarus. */
export const pipeStandsIn: boolean = process.env.CLARUS_GATEWAY === 'pipe';

/** Which cloud to stand before, and with what policy. */
export interface GatewayOptions {
  readonly cloud: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
  };
  readonly database: string;
  /** Lines of clarus.yaml after `users`: `unlisted`, `tables`, `declassify` ... */
  readonly policy: string;
}

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
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), 'clarus-gateway-'));
  // The embedded server runs as a user of its own and must get through to its directory.
  chmodSync(directory, 0o711);
  const { cloud, database } = options;
  const password = pipeStandsIn ? cloud.password : 'application-password';
  const starting = pipeStandsIn ? startPipe(cloud) : startClarus(directory, options, password);
  const started = await starting.catch(error => {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  });
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ending ??= started.close();
    return ending;
  };
  return {
    env: {
      PGHOST: started.host,
      PGPORT: String(started.port),
      PGUSER: cloud.user,
      PGPASSWORD: password,
      PGDATABASE: database,
    },
    ...{ host: started.host, port: started.port, user: cloud.user, password, database, directory },
    end,
    stop: async () => {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startClarus(directory: string, { cloud, database, policy }: GatewayOptions, password: string) {
  const config = join(directory, 'clarus.yaml');
  writeFileSync(
    config,
    `clarus: 1
trusted:
  database: embedded
  directory: ./clarus-data
  key: { file: ./clarus-data/root.key }
clouds:
  main: { postgres: "postgres://${cloud.user}@${cloud.host}:${cloud.port}/${database}", password: "env:CLOUD_PASSWORD" }
listen:
  postgres: 127.0.0.1:0
users:
  ${cloud.user}: { password: "env:APPLICATION_PASSWORD" }
${policy}
`,
  );
  const env = { CLOUD_PASSWORD: cloud.password, APPLICATION_PASSWORD: password };
  await must(process.execPath, [program, 'init', '--config', config], { env });
  const child = spawn(process.execPath, [program, 'run', '--config', config], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  const logFile = createWriteStream(join(directory, 'clarus.log'));
  child.stderr.on('data', (chunk: Buffer) => {
    logFile.write(chunk);
    if (log.length < 200) log.push(chunk.toString());
  });
  const address = await readyAddress(child, log);
  return { ...address, close: () => ended(child, log) };
}

function readyAddress(child: ChildProcess, log: readonly string[]) {
  return new Promise<{ host: string; port: number }>((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`clarus run ${what}:\n${log.join('')}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`is not ready after ${start_ms / 1000} s`);
    }, start_ms);
    child.once('exit', code => {
      clearTimeout(timer);
      fail(`ended with status ${code}`);
    });
    if (child.stdout === null) return fail('has no standard output');
    createInterface(child.stdout).on('line', line => {
      const ready = /^ready postgres:\/\/(.+):(\d+)$/.exec(line);
      if (ready?.[1] === undefined) return;
      clearTimeout(timer);
      resolve({ host: ready[1], port: Number(ready[2]) });
    });
  });
}

/** Ends Clarus as a supervisor would; it must drain and exit with 0. */
function ended(child: ChildProcess, log: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (code: number | null, signal: string | null) => {
      const how = signal === null ? `status ${code}` : `signal ${signal}`;
      if (code === 0) resolve();
      else reject(new Error(`clarus run ended with ${how}:\n${log.slice(-20).join('')}`));
    };
    if (child.exitCode !== null || child.signalCode !== null) return done(child.exitCode, child.signalCode);
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      done(code, signal);
    });
    child.kill('SIGTERM');
  });
}
