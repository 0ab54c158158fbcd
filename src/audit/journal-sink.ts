import { Worker } from 'node:worker_threads';
import { ClarusError } from '../errors.js';
import type { JournalFileOptions } from './journal-file.js';
import type { ThreadAnswer, ThreadRequest } from './thread-messages.js';

/**
 * Where encoded events go. The file's own sink is below; a worker process hands its batches to the process that
 * owns the file through one of its own making.
 */
export interface JournalSink {
  /**
   * @param events encoded events, lines of an `EventBatch`
   * @returns when they are on disk
   * @throws ClarusError when none of them is, and the same bytes may be given again
   */
  write(events: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Opens the journal's file in a thread of its own. @throws ClarusError 22023 (origin) or 58030 (file) */
export async function openJournalSink(options: JournalFileOptions): Promise<JournalSink> {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(options.origin)) {
    throw new ClarusError(
      '22023',
      'the origin of an audit journal is 1 to 64 letters, digits, ".", "_" or "-"',
    );
  }
  const thread = startThread('journal-thread', { ...options });
  const sink = new ThreadSink(thread);
  await sink.opened;
  return sink;
}

/** Starts the thread whose file lies beside this one: compiled in the package, TypeScript in the source tree. */
function startThread(name: string, workerData: unknown): Worker {
  if (!import.meta.url.endsWith('.ts')) {
    return new Worker(new URL(`./${name}.js`, import.meta.url), { workerData });
  }
  // Node 20 does not give a thread the loader of its parent, so it has to load TypeScript's own
  const [loader, file] = [import.meta.resolve('tsx/esm/api'), new URL(`./${name}.ts`, import.meta.url).href];
  const program = `import('${loader}').then(tsx => (tsx.register(), import('${file}')))`;
  return new Worker(program, { eval: true, workerData });
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: ClarusError) => void;
}

class ThreadSink implements JournalSink {
  readonly opened: Promise<void>;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiter>();
  #nextId = 1;
  #dead: ClarusError | undefined;

  constructor(thread: Worker) {
    this.#thread = thread;
    this.opened = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve, reject });
    });
    thread.on('message', (answer: ThreadAnswer) => this.#take(answer));
    thread.on('error', error => this.#end(error.name));
    thread.on('exit', code => this.#end(`exit ${code}`));
  }

  write(events: Uint8Array): Promise<void> {
    return this.#ask(id => ({ kind: 'append', id, events }));
  }

  close(): Promise<void> {
    return this.#ask(id => ({ kind: 'close', id }));
  }

  #ask(request: (id: number) => ThreadRequest): Promise<void> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#thread.postMessage(request(id));
    });
  }

  #take(answer: ThreadAnswer): void {
    const id = answer.kind === 'opened' ? 0 : answer.id;
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (answer.kind !== 'failed') waiter?.resolve();
    else {
      const { code, message, hint } = answer;
      waiter?.reject(new ClarusError(code, message, hint === undefined ? {} : { hint }));
    }
  }

  #end(why: string): void {
    this.#dead ??= new ClarusError('58000', `the thread that writes the audit journal has ended (${why})`);
    for (const { reject } of this.#waiting.values()) reject(this.#dead);
    this.#waiting.clear();
  }
}
