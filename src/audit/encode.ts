import type { Actor, AuditEvent, StatementEndEvent, StatementEvent, StatementFacts } from './events.js';

const newline = 0x0a;
const firstReserve_bytes = 16 * 1024;

/**
 * Events on their way to the file, as the members of JSON objects without their braces: one line an event, each
 * ended by a newline. The thread that writes the file puts the sequence number before and the checksum behind.
 */
export class EventBatch {
  /** events held */
  count = 0;
  /** bytes held */
  size_bytes = 0;
  #buffer = Buffer.alloc(0);
  /** the part of a statement's line that is the same each time it runs */
  readonly #statements = new WeakMap<StatementFacts, Buffer>();
  #lastTime_ms = Number.NaN;
  #lastTime = '';
  #lastUser = '';
  #lastUserText = '""';

  /** @param time_ms when it happened, milliseconds since 1970 */
  add(event: AuditEvent, time_ms: number): void {
    if (event.kind === 'statement') this.#addStatement(event, time_ms);
    else if (event.kind === 'statement-end') this.#addStatementEnd(event, time_ms);
    else {
      const plain = event.kind === 'rows' ? { ...event, rows: Array.from(event.rows) } : event;
      this.#text(`"time":"${this.#timeText(time_ms)}",${JSON.stringify(plain).slice(1, -1)}`);
    }
    this.#reserve(1);
    this.#buffer[this.size_bytes++] = newline;
    this.count++;
  }

  /** Hands out the lines and begins anew in fresh memory. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.size_bytes);
    this.#buffer = Buffer.alloc(0);
    this.size_bytes = 0;
    this.count = 0;
    return taken;
  }

  #addStatement(event: StatementEvent, time_ms: number): void {
    const { statement } = event;
    this.#text(`${this.#begin(event, time_ms)},`);
    let facts = this.#statements.get(statement);
    if (facts === undefined) {
      facts = Buffer.from(JSON.stringify(statement).slice(1, -1), 'utf8');
      this.#statements.set(statement, facts);
    }
    this.#reserve(facts.length);
    this.#buffer.set(facts, this.size_bytes);
    this.size_bytes += facts.length;
  }

  #addStatementEnd(event: StatementEndEvent, time_ms: number): void {
    const { rows, code, fetched, duration_ms } = event;
    const failed = code === undefined ? '' : `,"code":${JSON.stringify(code)}`;
    const split = fetched === undefined ? '' : `,"fetched":${JSON.stringify(fetched)}`;
    this.#text(`${this.#begin(event, time_ms)},"rows":${rows}${failed}${split},"duration_ms":${duration_ms}`);
  }

  #begin({ kind, user, session, number }: Began, time_ms: number): string {
    if (user !== this.#lastUser) {
      this.#lastUser = user;
      this.#lastUserText = JSON.stringify(user);
    }
    return `"time":"${this.#timeText(time_ms)}","kind":"${kind}","user":${this.#lastUserText},"session":${session},"number":${number}`;
  }

  #text(text: string): void {
    // three bytes hold any UTF-16 unit in UTF-8
    this.#reserve(3 * text.length);
    this.size_bytes += this.#buffer.write(text, this.size_bytes, 'utf8');
  }

  #reserve(size: number): void {
    const needed = this.size_bytes + size;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length, firstReserve_bytes));
    this.#buffer.copy(grown, 0, 0, this.size_bytes);
    this.#buffer = grown;
  }

  /** ISO 8601. Events of one millisecond share the text. */
  #timeText(time_ms: number): string {
    if (time_ms !== this.#lastTime_ms) {
      this.#lastTime_ms = time_ms;
      this.#lastTime = new Date(time_ms).toISOString();
    }
    return this.#lastTime;
  }
}

type Began = Actor & { readonly kind: 'statement' | 'statement-end'; readonly number: number };
