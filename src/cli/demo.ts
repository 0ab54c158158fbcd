/** `clarus demo`: a cloud, the trusted database, the proxy and real laboratory data, on one machine. */
import { dirname, resolve } from 'node:path';
import pg from 'pg';
import { BackendClient } from '../clouds/backend-client.js';
import { encodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { startAlone, type Worker } from '../proxy.js';
import { closedTo, unprivilegedUser } from '../trusted/unprivileged.js';
import { startCloud } from './demo/cloud.js';
import { demoFiles, writeDemoConfig } from './demo/files.js';
import { loadLaboratory } from './demo/load.js';
import { type Invocation, UsageError } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { quietLog } from './log.js';
import { formatTable } from './table.js';

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

/**
 * Shows the tour, then serves until SIGINT or SIGTERM; with `--once` it ends after the tour.
 * @returns exit code 0
 * @throws UsageError for a port that is none, ClarusError 55006 for one that is in use
 */
export async function main({ values }: Invocation): Promise<number> {
  const wanted = portOf(values.port);
  const once = values.once === true;
  const directory =
    typeof values.directory === 'string' ? resolve(values.directory) : await demoDirectory('./clarus-demo');
  const stopped = new Promise<void>(done => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => done());
  });
  say(`Everything of this demonstration is kept in ${directory}`);
  const files = demoFiles(directory);
  const cloud = await startCloud(files);
  try {
    writeDemoConfig(files, cloud.port, wanted);
    const worker = await serve(files.config);
    try {
      const { port } = worker.gateway.address();
      writeDemoConfig(files, cloud.port, port);
      await tour(port, cloud.port, files.appPassword, files.cloudPassword);
      if (once) say('\nTo connect to it yourself, leave out --once: it then serves until Ctrl-C.');
      else {
        say(`\nConnect: psql "postgres://app:${files.appPassword}@127.0.0.1:${port}/hospital"`);
        say(`     or: npx clarus sql --config ${files.config}`);
        say(`The cloud: psql "postgres://hospital:${files.cloudPassword}@127.0.0.1:${cloud.port}/hospital"`);
      }
      say(`To start over, delete ${directory}`);
      if (!once) {
        say('Serving until Ctrl-C.');
        await stopped;
      }
    } finally {
      await worker.close(5_000);
    }
  } finally {
    await cloud.server.stop();
  }
  return 0;
}

/** The port that `--port` asks for; 0: a free one. */
function portOf(text: string | boolean | undefined): number {
  if (typeof text !== 'string') return 0;
  const port = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || port > 65_535)
    throw new UsageError(`"${text}" is no port: give a whole number from 0 to 65535`);
  return port;
}

async function serve(file: string): Promise<Worker> {
  const config = loadConfig(file);
  const inputs = {
    config,
    rootKey: loadRootKey(config),
    resolveSecret,
    registry: encodingRegistry(),
    log: quietLog,
  };
  try {
    return await startAlone(inputs);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new ClarusError('55006', `port ${config.listen.postgres.port} is in use`, {
      hint: 'Stop what listens there, or name another with --port.',
    });
  }
}

/**
 * PostgreSQL does not run as root: below a home that is closed to others (/root) its account could not reach the
 * data, which then lie below /var/lib.
 */
async function demoDirectory(wanted: string): Promise<string> {
  const directory = resolve(wanted);
  const user = await unprivilegedUser();
  return user && (await closedTo(user, dirname(directory))) !== undefined
    ? '/var/lib/clarus-demo'
    : directory;
}

async function tour(
  port: number,
  cloudPort: number,
  appPassword: string,
  cloudPassword: string,
): Promise<void> {
  const loading = await BackendClient.connect({
    label: 'the proxy',
    address: { kind: 'tcp', host: '127.0.0.1', port },
    user: 'app',
    password: appPassword,
    database: 'hospital',
    tls: 'off',
  });
  say('Loading 15,524 laboratory tests through the proxy ...');
  const load_ms = await loadLaboratory(loading);
  say(
    load_ms === undefined
      ? '  they are there from an earlier start'
      : `  protected and stored in ${Math.round(load_ms)} ms`,
  );
  await loading.close();
  const application = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'app',
    password: appPassword,
    database: 'hospital',
  });
  const provider = new pg.Client({
    host: '127.0.0.1',
    port: cloudPort,
    user: 'hospital',
    password: cloudPassword,
    database: 'hospital',
  });
  await application.connect();
  await provider.connect();
  try {
    const query =
      "SELECT rownames, fake_first_name, fake_last_name, gender, result, clinic_name FROM covid_test WHERE fake_last_name = 'targaryen' ORDER BY rownames LIMIT 5";
    const seen = await timed(() => application.query<string[]>({ text: query, rowMode: 'array' }));
    say('\nWhat the application sees');
    say(`  ${query}`);
    say(
      formatTable(
        seen.result.fields.map(f => f.name),
        seen.result.rows.map(row => row.map(asText)),
      ),
    );
    say(`(${seen.ms.toFixed(1)} ms through Clarus, protected names found by the cloud without knowing them)`);
    const physical = await provider.query<{ name: string }>(
      "SELECT attname AS name FROM pg_catalog.pg_attribute WHERE attrelid = 'public.covid_test'::regclass AND attnum > 0 AND NOT attisdropped",
    );
    const column = (name: string, kind: string): string =>
      physical.rows.find(r => r.name.startsWith(`${name}_${kind}`))?.name ?? name;
    const stored = [
      'rownames',
      column('fake_first_name', 'sealed'),
      column('fake_last_name', 'sealed'),
      column('fake_last_name', 'equality'),
      column('gender', 'sealed'),
      column('result', 'sealed'),
      'clinic_name',
    ];
    const raw = `SELECT ${stored.map(name => `${pg.escapeIdentifier(name)}::text`).join(', ')} FROM covid_test WHERE rownames = ANY ($1) ORDER BY covid_test.rownames`;
    const shown = seen.result.rows.map(([rownames]) => rownames);
    const there = await timed(() =>
      provider.query<string[]>({ text: raw, values: [shown], rowMode: 'array' }),
    );
    say('\nWhat the cloud really stores of the same rows');
    say(
      formatTable(
        stored,
        there.result.rows.map(row => row.map(value => shortened(asText(value)))),
      ),
    );
    say(
      `(${there.ms.toFixed(1)} ms in the cloud directly; gender and result carry no tags: so few values would give themselves away)`,
    );
  } finally {
    await application.end();
    await provider.end();
  }
}

const asText = (value: unknown): string | null =>
  value === null || value === undefined ? null : String(value);
const shortened = (value: string | null): string | null =>
  value !== null && value.length > 20 ? `${value.slice(0, 17)}...` : value;

async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  await work();
  const begun = performance.now();
  const result = await work();
  return { result, ms: performance.now() - begun };
}
