/** An installation of Clarus as an owner has it: a directory with configuration, key and trusted data, and `clarus run`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Finished, must, run } from './command.js';

const program = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const start_ms = 120_000;
const drain_ms = 60_000;
const applicationPassword = 'application-password';

/** Which cloud to stand before, and with what policy. */
export interface InstallationOptions {
  readonly cloud: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
  };
  readonly database: string;
  /** Lines of clarus.yaml after `users`: `unlisted`, `tables`, `declassify` ... */
  readonly policy: string;
  /** A server of the owner's for the trusted side; absent: the embedded one. */
  readonly trusted?: InstallationOptions['cloud'];
  /** Worker processes; absent: one a core. */
  readonly workers?: number;
  /** An empty directory for it; absent: one is made. */
  readonly directory?: string;
}

/** Where a client connects. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export class Installation {
  /** Configuration, key, trusted data and log of Clarus. */
  readonly directory: string;
  readonly #options: InstallationOptions;
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #log: string[] = [];

  private constructor(options: InstallationOptions) {
    this.#options = options;
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), 'clarus-gateway-'));
    this.#env = {
      CLOUD_PASSWORD: options.cloud.password,
      APPLICATION_PASSWORD: applicationPassword,
      TRUSTED_PASSWORD: options.trusted?.password ?? '',
    };
    // The embedded server runs as a user of its own and must get through to its directory.
    chmodSync(this.directory, 0o711);
  }

  /** Writes a configuration and makes a key; nothing runs yet. */
  static async make(options: InstallationOptions): Promise<Installation> {
    const made = new Installation(options);
    const { cloud, database, trusted, policy, workers } = options;
    const server =
      trusted === undefined
        ? 'database: embedded'
        : `database: "postgres://${trusted.user}@${trusted.host}:${trusted.port}/postgres"
  password: "env:TRUSTED_PASSWORD"`;
    writeFileSync(
      made.#config,
      `clarus: 1
trusted:
  ${server}
  directory: ./clarus-data
  key: { file: ./clarus-data/root.key }
clouds:
  main: { postgres: "postgres://${cloud.user}@${cloud.host}:${cloud.port}/${database}", password: "env:CLOUD_PASSWORD" }
listen:
  postgres: 127.0.0.1:0
${workers === undefined ? '' : `workers: ${workers}\n`}users:
  ${cloud.user}: { password: "env:APPLICATION_PASSWORD" }
${policy}
`,
    );
    try {
      await must(process.execPath, [program, 'init', '--config', made.#config], { env: made.#env });
    } catch (error) {
      made.remove();
      throw error;
    }
    return made;
  }

  get #config(): string {
    return join(this.directory, 'clarus.yaml');
  }

  /** What `clarus run` has logged since its last start. */
  get log(): string {
    return this.#log.join('');
  }

  /** Starts `clarus run` in a process group of its own. @returns where clients connect */
  async start(): Promise<ClientAddress> {
    const child = spawn(process.execPath, [program, 'run', '--config', this.#config], {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    // a test that is cut short leaves nothing running
    const killAll = (): void => void process.kill(-child.pid!, 'SIGKILL');
    process.once('exit', killAll);
    child.once('exit', () => process.off('exit', killAll));
    const log: string[] = [];
    this.#log = log;
    const logFile = createWriteStream(join(this.directory, 'clarus.log'), { flags: 'a' });
    logFile.on('error', () => undefined); // a test may fill the disk
    child.stderr.on('data', (chunk: Buffer) => {
      logFile.write(chunk);
      if (log.length < 500) log.push(chunk.toString());
    });
    const { cloud, database } = this.#options;
    const address = await readyAddress(child, log);
    return { ...address, user: cloud.user, password: applicationPassword, database };
  }

  /** Runs another command of `clarus` on this installation. */
  command(argv: readonly string[]): Promise<Finished> {
    return run(process.execPath, [program, ...argv, '--config', this.#config], { env: this.#env });
  }

  /** Ends it as a supervisor would; it must drain and exit with 0. */
  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await ended(child, this.#log);
  }

  /** kill -9: of the first process alone, or of all its processes. */
  async kill(which: 'first' | 'all'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined) return;
    const gone = once(child, 'exit');
    process.kill(which === 'all' ? -child.pid : child.pid, 'SIGKILL');
    await gone;
  }

  remove(): void {
    if (this.#options.directory !== undefined) return; // its maker's
    rmSync(this.directory, { recursive: true, force: true });
  }
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

function ended(child: ChildProcess, log: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (code: number | null, signal: string | null) => {
      const how = signal === null ? `status ${code}` : `signal ${signal}`;
      if (code === 0) resolve();
      else reject(new Error(`clarus run ended with ${how}:\n${log.slice(-20).join('')}`));
    };
    if (child.exitCode !== null || child.signalCode !== null) return done(child.exitCode, child.signalCode);
    const timer = setTimeout(() => child.kill('SIGKILL'), drain_ms);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      done(code, signal);
    });
    child.kill('SIGTERM');
  });
}
