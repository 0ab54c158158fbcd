/** The sessions of a worker whose carriers read from it, by the backend that finishes their statement. */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { decodeStartup } from '../wire/decode-startup.js';
import { writeBackend } from '../wire/encode-backend.js';
import { FrameReader } from '../wire/frame-reader.js';
import { MessageWriter } from '../wire/message-writer.js';
import { authenticationLimits, frontendTypes } from '../wire/protocol.js';
import { CarrierConnection, type CarrierSession } from './carrier-connection.js';
import { FrameSource } from './frame-source.js';

/** Time that postgres_fdw has to prove itself. */
const greeting_ms = 10_000;

/** What postgres_fdw calls itself: which worker of which proxy, and the backend that it runs in. */
export const carrierName = (proxy: string, worker: number): string => `clarus/${proxy}/${worker}/%p`;

/** A connection of postgres_fdw that has proven itself. */
export interface CarrierCall {
  readonly worker: number;
  /** of the backend that it runs in */
  readonly processId: number;
}

/** Sessions by the process id of their residual backend. */
export class Carriers {
  readonly #sessions = new Map<number, CarrierSession>();

  /** Puts a session on the list. @returns what takes it off */
  register(processId: number, session: CarrierSession): () => void {
    this.#sessions.set(processId, session);
    return () => {
      if (this.#sessions.get(processId) === session) this.#sessions.delete(processId);
    };
  }

  /** Serves a connection of postgres_fdw, whatever it asks for, until it closes. */
  serve(socket: Socket, { processId }: CarrierCall): void {
    const session = this.#sessions.get(processId);
    if (session === undefined) socket.destroy();
    else void new CarrierConnection(socket, session).run();
  }
}

/** What the residual engine of a worker is reached by. */
export interface ResidualOptions {
  readonly carriers: Carriers;
  /** name of the proxy process, as the door knows it */
  readonly proxy: string;
  /** of the trusted PostgreSQL */
  readonly major: number;
}

/** Where postgres_fdw comes in: a port of this machine for the workers of one proxy. */
export class CarrierDoor {
  readonly #server: Server;
  readonly #token: Buffer;
  /** takes a connection that has proven itself, paused */
  deliver: (socket: Socket, call: CarrierCall) => void = socket => socket.destroy();

  /**
   * @param proxy its name in `carrierName`
   */
  constructor(
    readonly proxy: string,
    token: string,
  ) {
    this.#token = Buffer.from(token);
    this.#server = createServer({ noDelay: true }, socket => void this.#greet(socket));
  }

  /** Listens. @returns the port */
  async listen(host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port: 0 }, resolve);
    });
    // what it is for keeps the process alive, not the door
    this.#server.unref();
    return (this.#server.address() as { port: number }).port;
  }

  close(): void {
    this.#server.close();
  }

  async #greet(socket: Socket): Promise<void> {
    const frames = new FrameSource(socket, new FrameReader());
    socket.on('error', () => socket.destroy());
    const timeout = setTimeout(() => socket.destroy(), greeting_ms);
    try {
      const call = await this.#proven(socket, frames);
      frames.release();
      if (call === undefined) socket.destroy();
      else this.deliver(socket, call);
    } catch {
      socket.destroy();
    } finally {
      clearTimeout(timeout);
    }
  }

  async #proven(socket: Socket, frames: FrameSource): Promise<CarrierCall | undefined> {
    let name: string | undefined;
    while (name === undefined) {
      const reader = await frames.next();
      const message = decodeStartup(reader.buffer, reader.body, reader.end);
      if (message.kind === 'CancelRequest') return undefined;
      if (message.kind === 'StartupMessage') name = message.parameters.get('application_name') ?? '';
      else socket.write('N');
    }
    const writer = new MessageWriter(64);
    writeBackend(writer, { kind: 'Authentication', method: 'cleartext' });
    socket.write(writer.take());
    frames.reader.tagged = true;
    frames.reader.limits = authenticationLimits;
    const { type, buffer, body, end } = await frames.next();
    if (type !== frontendTypes.password) return undefined;
    const given = buffer.subarray(body, end - 1);
    const [kind, proxy, worker, processId] = name.split('/');
    if (given.length !== this.#token.length || !timingSafeEqual(given, this.#token)) return undefined;
    if (kind !== 'clarus' || proxy !== this.proxy) return undefined;
    return { worker: Number(worker), processId: Number(processId) };
  }
}
