/** `clarus` as a supervisor or a person at a terminal sees it: its own process, with its own directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const tsx = fileURLToPath(import.meta.resolve('tsx'));

/** No command of these tests takes longer. */
const patience_ms = 120_000;

export interface Ended {
  /** null: ended by a signal */
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** all of standard output so far */
  output(): string;
  /** waits until standard output holds `text` */
  until(text: string): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Secrets that the configurations of `Workplace` refer to. */
export const secrets = { CLOUD_PASSWORD: 'cloud-password', APP_PASSWORD: 'app-password' };

/** A directory to call `clarus` in. */
export class Workplace {
  readonly directory = mkdtempSync(join(tmpdir(), 'clarus-cli-'));

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text, { mode: 0o600 });
  }

  start(
    args: readonly string[],
    { input, env = {} }: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
  ): Running {
    const child = spawn(process.execPath, ['--import', tsx, main, ...args], {
      cwd: this.directory,
      env: { ...process.env, ...secrets, ...env },
    });
    child.stdin.end(input ?? '');
    const written = { output: '', errors: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      written.output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      written.errors += text;
    });
    // A process that hangs is a failure to tell, not one to wait for.
    const deadline = setTimeout(() => child.kill('SIGKILL'), patience_ms);
    const ended = new Promise<Ended>(resolve =>
      child.once('close', code => {
        clearTimeout(deadline);
        resolve({ code, ...written });
      }),
    );
    return {
      child,
      output: () => written.output,
      ended,
      until: text =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            if (written.output.includes(text)) resolve();
          };
          child.stdout.on('data', look);
          child.once('close', () => reject(new Error(`ended without "${text}": ${written.errors}`)));
          look();
        }),
    };
  }

  run(args: readonly string[], options?: Parameters<Workplace['start']>[1]): Promise<Ended> {
    return this.start(args, options).ended;
  }

  /** Starts `clarus run`, waits until it is ready, does the work and stops it. */
  async serving<T>(work: () => Promise<T>): Promise<T> {
    const running = this.start(['run']);
    await running.until('ready ');
    try {
      return await work();
    } finally {
      running.child.kill('SIGTERM');
      await running.ended;
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
