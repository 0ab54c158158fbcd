/** Runs outside programs for the heavy suites. */
import { spawn } from 'node:child_process';

/** What a finished program left. */
export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a program. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Text for standard input; it is closed when missing. */
  readonly input?: string;
  /** Runs as this user of the system; only root can. */
  readonly user?: string;
  /** Ends the program, status 124. Default 10 minutes. */
  readonly timeout_ms?: number;
}

/** Runs a program to its end and never throws for its status. */
export function run(
  command: string,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<Finished> {
  const asUser = options.user !== undefined && isRoot();
  const program = asUser ? 'runuser' : command;
  const args = asUser ? ['-u', options.user ?? '', '--', command, ...argv] : argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? '/tmp',
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
      detached: true,
    });
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, options.timeout_ms ?? 600_000);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', error => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', code => {
      clearTimeout(timer);
      resolve({
        status: timedOut ? 124 : (code ?? 1),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    child.stdin.on('error', error => stderr.push(Buffer.from(`standard input: ${error.message}\n`)));
    child.stdin.end(options.input ?? '');
  });
}

/**
 * Runs a program that must succeed.
 *
 * @returns its standard output
 * @throws Error with all that it printed, when its status is not 0
 */
export async function must(
  command: string,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const done = await run(command, argv, options);
  if (done.status !== 0)
    throw new Error(`${command} ${argv.join(' ')}: status ${done.status}\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** Whether this process is the superuser of the system, which PostgreSQL's server refuses to run as. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}
