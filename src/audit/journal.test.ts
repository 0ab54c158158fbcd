import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ClarusError } from '../errors.js';
import type { AuditEvent } from './events.js';
import { createJournal, type Journal, openJournal } from './journal.js';
import type { JournalSink } from './journal-sink.js';
import { scanJournal } from './record.js';

const directory = mkdtempSync(join(tmpdir(), 'clarus-audit-'));
after(() => rmSync(directory, { recursive: true, force: true }));
let origins = 0;
const origin = (): string => `test-${++origins}`;
const pathOf = (name: string): string => join(directory, `journal-${name}.jsonl`);

const act = (session: number): AuditEvent => ({ kind: 'session-closed', user: 'u', session });
const facts = { fingerprint: 'f', command: 'SELECT', plan: 'push', tables: ['public.t'], columns: [] };
const statement = (session: number): AuditEvent => ({
  kind: 'statement',
  user: 'u',
  session,
  number: 1,
  statement: facts,
});
const rows: AuditEvent = {
  kind: 'rows',
  user: 'u',
  session: 1,
  number: 1,
  table: 'public.t',
  action: 'opened',
  rows: Float64Array.of(1, 2),
};

interface Line {
  sequence: number;
  kind: string;
  session: number;
  [name: string]: unknown;
}

const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line));

const open = (name: string, more: { rotate_bytes?: number } = {}): Promise<Journal> =>
  openJournal({ directory, origin: name, level: 'statements', ...more });

test('what was flushed is in the file, in order, at the level asked for', async () => {
  for (const [level, kinds] of [
    ['acts', ['session-closed']],
    ['statements', ['session-closed', 'statement']],
    ['rows', ['session-closed', 'statement', 'rows']],
  ] as const) {
    const name = origin();
    const journal = await openJournal({ directory, origin: name, level });
    assert.equal(journal.records('rows'), level === 'rows');
    for (const event of [act(1), statement(1), rows]) assert.ok(journal.append(event));
    await journal.flush();
    const lines = linesOf(pathOf(name));
    assert.deepEqual(
      lines.map(line => line.kind),
      kinds,
    );
    assert.deepEqual(
      lines.map(line => line.sequence),
      kinds.map((_, i) => i + 1),
    );
    if (level === 'rows') assert.deepEqual(lines[2]!.rows, [1, 2]);
    await journal.close();
    assert.throws(() => journal.append(act(1)), /closed/);
    assert.equal(statSync(pathOf(name)).mode & 0o777, 0o600);
  }
});

test('statements reach the disk within a moment without a flush, and acts at once', async () => {
  const name = origin();
  const journal = await open(name);
  journal.append(statement(1));
  assert.equal(statSync(pathOf(name)).size, 0);
  await new Promise(resolve => setTimeout(resolve, 400));
  assert.equal(linesOf(pathOf(name)).length, 1);
  journal.append(act(1));
  for (let i = 0; linesOf(pathOf(name)).length < 2; i++) {
    assert.ok(i < 90);
    await new Promise(resolve => setTimeout(resolve, 1));
  }
  await journal.close();
});

test('a torn end is cut off, said, and the numbers go on', async () => {
  const name = origin();
  const path = pathOf(name);
  let journal = await open(name);
  for (let i = 1; i <= 3; i++) journal.append(act(i));
  await journal.close();
  const whole = readFileSync(path);
  for (const torn of ['{', '{"sequence":4,"time":"2026', whole.subarray(0, 60), Buffer.alloc(100)]) {
    writeFileSync(path, whole);
    appendFileSync(path, torn);
    journal = await open(name);
    journal.append(act(9));
    await journal.close();
    const lines = linesOf(path);
    assert.deepEqual(
      lines.map(line => [line.sequence, line.kind]),
      [
        [1, 'session-closed'],
        [2, 'session-closed'],
        [3, 'session-closed'],
        [4, 'journal-repaired'],
        [5, 'session-closed'],
      ],
    );
    assert.equal(lines[3]!.offset_bytes, whole.length);
    assert.equal(lines[3]!.cut_bytes, torn.length);
  }
});

test('a file damaged inside is kept as it is, and a new one goes on', async () => {
  const name = origin();
  const path = pathOf(name);
  let journal = await open(name);
  for (let i = 1; i <= 5; i++) journal.append(act(i));
  await journal.close();
  const damaged = readFileSync(path);
  damaged[damaged.length >> 1] = 0x21;
  writeFileSync(path, damaged);
  journal = await open(name);
  journal.append(act(6));
  await journal.close();
  assert.deepEqual(readFileSync(join(directory, `journal-${name}-0000000000000001.jsonl`)), damaged);
  const lines = linesOf(path);
  assert.deepEqual(
    lines.map(line => [line.sequence, line.kind]),
    [
      [6, 'journal-repaired'],
      [7, 'session-closed'],
    ],
  );
  assert.equal(lines[0]!.cut_bytes, 0);
});

test('files are set aside by size, numbered by their first line, and nothing is lost between them', async () => {
  const name = origin();
  for (let round = 0; round < 3; round++) {
    const journal = await open(name, { rotate_bytes: 2_000 });
    for (let i = 0; i < 40; i++) {
      journal.append(act(i));
      if (i % 5 === 0) await journal.flush();
    }
    await journal.close();
  }
  const files = readdirSync(directory).filter(file => file.startsWith(`journal-${name}-`));
  assert.ok(files.length > 4);
  const all: Line[] = [];
  for (const file of files.sort()) {
    assert.ok(statSync(join(directory, file)).size <= 2_000);
    const lines = linesOf(join(directory, file));
    assert.equal(Number(file.slice(`journal-${name}-`.length, -6)), lines[0]!.sequence);
    all.push(...lines);
  }
  all.push(...linesOf(pathOf(name)));
  assert.deepEqual(
    all.map(line => line.sequence),
    all.map((_, i) => i + 1),
  );
  assert.equal(all.length, 120);
  // a crash may come between setting one aside and beginning the next
  rmSync(pathOf(name));
  const journal = await open(name);
  journal.append(act(1));
  await journal.close();
  assert.ok(linesOf(pathOf(name))[0]!.sequence > 100);
});

