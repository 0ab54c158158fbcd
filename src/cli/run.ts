/**
 * `clarus run`: serves in the foreground. The primary process opens the trusted database and settles everything
 * once; then one worker a core listens on the same port. With one worker there is one process.
 */
import cluster, { type Worker as Process } from 'node:cluster';
import { availableParallelism } from 'node:os';
import { encodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import {
  type Prepared,
  type ProxyInputs,
  prepare,
  settleDead,
  startWorker,
  type Worker,
  workerName,
} from '../proxy.js';
import type { TrustedServer } from '../trusted/server.js';
import { formatVerifier, makeVerifier, parseVerifier, type ScramVerifier } from '../wire/scram.js';
import type { Invocation } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { jsonLog } from './log.js';
import { explainProblem } from './problems.js';

/** Time beyond draining that a worker has to end by itself. */
const exit_ms = 10_000;

/** What the primary tells a worker. */
interface Order {
  readonly kind: 'serve';
  readonly worker: number;
  /** by which the trusted database knows it */
  readonly name: string;
  readonly server: TrustedServer;
  readonly verifiers: readonly (readonly [string, string])[];
}
interface Cancel {
  readonly kind: 'cancel';
  readonly worker: number;
  readonly processId: number;
  readonly secretKey: string;
}
type Message =
  | { readonly kind: 'waiting' }
  | Order
  | Cancel
  | { readonly kind: 'ready'; readonly host: string; readonly port: number }
  | { readonly kind: 'failed'; readonly line: string }
  | { readonly kind: 'drain' };

/**
 * Serves until SIGTERM or SIGINT, then drains. As a worker of the cluster it serves for the primary.
 * @returns exit code
 */
export async function main({ config: path }: Invocation): Promise<number> {
  const config = loadConfig(path);
  const inputs: ProxyInputs = {
    config,
    rootKey: loadRootKey(config),
    resolveSecret,
    registry: encodingRegistry(),
    log: jsonLog,
  };
  if (cluster.isWorker) return serveAsWorker(inputs);
  for (const { message, position } of config.warnings)
    jsonLog('warning', message, position ? { line: position.line } : {});
  const workers = config.workers ?? availableParallelism();
  const stopped = new Promise<void>(resolve => {
    // Not `once`: a listener that has left would let the embedded server end this process by the signal.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
  const prepared = await prepare(inputs);
  const close =
    workers === 1 ? await serveAlone(inputs, prepared) : await serveByWorkers(inputs, prepared, workers);
  await stopped;
  jsonLog('info', 'draining');
  await close();
  jsonLog('info', 'stopped');
  return 0;
}

async function serveAlone(inputs: ProxyInputs, prepared: Prepared): Promise<() => Promise<void>> {
  let worker: Worker;
  try {
    worker = await startWorker({ ...inputs, worker: 0, prepared });
  } catch (error) {
    prepared.keys.close();
    await prepared.cloud.end();
    await prepared.trusted.close();
    throw error;
  }
  const { host, port } = worker.gateway.address();
  ready(host, port);
  return () => worker.close(inputs.config.limits.drain_timeout_ms);
}

const ready = (host: string, port: number): void =>
  void process.stdout.write(`ready postgres://${host.includes(':') ? `[${host}]` : host}:${port}\n`);

async function serveByWorkers(
  inputs: ProxyInputs,
  prepared: Prepared,
  count: number,
): Promise<() => Promise<void>> {
  const { config } = inputs;
  const verifiers = config.users.map(
    user => [user.name, formatVerifier(makeVerifier(resolveSecret(user.password)))] as const,
  );
  const processes = new Map<number, Process>();
  let draining = false;
  const start = (worker: number): Promise<{ host: string; port: number }> =>
    new Promise((resolve, reject) => {
      const child = cluster.fork();
      const name = workerName();
      processes.set(worker, child);
      child.on('message', (message: Message) => {
        // A message sent before the worker listens would be lost: it asks for its order.
        if (message.kind === 'waiting')
          child.send({
            kind: 'serve',
            worker,
            name,
            server: prepared.trusted.server,
            verifiers,
          } satisfies Order);
        if (message.kind === 'ready') resolve(message);
        if (message.kind === 'failed') reject(new ClarusError('58000', message.line));
        if (message.kind === 'cancel') processes.get(message.worker)?.send(message);
      });
      child.once('exit', code => {
        processes.delete(worker);
        reject(new Error(`worker ${worker} ended with code ${code}`));
        if (draining) return;
        jsonLog('error', 'a worker died; another takes its place', { worker, code: code ?? -1 });
        settleDead(prepared, inputs, name).catch((error: Error) =>
          jsonLog('error', 'what it left behind could not be settled yet', { what: error.message }),
        );
        setTimeout(() => {
          if (!draining) start(worker).catch((error: Error) => jsonLog('error', error.message));
        }, 500);
      });
    });
  const close = async (): Promise<void> => {
    draining = true;
    const gone = [...processes.values()].map(
      child => new Promise<void>(done => child.once('exit', () => done())),
    );
    for (const child of processes.values())
      if (child.isConnected()) child.send({ kind: 'drain' } satisfies Message);
    const late = setTimeout(() => {
      for (const child of processes.values()) child.process.kill('SIGKILL');
    }, inputs.config.limits.drain_timeout_ms + exit_ms);
    await Promise.all(gone);
    clearTimeout(late);
    prepared.keys.close();
    await prepared.cloud.end();
    await prepared.trusted.close();
  };
  try {
    const addresses = await Promise.all(Array.from({ length: count }, (_, worker) => start(worker)));
    ready(addresses[0]!.host, addresses[0]!.port);
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}

async function serveAsWorker(inputs: ProxyInputs): Promise<number> {
  // The primary drains us; a signal to the whole group is its to handle.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);
  const tell = (message: Message): void => void process.send!(message);
  const order = await new Promise<Order>(resolve => {
    process.once('message', message => resolve(message as Order));
    tell({ kind: 'waiting' });
  });
  let worker: Worker;
  try {
    worker = await startWorker({
      ...inputs,
      worker: order.worker,
      name: order.name,
      server: order.server,
      verifiers: new Map(
        order.verifiers.flatMap(([name, text]): [string, ScramVerifier][] => {
          const verifier = parseVerifier(text);
          return verifier ? [[name, verifier]] : [];
        }),
      ),
      cancels: {
        forward: (to, processId, secretKey) =>
          tell({
            kind: 'cancel',
            worker: to,
            processId,
            secretKey: Buffer.from(secretKey).toString('base64'),
          }),
      },
    });
  } catch (error) {
    // What startWorker left half open must not keep this process alive.
    process.send!({ kind: 'failed', line: explainProblem(error) } satisfies Message, () => process.exit(1));
    return new Promise(() => undefined);
  }
  tell({ kind: 'ready', ...worker.gateway.address() });
  return new Promise(resolve => {
    process.on('message', (message: Message) => {
      if (message.kind === 'cancel')
        worker.gateway.cancel(message.processId, Buffer.from(message.secretKey, 'base64'));
      if (message.kind === 'drain')
        void worker.close(inputs.config.limits.drain_timeout_ms).then(() => {
          resolve(0);
          process.disconnect();
        });
    });
    process.once('disconnect', () => process.exit(1));
  });
}
