import { FrameReader } from '../wire/frame-reader.js';
import { frontendLimits, frontendTypes } from '../wire/protocol.js';
import type { ClientCopy } from './client-copy.js';
import type { ClientOutput } from './client-output.js';
import { CopyPhase } from './copy-phase.js';
import { holds } from './endpoint.js';
import type { ModeHost } from './mode.js';
import type { Pipeline } from './pipeline.js';

/** Who understands the messages. */
export interface LoopHandlers {
  /** One message. @returns a promise when later ones must wait for it */
  handle(reader: FrameReader): void | Promise<void>;
  /** that promise was rejected */
  fail(error: unknown): void;
  /** all messages at hand have been worked on */
  rested(): void;
}

/**
 * Takes the client's messages one after the other: without a pause while nothing must be waited for, and held up
 * while something must. What one chunk of the client asked of the cloud goes out in one write.
 */
export class ClientLoop {
  /** a message is being worked on */
  busy = false;
  readonly #host: ModeHost;
  readonly #pipeline: Pipeline;
  readonly #output: ClientOutput;
  readonly #handlers: LoopHandlers;
  readonly #reader: FrameReader;
  /** answers of ours that may wait for those of the server */
  readonly #ownBytesMax: number;
  #copy: CopyPhase | undefined;
  #pumping = false;
  #sendScheduled = false;

  constructor(host: ModeHost, pipeline: Pipeline, output: ClientOutput, handlers: LoopHandlers) {
    this.#host = host;
    this.#pipeline = pipeline;
    this.#output = output;
    this.#handlers = handlers;
    const { message_bytes_max: limit, client_buffer_bytes_max } = host.options.limits;
    this.#ownBytesMax = client_buffer_bytes_max;
    this.#reader = new FrameReader({ tagged: true, limits: frontendLimits(limit) });
    output.awaits = () => !pipeline.idle;
  }

  /** A Sync of the client is at hand, behind the message that is being worked on. */
  get syncIsNext(): boolean {
    return this.#reader.nextType === frontendTypes.sync;
  }

  get idle(): boolean {
    return !this.busy && this.#reader.atBoundary;
  }

  data(chunk: Buffer): void {
    this.#reader.push(chunk);
    this.#pump();
  }

  /** The client has read what it was answered. */
  drained(): void {
    this.#host.client.release(holds.unread);
    this.#pump();
  }

  /** Runs a COPY FROM STDIN: the client's messages are its data until it is over. */
  copy(copy: ClientCopy): Promise<void> {
    const phase = new CopyPhase(copy);
    this.#copy = phase;
    queueMicrotask(() => this.#host.guard(() => this.#pump()));
    return phase.over.finally(() => {
      if (this.#copy === phase) this.#copy = undefined;
    });
  }

  /** The server has ended the COPY, or the session is over. */
  copyOver(): void {
    this.#copy?.abandon();
  }

  /** Later messages wait until this has settled. */
  wait(pending: Promise<void>): void {
    this.busy = true;
    this.#output.executing = true;
    const done = (): void => {
      this.busy = false;
      this.#output.executing = false;
      this.#host.guard(() => this.#pump());
    };
    pending.then(done, error => {
      this.#host.guard(() => this.#handlers.fail(error));
      done();
    });
  }

  /** Works on the client's messages until one must be waited for. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (!this.#host.ended) {
        const copy = this.#copy;
        if (copy !== undefined && !copy.ended) {
          if (copy.busy) break;
          const more = this.#reader.next();
          if (more && this.#reader.type === frontendTypes.terminate) {
            this.#host.clientLeft();
            return;
          }
          const pending = more ? copy.message(this.#reader) : copy.pause();
          if (pending !== undefined) {
            void pending.then(() => this.#host.guard(() => this.#pump()));
            break;
          }
          if (!more) break;
          continue;
        }
        if (this.busy) break;
        if (this.#output.overfull) {
          this.#host.client.hold(holds.unread);
          break;
        }
        if (this.#pipeline.own_bytes > this.#ownBytesMax) {
          this.wait(this.#pipeline.ownTurn());
          break;
        }
        if (!this.#reader.next()) break;
        const pending = this.#handlers.handle(this.#reader);
        if (pending !== undefined) this.wait(pending);
      }
    } finally {
      this.#pumping = false;
    }
    this.finish();
  }

  /** Everything that one chunk of the client asked for goes out at once. */
  finish(): void {
    const { client, ended } = this.#host;
    if (ended) return;
    const pipeline = this.#pipeline;
    pipeline.advance();
    const copying = this.#copy !== undefined && !this.#copy.ended;
    if (this.busy && !copying) this.#sendSoon();
    else if (!pipeline.send()) client.hold(holds.full);
    if (copying ? this.#copy!.busy : this.busy) client.hold(holds.busy);
    else client.release(holds.busy);
    this.#output.flush();
    this.#handlers.rested();
  }

  /** What is written goes out even when the message being worked on waits for something else. */
  #sendSoon(): void {
    if (this.#sendScheduled || this.#pipeline.writer.length === 0) return;
    this.#sendScheduled = true;
    setImmediate(() => {
      this.#sendScheduled = false;
      if (!this.#host.ended) this.#pipeline.send();
    });
  }
}
