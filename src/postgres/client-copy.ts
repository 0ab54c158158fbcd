import { ClarusError } from '../errors.js';
import type { CopyInExecution } from '../sql/ports.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { frontendTypes } from '../wire/protocol.js';
import type { Pipeline } from './pipeline.js';

/**
 * A COPY FROM STDIN while the client sends its data. It resolves with undefined when more may come at once, with
 * a promise to wait for otherwise.
 */
export interface ClientCopy {
  /** CopyData */
  data(reader: FrameReader): void | Promise<void>;
  /** the client's data so far are handed over before the session waits for more */
  pause(): void | Promise<void>;
  /** CopyDone */
  done(): void | Promise<void>;
  /** CopyFail, or a message that has no place here */
  fail(reason: string): void | Promise<void>;
}

/** COPY of a table that is not protected: the cloud gets the client's messages as they are. */
export class PassCopy implements ClientCopy {
  readonly #pipeline: Pipeline;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  data({ buffer, start, end }: FrameReader): void {
    this.#pipeline.writer.slice(buffer, start, end);
  }

  pause(): void | Promise<void> {
    if (!this.#pipeline.send()) return this.#pipeline.room();
  }

  done(): void {
    this.#pipeline.writer.empty(frontendTypes.copyDone);
    this.#pipeline.writer.empty(frontendTypes.flush);
  }

  fail(reason: string): void {
    const { writer } = this.#pipeline;
    writer.begin(frontendTypes.copyFail);
    writer.cstring(reason);
    writer.end();
    writer.empty(frontendTypes.flush);
  }
}

/** Payload gathered before it is handed over, bytes. */
const gatheredBytesMax = 256 * 1024;

/** COPY of a protected table: an execution of ours takes the payload. */
export class ProtectedCopy implements ClientCopy {
  readonly #execution: CopyInExecution;
  readonly #completed: (tag: string) => void;
  #gathered: Buffer[] = [];
  #size = 0;

  constructor(execution: CopyInExecution, completed: (tag: string) => void) {
    this.#execution = execution;
    this.#completed = completed;
  }

  data({ buffer, body, end }: FrameReader): void | Promise<void> {
    this.#gathered.push(buffer.subarray(body, end));
    this.#size += end - body;
    if (this.#size >= gatheredBytesMax) return this.pause();
  }

  pause(): void | Promise<void> {
    if (this.#size === 0) return;
    const data = this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered, this.#size);
    this.#gathered = [];
    this.#size = 0;
    return this.#execution.write(data);
  }

  async done(): Promise<void> {
    await this.pause();
    const { tag } = await this.#execution.finish();
    this.#completed(tag);
  }

  async fail(reason: string): Promise<void> {
    this.#gathered = [];
    this.#size = 0;
    await this.#execution.fail(reason);
    throw new ClarusError('57014', `COPY from stdin failed: ${reason}`);
  }
}
