/**
 * What happens once before a proxy serves: the trusted database is opened, leases are compared with the cloud's
 * memory, commits that a crash cut short are finished, the policy takes effect, and what was made in the cloud
 * past Clarus is taken in.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type pg from 'pg';
import type { AuditEvent } from '../audit/events.js';
import { type Journal, openJournal as openAudit } from '../audit/journal.js';
import { type Hindered, hinderedInWords } from '../catalog/adopt.js';
import { bringUp } from '../catalog/bring-up.js';
import type { Catalog, LogicalTable, Redo } from '../catalog/catalog.js';
import { keptInWords } from '../catalog/labelled.js';
import { readerOf } from '../catalog/reader.js';
import { recover } from '../catalog/recover.js';
import { originalInWords, originalsIn, type SetAside } from '../catalog/set-aside.js';
import { labelOn, loadCatalog } from '../catalog/store.js';
import type { EncodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import type { CloudConfig, Config } from '../policy/policy.js';
import { formatProblem } from '../policy/problems.js';
import { missingColumns } from '../policy/unmatched.js';
import { CarrierDoor } from '../postgres/carriers.js';
import { spellingOf } from '../sql/opaque/index.js';
import { carrierHindrance } from '../trusted/carrier-hindrance.js';
import { dropCarriers, ensureCarriers } from '../trusted/carriers.js';
import { openJournal } from '../trusted/journal.js';
import type { KeyStore } from '../trusted/keys.js';
import { openTrusted, type Trusted } from '../trusted/open.js';
import { openKeyStore } from '../trusted/open-keys.js';
import { attributesSetting } from '../trusted/roles.js';
import { cloudWitness, type LeaseWitness } from '../trusted/witness.js';
import { finishAtStart, STARTING } from './abandoned.js';
import { adminPool, localeOf, type ResolveSecret } from './cloud.js';
import { recordKeys, recordPolicy } from './recorder.js';

/** What a command line gives to the proxy. */
export interface ProxyInputs {
  readonly config: Config;
  /** 32 bytes */
  readonly rootKey: Uint8Array;
  readonly resolveSecret: ResolveSecret;
  readonly registry: EncodingRegistry;
  /** structured log lines; never with values */
  readonly log: (
    level: 'info' | 'warning' | 'error',
    message: string,
    fields?: Readonly<Record<string, string | number | boolean>>,
  ) => void;
}

/** The one cloud that this version serves. @throws ClarusError 0A000 for several */
export function servedCloud(config: Config): CloudConfig {
  const [cloud, ...more] = config.clouds;
  if (!cloud) throw new ClarusError('F0000', 'clarus.yaml names no cloud');
  if (more.length)
    throw new ClarusError('0A000', 'several clouds are not served by one proxy yet', {
      hint: 'Name one cloud, and run a proxy for each other.',
    });
  return cloud;
}

/** The witness of leases in a cloud. */
export const witnessIn = (pool: pg.Pool): LeaseWitness =>
  cloudWitness(async (text, values) => {
    const { rows } = await pool.query({
      text,
      values: [...values],
      rowMode: 'array',
      types: { getTypeParser: () => (value: string | Buffer) => value.toString() },
    });
    return rows as (string | null)[][];
  });

/** What is open once everything is settled. Its owner closes `keys`, `cloud` and `trusted`, in this order. */
export interface Prepared {
  readonly trusted: Trusted;
  readonly cloud: pg.Pool;
  readonly keys: KeyStore;
  readonly catalog: Catalog;
  /** where carriers come in; undefined: what no encoding answers is refused */
  readonly door: CarrierDoor | undefined;
}

/**
 * @throws ClarusError in one line when the key is wrong, the trusted database or the cloud cannot be reached, or the
 *   file's policy would change tables that may not change by a start
 */
