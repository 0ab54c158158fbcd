import { ClarusError } from '../errors.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { frontendTypes } from '../wire/protocol.js';
import type { ClientCopy } from './client-copy.js';

/** While the client sends the data of COPY FROM STDIN: which messages have a place, and when it is over. */
export class CopyPhase {
  /** resolves when the data have ended; rejects when the client or the execution gave up */
  readonly over: Promise<void>;
  /** more messages must wait */
  busy = false;
  ended = false;
  readonly #copy: ClientCopy;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(copy: ClientCopy) {
    this.#copy = copy;
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** A message of the client. @returns a promise that never rejects, when later ones must wait */
  message(reader: FrameReader): Promise<void> | undefined {
    switch (reader.type) {
      case frontendTypes.copyData:
        return this.#work(() => this.#copy.data(reader), false);
      case frontendTypes.copyDone:
        return this.#work(() => this.#copy.done(), true);
      case frontendTypes.copyFail: {
        const reason = reader.buffer.toString('utf8', reader.body, Math.max(reader.body, reader.end - 1));
        return this.#work(() => this.#copy.fail(reason.replaceAll('\0', '')), true);
      }
      case frontendTypes.flush:
      case frontendTypes.sync:
        // sent by libraries that did not notice that the statement was COPY (CopyGetData in copyfromparse.c)
        return undefined;
      default: {
        const type = reader.type.toString(16).toUpperCase().padStart(2, '0');
        const message = `unexpected message type 0x${type} during COPY from stdin`;
        return this.#work(async () => {
          await Promise.resolve(this.#copy.fail(message)).catch(() => undefined);
          throw new ClarusError('08P01', message);
        }, true);
      }
    }
  }

  /** No more messages are at hand. */
  pause(): Promise<void> | undefined {
    return this.#work(() => this.#copy.pause(), false);
  }

  /** It is over for another reason: the server refused it, or the session ended. */
  abandon(): void {
    this.ended = true;
    this.#resolve();
  }

  #work(task: () => void | Promise<void>, last: boolean): Promise<void> | undefined {
    let pending: void | Promise<void>;
    try {
      pending = task();
    } catch (error) {
      this.#fault(error);
      return undefined;
    }
    if (pending === undefined) {
      if (last) this.abandon();
      return undefined;
    }
    this.busy = true;
    return pending.then(
      () => {
        this.busy = false;
        if (last) this.abandon();
      },
      error => this.#fault(error),
    );
  }

  #fault(error: unknown): void {
    this.busy = false;
    this.ended = true;
    this.#reject(error);
  }
}
