/**
 * The primary process before its workers: it accepts the connections and hands each to the worker that has the
 * fewest. A worker that dies is replaced; connections that come meanwhile wait, and none is lost with a process
 * that had not taken it yet.
 */
import cluster, { type Worker as Process } from 'node:cluster';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ClarusError } from '../errors.js';
import type { CarrierCall } from '../postgres/carriers.js';
import { backlog } from '../postgres/gateway.js';
import type { TrustedServer } from '../trusted/server.js';
import { stackArguments } from './stack.js';

/** What the primary tells a worker. */
export type ToWorker =
  | Order
  | CancelMessage
  | { readonly kind: 'drain' }
  | ConnectionMessage
  | CarrierMessage
  /** the primary has let go of a carrier's connection */
  | { readonly kind: 'carry-on'; readonly call: number };

/** What a worker needs to serve. */
export interface Order {
  readonly kind: 'serve';
  readonly worker: number;
  /** by which the trusted database knows it */
  readonly name: string;
  readonly server: TrustedServer;
  /** name of the door for carriers; undefined: there is none */
  readonly door: string | undefined;
  /** lines of verifiers by user */
  readonly verifiers: readonly (readonly [string, string])[];
}

/** A CancelRequest for a session of a worker. */
export interface CancelMessage {
  readonly kind: 'cancel';
  readonly worker: number;
  readonly processId: number;
  /** base64 */
  readonly secretKey: string;
}

/** Comes with a socket. */
export interface ConnectionMessage {
  readonly kind: 'connection';
  /** connections of the other workers */
  readonly elsewhere: number;
}

/** Comes with the socket of a carrier's connection. */
export interface CarrierMessage extends CarrierCall {
  readonly kind: 'carrier';
  readonly call: number;
}

/** What a worker tells the primary. */
export type ToPrimary =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly line: string }
  /** the connection that was handed over last has arrived */
  | { readonly kind: 'taken' }
  /** one of its connections is closed */
  | { readonly kind: 'left' }
  /** a carrier's connection has arrived */
  | { readonly kind: 'carried'; readonly call: number }
  | CancelMessage;

/** A worker as the primary sees it. */
interface Member {
  readonly process: Process;
  /** it serves */
  ready: boolean;
  /** open, those under way to it included */
  connections: number;
  /** when it was given one last, counted in connections */
  given: number;
  /** carriers' connections under way to it, by their number */
  readonly carried: Map<number, Socket>;
  /** under way to it: the next one waits until this one has arrived */
  handing: Socket | undefined;
  readonly queue: Socket[];
}

/** How a pool is made. */
export interface WorkerPoolOptions {
  readonly host: string;
  /** 0: a free one is picked */
  readonly port: number;
  readonly workers: number;
  /** connections that may wait for a worker at a time */
  readonly waiting_max: number;
  /** @param worker number, from 0 @returns what the worker is told when it asks */
  order(worker: number): Order;
  /** a worker has ended by itself; another is started */
  died(order: Order, code: number): void;
  /** that one could not start; the next is tried */
  failed(error: Error): void;
}

const restart_ms = 500;

