/** Gathers the facts of `clarus check`. Changes nothing in a cloud. */
import type pg from 'pg';
import { hinderedInWords } from '../../catalog/adopt.js';
import { describeDatabase } from '../../catalog/describe.js';
import type { DatabaseDescription } from '../../catalog/description.js';
import { keptInWords } from '../../catalog/labelled.js';
import { type Reader, readerOf } from '../../catalog/reader.js';
import { originalInWords, originalsIn, withoutOriginals } from '../../catalog/set-aside.js';
import { filedPolicy, labelOn, loadCatalog } from '../../catalog/store.js';
import { BackendClient } from '../../clouds/backend-client.js';
import { rootKeyFingerprint } from '../../crypto/keys.js';
import { type EncodingRegistry, encodingRegistry } from '../../encodings/registry.js';
import { joinName, splitName } from '../../policy/names.js';
import type { CloudConfig, Config } from '../../policy/policy.js';
import { formatProblem } from '../../policy/problems.js';
import { type KnownTable, missingColumns, missingTables } from '../../policy/unmatched.js';
import { readCertificate } from '../../postgres/tls.js';
import { adminPool, cloudOptions } from '../../proxy/cloud.js';
import { proposePolicy } from '../../proxy/policy.js';
import { carrierHindrance } from '../../trusted/carrier-hindrance.js';
import type { Trusted } from '../../trusted/open.js';
import { resolveSecret } from '../load.js';
import { explainProblem } from '../problems.js';
import { openOrJoinTrusted } from '../trusted.js';
import { compareTraits, type DatabaseTraits, type Mismatch, traitsOf } from './locale.js';
import { type CheckedTable, checkTables } from './tables.js';
import { typesInTheClear } from './types.js';

/** What the check found of one cloud; of one that was not reached, little beyond its address. */
export interface CheckedCloud {
  readonly name: string;
  readonly address: string;
  readonly database: string;
  readonly reached: boolean;
  readonly traits: DatabaseTraits | undefined;
  readonly mismatches: readonly Mismatch[];
  readonly policyVersion: number;
  /** file against the policy in force, in words */
  readonly differences: readonly string[];
  readonly tables: readonly CheckedTable[];
  /** plaintext originals of `clarus copy` */
  readonly setAside: readonly { readonly name: string; readonly of: string; readonly copied: boolean }[];
  /** functions, views, triggers ... that stand in the cloud, by kind */
  readonly objects: Readonly<Record<string, number>>;
}

const noSuperuser = 'the user of the trusted database is no superuser, as making postgres_fdw needs';

/** Everything that `clarus check` says; with `--json` it is printed as it is. */
export interface CheckReport {
  readonly file: string;
  readonly rootKey: string;
  readonly trusted: { readonly where: string; readonly major: number; readonly running: boolean };
  /** what keeps something from working, in words; none: exit code 0 */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  readonly clouds: readonly CheckedCloud[];
  readonly declassify: readonly string[];
  readonly unlisted: Config['policy']['unlisted'];
  /** of protected tables and what belongs to them, by the file */
  readonly names: 'shown' | 'hidden';
}

/**
 * @throws ClarusError when the trusted database cannot be used or the root key is wrong
 */
