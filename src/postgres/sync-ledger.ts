/** Kinds of entries, small integers because they are kept in an array on the hot path. */
const query = 1;
const sync = 2;
const copyEnd = 3;

/**
 * Counts what a client has asked and the server not yet answered with ReadyForQuery, by watching both streams
 * go by: whether a session is idle is decided here.
 *
 * The difficulty is COPY FROM STDIN: Sync messages that arrive during it are ignored by the server (CopyGetData
 * in PostgreSQL's copyfromparse.c), and a client may have sent one with the Execute that began the COPY.
 */
export class SyncLedger {
  /** queries and syncs in order, with the ends of COPY data between them */
  #entries: number[] = [];
  #requests = 0;
  #copying = false;
  /** messages were sent that no Sync has followed yet */
  #open = false;

  /** Nothing is asked, nothing is half asked. */
  get idle(): boolean {
    return this.#requests === 0 && !this.#open && !this.#copying;
  }

  /** The client's next message begins a batch of its own: nothing unsynchronised stands before it. */
  get betweenBatches(): boolean {
    return !this.#open && !this.#copying;
  }

  /** A Query or FunctionCall goes to the server. */
  query(): void {
    this.#entries.push(query);
    this.#requests++;
    this.#open = false;
  }

  /** A Sync goes to the server. */
  sync(): void {
    if (this.#copying) return;
    this.#entries.push(sync);
    this.#requests++;
    this.#open = false;
  }

  /** A message of the extended protocol goes to the server; a Sync will follow. */
  message(): void {
    this.#open = true;
  }

  /** CopyDone or CopyFail goes to the server. */
  copyEnded(): void {
    this.#copying = false;
    if (this.#entries.length === 0 || this.#entries[0] !== query) this.#open = true;
    if (this.#entries.length > 0) this.#entries.push(copyEnd);
  }

  /** The server sent CopyInResponse. */
  copyBegan(): void {
    const at = this.#entries[0] === query ? 1 : 0;
    while (at < this.#entries.length && this.#entries[at] === sync) {
      this.#entries.splice(at, 1);
      this.#requests--;
    }
    if (this.#entries[at] === copyEnd) {
      this.#entries.splice(at, 1);
      return;
    }
    this.#copying = true;
  }

  /** The server sent an ErrorResponse: a COPY that was running is over, and a Sync counts again. */
  failed(): void {
    if (!this.#copying) return;
    this.#copying = false;
    if (this.#requests === 0) this.#open = true;
  }

  /** The server sent ReadyForQuery. */
  ready(): void {
    this.#copying = false;
    while (this.#entries.length > 0) {
      const entry = this.#entries.shift();
      if (entry === copyEnd) continue;
      this.#requests--;
      break;
    }
    while (this.#entries[0] === copyEnd) this.#entries.shift();
  }
}
