/** `clarus init`: writes what is missing, the configuration file and the root key, and never overwrites. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rootKeyFingerprint } from '../crypto/keys.js';
import { encodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { parseConfig } from '../policy/parse.js';
import { proposeProtection, type TableProposal } from '../policy/propose.js';
import { writeConfigTemplate } from '../policy/template.js';
import { readCloudSchema } from './cloud-schema.js';
import type { Invocation } from './invocation.js';
import { loadRootKey } from './load.js';

/**
 * Writes what is missing; with `--cloud URL`, the file proposes a protection for each column there.
 * @returns exit code 0
 * @throws ClarusError F0000 when the root key is missing beside a trusted database: a new key would not open it
 */
export async function main({ config: path, json, values }: Invocation): Promise<number> {
  const file = resolve(path);
  const made: string[] = [];
  const kept: string[] = [];
  const there = existsSync(file);
  if (there && typeof values.cloud === 'string')
    process.stderr.write(
      `clarus init: ${file} is there already, so --cloud was not read; to see a proposal, name a new file with --config\n`,
    );
  const proposals =
    !there && typeof values.cloud === 'string'
      ? proposeProtection(await readCloudSchema(values.cloud))
      : undefined;
  if (there) kept.push(file);
  else {
    mkdirSync(dirname(file), { recursive: true });
    const schema = relative(
      dirname(file),
      fileURLToPath(new URL('../policy/clarus.schema.json', import.meta.url)),
    );
    const text = writeConfigTemplate({
      ...(typeof values.cloud === 'string' ? { cloudUrl: values.cloud } : {}),
      ...(proposals ? { proposals } : {}),
      answered: [...encodingRegistry().values()].flatMap(({ queries }) => queries),
      schemaLocation: schema.startsWith('.') ? schema : `./${schema}`,
    });
    writeFileSync(file, text, { flag: 'wx', mode: 0o644 });
    made.push(file);
  }
  const config = parseConfig(readFileSync(file, 'utf8'), file);
  const { key } = config.trusted;
  if (key.kind === 'file' && !existsSync(key.path)) {
    // A key that is made anew while protected data exist would not open them.
    if (
      existsSync(resolve(config.trusted.directory, 'data', 'PG_VERSION')) ||
      existsSync(resolve(config.trusted.directory, 'trusted', 'data', 'PG_VERSION'))
    )
      throw new ClarusError(
        'F0000',
        `the root key ${key.path} is missing, but ${config.trusted.directory} holds a trusted database`,
        { hint: 'put the key back from your copy' },
      );
    mkdirSync(dirname(key.path), { recursive: true });
    writeFileSync(key.path, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
    made.push(key.path);
  } else if (key.kind === 'file') kept.push(key.path);
  const fingerprint = rootKeyFingerprint(loadRootKey(config));
  if (json) {
    process.stdout.write(`${JSON.stringify({ made, kept, fingerprint, tables: proposals?.map(summary) })}\n`);
    return 0;
  }
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  for (const name of made) say(`made  ${name}`);
  for (const name of kept) say(`kept  ${name}`);
  say(`root key fingerprint: ${fingerprint}`);
  say('Whoever has the root key opens the data. If it is lost, the data are lost: keep a copy elsewhere.');
  for (const proposal of proposals ?? [])
    say(
      `proposed ${proposal.schema}.${proposal.name}: ${summary(proposal).protected} of ${proposal.columns.length} columns protected`,
    );
  say('Next: read the file, set the passwords it refers to, then "clarus check".');
  return 0;
}

const summary = ({
  schema,
  name,
  columns,
}: TableProposal): { table: string; columns: number; protected: number } => ({
  table: `${schema}.${name}`,
  columns: columns.length,
  protected: columns.filter(c => c.protect === 'encrypt').length,
});
