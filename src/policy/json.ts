/** Policies as JSON, the form in which numbered versions are stored. */
import { ClarusError } from '../errors.js';
import { domainPattern, rejectName } from './names.js';
import {
  type ColumnPolicy,
  columnClasses,
  type Policy,
  protections,
  queryKinds,
  type SourcePosition,
  type TablePolicy,
} from './policy.js';

/**
 * Writes a policy. Keys stand in a fixed order, tables, columns and targets in that of their names, query kinds in
 * that of `queryKinds`: policies that say the same give the same text, whatever their files look like.
 * @param options.positions also write the places in the policy file, which errors name; then the text depends on
 *   the file
 */
export function policyToJson(policy: Policy, options: { readonly positions?: boolean } = {}): string {
  const positioned = (position: SourcePosition | undefined): object =>
    options.positions && position
      ? { position: { file: position.file, line: position.line, column: position.column } }
      : {};
  const byName = <Named extends { readonly name: string }>(a: Named, b: Named): number =>
    compare(a.name, b.name);
  return JSON.stringify({
    unlisted: policy.unlisted,
    ...(policy.names === undefined ? {} : { names: policy.names }),
    declassify: [...policy.declassify].sort(compare),
    tables: [...policy.tables]
      .sort((a, b) => compare(a.schema, b.schema) || byName(a, b))
      .map(table => ({
        schema: table.schema,
        name: table.name,
        columns: [...table.columns].sort(byName).map(column => ({
          name: column.name,
          ...(column.class === undefined ? {} : { class: column.class }),
          protect: column.protect,
          queries: queryKinds.filter(kind => column.queries.includes(kind)),
          ...(column.domain === undefined ? {} : { domain: column.domain }),
          ...positioned(column.position),
        })),
        ...positioned(table.position),
      })),
  });
}

/** By UTF-16 code units: the same everywhere, whatever the locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Reads what `policyToJson` wrote.
 * @throws ClarusError XX001 (data corrupted) for anything else: a policy that is not understood protects nothing
 */
export function policyFromJson(text: string): Policy {
  const policy = members(parse(text), 'policy', ['unlisted', 'names', 'declassify', 'tables']);
  return {
    unlisted: oneOf(policy.unlisted, ['refuse', 'encrypt', 'pass'] as const, 'unlisted'),
    ...(policy.names === undefined ? {} : { names: oneOf(policy.names, ['hidden'] as const, 'names') }),
    declassify: list(policy.declassify, 'declassify').map(target => string(target, 'declassify')),
    tables: list(policy.tables, 'tables').map(readTable),
  };
}

type Members = Readonly<Record<string, unknown>>;

function corrupted(what: string): ClarusError {
  return new ClarusError('XX001', `a stored policy version cannot be read: ${what}`, {
    hint: 'the trusted database was changed by hand, or written by a later release',
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw corrupted('it is no JSON');
    throw error;
  }
}

function members(value: unknown, what: string, known: readonly string[]): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupted(`${what} is no object`);
  const unknown = Object.keys(value).find(key => !known.includes(key));
  if (unknown !== undefined) throw corrupted(`${what} has an unknown member`);
  return value as Members;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw corrupted(`${what} is no list`);
  return value;
}

function string(value: unknown, what: string): string {
  if (typeof value !== 'string') throw corrupted(`${what} is no text`);
  return value;
}

function oneOf<Word extends string>(value: unknown, known: readonly Word[], what: string): Word {
  const found = known.find(word => word === value);
  if (found === undefined) throw corrupted(`${what} has an unknown word`);
  return found;
}

function name(value: unknown, what: string): string {
  const text = string(value, what);
  const rejected = rejectName(text);
  if (rejected !== undefined) throw corrupted(`${what}: ${rejected}`);
  return text;
}

function domainName(value: unknown): string {
  const text = string(value, 'a domain');
  if (!domainPattern.test(text)) throw corrupted('a domain has a name that no domain can have');
  return text;
}

function readTable(value: unknown): TablePolicy {
  const table = members(value, 'a table', ['schema', 'name', 'columns', 'position']);
  return {
    schema: name(table.schema, 'a schema'),
    name: name(table.name, 'a table'),
    columns: list(table.columns, 'columns').map(readColumn),
    position: readPosition(table.position),
  };
}

function readColumn(value: unknown): ColumnPolicy {
  const column = members(value, 'a column', ['name', 'class', 'protect', 'queries', 'domain', 'position']);
  const { class: columnClass, domain } = column;
  return {
    name: name(column.name, 'a column'),
    class: columnClass === undefined ? undefined : oneOf(columnClass, columnClasses, 'class'),
    protect: oneOf(column.protect, protections, 'protect'),
    queries: list(column.queries, 'queries').map(kind => oneOf(kind, queryKinds, 'queries')),
    domain: domain === undefined ? undefined : domainName(domain),
    position: readPosition(column.position),
  };
}

function readPosition(value: unknown): SourcePosition | undefined {
  if (value === undefined) return undefined;
  const position = members(value, 'a position', ['file', 'line', 'column']);
  const { file, line, column } = position;
  if (typeof line !== 'number' || typeof column !== 'number') throw corrupted('a position has no numbers');
  return { file: string(file, 'a position'), line, column };
}
