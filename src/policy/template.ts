/** The commented `clarus.yaml` that `clarus init` writes. */
import { ClarusError } from '../errors.js';
import { formatPolicy } from './format.js';
import type { ColumnPolicy, Policy, QueryKind } from './policy.js';
import type { TableProposal } from './propose.js';
import { isLoopback, parseServerUrl, type ServerUrl } from './server.js';

/** What a new configuration file begins with. */
export interface TemplateOptions {
  /** URL of the cloud; a password in it is not written, a reference stands in its place */
  readonly cloudUrl?: string | undefined;
  /** proposed protection of the tables that the cloud has */
  readonly proposals?: readonly TableProposal[] | undefined;
  /** query kinds that have an encoding: of those proposed, the others are said to wait; undefined: all have one */
  readonly answered?: readonly QueryKind[] | undefined;
  /** where editors find the JSON Schema: a URL, or a path relative to the file */
  readonly schemaLocation?: string | undefined;
}

const exampleUrl = 'postgres://app@127.0.0.1:5432/hospital';

/**
 * Writes a configuration file that `parseConfig` takes, every part explained.
 * @throws ClarusError F0000 when the URL cannot be read (its words are not repeated, there may be a password in it)
 */
export function writeConfigTemplate(options: TemplateOptions = {}): string {
  const url = parseServerUrl(options.cloudUrl ?? exampleUrl);
  if ('problem' in url) {
    throw new ClarusError('F0000', `the URL of the cloud ${url.problem}`, {
      hint: url.suggestion ?? 'write postgres://USER@HOST:PORT/DATABASE',
    });
  }
  const location = options.schemaLocation ?? './node_modules/clarus/dist/policy/clarus.schema.json';
  return [
    `# yaml-language-server: $schema=${location}`,
    '# Configuration of Clarus; docs/configuration.md explains every key. Paths are relative to this file.',
    '# No secret stands in it: write "env:NAME" for an environment variable, "file:PATH" for a file.',
    '',
    'clarus: 1 # version of this format',
    '',
    '# The trusted side keeps keys, catalogue, counters and logs, and no rows. It must run where you trust the machine.',
    'trusted:',
    '  database: embedded # Clarus starts its own PostgreSQL; or postgres://USER@HOST/DATABASE of one of yours',
    '  directory: ./clarus-data',
    '  # The root key. Whoever has it opens the data; if it is lost, the data are lost. Keep a copy elsewhere.',
    '  key: { file: ./clarus-data/root.key }',
    '',
    '# The untrusted service that stores the protected data.',
    'clouds:',
    '  main:',
    `    postgres: ${JSON.stringify(writeUrl(url))}`,
    '    password: "env:CLOUD_PASSWORD" # remove this line where the cloud asks for no password',
    ...tlsLines(url),
    '',
    '# Where applications connect, instead of to the cloud.',
    'listen:',
    '  postgres: 127.0.0.1:6432',
    '# TLS towards applications: self-made (a certificate Clarus makes), off, or { certificate: PATH, key: PATH }',
    'tls: self-made',
    '',
    '# What is kept of who did what: acts (of administration), or also statements',
    'audit: statements',
    '',
    '# Who may connect to Clarus, and with which password.',
    'users:',
    '  app: { password: "env:APP_PASSWORD" }',
    '',
    ...policyLines(options),
  ].join('\n');
}

/** The URL without password and parameters. */
function writeUrl({ host, port, user, database }: ServerUrl): string {
  const written = host.includes(':') ? `[${host}]` : host;
  return `postgres://${encodeURIComponent(user)}@${written}:${port}/${encodeURIComponent(database)}`;
}

function tlsLines({ host, sslmode }: ServerUrl): readonly string[] {
  if (isLoopback(host)) return [];
  if (sslmode === 'disable')
    return ['    tls: off # as the URL said: whoever is on the way reads and changes everything'];
  return [
    '    tls: verify # certificate and host name are verified; add ca: PATH for an authority of your own',
  ];
}

const policyComment = [
  '# What is protected, and what the cloud may still answer. For each column:',
  '#   class    identifier | quasi-identifier | confidential | non-confidential',
  '#   protect  encrypt | none (in the clear)',
  '#   queries  what the cloud may answer over it: equality, range, order, prefix, substring, words, paths, sum.',
  '#            Each shows the cloud something (clarus check says what). A query that needs what is not',
  '#            granted is finished on your side. In this version equality alone has an encoding; the others',
  '#            wait: they may stand here, and begin to work with the version that brings their encoding.',
  '#   domain   columns of one domain can be joined by the cloud',
  '# A column of a listed table that is not named is encrypted, with no queries.',
  '# unlisted says what happens to tables not named: refuse, encrypt (every column), or pass (in the clear).',
  '# declassify names targets that protected values may reach in the clear.',
];

function policyLines({ proposals, answered }: TemplateOptions): readonly string[] {
  if (!proposals || proposals.length === 0) {
    return [
      ...policyComment,
      'unlisted: refuse',
      'declassify: []',
      'tables:',
      '  # public.patient:',
      '  #   columns:',
      '  #     name: { class: identifier, protect: encrypt, queries: [equality] }',
      '  #     birth_date: { class: quasi-identifier, protect: encrypt, queries: [range] } # range waits',
      '  #     note: { class: confidential, protect: encrypt }',
      '',
    ];
  }
  const comments = new Map<ColumnPolicy, string>();
  for (const column of proposals.flatMap(table => table.columns)) {
    const waiting = column.queries.filter(kind => answered?.includes(kind) === false);
    const waits = waiting.length ? `; ${waiting.join(' and ')} ${waiting.length > 1 ? 'wait' : 'waits'}` : '';
    comments.set(column, `${column.guess ? 'guess: ' : ''}${column.reason}${waits}`);
  }
  const policy: Policy = { unlisted: 'refuse', declassify: [], tables: proposals };
  return [
    ...policyComment,
    '# Proposed from the names and types that the cloud has. Read every line before you rely on it, first those',
    '# marked "guess".',
    formatPolicy(policy, column => comments.get(column)),
  ];
}
