/**
 * `clarus run`: serves in the foreground. The primary process opens the trusted database and settles everything
 * once; then one worker a core serves the connections that it accepts. With one worker there is one process.
 */
import cluster from 'node:cluster';
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { encodingRegistry } from '../encodings/registry.js';
import { readCertificate } from '../postgres/tls.js';
import {
  type Prepared,
  type ProxyInputs,
  prepare,
  settleDead,
  startAlone,
  startWorker,
  userVerifiers,
  type Worker,
  workerName,
} from '../proxy.js';
import { formatVerifier, parseVerifier, type ScramVerifier } from '../wire/scram.js';
import type { Invocation } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { jsonLog } from './log.js';
import { explainProblem } from './problems.js';
import { type Order, type ToPrimary, type ToWorker, WorkerPool } from './worker-pool.js';

/** Time beyond draining that a worker has to end by itself. */
const exit_ms = 10_000;

/**
 * Serves until SIGTERM or SIGINT, then drains. As a worker of the cluster it serves for the primary.
 * @returns exit code
 */
export async function main({ config: path }: Invocation): Promise<number> {
  const config = loadConfig(path);
  // before anything is started
  readCertificate(config.tls);
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
  const verifiers = userVerifiers(inputs);
  const prepared = await prepare(inputs);
  const close =
    workers === 1
      ? await serveAlone({ ...inputs, verifiers }, prepared)
      : await serveByWorkers({ ...inputs, verifiers }, prepared, workers);
  await stopped;
  jsonLog('info', 'draining');
  await close();
  jsonLog('info', 'stopped');
  return 0;
}

/** What serving needs beside what is prepared. */
type Served = ProxyInputs & { readonly verifiers: ReadonlyMap<string, ScramVerifier> };

async function serveAlone(inputs: Served, prepared: Prepared): Promise<() => Promise<void>> {
  const worker = await startAlone(inputs, prepared);
  const { host, port } = worker.gateway.address();
  ready(host, port);
  return () => worker.close(inputs.config.limits.drain_timeout_ms);
}

const ready = (host: string, port: number): void =>
  void process.stdout.write(`ready postgres://${host.includes(':') ? `[${host}]` : host}:${port}\n`);

async function serveByWorkers(
  inputs: Served,
  prepared: Prepared,
  count: number,
): Promise<() => Promise<void>> {
  const { config } = inputs;
  const verifiers = [...inputs.verifiers].map(
    ([name, verifier]) => [name, formatVerifier(verifier)] as const,
  );
  const pool = new WorkerPool({
    ...config.listen.postgres,
    workers: count,
    waiting_max: config.limits.connections_max,
    order: worker => ({
      kind: 'serve',
      worker,
      name: workerName(),
      server: prepared.trusted.server,
      door: prepared.door?.proxy,
      verifiers,
    }),
    died: ({ worker, name }, code) => {
      jsonLog('error', 'a worker died; another takes its place', { worker, code });
      settleDead(prepared, inputs, name).catch((error: Error) =>
        jsonLog('error', 'what it left behind could not be settled yet', { what: error.message }),
      );
    },
    failed: error => jsonLog('error', error.message),
  });
  if (prepared.door) prepared.door.deliver = (socket, call) => pool.carry(socket, call);
  const close = async (): Promise<void> => {
    await pool.drain(config.limits.drain_timeout_ms + exit_ms);
    prepared.door?.close();
    prepared.keys.close();
    await prepared.cloud.end();
    await prepared.trusted.close();
  };
  try {
    const { host, port } = await pool.start();
    ready(host, port);
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}

async function serveAsWorker(inputs: ProxyInputs): Promise<number> {
  // The primary drains us; a signal to the whole group is its to handle.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);
  const tell = (message: ToPrimary): void => {
    if (process.connected) process.send!(message);
  };
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
      ...(order.door === undefined ? {} : { door: order.door }),
      accepts: 'from the primary',
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
    process.send!({ kind: 'failed', line: explainProblem(error) } satisfies ToPrimary, () => process.exit(1));
    return new Promise(() => undefined);
  }
  /** carriers' connections that wait until the primary has let go of them */
  const carried = new Map<number, () => void>();
  return new Promise(resolve => {
    process.on('message', (message: ToWorker, socket?: Socket) => {
      switch (message.kind) {
        case 'connection':
          tell({ kind: 'taken' });
          if (socket) {
            socket.once('close', () => tell({ kind: 'left' }));
            worker.gateway.accept(socket, message.elsewhere);
          } else tell({ kind: 'left' }); // its client was gone
          break;
        case 'carrier':
          tell({ kind: 'carried', call: message.call });
          if (socket) carried.set(message.call, () => worker.carriers.serve(socket, message));
          break;
        case 'carry-on':
          carried.get(message.call)?.();
          carried.delete(message.call);
          break;
        case 'cancel':
          worker.gateway.cancel(message.processId, Buffer.from(message.secretKey, 'base64'));
          break;
        case 'drain':
          worker.close(inputs.config.limits.drain_timeout_ms).then(
            () => {
              resolve(0);
              process.disconnect();
            },
            (error: unknown) => {
              jsonLog('error', explainProblem(error));
              process.exit(1);
            },
          );
      }
    });
    process.once('disconnect', () => process.exit(1));
    tell({ kind: 'ready' });
  });
}
