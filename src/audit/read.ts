/** Reads what journals hold (docs/spec/audit.md): the lines of every origin of a directory, in the order of time. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sequenceOf } from './record.js';

/** One line of a journal, or what stands where one should be. */
export type JournalLine =
  | {
      readonly kind: 'event';
      readonly origin: string;
      readonly event: Readonly<Record<string, unknown>> & { readonly time: string; readonly kind: string };
    }
  | { readonly kind: 'damaged'; readonly file: string; readonly offset_bytes: number };

const fileName = /^journal-([A-Za-z0-9._-]{1,64}?)(?:-([0-9]{16}))?\.jsonl$/;
const newline = 0x0a;

/**
 * Every line of the journals in a directory. Journals may be written to meanwhile: a last line that is not ended
 * yet is left out.
 * @throws Error of the file system
 */
export async function* readJournals(directory: string): AsyncGenerator<JournalLine> {
  const byOrigin = new Map<string, { readonly first: string; readonly name: string }[]>();
  for (const name of await readdir(directory)) {
    const [, origin, first] = fileName.exec(name) ?? [];
    if (origin === undefined) continue;
    // The file being written holds the youngest lines.
    byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), { first: first ?? '~', name }]);
  }
  const streams = [...byOrigin].map(([origin, files]) =>
    linesOf(
      directory,
      origin,
      files.sort((a, b) => (a.first < b.first ? -1 : 1)).map(({ name }) => name),
    ),
  );
  const heads: { readonly line: JournalLine; readonly stream: AsyncGenerator<JournalLine> }[] = [];
  const advance = async (stream: AsyncGenerator<JournalLine>): Promise<void> => {
    const next = await stream.next();
    if (!next.done) heads.push({ line: next.value, stream });
  };
  for (const stream of streams) await advance(stream);
  while (heads.length > 0) {
    let oldest = 0;
    for (let i = 1; i < heads.length; i++)
      if (timeOf(heads[i]!.line) < timeOf(heads[oldest]!.line)) oldest = i;
    const [head] = heads.splice(oldest, 1);
    yield head!.line;
    await advance(head!.stream);
  }
}

/** Damage is told where it stands. */
const timeOf = (line: JournalLine): string => (line.kind === 'event' ? line.event.time : '');

async function* linesOf(
  directory: string,
  origin: string,
  names: readonly string[],
): AsyncGenerator<JournalLine> {
  for (const name of names) {
    const file = join(directory, name);
    let rest: Buffer = Buffer.alloc(0);
    let offset_bytes = 0;
    for await (const chunk of createReadStream(file)) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      let start = 0;
      for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline, start)) {
        if (sequenceOf(rest, start, end) === undefined)
          yield { kind: 'damaged', file, offset_bytes: offset_bytes + start };
        else yield { kind: 'event', origin, event: JSON.parse(rest.toString('utf8', start, end)) };
        start = end + 1;
      }
      rest = rest.subarray(start);
      offset_bytes += start;
    }
  }
}