/** Workers that share one port. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #server: Server;
  readonly #members = new Map<number, Member>();
  /** connections for which no worker is ready */
  #waiting: Socket[] = [];
  #accepted = 0;
  #carried = 0;
  #state: 'starting' | 'serving' | 'draining' = 'starting';

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, socket => {
      socket.on('error', () => socket.destroy());
      this.#give(socket);
    });
  }

  /**
   * Listens, and starts the workers; resolves when all serve.
   * @throws Error of the operating system (EADDRINUSE, ...), or ClarusError when a worker could not start
   */
  async start(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port, workers } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog }, resolve);
    });
    const given = process.execArgv;
    const isSaid = given.some(argument => argument.startsWith('--stack-size'));
    cluster.setupPrimary({ execArgv: isSaid ? given : [...given, ...stackArguments()] });
    await Promise.all(Array.from({ length: workers }, (_, worker) => this.#fork(worker)));
    this.#state = 'serving';
    for (let worker = 0; worker < workers; worker++) if (!this.#members.has(worker)) this.#replace(worker);
    const bound = this.#server.address() as AddressInfo;
    return { host: bound.address, port: bound.port };
  }

  /**
   * Hands a carrier's connection to the worker whose session it reads for. This process has read from it, and would go
   * on: the worker answers only when nothing is read here any more.
   */
  carry(socket: Socket, call: CarrierCall): void {
    const member = this.#members.get(call.worker);
    if (!member?.process.isConnected()) {
      socket.destroy();
      return;
    }
    const number = ++this.#carried;
    member.carried.set(number, socket);
    member.process.send({ kind: 'carrier', ...call, call: number } satisfies ToWorker, socket, {
      keepOpen: true,
    });
  }

  /** Ends the workers: by themselves, or after `timeout_ms` by force. Nothing is accepted any more. */
  async drain(timeout_ms: number): Promise<void> {
    this.#state = 'draining';
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
    const members = [...this.#members.values()];
    const gone = members.map(({ process }) => new Promise<void>(done => process.once('exit', () => done())));
    for (const { process, queue } of members) {
      for (const socket of queue) socket.destroy();
      if (process.isConnected()) process.send({ kind: 'drain' } satisfies ToWorker);
    }
    const late = setTimeout(() => {
      for (const { process } of members) process.process.kill('SIGKILL');
    }, timeout_ms);
    await Promise.all(gone);
    clearTimeout(late);
  }

  /** Starts a worker; resolves when it serves. */
  #fork(worker: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const order = this.#options.order(worker);
      const member: Member = {
        process: cluster.fork(),
        ready: false,
        connections: 0,
        given: 0,
        carried: new Map(),
        handing: undefined,
        queue: [],
      };
      this.#members.set(worker, member);
      member.process.on('message', (message: ToPrimary) => {
        switch (message.kind) {
          case 'waiting': // A message sent before the worker listens would be lost: it asks for its order.
            member.process.send(order satisfies ToWorker);
            break;
          case 'ready':
            member.ready = true;
            resolve();
            for (const socket of this.#waiting.splice(0)) this.#give(socket);
            break;
          case 'failed':
            reject(new ClarusError('58000', message.line));
            break;
          case 'taken':
            member.handing?.destroy(); // this process's hold of it
            member.handing = undefined;
            this.#hand(member);
            break;
          case 'left':
            member.connections--;
            break;
          case 'carried':
            member.carried.get(message.call)?.destroy();
            member.carried.delete(message.call);
            member.process.send({ kind: 'carry-on', call: message.call } satisfies ToWorker);
            break;
          case 'cancel':
            this.#members.get(message.worker)?.process.send(message satisfies ToWorker);
        }
      });
      member.process.on('error', () => undefined); // 'exit' tells
      member.process.once('exit', code => {
        this.#members.delete(worker);
        reject(new Error(`worker ${worker} ended with code ${code}`));
        member.handing?.destroy(); // the worker may have answered already
        for (const socket of member.carried.values()) socket.destroy();
        if (this.#state !== 'serving') return;
        for (const socket of member.queue) this.#give(socket);
        this.#options.died(order, code ?? -1);
        this.#replace(worker);
      });
    });
  }

  #replace(worker: number): void {
    setTimeout(() => {
      if (this.#state === 'serving') this.#fork(worker).catch(this.#options.failed);
    }, restart_ms);
  }

  /** Finds a worker for a connection, or lets it wait for one. */
  #give(socket: Socket): void {
    let best: Member | undefined;
    for (const member of this.#members.values())
      if (member.ready && member.process.isConnected() && (!best || isFreer(member, best))) best = member;
    if (best) {
      best.connections++;
      best.given = ++this.#accepted;
      best.queue.push(socket);
      this.#hand(best);
    } else if (this.#waiting.length < this.#options.waiting_max && this.#state !== 'draining')
      this.#waiting.push(socket);
    else socket.destroy();
  }

  /** Hands over the next connection: one at a time, so that a worker that dies takes at most one with it. */
  #hand(member: Member): void {
    if (member.handing || !member.process.isConnected()) return;
    const socket = member.queue.shift();
    if (!socket) return;
    member.handing = socket;
    let elsewhere = 0;
    for (const other of this.#members.values()) if (other !== member) elsewhere += other.connections;
    // Held open: what Node would close upon the worker's receipt stays open for ever when the worker dies before.
    member.process.send({ kind: 'connection', elsewhere } satisfies ToWorker, socket, { keepOpen: true });
  }
}

/** Fewer connections, or as many and longer none new: one that turns all away does not get them all. */
const isFreer = (a: Member, b: Member): boolean =>
  a.connections < b.connections || (a.connections === b.connections && a.given < b.given);