export async function gatherReport(config: Config, rootKey: Uint8Array): Promise<CheckReport> {
  const { trusted, running } = await openOrJoinTrusted({ trusted: config.trusted, rootKey, resolveSecret });
  const problems: string[] = [];
  const warnings = [...config.warnings.map(({ message }) => message), ...trusted.warnings];
  try {
    const noCarriers = carrierHindrance(trusted) ?? (trusted.superuser ? undefined : noSuperuser);
    if (noCarriers !== undefined)
      warnings.push(`statements that no encoding answers would be refused: ${noCarriers}`);
    if (config.clouds.length > 1)
      problems.push(
        'several clouds are not served by one proxy yet: name one cloud, and run a proxy for each other',
      );
    try {
      readCertificate(config.tls);
    } catch (error) {
      problems.push(explainProblem(error));
    }
    if (config.users.length === 0)
      problems.push('no user is configured: nobody may connect (users: in clarus.yaml)');
    for (const user of config.users)
      try {
        resolveSecret(user.password);
      } catch (error) {
        problems.push(`user "${user.name}": ${explainProblem(error)}`);
      }
    const clouds: CheckedCloud[] = [];
    for (const cloud of config.clouds)
      clouds.push(
        await checkCloud({ config, cloud, trusted, problems, warnings, registry: encodingRegistry() }),
      );
    const { database } = config.trusted;
    return {
      file: config.file,
      rootKey: rootKeyFingerprint(rootKey),
      trusted: {
        where: database === 'embedded' ? `embedded in ${config.trusted.directory}` : database.url,
        major: trusted.major,
        running,
      },
      problems,
      warnings,
      clouds,
      declassify: config.policy.declassify,
      unlisted: config.policy.unlisted,
      names: config.policy.names ?? 'shown',
    };
  } finally {
    await trusted.close();
  }
}

interface CloudInput {
  readonly config: Config;
  readonly cloud: CloudConfig;
  readonly trusted: Trusted;
  readonly registry: EncodingRegistry;
  /** added to */
  readonly problems: string[];
  readonly warnings: string[];
}

async function checkCloud(input: CloudInput): Promise<CheckedCloud> {
  const { cloud, trusted, problems, config } = input;
  const base = { name: cloud.name, address: `${cloud.host}:${cloud.port}`, database: cloud.database };
  const catalog = await loadCatalog(trusted.state, cloud.name);
  const taken = await trusted.shadowHindrance(cloud.database);
  if (taken) problems.push(explainProblem(taken));
  if (!(await reach(input))) {
    const unseen = {
      traits: undefined,
      mismatches: [],
      differences: [],
      tables: [],
      setAside: [],
      objects: {},
    };
    return { ...base, ...unseen, reached: false, policyVersion: catalog.policyVersion };
  }
  const pool = adminPool(cloud, resolveSecret, message => problems.push(message));
  try {
    return await reading(pool, async read => {
      const described = await describeDatabase(read);
      const traits = await traitsOf(read, cloud.database);
      const { proposal, ...shadow } = await inShadow(trusted, cloud.database, async readShadow => {
        const description = readShadow ? await describeDatabase(readShadow) : nothingYet;
        return {
          proposal: await proposePolicy({
            catalog,
            proposed: config.policy,
            filed: await filedPolicy(trusted.state),
            cloud: cloud.name,
            registry: input.registry,
            inCloud: read,
            shadow: readShadow,
          }),
          description,
          types: readShadow
            ? await typesInTheClear({
                catalog,
                cloud: described,
                shadow: description,
                readCloud: read,
                readShadow,
              })
            : [],
          // A new shadow takes what it can of the cloud's.
          traits: readShadow
            ? await traitsOf(readShadow, cloud.database)
            : traits && { ...traits, major: trusted.major },
        };
      });
      if (proposal.refused.length > 0)
        problems.push(
          `${hinderedInWords(proposal.refused)}; put the file back: a start changes the protection of empty tables without triggers only; docs/configuration.md says how that of rows is changed`,
        );
      input.warnings.push(...shadow.types);
      for (const kept of proposal.kept)
        input.warnings.push(keptInWords(kept, await labelOn(trusted.state, kept)));
      const originals = await originalsIn(read);
      const policy = catalog.policyVersion === 0 || proposal.takesEffect ? proposal.policy : catalog.policy;
      const tables = checkTables({
        catalog,
        policy,
        cloud: withoutOriginals(described, originals),
        shadow: shadow.description,
        registry: input.registry,
      });
      const there = tables.flatMap(table => (table.state === 'absent' ? [] : [asKnown(table)]));
      for (const problem of missingColumns(config.policy, there)) problems.push(formatProblem(problem));
      const set = new Set(originals.map(({ schema, name }) => joinName([schema, name])));
      for (const problem of missingTables(
        config.policy,
        there.filter(({ schema, name }) => !set.has(joinName([schema, name]))),
      ))
        input.warnings.push(formatProblem(problem));
      await mayWork(read, cloud, input);
      sayOfTables(
        tables,
        originals.map(o => joinName([o.schema, o.name])),
        problems,
      );
      for (const o of originals) if (!o.copied) problems.push(originalInWords(o));
      return {
        ...base,
        reached: true,
        traits,
        mismatches: traits && shadow.traits ? compareTraits(traits, shadow.traits) : [],
        policyVersion: catalog.policyVersion,
        differences: proposal.differences,
        tables,
        setAside: originals.map(o => ({
          name: joinName([o.schema, o.name]),
          of: joinName([o.schema, o.table]),
          copied: o.copied,
        })),
        objects: countKinds(described),
      };
    });
  } finally {
    await pool.end();
  }
}

