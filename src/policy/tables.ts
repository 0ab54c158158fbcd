/** Reads the part of a file that is a numbered policy version: unlisted, names, declassify, tables. */

import { joinName, rejectName, rowIdColumn, splitName } from './names.js';
import { nearest } from './nearest.js';
import {
  type ColumnClass,
  type ColumnPolicy,
  type Policy,
  type Protection,
  type QueryKind,
  queryKinds,
  type TablePolicy,
  type Unlisted,
} from './policy.js';
import type { Reading } from './server.js';
import type { Path } from './source.js';

/** The policy's part of a file, checked against the schema. */
export interface RawPolicy {
  readonly unlisted?: Unlisted;
  readonly names?: 'shown' | 'hidden';
  readonly declassify?: readonly (string | undefined)[] | null;
  readonly tables?: Readonly<Record<string, RawTable | null>> | null;
}

interface RawTable {
  readonly columns?: Readonly<Record<string, RawColumn | null>> | null;
}

interface RawColumn {
  readonly class?: ColumnClass;
  readonly protect?: Protection;
  readonly queries?: readonly (QueryKind | undefined)[];
  readonly domain?: string;
}

/** Reads the policy, reporting what cannot hold and warning of what is dangerous. */
export function readPolicy(raw: RawPolicy, reading: Reading): Policy {
  const unlisted = raw.unlisted ?? 'refuse';
  if (unlisted === 'pass') {
    reading.findings.warning(
      reading.source.valueAt(['unlisted']),
      'unlisted: pass: every table that is not named under tables: is stored in the clear',
    );
  }
  const declassify = (raw.declassify ?? []).flatMap((target, i) =>
    readTarget(target, ['declassify', i], reading),
  );
  const tables: TablePolicy[] = [];
  const firstKeys = new Map<string, string>();
  for (const [key, table] of Object.entries(raw.tables ?? {})) {
    const read = readTable(key, table, reading);
    if (!read) continue;
    const name = joinName([read.schema, read.name]);
    const firstKey = firstKeys.get(name);
    if (firstKey !== undefined) {
      const message = `the table ${name} is named twice, as ${JSON.stringify(firstKey)} too`;
      reading.findings.problem(reading.source.keyAt(['tables', key]), message, 'keep one of them');
      continue;
    }
    firstKeys.set(name, key);
    tables.push(read);
  }
  warnOfLonelyDomains(tables, reading);
  return { unlisted, ...(raw.names === 'hidden' ? { names: raw.names } : {}), declassify, tables };
}

function readTarget(target: string | undefined, path: Path, { source, findings }: Reading): string[] {
  if (target === undefined) return [];
  const at = source.valueAt(path);
  const parts = splitName(target);
  const rejected = parts?.map(rejectName).find(reason => reason !== undefined);
  if (!parts || parts.length > 3 || rejected !== undefined) {
    const message = rejected ?? 'a target must be schema.table or schema.table.column';
    findings.problem(at, message, 'put a name that holds a dot in double quotes: \'public."a.b"\'');
    return [];
  }
  return [joinName(parts.length === 1 ? ['public', ...parts] : parts)];
}

function readTable(key: string, raw: RawTable | null, reading: Reading): TablePolicy | undefined {
  const { source, findings } = reading;
  const path = ['tables', key];
  const position = source.keyAt(path);
  const parts = splitName(key);
  if (!parts || parts.length > 2) {
    const suggestion = 'put a name that holds a dot in double quotes: \'public."a.b"\'';
    findings.problem(
      position,
      'a table must be named schema.table, or table in the schema public',
      suggestion,
    );
    return undefined;
  }
  const [schema, name] = parts.length === 1 ? ['public', parts[0]!] : [parts[0]!, parts[1]!];
  const rejected = rejectName(schema) ?? rejectName(name);
  if (rejected !== undefined) findings.problem(position, `no table can be called so: ${rejected}`);
  if (schema.startsWith('pg_') || schema === 'information_schema') {
    findings.problem(position, `the schema ${schema} is PostgreSQL's own, its tables cannot be protected`);
  }
  const columns = Object.entries(raw?.columns ?? {}).map(([column, rawColumn]) =>
    readColumn(column, rawColumn, [...path, 'columns', column], reading),
  );
  return { schema, name, columns, position };
}

function readColumn(
  name: string,
  raw: RawColumn | null,
  path: Path,
  { source, findings }: Reading,
): ColumnPolicy {
  const position = source.keyAt(path);
  const protect = raw?.protect ?? 'encrypt';
  const queries = queryKinds.filter(kind => raw?.queries?.includes(kind));
  const rejected = rejectName(name);
  if (rejected !== undefined) findings.problem(position, `no column can be called so: ${rejected}`);
  if (name === rowIdColumn) {
    findings.problem(position, `the name ${rowIdColumn} is taken by the hidden row id of protected tables`);
  }
  if (protect === 'none' && queries.length > 0) {
    const suggestion = 'remove queries:, or write protect: encrypt';
    findings.problem(
      source.keyAt([...path, 'queries']),
      'a column in the clear needs no queries',
      suggestion,
    );
  }
  if (protect === 'none' && raw?.domain !== undefined) {
    const suggestion = 'remove domain:, or write protect: encrypt';
    findings.problem(
      source.keyAt([...path, 'domain']),
      'a column in the clear has no tags, so no domain',
      suggestion,
    );
  }
  if (protect === 'none' && (raw?.class === 'identifier' || raw?.class === 'confidential')) {
    const kind = raw.class === 'identifier' ? 'an identifier' : 'confidential';
    findings.warning(
      position,
      `the column ${JSON.stringify(name)} is ${kind}, yet in the clear (protect: none)`,
    );
  }
  return { name, class: raw?.class, protect, queries, domain: raw?.domain, position };
}

/** A domain of one column that is spelled almost like another domain is probably a slip. */
function warnOfLonelyDomains(tables: readonly TablePolicy[], { findings }: Reading): void {
  const columns = tables.flatMap(table => table.columns);
  const domains = new Set(columns.flatMap(column => column.domain ?? []));
  for (const domain of domains) {
    const [only, ...others] = columns.filter(column => column.domain === domain);
    const near = nearest(
      domain,
      [...domains].filter(other => other !== domain),
    );
    if (others.length > 0 || near === undefined || !only?.position) continue;
    findings.warning(only.position, `one column only is in the domain ${domain}; did you mean ${near}?`);
  }
}
