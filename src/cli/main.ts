#!/usr/bin/env node
/** `clarus COMMAND`: the command line. Exit codes: 0 done, 1 it failed (one line says why), 2 called wrongly. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ClarusError } from '../errors.js';
import { PostgresError } from '../wire/diagnostic.js';
import { commands } from './commands.js';
import { commandHelp, generalHelp } from './help.js';
import { UsageError } from './invocation.js';
import { explainProblem } from './problems.js';

const version = (): string =>
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version as string;

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(
      rest[0] && commands[rest[0]] ? commandHelp(rest[0], commands[rest[0]]!) : generalHelp(commands),
    );
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`clarus ${version()}\n`);
    return 0;
  }
  const command = commands[name];
  if (!command) {
    process.stderr.write(`clarus: there is no command "${name}"; "clarus --help" lists them\n`);
    return 2;
  }
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({
      args: rest,
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        ...command.options,
      },
    });
  } catch (error) {
    process.stderr.write(
      `clarus ${name}: ${(error as Error).message.split('\n')[0]}; see "clarus ${name} --help"\n`,
    );
    return 2;
  }
  if (parsed.values.help) {
    process.stdout.write(commandHelp(name, command));
    return 0;
  }
  const { positionals } = parsed;
  if (
    positionals.length < (command.arguments?.least ?? 0) ||
    positionals.length > (command.arguments?.most ?? 0)
  ) {
    process.stderr.write(
      `clarus ${name}: ${command.arguments?.least ? `needs ${command.arguments.words}` : 'takes no arguments'}; see "clarus ${name} --help"\n`,
    );
    return 2;
  }
  const { main } = await command.load();
  try {
    return await main({
      config: (parsed.values.config as string | undefined) ?? './clarus.yaml',
      json: parsed.values.json === true,
      values: parsed.values as Readonly<Record<string, string | boolean | undefined>>,
      positionals,
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`clarus ${name}: ${error.message}; see "clarus ${name} --help"\n`);
    return 2;
  }
}

main(process.argv.slice(2)).then(
  code => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (
      error instanceof ClarusError ||
      error instanceof PostgresError ||
      (error as NodeJS.ErrnoException).code
    ) {
      process.stderr.write(`clarus: ${explainProblem(error)}\n`);
      process.exitCode = 1;
    } else throw error;
  },
);