export async function prepare(inputs: ProxyInputs): Promise<Prepared> {
  const { config, rootKey, resolveSecret, log } = inputs;
  const served = servedCloud(config);
  const onProblem = (message: string): void => log('warning', message);
  const cloud = adminPool(served, resolveSecret, onProblem);
  const trusted = await openTrusted({ trusted: config.trusted, rootKey, resolveSecret, onProblem }).catch(
    async error => {
      await cloud.end();
      throw error;
    },
  );
  try {
    for (const warning of trusted.warnings) log('warning', warning);
    await cloud.query('SELECT 1').catch((error: unknown) => {
      throw unreachable(served, error);
    });
    for (const warning of await trusted.ensureShadow(served.database, await localeOf(cloud)))
      log('warning', warning);
    const superusers = new Set(
      (await cloud.query<{ name: string }>('SELECT rolname AS name FROM pg_roles WHERE rolsuper')).rows.map(
        ({ name }) => name,
      ),
    );
    for (const user of config.users) {
      const owner = user.cloud?.user ?? served.user;
      await trusted.ensureUser(served.database, user.name, owner, superusers.has(owner));
    }
    const { keys, report } = await openKeyStore({ state: trusted.state, rootKey, witness: witnessIn(cloud) });
    if (report.putBack) {
      await recordAtStart(config, journal =>
        journal.append({ kind: 'key-changed', action: 'new epoch', subject: 'every table' }),
      );
      log('warning', 'the trusted database was put back to an earlier state; new epochs were opened', {
        unknownLeases: report.unknownLeases,
        newEpochs: report.newEpochs,
      });
    }
    const services = {
      state: trusted.state,
      journal: openJournal<Redo>(trusted.state),
      keys,
      cloud: served.name,
    };
    const recovery = {
      ...services,
      cloudConnection: cloud,
      shadow: trusted.shadowAdmin(served.database),
    };
    await dropCarriers(sql => trusted.shadowAdmin(served.database).query(sql));
    // Nobody else serves by an embedded database; workers that share an external one finish their own commits.
    const recovered = await (config.trusted.database === 'embedded' ? recover : finishAtStart)(recovery);
    if (recovered.completed + recovered.forgotten)
      log('info', 'commits that were cut short are settled', recovered);
    const brought = await bringUp({
      ...services,
      proxy: STARTING,
      cloudPool: cloud,
      shadow: trusted.shadowAdmin(served.database),
      owner: served.user,
      registry: inputs.registry,
      numbers: keys.numbers(served.name),
      policy: config.policy,
      origin: `file ${config.file}`,
      spellingOf,
    });
    if (brought.refused.length > 0) throw hindered(brought.refused);
    if (brought.adopted)
      log('info', 'the policy of the file is in force', { changes: brought.differences.join('; ') });
    for (const kept of brought.kept)
      log('warning', keptInWords(kept, await labelOn(trusted.state, kept)), {
        table: `${kept.table.schema}.${kept.table.name}`,
      });
    const originals = await originalsOf(cloud);
    for (const original of originals)
      log('warning', originalInWords(original), { table: `${original.schema}.${original.table}` });
    const isOriginal = ({ schema, name }: LogicalTable): boolean =>
      originals.some(o => o.schema === schema && o.name === name);
    for (const { schema, name, reason } of brought.blocked.filter(table => !isOriginal(table)))
      log('warning', 'a table is neither served nor written', {
        table: `${schema}.${name}`,
        reason: reason ?? '',
      });
    for (const { what, reason } of brought.underived)
      log('warning', 'the shadow schema lacks an object', { what, reason });
    const catalog = await loadCatalog(trusted.state, served.name);
    await recordAtStart(config, journal => {
      recordPolicy(journal, brought.before, catalog);
      recordKeys(journal, brought.before, catalog);
    });
    for (const problem of missingColumns(config.policy, [...catalog.tables.values()]))
      log('warning', formatProblem(problem), { table: problem.table });
    const door = await openDoor(trusted, served.database, log);
    return { trusted, cloud, keys, catalog, door };
  } catch (error) {
    await cloud.end();
    await trusted.close();
    throw error;
  }
}

async function originalsOf(cloud: pg.Pool): Promise<readonly SetAside[]> {
  const client = await cloud.connect();
  try {
    return await originalsIn(readerOf(client));
  } finally {
    client.release();
  }
}

/** Opens the door for carriers, and makes what they need in the shadow database. */
async function openDoor(
  trusted: Trusted,
  database: string,
  log: ProxyInputs['log'],
): Promise<CarrierDoor | undefined> {
  const refused = (why: string): undefined =>
    void log('warning', `statements that no encoding answers are refused: ${why}`);
  const hindrance = carrierHindrance(trusted);
  if (hindrance !== undefined) return refused(hindrance);
  const token = randomBytes(24).toString('base64url');
  const door = new CarrierDoor(randomUUID(), token);
  const port = await door.listen(carrierHost);
  const endpoint = { host: carrierHost, port, token };
  const why = await ensureCarriers(trusted.shadowAdmin(database), endpoint, roles =>
    log('warning', ofOthers, { roles: roles.join(', ') }),
  );
  if (why === undefined) return door;
  door.close();
  return refused(why);
}

const ofOthers = `roles of the trusted server that bear no mark of Clarus are not the application's, and what sessions could do by them is taken back: of one that was made through Clarus, ALTER ROLE ... SET ${attributesSetting} TO '' there, and start again`;

/** Carriers read from this machine only. */
const carrierHost = '127.0.0.1';

/** Records acts in the journal of origin `start`: no worker runs yet. */
async function recordAtStart(
  { trusted, audit }: Config,
  record: (journal: Pick<Journal, 'append'>) => void,
): Promise<void> {
  const acts: AuditEvent[] = [];
  record({ append: event => acts.push(event) > 0 });
  if (acts.length === 0) return;
  const journal = await openAudit({
    directory: join(trusted.directory, 'audit'),
    origin: 'start',
    level: audit,
  });
  for (const act of acts) journal.append(act);
  await journal.close();
}

/** A protection never changes by a restart. */
const hindered = (refused: readonly Hindered[]): ClarusError =>
  new ClarusError('55000', hinderedInWords(refused), {
    hint: 'Put the file back ("clarus policy export" prints the version in force) and change the protection through Clarus, as docs/configuration.md says under "Changing the protection of rows that stand"; "clarus check" shows the difference.',
  });

/** One line with cause and remedy. */
function unreachable(cloud: CloudConfig, error: unknown): ClarusError {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = `cloud "${cloud.name}" (${cloud.host}:${cloud.port})`;
  if (code === 'ECONNREFUSED')
    return new ClarusError('08001', `nothing listens at ${where}`, {
      hint: 'Start the server, or correct the address in clarus.yaml.',
    });
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new ClarusError('08001', `the host of ${where} is unknown`, {
      hint: 'Correct the address in clarus.yaml.',
    });
  if (code === '28P01')
    return new ClarusError('28P01', `${where} refuses the password of user "${cloud.user}"`, {
      hint: 'Correct the secret that clarus.yaml refers to.',
    });
  if (code === 'CERT_HAS_EXPIRED')
    return new ClarusError('08001', `the certificate of ${where} has expired`, {
      hint: 'Renew it on the server; Clarus does not connect without verification.',
    });
  return new ClarusError(
    /^[0-9A-Z]{5}$/.test(code ?? '') ? code! : '08001',
    `${where} cannot be used: ${message}`,
  );
}
