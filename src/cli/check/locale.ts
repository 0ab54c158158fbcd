/** Version, encoding and collation of a cloud against those of the trusted database, and what a difference means. */
import { type Reader, readJson } from '../../catalog/reader.js';

/** What decides how a database orders and compares text, and which statements it knows. */
export interface DatabaseTraits {
  /** PostgreSQL's major version */
  readonly major: number;
  readonly encoding: string;
  /** libc, icu or builtin */
  readonly provider: string;
  /** name of the locale in the provider's words */
  readonly locale: string;
  /** the provider's own version of that locale; null where it has none (C, builtin) */
  readonly collationVersion: string | null;
}

/** Columns of pg_database that newer versions have are read through JSON, so that one text serves all of them. */
const traits = `
SELECT jsonb_build_object('major', current_setting('server_version_num')::int / 10000,
  'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
  'provider', CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END,
  'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate),
  'collationVersion', to_jsonb(d) ->> 'datcollversion')::text
FROM pg_catalog.pg_database d WHERE d.datname = $1`;

/** @returns undefined when the server has no such database */
export async function traitsOf(read: Reader, database: string): Promise<DatabaseTraits | undefined> {
  return (await readJson<DatabaseTraits>(read, traits, [database]))[0];
}

/** A difference, in words. */
export interface Mismatch {
  readonly what: string;
  /** what Clarus does not push down, or leaves to the cloud, because of it */
  readonly consequence: string;
}

/** Compares. Pure. */
export function compareTraits(cloud: DatabaseTraits, trusted: DatabaseTraits): readonly Mismatch[] {
  const found: Mismatch[] = [];
  if (cloud.major !== trusted.major)
    found.push({
      what: `the cloud is PostgreSQL ${cloud.major}, the trusted database is PostgreSQL ${trusted.major}`,
      consequence: `statements are read by version ${trusted.major}: what only version ${Math.max(cloud.major, trusted.major)} knows fails in the other with its own error; psql’s backslash commands and pg_dump ask version ${trusted.major}’s catalogue as version ${cloud.major}’s, and some fail: use a trusted database of version ${cloud.major}, see docs/configuration.md`,
    });
  if (cloud.encoding !== trusted.encoding)
    found.push({
      what: `the cloud’s encoding is ${cloud.encoding}, the trusted one is ${trusted.encoding}`,
      consequence:
        'characters that one of the two lacks are refused with an error; equality tags are made from UTF-8 and do not depend on it',
    });
  if (textOf(cloud) !== textOf(trusted))
    found.push({
      what: `the cloud orders text by ${textOf(cloud)}, the trusted database by ${textOf(trusted)}`,
      consequence:
        'ORDER BY, <, lower() and ILIKE on text in the clear follow the cloud’s collation, and no encoding that depends on the order of text may be pushed down; = does not depend on it',
    });
  return found;
}

const textOf = ({ provider, locale, collationVersion }: DatabaseTraits): string =>
  `${provider} ${locale}${collationVersion === null ? '' : ` (version ${collationVersion})`}`;
