/** Runs scripts of the regression suite by psql, unit by unit, and tells what each unit answered. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.js';
import type { Unit } from './script.js';

/** Where psql connects, and from where it runs. */
export interface Client {
  readonly psql: string;
  readonly env: Readonly<Record<string, string>>;
  /** of scripts and of what they write */
  readonly directory: string;
}

/** What a unit answered. */
export interface Answer {
  /** standard output and error, in the order in which they came */
  readonly output: string;
  /** of the last query; psql's variable SQLSTATE */
  readonly state: string;
}

/** Answers by unit; a unit that was not reached has none. */
export interface ScriptRun {
  readonly answers: readonly (Answer | undefined)[];
  /** what came behind the last unit that was reached */
  readonly rest: string;
  /** it took too long and was ended */
  readonly timedOut: boolean;
  readonly seconds: number;
}

/** How pg_regress calls psql (psql_start_test in pg_regress_main.c), with -a left to the markers. */
const options = ['-X', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on', '-d', 'regression'];

const marker = '@@unit';
const markers = new RegExp(`^(.*)${marker} (\\d+) (\\w{5}|:SQLSTATE)$`);

/** @param replaced texts that stand in for units, by their number */
export async function runScript(
  client: Client,
  file: string,
  units: readonly Unit[],
  timeout_ms: number,
  replaced: ReadonlyMap<number, string> = new Map(),
): Promise<ScriptRun> {
  const path = join(client.directory, `${file}.sql`);
  const text = units.map((unit, i) => `${replaced.get(i) ?? unit.text}\n\\echo ${marker} ${i} :SQLSTATE\n`);
  writeFileSync(path, text.join(''));
  const started_ms = Date.now();
  const command = `exec "$0" "$@" < ${path} 2>&1`;
  const done = await run('/bin/bash', ['-c', command, client.psql, ...options], {
    cwd: client.directory,
    env: { ...client.env, PGAPPNAME: `pg_regress/${file}` },
    timeout_ms,
  });
  return {
    ...answersOf(done.stdout.replaceAll(client.directory, '<directory>'), units.length),
    timedOut: done.status === 124,
    seconds: (Date.now() - started_ms) / 1000,
  };
}

function answersOf(output: string, units: number): Pick<ScriptRun, 'answers' | 'rest'> {
  const answers: (Answer | undefined)[] = Array.from({ length: units }, () => undefined);
  let lines: string[] = [];
  let last = -1;
  for (const line of output.split('\n')) {
    const [, before, number, state] = markers.exec(line) ?? [];
    if (number === undefined) {
      lines.push(line);
      continue;
    }
    // under \set ECHO all psql shows the line that writes the marker, too
    if (state === ':SQLSTATE' && before!.endsWith('\\echo ')) {
      if (before !== '\\echo ') lines.push(before!.slice(0, -'\\echo '.length));
      continue;
    }
    if (before !== '') lines.push(before!);
    answers[Number(number)] = { output: lines.join('\n'), state: state! };
    // \echo is passed over with what an \if leaves out
    for (let i = last + 1; i < Number(number); i++) answers[i] = { output: '', state: '00000' };
    last = Number(number);
    lines = [];
  }
  return { answers, rest: lines.join('\n') };
}
