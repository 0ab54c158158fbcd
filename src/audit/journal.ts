import { ClarusError } from '../errors.js';
import { EventBatch } from './encode.js';
import { type AuditEvent, type AuditLevel, includes, levelOf } from './events.js';
import type { JournalFileOptions } from './journal-file.js';
import { type JournalSink, openJournalSink } from './journal-sink.js';

/** Events encoded at once: few enough that the thread of the sessions is not held up. */
const encodeTogether = 256;
/** How long events that are no acts may wait to be sent; the first one after such a time does not wait. */
const sendAfter_ms = 100;
/** How long a batch that could not be written waits to be tried again. */
const retryAfter_ms = 1_000;
const queueBytesMaxDefault = 8 * 1024 * 1024;
/** an estimate for events that are not yet encoded */
const event_bytes = 400;

/**
 * The audit journal, as sessions see it.
 *
 * @example
 * if (!journal.append({ kind: 'statement', user, session, number, statement })) await journal.drained();
 */
export interface Journal {
  /** True when events of a level are recorded: ask before making costly ones. */
  records(level: AuditLevel): boolean;
  /**
   * Records an event, unless the level leaves it out. Costs less than a microsecond: encoding and writing come
   * later, in bulk.
   * @returns false when much is waiting to be written, or nothing can be: await `drained` before going on
   * @throws ClarusError 53400 when a caller did not wait and twice the bound is waiting
   */
  append(event: AuditEvent): boolean;
  /** Resolves when there is room again. @throws ClarusError 53100, 58030 while the file cannot be written */
  drained(): Promise<void>;
  /** Resolves when everything appended so far is on disk. @throws like `drained` */
  flush(): Promise<void>;
  /** Writes what is left and lets go of the file. */
  close(): Promise<void>;
}

/** What a journal records, and how much may wait. */
export interface JournalOptions {
  readonly level: AuditLevel;
  /** bound of what waits in memory; default 8 MiB */
  readonly queueBytesMax?: number;
}

/** Opens the journal of this process. @throws ClarusError 22023 (origin) or 58030 (file) */
export async function openJournal(options: JournalFileOptions & JournalOptions): Promise<Journal> {
  const { level, queueBytesMax, ...file } = options;
  const sink = await openJournalSink(file);
  return createJournal(sink, queueBytesMax === undefined ? { level } : { level, queueBytesMax });
}

/** Makes a journal over a sink, as for a worker process. */
export const createJournal = (sink: JournalSink, options: JournalOptions): Journal =>
  new QueueingJournal(sink, options);

interface Waiter {
  /** number of events that must be on disk; undefined: room is enough */
  readonly upTo: number | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class QueueingJournal implements Journal {
  readonly #sink: JournalSink;
  readonly #level: AuditLevel;
  readonly #queueBytesMax: number;
  /** events not yet encoded, and when each happened */
  #events: AuditEvent[] = [];
  #times_ms: number[] = [];
  /** encoded and not yet sent */
  readonly #batch = new EventBatch();
  /** sent and not yet on disk */
  #sent_bytes = 0;
  #sending = false;
  #sentAt_ms = 0;
  /** true when more is to be sent as soon as the batch under way is on disk */
  #urgent = false;
  #appended = 0;
  #durable = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #failure: unknown;
  #waiters: Waiter[] = [];
  #closed = false;

  constructor(sink: JournalSink, { level, queueBytesMax = queueBytesMaxDefault }: JournalOptions) {
    this.#sink = sink;
    this.#level = level;
    this.#queueBytesMax = queueBytesMax;
  }

  records(level: AuditLevel): boolean {
    return includes(this.#level, level);
  }

  append(event: AuditEvent): boolean {
    const level = levelOf(event);
    if (includes(this.#level, level)) {
      if (this.#closed) throw new Error('the audit journal is closed');
      if (this.#waiting_bytes > 2 * this.#queueBytesMax) throw queueFull();
      this.#events.push(event);
      this.#times_ms.push(Date.now());
      this.#appended++;
      if (this.#events.length >= encodeTogether) this.#encode();
      if (level === 'acts' || this.#rested) this.#sendSoon();
      else this.#timer ??= setTimeout(() => this.#send(), sendAfter_ms);
    }
    return this.#hasRoom;
  }

  drained(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#hasRoom) return Promise.resolve();
    this.#sendSoon();
    return this.#wait(undefined);
  }

  flush(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#durable === this.#appended) return Promise.resolve();
    this.#sendSoon();
    return this.#wait(this.#appended);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.flush();
    } finally {
      clearTimeout(this.#timer);
      clearImmediate(this.#immediate);
      await this.#sink.close();
    }
  }

  /** Nothing was sent for a while: a lone statement is on its way to disk while the cloud works on it. */
  get #rested(): boolean {
    return this.#times_ms.at(-1)! - this.#sentAt_ms >= sendAfter_ms;
  }

  get #waiting_bytes(): number {
    return this.#sent_bytes + this.#batch.size_bytes + this.#events.length * event_bytes;
  }

  get #hasRoom(): boolean {
    return this.#failure === undefined && this.#waiting_bytes <= this.#queueBytesMax;
  }

  #wait(upTo: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ upTo, resolve, reject });
    });
  }

  #encode(): void {
    const events = this.#events;
    const times_ms = this.#times_ms;
    this.#events = [];
    this.#times_ms = [];
    for (let i = 0; i < events.length; i++) this.#batch.add(events[i]!, times_ms[i]!);
  }

  /** At the end of this turn of the event loop, so that the acts of a turn travel together. */
  #sendSoon(): void {
    this.#immediate ??= setImmediate(() => this.#send());
  }

  /** One batch is under way at a time: order is kept when one has to be tried again. */
  #send(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
    this.#urgent = this.#sending;
    if (this.#sending) return;
    this.#encode();
    const { count } = this.#batch;
    if (count === 0) return;
    const events = this.#batch.take();
    this.#sent_bytes = events.length;
    this.#sending = true;
    this.#sentAt_ms = Date.now();
    this.#deliver(events, count);
  }

  #deliver(events: Uint8Array, count: number): void {
    this.#sink.write(events).then(
      () => {
        this.#sending = false;
        this.#failure = undefined;
        this.#durable += count;
        this.#sent_bytes = 0;
        this.#wakeWaiters();
        if (this.#urgent) this.#send();
      },
      (error: unknown) => {
        this.#failure = error;
        for (const { reject } of this.#waiters.splice(0)) reject(error);
        if (!this.#closed) setTimeout(() => this.#deliver(events, count), retryAfter_ms).unref();
      },
    );
  }

  #wakeWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      const done = waiter.upTo === undefined ? this.#hasRoom : waiter.upTo <= this.#durable;
      if (done) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}

const queueFull = (): ClarusError =>
  new ClarusError('53400', 'the audit journal cannot be written as fast as events come', {
    hint: 'Nothing is served that cannot be recorded; check the disk of the journal.',
  });
