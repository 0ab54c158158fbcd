import type { Command } from './commands.js';

/** `clarus --help`. */
export const generalHelp = (commands: Readonly<Record<string, Command>>): string =>
  [
    'clarus: a privacy proxy between your applications and clouds that you do not trust',
    '',
    'Usage: clarus COMMAND [--config FILE] [--json] [options]',
    '',
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`),
    '',
    '  --config FILE  configuration (default: ./clarus.yaml)',
    '  --json         print facts as JSON',
    '  --version      print the version',
    '',
    '"clarus COMMAND --help" tells more. Exit codes: 0 done, 1 it failed (one line says why), 2 called wrongly.',
    '',
  ].join('\n');

/** `clarus COMMAND --help`. */
export const commandHelp = (name: string, { summary, usage, details }: Command): string =>
  [
    `clarus ${name}: ${summary}`,
    '',
    `Usage: clarus ${name} ${usage} [--config FILE] [--json]`.replace(/ {2,}/g, ' '),
    '',
    details,
    '',
  ].join('\n');
