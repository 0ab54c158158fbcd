import type { AuditEvent, StatementFacts } from './events.js';

/**
 * Writes events as the members of a JSON object, without its braces: one line an event. The thread that writes
 * the file puts the sequence number before and the checksum behind.
 */
export class EventEncoder {
  /** the part of a statement's line that is the same each time it runs */
  readonly #statements = new WeakMap<StatementFacts, string>();
  #lastTime_ms = Number.NaN;
  #lastTime = '';

  /** @param time_ms when it happened, milliseconds since 1970 */
  encode(event: AuditEvent, time_ms: number): string {
    const time = `"time":"${this.#timeText(time_ms)}"`;
    if (event.kind === 'statement') {
      const { user, session, rows, code, statement } = event;
      const failed = code === undefined ? '' : `,"code":${JSON.stringify(code)}`;
      const facts = this.#statementText(statement);
      return `${time},"kind":"statement","user":${JSON.stringify(user)},"session":${session},"rows":${rows}${failed},${facts}`;
    }
    const plain = event.kind === 'rows' ? { ...event, rows: Array.from(event.rows) } : event;
    return `${time},${JSON.stringify(plain).slice(1, -1)}`;
  }

  #statementText(statement: StatementFacts): string {
    const known = this.#statements.get(statement);
    if (known !== undefined) return known;
    const text = JSON.stringify(statement).slice(1, -1);
    this.#statements.set(statement, text);
    return text;
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
