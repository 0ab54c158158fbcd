/** The commands, each loaded when it is called. */
import type { Invocation } from './invocation.js';

/** One command of the line: its help, the options beside `--config`, `--json` and `--help`, and its code. */
export interface Command {
  readonly summary: string;
  /** what stands after the command's name */
  readonly usage: string;
  readonly details: string;
  readonly options?: Readonly<
    Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string }>
  >;
  readonly arguments?: { readonly least: number; readonly most: number; readonly words: string };
  load(): Promise<{ main(invocation: Invocation): Promise<number> }>;
}

/** Every command by its name, in the order in which the help shows them. */
export const commands: Readonly<Record<string, Command>> = {
  demo: {
    summary: 'show everything on real laboratory data, with a cloud of its own',
    usage: '[--once] [--directory DIR] [--port PORT]',
    details: [
      '  --once           print the tour and end; otherwise serve until Ctrl-C',
      '  --directory DIR  where the demonstration keeps its data (default: ./clarus-demo)',
      '  --port PORT      port of the proxy (default: a free one)',
    ].join('\n'),
    options: { once: { type: 'boolean' }, directory: { type: 'string' }, port: { type: 'string' } },
    load: () => import('./demo.js'),
  },
  init: {
    summary: 'write a commented clarus.yaml and a root key',
    usage: '[--cloud URL]',
    details:
      '  --cloud URL  read the schema of this cloud and propose a protection for each column\nWhat is there is kept; what is missing is made.',
    options: { cloud: { type: 'string' } },
    load: () => import('./init.js'),
  },
  check: {
    summary: 'validate the policy, reach every cloud, and say what each still learns',
    usage: '',
    details: 'Exits 0 when everything would work.',
    load: () => import('./check.js'),
  },
  run: {
    summary: 'serve in the foreground until SIGTERM',
    usage: '',
    details:
      'Prints "ready postgres://HOST:PORT" once it accepts connections; logs JSON lines on standard error.',
    load: () => import('./run.js'),
  },
  explain: {
    summary: 'show the plan of a statement: what the cloud does, what is opened here',
    usage: '"SELECT ..."',
    details: 'Asks the running proxy (EXPLAIN (CLARUS) ...). --user NAME chooses the local user.',
    options: { user: { type: 'string' } },
    arguments: { least: 1, most: 1, words: 'one statement' },
    load: () => import('./explain.js'),
  },
  sql: {
    summary: 'a small SQL prompt through the running proxy',
    usage: '[-c STATEMENT]',
    details:
      '  -c, --command STATEMENT  run it and end\n  --user NAME              local user (default: the first one)',
    options: { command: { type: 'string', short: 'c' }, user: { type: 'string' } },
    load: () => import('./sql.js'),
  },
  copy: {
    summary: 'make the protected copy of a listed table that stands unprotected in the cloud',
    usage: '[--undo [--discard-changes]] SCHEMA.TABLE',
    details: [
      'Stop the application and "clarus run" first. The plaintext original is set aside under a name that is printed.',
      '  --undo             drop the protected copy and give the original its name back, if the copy holds nothing else',
      '  --discard-changes  with --undo: also when rows were written since; they are lost',
    ].join('\n'),
    options: { undo: { type: 'boolean' }, 'discard-changes': { type: 'boolean' } },
    arguments: { least: 1, most: 1, words: 'the name of a table' },
    load: () => import('./copy.js'),
  },
  audit: {
    summary: 'print the audit journal, one JSON object a line',
    usage: '[--since TIME] [--until TIME] [--user NAME] [--kind KIND]',
    details: [
      'Prints every event that this proxy recorded, in the order of time; docs/spec/audit.md tells the members.',
      '  --since TIME, --until TIME  from this time on, before this time: 2026-01-31 or 2026-01-31T12:00:00Z',
      '  --user NAME                 of this local user',
      '  --kind KIND                 of this kind: statement, statement-end, session-opened, ddl, key-changed ...',
    ].join('\n'),
    options: {
      since: { type: 'string' },
      until: { type: 'string' },
      user: { type: 'string' },
      kind: { type: 'string' },
    },
    load: () => import('./audit.js'),
  },
  key: {
    summary: 'replace the root key',
    usage: 'rotate [--new-key env:NAME|file:PATH]',
    details: [
      'Stop "clarus run" first. Wraps every key anew under a new root key; data in the cloud stay as they are.',
      'A key file is replaced, and the old one kept beside it. Cut short, call it again: it ends what it began.',
      '  --new-key env:NAME|file:PATH  the new key, 64 hexadecimal digits (default, for a key file: a random one)',
    ].join('\n'),
    options: { 'new-key': { type: 'string' } },
    arguments: { least: 1, most: 1, words: '"rotate"' },
    load: () => import('./key.js'),
  },
  policy: {
    summary: 'write the policy in force as a file',
    usage: 'export',
    details: 'Prints clarus.yaml with the policy version that the trusted database holds.',
    arguments: { least: 1, most: 1, words: '"export"' },
    load: () => import('./policy.js'),
  },
};
