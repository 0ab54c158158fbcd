/** Sessions that one worker can tell apart. */
const sessionBits = 20;
const sessionsMax = 1 << sessionBits;

/**
 * Process ids told to clients: the worker's number in the high bits, so that any worker can say whose a
 * CancelRequest is. A freed id is not given again soon: an old client's late request must not find a new session.
 */
export class ProcessIds {
  readonly #base: number;
  readonly #used = new Set<number>();
  #next = 1;

  /** @param worker 0 to 2046 */
  constructor(worker: number) {
    this.#base = worker * sessionsMax;
  }

  take(): number {
    while (this.#used.has(this.#next)) this.#next = this.#after(this.#next);
    const session = this.#next;
    this.#next = this.#after(session);
    this.#used.add(session);
    return this.#base + session;
  }

  free(processId: number): void {
    this.#used.delete(processId - this.#base);
  }

  workerOf(processId: number): number {
    return Math.floor((processId >>> 0) / sessionsMax);
  }

  #after(session: number): number {
    return session + 1 === sessionsMax ? 1 : session + 1;
  }
}
