import type { TemporaryPort } from '../sql/ports.js';

let sessions = 0;

/** What a session knows of its temporary objects, which stand on the connection that analyses its statements. */
export class TemporaryObjects implements TemporaryPort {
  #made = false;
  #revision = 0;

  /** no other session of this process has had it */
  readonly #session = ++sessions;

  get exist(): boolean {
    return this.#made;
  }

  get state(): string {
    return this.#made ? `${this.#session}.${this.#revision}` : '';
  }

  changed(): void {
    this.#made = true;
    this.#revision++;
  }

  /** A transaction or a part of it has ended, and with it what it made or was to drop. */
  ended(): void {
    if (this.#made) this.#revision++;
  }
}