test('a kill at any moment loses nothing that was flushed', async () => {
  const name = origin();
  const program = `
    import { openJournal } from ${JSON.stringify(new URL('./journal.ts', import.meta.url).href)};
    const journal = await openJournal({ directory: ${JSON.stringify(directory)}, origin: '${name}', level: 'statements' });
    for (let i = 1; ; i++) {
      journal.append({ kind: 'session-closed', user: 'u', session: Number(process.argv[1]) * 1e6 + i });
      if (i % 3 === 0) { await journal.flush(); process.stdout.write(i + '\\n'); }
    }`;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const flushed: number[] = [];
  for (let round = 1; round <= 4; round++) {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', program, String(round)],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let output = '';
    child.stdout.setEncoding('utf8');
    await new Promise<void>(resolve => {
      child.stdout.on('data', (text: string) => {
        output += text;
        if (output.length > 50 * round) resolve();
      });
      child.once('exit', () => resolve());
    });
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    const told = output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1);
    flushed.push(Number(told));
  }
  const journal = await open(name);
  await journal.close();
  const bytes = readFileSync(pathOf(name));
  assert.equal(scanJournal(bytes).good_bytes, bytes.length);
  const lines = linesOf(pathOf(name));
  flushed.forEach((count, i) => {
    assert.ok(count > 0);
    const sessions = lines.map(line => line.session).filter(session => Math.floor(session / 1e6) === i + 1);
    assert.ok(sessions.length >= count);
    assert.deepEqual(
      sessions,
      sessions.map((_, k) => (i + 1) * 1e6 + k + 1),
    );
  });
});

/** A sink that answers when told to. */
class ManualSink implements JournalSink {
  readonly written: string[] = [];
  readonly #waiting: { resolve: () => void; reject: (error: unknown) => void; text: string }[] = [];
  write(events: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, text: Buffer.from(events).toString() });
    });
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
  get asked(): number {
    return this.#waiting.length;
  }
  succeed(): void {
    const { resolve, text } = this.#waiting.shift()!;
    this.written.push(text);
    resolve();
  }
  fail(error: unknown): void {
    this.#waiting.shift()!.reject(error);
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(() => setImmediate(resolve)));
const countOf = (sink: ManualSink): number => sink.written.join('').split('\n').length - 1;

test('when the disk is slow append says so, waiting helps, and not waiting is refused', async () => {
  const sink = new ManualSink();
  const journal = createJournal(sink, { level: 'statements', queueBytesMax: 20_000 });
  let appended = 0;
  while (journal.append(statement(++appended)));
  assert.ok(appended > 20 && appended < 400);
  let ready = false;
  const drained = journal.drained().then(() => {
    ready = true;
  });
  await turn();
  assert.equal(ready, false);
  while (!ready) {
    assert.equal(sink.asked, 1);
    sink.succeed();
    await turn();
  }
  await drained;
  assert.ok(journal.append(statement(++appended)));
  assert.throws(
    () => {
      for (let i = 0; i < 10_000; i++) {
        journal.append(statement(0));
        appended++;
      }
    },
    { code: '53400' },
  );
  const flushed = journal.flush();
  let done = false;
  flushed.then(() => {
    done = true;
  });
  while (!done) {
    await turn();
    if (sink.asked > 0) sink.succeed();
  }
  assert.equal(countOf(sink), appended);
});

test('while the file cannot be written everything is told so, and it goes on in order once it can', async () => {
  const sink = new ManualSink();
  const journal = createJournal(sink, { level: 'statements' });
  journal.append(act(1));
  const refused = assert.rejects(journal.flush(), { code: '53100' });
  await turn();
  sink.fail(new ClarusError('53100', 'no space left'));
  await refused;
  assert.equal(journal.append(act(2)), false);
  await assert.rejects(journal.drained(), { code: '53100' });
  await assert.rejects(journal.flush(), { code: '53100' });
  await new Promise(resolve => setTimeout(resolve, 1_100));
  assert.equal(sink.asked, 1);
  sink.succeed();
  await turn();
  await turn();
  sink.succeed();
  await turn();
  await journal.flush();
  assert.deepEqual(
    sink.written.map(text => /"session":(\d)/.exec(text)![1]),
    ['1', '2'],
  );
});

test('a directory that cannot be used, a bad origin and a second writer are said in one line', async () => {
  writeFileSync(join(directory, 'file'), '');
  await assert.rejects(openJournal({ directory: join(directory, 'file'), origin: 'o', level: 'acts' }), {
    code: '58030',
    message: /cannot be written \((ENOTDIR|EEXIST)\)/,
  });
  await assert.rejects(openJournal({ directory, origin: '../o', level: 'acts' }), { code: '22023' });
  const name = origin();
  const journal = await open(name);
  journal.append(act(1));
  await journal.flush();
  appendFileSync(pathOf(name), 'x');
  journal.append(act(2));
  await assert.rejects(journal.flush(), { code: '55006' });
  await assert.rejects(journal.close(), { code: '55006' });
});
