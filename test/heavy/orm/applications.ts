/** The applications, how each is started, and what it printed: steps, one line of JSON each. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must, run } from '../support/command.js';

const here = fileURLToPath(new URL('.', import.meta.url));
/** Packages of npm that the applications use; outside of the product's own. */
const cache = fileURLToPath(new URL('../../../build/orm', import.meta.url));
const jdbc = '/usr/share/java/postgresql.jar';
const application_ms = 120_000;

/** An application by the driver or mapper that it uses. */
export interface Application {
  readonly name: string;
  readonly command: readonly string[];
}

const node = (name: string): Application => ({
  name,
  command: [process.execPath, join(cache, `${name}.mjs`)],
});
const python = (name: string): Application => ({
  name,
  command: ['/usr/bin/python3', join(here, 'python', `${name}_application.py`)],
});

/** In the order of their languages. */
export const applications: readonly Application[] = [
  ...['pg', 'postgres-js', 'drizzle', 'knex', 'typeorm', 'pg-boss'].map(node),
  ...['psycopg2', 'psycopg3', 'asyncpg', 'sqlalchemy', 'django'].map(python),
  { name: 'jdbc', command: ['/usr/bin/java', '-cp', jdbc, join(here, 'java', 'Application.java')] },
];

/** What became of one step of an application. */
export interface Step {
  readonly step: string;
  readonly gives?: unknown;
  readonly code?: string;
  readonly error?: string;
  readonly statement?: string;
}

/** Installs the packages of npm as the lock file says, where they are not there yet. */
export async function installPackages(): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const lock = 'package-lock.json';
  const wanted = readFileSync(join(here, 'packages', lock), 'utf8');
  const installed = join(cache, lock);
  const fresh =
    existsSync(installed) && readFileSync(installed, 'utf8') === wanted && existsSync(join(cache, 'done'));
  for (const file of ['package.json', lock]) copyFileSync(join(here, 'packages', file), join(cache, file));
  if (!fresh) {
    await must('npm', ['ci', '--no-audit', '--no-fund'], { cwd: cache });
    copyFileSync(installed, join(cache, 'done'));
  }
  for (const file of readdirSync(join(here, 'node')))
    copyFileSync(join(here, 'node', file), join(cache, file));
}

/**
 * Runs an application to its end.
 * @param env libpq's variables
 * @throws Error where it printed no step, or ended otherwise than by itself
 */
export async function runApplication(
  { name, command }: Application,
  env: Readonly<Record<string, string>>,
): Promise<readonly Step[]> {
  const [program, ...argv] = command;
  const done = await run(program!, argv, {
    env: { ...env, LC_ALL: 'C.UTF-8', TZ: 'UTC', PYTHONDONTWRITEBYTECODE: '1', PGTZ: 'UTC' },
    timeout_ms: application_ms,
  });
  if (done.status !== 0 || done.stdout === '')
    throw new Error(`${name}: status ${done.status}\n${done.stdout}\n${done.stderr}`);
  return done.stdout
    .trimEnd()
    .split('\n')
    .filter(line => line.startsWith('{"step"'))
    .map(line => JSON.parse(line) as Step);
}
