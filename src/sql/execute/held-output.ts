/** What a client is to get of a statement that may have to begin anew. */
import { MessageWriter } from '../../wire/message-writer.js';
import type { ClientPort } from '../ports.js';

/** What is held at most, in bytes: more has to be proven before the client gets it. */
const heldBytesMax = 4 * 1024 * 1024;

/** Stands for the client until it is proven that what it gets is right. */
export class HeldOutput implements ClientPort {
  readonly writer = new MessageWriter();
  #held: Buffer[] = [];
  #held_bytes = 0;
  #state: 'held' | 'given' | 'dropped' = 'held';
  #deciding: Promise<void> | undefined;

  /**
   * @param client gets what is proven
   * @param prove tells whether what was written so far is right
   */
  constructor(
    private readonly client: ClientPort,
    private readonly prove: () => Promise<boolean>,
  ) {}

  /** The client has got some of it: the statement cannot begin anew. */
  get isGiven(): boolean {
    return this.#state === 'given';
  }

  written(): void | Promise<void> {
    if (this.writer.length > 0) return this.write(this.writer.take());
  }

  write(messages: Uint8Array): void | Promise<void> {
    if (this.#state === 'given') return this.client.write(messages);
    if (this.#state === 'dropped') return undefined;
    this.#held.push(Buffer.from(messages));
    this.#held_bytes += messages.length;
    if (this.#held_bytes > heldBytesMax) {
      this.#deciding ??= this.#decide();
      return this.#deciding;
    }
  }

  notice(...notice: Parameters<ClientPort['notice']>): void {
    this.client.notice(...notice);
  }

  /** It is right: the client gets what was held, and what follows. */
  async give(): Promise<void> {
    if (this.#state === 'given') return;
    this.#state = 'given';
    const held = this.#held;
    this.#held = [];
    for (const messages of held) await this.client.write(messages);
  }

  async #decide(): Promise<void> {
    if (await this.prove()) return this.give();
    this.#state = 'dropped';
    this.#held = [];
  }
}
