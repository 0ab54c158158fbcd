/**
 * The fence between catalogue versions: a change that must not be missed (the first protected table, a dropped
 * encoding) waits until every living worker, of every proxy, has seen it.
 *
 * A worker that is cut off from the trusted database is not waited for after `heartbeat_max_ms`; it finds by itself,
 * and earlier, that it is not `isLive` any more, and must serve nothing by its catalogue until it is again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ClarusError } from '../errors.js';
import { CATALOGUE_CHANNEL, catalogueVersion } from './catalogue-version.js';
import { connectionConfig, type TrustedServer } from './server.js';
import { STATE_DATABASE } from './shadow.js';

/** A worker that has not been heard of for longer is not waited for. */
export const heartbeat_max_ms = 10_000;
const heartbeat_interval_ms = 2_000;
/** A worker counts itself out this much earlier than others do. */
const heartbeat_margin_ms = 1_000;
/** Workers not heard of for longer leave the table. */
const forgotten_ms = 60_000;
const reconnect_ms = 500;
/** Longest wait for a notification before looking again. */
const poll_ms = 100;
/** Channel on which workers tell what they have seen. */
const SEEN_CHANNEL = 'clarus_seen';
/** Channel of what workers announce; payload: worker, cloud, number and text as JSON. */
const ANNOUNCE_CHANNEL = 'clarus_announce';
/** Channel on which they say that they are ready for it; payload: the worker that announced, the number, and who is ready. */
const HEARD_CHANNEL = 'clarus_heard';

/** A worker and the cloud whose catalogue it serves by. */
export interface FenceOptions {
  readonly server: TrustedServer;
  readonly state: pg.Pool;
  /** name of this worker, unique among all workers of all proxies, new for each process */
  readonly worker: string;
  readonly cloud: string;
  /** told of each newer version of the cloud's catalogue: load it, then `acknowledge` it */
  readonly onVersion: (version: number) => void;
  /**
   * told of what another worker of the cloud has announced, which waits until this resolves; to false: the worker is not
   * ready for it yet
   */
  readonly onAnnounced?: (text: string) => Promise<boolean>;
  readonly onProblem: (message: string) => void;
}

/** One worker's part of the fence. */
export interface Fence {
  /** Says that this worker works by `version` and by nothing older. */
  acknowledge(version: number): Promise<void>;
  /**
   * Waits until every living worker has seen `version`, this one included.
   * @throws ClarusError 55P03 when that takes longer than `timeout_ms`
   */
  awaitAcknowledgement(version: number, timeout_ms: number): Promise<void>;
  /**
   * Tells the other living workers of the cloud something, at most 4,000 bytes of UTF-8, and waits until they are ready
   * for it, or for `timeout_ms`.
   * @returns whether all are
   */
  announce(text: string, timeout_ms: number): Promise<boolean>;
  /** false: this worker may have missed a change, because the trusted database did not hear of it in time */
  isLive(): boolean;
  /** Takes this worker off the list. */
  close(): Promise<void>;
}

const register = `INSERT INTO clarus.workers (id, cloud, seen_version, heartbeat) VALUES ($1, $2, $3, clock_timestamp())
  ON CONFLICT (id, cloud) DO UPDATE SET seen_version = excluded.seen_version, heartbeat = excluded.heartbeat`;

/** Registers the worker before it reads the catalogue, so that no change can slip between. */
export async function openFence(options: FenceOptions): Promise<Fence> {
  const fence = new WorkerFence(options);
  await fence.open();
  return fence;
}