const asKnown = ({ name, columns }: CheckedTable): KnownTable => {
  const [schema = '', table = ''] = splitName(name) ?? [];
  return { schema, name: table, columns };
};

/** Connects as the cloud's user and as each user's own. @returns whether the cloud's user could */
async function reach({ config, cloud, problems }: CloudInput): Promise<boolean> {
  let reached = true;
  for (const user of [undefined, ...config.users.filter(u => u.cloud)])
    try {
      await (await BackendClient.connect(cloudOptions(cloud, user, resolveSecret, new Map()))).close();
    } catch (error) {
      problems.push(`${user ? `user "${user.name}": ` : ''}${explainProblem(error)}`);
      if (!user) reached = false;
    }
  return reached;
}

async function reading<T>(pool: pg.Pool, work: (read: Reader) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN TRANSACTION READ ONLY ISOLATION LEVEL REPEATABLE READ');
    return await work(readerOf(client));
  } finally {
    client.release(true);
  }
}

/** Reads the shadow as it stands. @param work is given no reader before the first start, which makes it */
async function inShadow<T>(
  trusted: Trusted,
  database: string,
  work: (read: Reader | undefined) => Promise<T>,
): Promise<T> {
  const known = await trusted.state.query('SELECT FROM clarus.shadows WHERE database = $1', [database]);
  return known.rowCount === 0 ? work(undefined) : reading(trusted.shadowAdmin(database), work);
}

const nothingYet: DatabaseDescription = { serverVersion: 0, tables: [], objects: [] };

const rights = `
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')::text,
  (SELECT pg_catalog.has_schema_privilege(oid, 'CREATE, USAGE') FROM pg_catalog.pg_namespace WHERE nspname = 'clarus')::text,
  (SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = 'public')::text`;

/** May the cloud's user make what Clarus needs there? */
async function mayWork(read: Reader, cloud: CloudConfig, { problems, warnings }: CloudInput): Promise<void> {
  const [row] = await read(rights, []);
  const [database, own, open] = row ?? [];
  if (own === 'false')
    problems.push(
      `cloud "${cloud.name}": user "${cloud.user}" may not use the schema clarus: let its owner GRANT CREATE, USAGE ON SCHEMA clarus TO "${cloud.user}"`,
    );
  if (database === 'false' && own === null)
    problems.push(
      `cloud "${cloud.name}": user "${cloud.user}" may not make the schema clarus, which Clarus keeps its leases in: GRANT CREATE ON DATABASE "${cloud.database}" TO "${cloud.user}"`,
    );
  if (open === 'false')
    warnings.push(`cloud "${cloud.name}": user "${cloud.user}" may not make tables in schema public`);
}

/** A table that the policy names and that cannot be served is a problem; one that it refuses is as it wants it. */
function sayOfTables(
  tables: readonly CheckedTable[],
  originals: readonly string[],
  problems: string[],
): void {
  for (const { name, state, reason, plaintext, listed } of tables) {
    if (state !== 'blocked' || originals.includes(name) || (plaintext && !listed)) continue;
    problems.push(
      `${name} is neither served nor written: ${reason ?? 'it is blocked'}${plaintext ? ` Make its protected copy with "clarus copy ${name}".` : ''}`,
    );
  }
}

function countKinds({ objects }: DatabaseDescription): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { kind } of objects) if (kind !== 'schema') counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
