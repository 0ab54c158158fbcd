import { constants, type FileHandle, mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ClarusError } from '../errors.js';
import { EventBatch } from './encode.js';
import { frameLines, scanJournal } from './record.js';

/** A file larger than this is set aside, and a new one begun. */
export const rotateBytesDefault = 64 * 1024 * 1024;
const sequenceDigits = 16;

/** Where a journal lies. */
export interface JournalFileOptions {
  readonly directory: string;
  /** name of this proxy among those that share a trusted database; part of file names */
  readonly origin: string;
  readonly rotate_bytes?: number;
}

/**
 * The file of a journal, appended to by this object alone. Everything a call of `append` was given is on disk
 * when it resolves; when it rejects, nothing of it is in the file.
 */
export class JournalFile {
  readonly #options: JournalFileOptions;
  readonly #path: string;
  #file: FileHandle;
  #size_bytes: number;
  #sequence: number;
  /** sequence number of the file's first line, or of the line that will be it */
  #first: number;

  private constructor(options: JournalFileOptions, path: string, file: FileHandle, last: number) {
    this.#options = options;
    this.#path = path;
    this.#file = file;
    this.#size_bytes = 0;
    this.#sequence = last;
    this.#first = last + 1;
  }

  /**
   * Opens the journal, and makes good what a crash left: a torn end is cut off, and a file with damage inside is
   * set aside as it is. Either is recorded.
   * @throws ClarusError 58030 when directory or file cannot be used
   */
  static async open(options: JournalFileOptions): Promise<JournalFile> {
    const path = join(options.directory, `journal-${options.origin}.jsonl`);
    try {
      await mkdir(options.directory, { recursive: true, mode: 0o700 });
      return await JournalFile.#open(options, path);
    } catch (error) {
      throw writeError(path, error);
    }
  }

  static async #open(options: JournalFileOptions, path: string): Promise<JournalFile> {
    const file = await openForAppending(path);
    const bytes = await file.readFile();
    const scan = scanJournal(bytes);
    const highest = scan.damagedInside ? highestSequence(bytes) : scan.last;
    const last = highest > 0 ? highest : await lastSetAside(options);
    const journal = new JournalFile(options, path, file, last);
    journal.#size_bytes = bytes.length;
    if (scan.last > 0) journal.#first = firstOf(bytes);
    if (scan.good_bytes === bytes.length) return journal;
    const cut_bytes = scan.damagedInside ? 0 : bytes.length - scan.good_bytes;
    let name = path;
    if (scan.damagedInside) name = await journal.#setAside();
    else {
      await file.truncate(scan.good_bytes);
      journal.#size_bytes = scan.good_bytes;
    }
    const event = { kind: 'journal-repaired', file: name, offset_bytes: scan.good_bytes, cut_bytes } as const;
    const batch = new EventBatch();
    batch.add(event, Date.now());
    await journal.append(batch.take());
    return journal;
  }

  /** sequence number of the last line */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Appends encoded events, lines of an `EventBatch`, and waits until they are on disk.
   * @throws ClarusError 53100 (disk full) or 58030, and 55006 when somebody else writes to the file
   */
  async append(events: Buffer): Promise<void> {
    const { bytes, lines } = frameLines(events, this.#sequence + 1);
    try {
      const { size } = await this.#file.stat();
      if (size !== this.#size_bytes) {
        throw new ClarusError('55006', `the audit journal ${this.#path} is written by another process`, {
          hint: 'Give each proxy an origin of its own.',
        });
      }
      if (size > 0 && size + bytes.length > (this.#options.rotate_bytes ?? rotateBytesDefault)) {
        await this.#setAside();
      }
      await this.#write(bytes);
    } catch (error) {
      throw writeError(this.#path, error);
    }
    this.#size_bytes += bytes.length;
    this.#sequence += lines;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(bytes: Buffer): Promise<void> {
    try {
      for (let written = 0; written < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written);
        written += bytesWritten;
      }
      await this.#file.datasync();
    } catch (error) {
      await this.#file.truncate(this.#size_bytes);
      throw error;
    }
  }

  /** Renames the file after its first line, and begins a new one. @returns its new name */
  async #setAside(): Promise<string> {
    const number = String(this.#first).padStart(sequenceDigits, '0');
    const name = join(this.#options.directory, `journal-${this.#options.origin}-${number}.jsonl`);
    await rename(this.#path, name);
    const old = this.#file;
    this.#file = await openForAppending(this.#path);
    await old.close();
    await syncDirectory(this.#options.directory);
    this.#size_bytes = 0;
    this.#first = this.#sequence + 1;
    return name;
  }
}

async function openForAppending(path: string): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_APPEND } = constants;
  const file = await open(path, O_RDWR | O_CREAT | O_APPEND, 0o600);
  await syncDirectory(join(path, '..'));
  return file;
}

/** Names in a directory are on disk only when the directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Sequence number of the last line of the files set aside; 0: there is none. */
async function lastSetAside({ directory, origin }: JournalFileOptions): Promise<number> {
  const start = `journal-${origin}-`;
  const names = (await readdir(directory)).filter(
    name => name.startsWith(start) && /^[0-9]{16}\.jsonl$/.test(name.slice(start.length)),
  );
  let last = 0;
  // the highest number is the youngest; one with damage inside may hold lines behind the damage
  for (const name of names.sort().slice(-1)) last = highestSequence(await readFile(join(directory, name)));
  return last;
}

function highestSequence(bytes: Buffer): number {
  let highest = 0;
  for (let start = 0; start < bytes.length; ) {
    const scan = scanJournal(bytes.subarray(start));
    highest = Math.max(highest, scan.last);
    if (!scan.damagedInside) break;
    start = bytes.indexOf(0x0a, start + scan.good_bytes) + 1;
  }
  return highest;
}

const firstOf = (bytes: Buffer): number => scanJournal(bytes.subarray(0, bytes.indexOf(0x0a) + 1)).last;

/** Words an error of the file system. */
function writeError(path: string, error: unknown): ClarusError {
  if (error instanceof ClarusError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ClarusError(
      '53100',
      `the audit journal ${path} cannot be written: no space left on the disk`,
      {
        hint: 'Free some space; nothing is served that cannot be recorded.',
      },
    );
  }
  return new ClarusError('58030', `the audit journal ${path} cannot be written (${code})`, {
    hint: 'Check directory, disk and permissions.',
  });
}
