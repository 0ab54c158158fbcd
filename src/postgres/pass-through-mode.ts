import { ClarusError } from '../errors.js';
import { holds } from './endpoint.js';
import type { Mode, ModeHost } from './mode.js';
import { PassThrough, protectedMeanwhile } from './pass-through.js';

/** A session whose bytes go by untouched, until the database has protected tables. */
export class PassThroughMode implements Mode {
  readonly #session: ModeHost;
  readonly #stream: PassThrough;
  /** the catalogue says that this mode ends */
  #ending = false;
  /** what the client sent since that must be planned, until what it asked before is answered */
  #held: Buffer[] = [];

  constructor(session: ModeHost) {
    this.#session = session;
    this.#stream = new PassThrough(
      {
        toServer: bytes => {
          if (!session.cloud.socket.write(bytes)) session.client.hold(holds.full);
        },
        toClient: bytes => {
          const { socket } = session.client;
          socket.write(bytes);
          if (socket.writableLength > session.options.limits.client_buffer_bytes_max) {
            session.cloud.hold(holds.full);
          }
        },
        mentioned: text => this.#mentioned(text),
        idle: () => this.#becameIdle(),
        terminated: () => session.clientLeft(),
      },
      session.options.limits.message_bytes_max,
    );
  }

  get idle(): boolean {
    return this.#stream.idle;
  }

  get status(): 'I' | 'T' | 'E' {
    return this.#stream.status;
  }

  get fatalTold(): boolean {
    return this.#stream.fatalTold;
  }

  start(): void {
    // nothing is to be done before bytes come
  }

  clientData(chunk: Buffer): void {
    if (this.#held.length > 0) {
      this.#held.push(chunk);
      return;
    }
    const unread = this.#stream.clientData(chunk);
    if (unread === undefined) return;
    this.#held.push(unread);
    this.#session.client.hold(holds.busy);
    if (this.#stream.idle) this.#handOver();
  }

  serverData(chunk: Buffer): void {
    this.#session.options.count?.('bytes_to_clients', chunk.length);
    this.#stream.serverData(chunk);
  }

  serverDrained(): void {
    this.#session.client.release(holds.full);
  }

  clientDrained(): void {
    this.#session.cloud.release(holds.full);
  }

  catalogChanged(): void {
    if (this.#session.options.catalog().passThrough) return;
    this.#ending = true;
    this.#stream.end();
    if (this.#stream.idle) this.#handOver();
  }

  cancel(): Promise<void> {
    return this.#session.connection.cancel();
  }

  close(): void {
    this.#ending = true;
  }

  #becameIdle(): void {
    if (this.#ending) this.#handOver();
    this.#session.becameIdle();
  }

  /** Everything asked is answered: the next mode goes on, unless a transaction is open that it knows nothing of. */
  #handOver(): void {
    const held = this.#held;
    if (this.#stream.status === 'I') this.#session.becomeCareful(Buffer.concat(held));
    else if (held.length > 0) throw protectedMeanwhile();
  }

  /** Is a Query or Parse addressed to Clarus? Then it needs the other mode. */
  #mentioned(text: string): boolean {
    if (!this.#session.options.planner.speaksToClarus(text)) return false;
    if (this.#stream.idle && this.#stream.status === 'I') return true;
    throw new ClarusError('25001', 'the first statement to Clarus cannot run inside a transaction block', {
      severity: 'FATAL',
      hint: 'Run it in a transaction or message of its own, after you connect.',
    });
  }
}
