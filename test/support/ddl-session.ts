/**
 * A session for tests of DDL: a SessionPort over two databases of one server, one playing the cloud and one the
 * shadow, with a catalogue in memory. Everything that reaches the cloud is recorded.
 */
import pg from 'pg';
import type { Catalog, CatalogChange, Redo } from '../../src/catalog/catalog.js';
import { applyChanges, passesThrough } from '../../src/catalog/changes.js';
import type { CatalogNumbers } from '../../src/catalog/derive-input.js';
import { type EncodingRegistry, encodingRegistry } from '../../src/encodings/registry.js';
import type { Policy } from '../../src/policy/policy.js';
import { ChangingTables } from '../../src/sql/changing.js';
import { type DdlDependencies, executeDdl, planDdl } from '../../src/sql/ddl/index.js';
import { functionHomes, functionHomesQuery } from '../../src/sql/functions.js';
import type { Analysis, SessionPort, StatementPort } from '../../src/sql/ports.js';
import { parseStatements } from '../../src/sql/raw/parse.js';
import { PostgresError } from '../../src/wire/diagnostic.js';
import { MessageWriter } from '../../src/wire/message-writer.js';
import type { TestServer } from './server.js';

export interface DdlSession {
  readonly cloud: pg.Client;
  readonly shadow: pg.Client;
  /** statements that reached the cloud */
  readonly sent: string[];
  readonly notices: string[];
  readonly redo: Redo[];
  catalog(): Catalog;
  /** runs statements; each in a transaction of its own unless `begin` was called */
  run(sql: string): Promise<string>;
  begin(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  port: SessionPort;
  deps: DdlDependencies;
  close(): Promise<void>;
}

const noQueries = (): never => {
  throw new Error('no residual engine');
};

/** Numbers from 1, in memory. */
export function testNumbers(): CatalogNumbers {
  let table = 0;
  let generation = 0;
  let domain = 0;
  const domains = new Map<string, number>();
  return {
    table: async () => ++table,
    generation: async () => ++generation,
    domain: async name => {
      if (name === undefined) return ++domain;
      const known = domains.get(name) ?? ++domain;
      domains.set(name, known);
      return known;
    },
  };
}

export const emptyCatalog = (policy: Policy): Catalog => ({
  version: 1,
  policyVersion: 1,
  policy,
  tables: new Map(),
  passThrough: passesThrough(policy, []),
});

const client = async (server: TestServer, database: string): Promise<pg.Client> => {
  const made = new pg.Client({ ...server, database });
  await made.connect();
  return made;
};

export interface DdlSessionOptions {
  readonly registry?: EncodingRegistry;
  readonly numbers?: CatalogNumbers;
  /** a catalogue to begin with: the databases are there already */
  readonly catalog?: Catalog;
  /** commits both sides in place of the plain order; throws to stop half-way */
  readonly commit?: (redo: Redo, cloud: pg.Client, shadow: pg.Client) => Promise<void>;
}

/** Makes the two databases of a cloud and its shadow, `name_cloud` and `name_shadow`. */
export async function makeDatabases(server: TestServer, name: string): Promise<void> {
  const admin = await client(server, 'postgres');
  for (const side of ['cloud', 'shadow']) await admin.query(`CREATE DATABASE ${name}_${side}`);
  await admin.end();
}

/** Opens a session on two databases, new ones unless there is a catalogue. */
export async function openDdlSession(
  server: TestServer,
  name: string,
  policy: Policy,
  options: DdlSessionOptions = {},
): Promise<DdlSession> {
  const { registry = encodingRegistry() } = options;
  if (!options.catalog) await makeDatabases(server, name);
  const cloud = await client(server, `${name}_cloud`);
  const shadow = await client(server, `${name}_shadow`);
  await shadow.query('SET client_min_messages = log');
  const sent: string[] = [];
  const notices: string[] = [];
  const redo: Redo[] = [];
  let committed = options.catalog ?? emptyCatalog(policy);
  let pending: { ddl: string[]; changes: CatalogChange[] } | undefined;
  let inTransaction = false;
  const current = (): Catalog => applyChanges(committed, pending?.changes ?? []);
  const port: SessionPort = {
    cancelRequests: 0,
    user: 'postgres',
    database: name,
    asksLast: () => false,
    watchFetches: () => () => [],
    settings: {
      dateStyle: 'ISO, MDY',
      intervalStyle: 'postgres',
      timeZone: 'UTC',
      extraFloatDigits: 1,
      byteaOutput: 'hex',
      standardConformingStrings: true,
      escapeStringWarning: true,
      backslashQuote: true,
      searchPath: '"$user", public',
      arrayNulls: true,
      literals: '',
      statementTimeout: '0',
      clientMinMessages: 'notice',
      rowSecurity: true,
    },
    cloudMajor: Infinity,
    cloud: statementPort(cloud, sent),
    trusted: statementPort(shadow),
    check: () => Promise.reject(new Error('not used by DDL')),
    temporary: { exist: false, state: '', changed: () => undefined },
    randomness: { seeded: false },
    cursors: {
      check: () => Promise.reject(new Error('not used by DDL')),
      declared: () => Promise.reject(new Error('not used by DDL')),
      has: () => false,
    },
    recorded: () => Promise.reject(new Error('not used by DDL')),
    fetched: () => undefined,
    client: {
      write: () => undefined,
      writer: new MessageWriter(),
      written: () => undefined,
      notice: ({ message }) => void notices.push(message),
    },
    catalog: current,
    asOwner: () => Promise.reject(new Error('not used by DDL')),
    tries: () => Promise.reject(new Error('not used by DDL')),
    transaction: {
      acting: undefined,
      authorized: undefined,
      touchTrusted: async () => undefined,
      keepSequences: async () => undefined,
      begin: async () => undefined,
      speaksOfReadOnly: false,
      encodings: { get: async () => undefined, put: async () => undefined },
      record(ddl, changes) {
        if (ddl !== undefined) pending?.ddl.push(ddl);
        pending?.changes.push(...changes);
      },
      number: 0,
      changes: [],
      get explicit() {
        return inTransaction;
      },
      get block() {
        return inTransaction;
      },
      get begun() {
        return inTransaction;
      },
      subtransaction: () => Promise.reject(new Error('not used by DDL')),
      inSearchPath: (_path, work) => work(),
      set: () => Promise.reject(new Error('not used by DDL')),
      follow: () => Promise.reject(new Error('not used by DDL')),
      underSettings: () => Promise.reject(new Error('not used by DDL')),
      renew: () => Promise.reject(new Error('not used by DDL')),
    },
    analyse: sql => analyse(shadow, sql),
    analyseTentatively: sql => analyse(shadow, sql),
  };
  const { rows } = await shadow.query({ text: functionHomesQuery, rowMode: 'array' });
  const deps: DdlDependencies = {
    registry,
    homes: functionHomes(rows as [string, string, string][]),
    numbers: options.numbers ?? testNumbers(),
    cloud: 'main',
    changing: new ChangingTables(async () => true),
    context() {
      throw new Error('there is no key that opens cells');
    },
    settle: async () => undefined,
    limits: { rows_max: 0, bytes_max: 0 },
  };
  const begin = async (): Promise<void> => {
    await cloud.query('BEGIN');
    await shadow.query('BEGIN');
    pending = { ddl: [], changes: [] };
  };
  const commit = async (): Promise<void> => {
    const { ddl, changes } = pending!;
    const done: Redo = {
      ddl: ddl.map(sql => ({ user: 'postgres', searchPath: port.settings.searchPath, sql })),
      changes,
    };
    if (options.commit) await options.commit(done, cloud, shadow);
    else {
      await cloud.query('COMMIT');
      await shadow.query('COMMIT');
    }
    redo.push(done);
    committed = current();
    pending = undefined;
  };
  const rollback = async (): Promise<void> => {
    await cloud.query('ROLLBACK');
    await shadow.query('ROLLBACK');
    pending = undefined;
  };
  return {
    cloud,
    shadow,
    sent,
    notices,
    redo,
    catalog: current,
    port,
    deps,
    begin: async () => {
      await begin();
      inTransaction = true;
    },
    commit: async () => {
      inTransaction = false;
      await commit();
    },
    rollback: async () => {
      inTransaction = false;
      await rollback();
    },
    async run(sql) {
      let last = '';
      for (const { node, text } of parseStatements(sql)) {
        if (!inTransaction) await begin();
        try {
          const plan = await planDdl(node, text, [], port);
          if (!plan) throw new Error(`no DDL: ${text}`);
          last = (await executeDdl(plan, port, deps, noQueries)).tag;
        } catch (error) {
          if (!inTransaction) await rollback();
          throw error;
        }
        if (!inTransaction) await commit();
      }
      return last;
    },
    async close() {
      await cloud.end();
      await shadow.end();
    },
  };
}

function statementPort(connection: pg.Client, sent?: string[]): StatementPort {
  const never = (): never => {
    throw new Error('not used by DDL');
  };
  const query = async (text: string, values: (string | null)[]): Promise<pg.QueryArrayResult> => {
    sent?.push(text, ...values.filter(value => value !== null));
    try {
      return await connection.query({
        text,
        values,
        rowMode: 'array',
        types: { getTypeParser: () => (v: string) => v },
      });
    } catch (error) {
      throw error instanceof pg.DatabaseError ? asPostgresError(error) : error;
    }
  };
  return {
    bind: never,
    copyIn: never,
    flush: () => undefined,
    flushLast: async () => undefined,
    async gather(statement, parameters) {
      const result = await query(
        statement.sql,
        parameters.map(value => (value === null ? null : Buffer.from(value).toString())),
      );
      const rows = result.rows as (string | null)[][];
      return {
        tag: result.command,
        rows: rows.map(row => row.map(value => (value === null ? null : Buffer.from(value)))),
      };
    },
    async run(sql) {
      return (await query(sql, [])).command;
    },
  };
}

const asPostgresError = (error: pg.DatabaseError): PostgresError => {
  const given = {
    detail: error.detail,
    hint: error.hint,
    schema: error.schema,
    table: error.table,
    column: error.column,
    constraint: error.constraint,
  };
  const fields = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return new PostgresError({
    severity: 'ERROR',
    code: error.code ?? 'XX000',
    message: error.message,
    ...fields,
  });
};

/** What a session's analysis gives: the trees that PostgreSQL logs to its own client. */
async function analyse(shadow: pg.Client, sql: string): Promise<Analysis> {
  const parsed: string[] = [];
  const rewritten: string[] = [];
  const see = (notice: { message?: string | undefined; detail?: string | undefined }): void => {
    if (/^parse tree:/.test(notice.message ?? '')) parsed.push(notice.detail ?? '');
    if (/^rewritten parse tree:/.test(notice.message ?? '')) rewritten.push(notice.detail ?? '');
  };
  await shadow.query(
    'SET LOCAL debug_print_parse = on; SET LOCAL debug_print_rewritten = on; SET LOCAL debug_pretty_print = off',
  );
  shadow.on('notice', see);
  // what the statement does is undone: analysis does nothing
  await shadow.query('SAVEPOINT analysis');
  await shadow.query(sql);
  await shadow.query('ROLLBACK TO analysis');
  shadow.off('notice', see);
  await shadow.query('SET LOCAL debug_print_parse = off; SET LOCAL debug_print_rewritten = off');
  const trees = rewritten.map(text => text.trim().replace(/^\(\s*|\s*\)$/g, ''));
  return { shape: { parameterTypes: [], columns: undefined }, parsed, rewritten: trees };
}