class WorkerFence implements Fence {
  readonly #options: FenceOptions;
  #seen_version = 0;
  #told_version = 0;
  #heard_ms = Number.NEGATIVE_INFINITY;
  #listener: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #announced = 0;
  /** workers that are not ready for an announcement of ours yet, by its number */
  readonly #waiting = new Map<number, Set<string>>();
  #wake: () => void = () => undefined;

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { state } = this.#options;
    await state.query(
      `DELETE FROM clarus.workers WHERE heartbeat < clock_timestamp() - interval '${forgotten_ms} ms'`,
    );
    await this.#beat();
    await this.#listen();
    this.#timer = setInterval(() => {
      this.#beat().catch((error: Error) =>
        this.#options.onProblem(`the trusted database was not told that this worker lives: ${error.message}`),
      );
    }, heartbeat_interval_ms).unref();
  }

  async acknowledge(version: number): Promise<void> {
    this.#seen_version = Math.max(this.#seen_version, version);
    this.#told_version = Math.max(this.#told_version, version);
    await this.#beat();
    await this.#options.state.query('SELECT pg_notify($1, $2)', [SEEN_CHANNEL, this.#options.cloud]);
  }

  async awaitAcknowledgement(version: number, timeout_ms: number): Promise<void> {
    const deadline_ms = performance.now() + timeout_ms;
    for (;;) {
      const woken = new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      const { rows } = await this.#options.state.query<{ behind: string }>(
        `SELECT count(*) AS behind FROM clarus.workers WHERE cloud = $1 AND seen_version < $2
           AND heartbeat > clock_timestamp() - interval '${heartbeat_max_ms} ms'`,
        [this.#options.cloud, version],
      );
      const behind = Number(rows[0]!.behind);
      if (behind === 0) return;
      if (performance.now() >= deadline_ms)
        throw new ClarusError(
          '55P03',
          `${behind} worker(s) have not seen version ${version} of the catalogue`,
          {
            hint: 'Try again; if it goes on, look for a proxy that hangs.',
          },
        );
      await Promise.race([woken, sleep(poll_ms)]);
    }
  }

  async announce(text: string, timeout_ms: number): Promise<boolean> {
    const { state, worker, cloud } = this.#options;
    const { rows } = await state.query<{ id: string }>(
      `SELECT id FROM clarus.workers WHERE cloud = $1 AND id <> $2
         AND heartbeat > clock_timestamp() - interval '${heartbeat_max_ms} ms'`,
      [cloud, worker],
    );
    if (rows.length === 0) return true;
    const number = ++this.#announced;
    const waiting = new Set(rows.map(({ id }) => id));
    this.#waiting.set(number, waiting);
    await state.query('SELECT pg_notify($1, $2)', [
      ANNOUNCE_CHANNEL,
      JSON.stringify([worker, cloud, number, text]),
    ]);
    const late_ms = performance.now() + timeout_ms;
    while (waiting.size > 0 && performance.now() < late_ms) await sleep(2);
    this.#waiting.delete(number);
    return waiting.size === 0;
  }

  isLive(): boolean {
    return performance.now() - this.#heard_ms < heartbeat_max_ms - heartbeat_margin_ms;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#listener?.end();
    const { state, worker, cloud } = this.#options;
    await state.query('DELETE FROM clarus.workers WHERE id = $1 AND cloud = $2', [worker, cloud]);
  }

  async #beat(): Promise<void> {
    if (this.#closed) return;
    // From before the query: the database's own stamp is later, so we count ourselves out first.
    const started_ms = performance.now();
    const { state, worker, cloud } = this.#options;
    await state.query(register, [worker, cloud, this.#seen_version]);
    this.#heard_ms = started_ms;
  }

  async #listen(): Promise<void> {
    const { server, state, cloud } = this.#options;
    const client = new pg.Client(connectionConfig(server, STATE_DATABASE));
    let lost = false;
    const onLost = (): void => {
      if (lost || this.#closed) return;
      lost = true;
      void this.#listenAgain();
    };
    client.on('error', onLost);
    client.on('end', onLost);
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === SEEN_CHANNEL) this.#wake();
      if (channel === ANNOUNCE_CHANNEL) void this.#hear(payload);
      if (channel === HEARD_CHANNEL) this.#wasHeard(payload);
      const [, version, of] = /^(\d+) (.*)$/s.exec(payload) ?? [];
      if (channel === CATALOGUE_CHANNEL && of === cloud) this.#tell(Number(version));
    });
    await client.connect();
    await client.query(
      `LISTEN ${CATALOGUE_CHANNEL}; LISTEN ${SEEN_CHANNEL}; LISTEN ${ANNOUNCE_CHANNEL}; LISTEN ${HEARD_CHANNEL}`,
    );
    this.#listener = client;
    // What was told while nobody listened.
    this.#tell(await catalogueVersion(state, cloud));
  }

  async #listenAgain(): Promise<void> {
    this.#options.onProblem('the connection on which the trusted database tells of changes broke');
    while (!this.#closed) {
      await sleep(reconnect_ms, undefined, { ref: false });
      try {
        if (!this.#closed) await this.#listen();
        return;
      } catch (error) {
        this.#options.onProblem(`the trusted database is not there: ${(error as Error).message}`);
      }
    }
  }

  async #hear(payload: string): Promise<void> {
    const [from, of, number, text] = JSON.parse(payload) as readonly [string, string, number, string];
    const { worker, cloud, state, onAnnounced, onProblem } = this.#options;
    if (from === worker || of !== cloud) return;
    try {
      if ((await onAnnounced?.(text)) === false) return;
      await state.query('SELECT pg_notify($1, $2)', [HEARD_CHANNEL, JSON.stringify([from, number, worker])]);
    } catch (error) {
      onProblem(`another worker was not told that it was heard: ${(error as Error).message}`);
    }
  }

  #wasHeard(payload: string): void {
    const [from, number, by] = JSON.parse(payload) as readonly [string, number, string];
    if (from === this.#options.worker) this.#waiting.get(number)?.delete(by);
  }

  #tell(version: number): void {
    if (version <= this.#told_version) return;
    this.#told_version = version;
    this.#options.onVersion(version);
  }
}

/** Has a worker been heard of lately? Its name is that of its `FenceOptions`. */
export async function isWorkerAlive(state: pg.Pool, worker: string, cloud: string): Promise<boolean> {
  const { rowCount } = await state.query(
    `SELECT FROM clarus.workers WHERE id = $1 AND cloud = $2
       AND heartbeat > clock_timestamp() - interval '${heartbeat_max_ms} ms'`,
    [worker, cloud],
  );
  return rowCount === 1;
}

/** Takes a worker off the list whose process is known to have ended. */
export async function forgetWorker(state: pg.Pool, worker: string): Promise<void> {
  await state.query('DELETE FROM clarus.workers WHERE id = $1', [worker]);
  await state.query('SELECT pg_notify($1, $2)', [SEEN_CHANNEL, '']);
}
