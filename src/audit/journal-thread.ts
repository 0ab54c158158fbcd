/** The thread that writes the journal: batches come in by message, and are answered when they are on disk. */
import { parentPort, workerData } from 'node:worker_threads';
import { ClarusError } from '../errors.js';
import { JournalFile, type JournalFileOptions } from './journal-file.js';
import type { ThreadAnswer, ThreadRequest } from './thread-messages.js';

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread');
const answer = (message: ThreadAnswer): void => port.postMessage(message);

const waiting: { id: number; events: Uint8Array }[] = [];
let busy = false;
let closing: number | undefined;

const failure = (error: unknown): { code: string; message: string; hint: string | undefined } =>
  error instanceof ClarusError
    ? { code: error.code, message: error.message, hint: error.fields.hint }
    : { code: 'XX000', message: 'the thread of the audit journal failed', hint: undefined };

try {
  const file = await JournalFile.open(workerData as JournalFileOptions);
  port.on('message', (request: ThreadRequest) => {
    if (request.kind === 'append') waiting.push(request);
    else closing = request.id;
    if (!busy) void writeAll(file);
  });
  answer({ kind: 'opened' });
} catch (error) {
  answer({ kind: 'failed', id: 0, ...failure(error) });
  port.close();
}

/** Writes what has come in together, with one sync of the disk, until nothing is left. */
async function writeAll(file: JournalFile): Promise<void> {
  busy = true;
  while (waiting.length > 0) {
    const batch = waiting.splice(0);
    try {
      await file.append(Buffer.concat(batch.map(({ events }) => events)));
      for (const { id } of batch) answer({ kind: 'done', id });
    } catch (error) {
      for (const { id } of batch) answer({ kind: 'failed', id, ...failure(error) });
    }
  }
  busy = false;
  if (closing !== undefined) {
    await file.close();
    answer({ kind: 'done', id: closing });
    port!.close();
  }
}
