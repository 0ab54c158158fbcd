/**
 * Proves that a query, a view or a function touches open tables only, by the trusted PostgreSQL's own analysis.
 * What is not proven does not reach a cloud.
 */
import { createRequire } from 'node:module';
import { oidArray } from '../../catalog/reader.js';
import { type Node, readNodes } from '../analysed/node.js';
import { functionsIn, relationsIn } from '../analysed/query.js';
import { FIRST_USER_OID, type FunctionHomes } from '../functions.js';
import type { SessionPort } from '../plan.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf, visit } from '../raw/node.js';
import { parseStatements } from '../raw/parse.js';
import { rowsWithin, typeNamesIn, typesIn } from '../row-types.js';
import { readerOn } from './backends.js';
import { resolveRelation } from './resolve.js';

const library = createRequire(import.meta.url)('libpg-query') as { parsePlPgSQLSync(sql: string): unknown };

/** Undefined: proven. Else why not, in words. */
export type Doubt = string | undefined;

/** What a proof asks. */
export interface ProofContext {
  readonly session: SessionPort;
  readonly homes: FunctionHomes;
}

/** Analyses a query that takes no parameters. */
export async function doubtOfQuery(context: ProofContext, sql: string): Promise<Doubt> {
  const { rewritten } = await context.session.analyse(sql, []);
  if (rewritten.length === 0) return 'its analysis is not known';
  return doubtOfTrees(context, rewritten.flatMap(readNodes));
}

/** Analyses a query that may read protected tables, where only the trusted side runs it. */
export async function doubtOfServedQuery(context: ProofContext, sql: string): Promise<Doubt> {
  const { rewritten } = await context.session.analyse(sql, []);
  const trees = rewritten.flatMap(readNodes);
  const { tables } = context.session.catalog();
  const others = [...relationsIn(trees)].filter(oid => tables.get(oid)?.state !== 'protected');
  return (
    (await doubtOfRelations(context.session, new Set(others))) ??
    doubtOfFunctions(context, functionsIn(trees))
  );
}

async function doubtOfTrees(context: ProofContext, trees: readonly Node[]): Promise<Doubt> {
  const relations = await doubtOfRelations(context.session, relationsIn(trees));
  const types = relations ?? (await doubtOfTypes(context.session, typesIn(trees), []));
  return types ?? doubtOfFunctions(context, functionsIn(trees));
}

/** The cloud knows the row of a protected table as one of encodings. */
async function doubtOfTypes(
  session: SessionPort,
  types: ReadonlySet<number>,
  names: readonly string[],
): Promise<Doubt> {
  const table = await rowsWithin(types, names, session);
  return table && `it uses the row type of the table "${table.name}", which is ${table.state}`;
}

/** Views have been expanded into their tables by the analysis; sequences hold no row of a table. */
export async function doubtOfRelations(session: SessionPort, oids: ReadonlySet<number>): Promise<Doubt> {
  const { tables } = session.catalog();
  const unknown: number[] = [];
  for (const oid of oids) {
    const table = tables.get(oid);
    if (table && table.state !== 'open') return `it uses the table "${table.name}", which is ${table.state}`;
    if (!table && oid >= FIRST_USER_OID) unknown.push(oid);
  }
  if (unknown.length === 0) return undefined;
  const [row] = await readerOn(session.trusted)(
    "SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind NOT IN ('v', 'S') LIMIT 1",
    [oidArray(unknown)],
  );
  return row && `it uses "${row[0]}", which Clarus does not know`;
}

const functionQuery = `SELECT p.oid::text, p.proname::text, l.lanname::text, p.prosrc, p.prosqlbody::text,
  pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid = ANY ($1::oid[]) AND p.prokind <> 'a'`;

/** Functions of users are proven by their bodies; built-in ones by the list of those that run SQL text. */
export async function doubtOfFunctions(
  context: ProofContext,
  oids: ReadonlySet<number>,
  seen: ReadonlySet<number> = new Set(),
): Promise<Doubt> {
  const users: number[] = [];
  for (const oid of oids) {
    if (oid >= FIRST_USER_OID) users.push(oid);
    else if (context.homes.home(oid) === 'unproven') return 'it calls a function that may run SQL text';
  }
  const fresh = users.filter(oid => !seen.has(oid));
  if (fresh.length === 0) return undefined;
  const rows = await readerOn(context.session.trusted)(functionQuery, [oidArray(fresh)]);
  if (rows.length < fresh.length) return 'it calls an aggregate of users';
  const now = new Set([...seen, ...fresh]);
  for (const [, name, language, source, body, definition] of rows) {
    const doubt = await doubtOfBody(
      context,
      language ?? '',
      source ?? '',
      body ?? null,
      definition ?? '',
      now,
    );
    if (doubt !== undefined) return `function "${name}": ${doubt}`;
  }
  return undefined;
}

async function doubtOfBody(
  context: ProofContext,
  language: string,
  source: string,
  body: string | null,
  definition: string,
  seen: ReadonlySet<number>,
): Promise<Doubt> {
  switch (language) {
    case 'sql': {
      if (body === null)
        return doubtOfStatements(
          context,
          parseStatements(source).map(s => s.node),
          seen,
        );
      const tree = storedTrees(body);
      const relations = await doubtOfViews(context, relationsIn(tree));
      const types = relations ?? (await doubtOfTypes(context.session, typesIn(tree), []));
      return types ?? doubtOfFunctions(context, functionsIn(tree), seen);
    }
    case 'plpgsql': {
      const queries = plpgsqlQueries(definition);
      if (typeof queries === 'string') return queries;
      const types = await doubtOfTypes(context.session, new Set(), queries.types);
      return types ?? doubtOfStatements(context, queries.nodes, seen);
    }
    default:
      return `its body is written in ${language}, which Clarus does not read`;
  }
}

/** A stored body is a query, a list of queries, or a list of such lists. */
const storedTrees = (text: string): readonly Node[] => readNodes(`{BODY :queries ${text}}`);

/** A stored query names views, not what they stand for: their own stored queries are read. */
async function doubtOfViews(context: ProofContext, oids: ReadonlySet<number>): Promise<Doubt> {
  const { session } = context;
  const own = await doubtOfRelations(session, oids);
  const users = [...oids].filter(oid => oid >= FIRST_USER_OID);
  if (own !== undefined || users.length === 0) return own;
  const rows = await readerOn(session.trusted)(
    `SELECT r.ev_action::text FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
     WHERE c.relkind = 'v' AND r.rulename = '_RETURN' AND c.oid = ANY ($1::oid[])`,
    [oidArray(users)],
  );
  for (const [action] of rows) {
    const tree = storedTrees(action ?? '()');
    const inside = new Set([...relationsIn(tree)].filter(oid => !oids.has(oid)));
    const doubt =
      (await doubtOfViews(context, inside)) ??
      (await doubtOfTypes(session, typesIn(tree), [])) ??
      (await doubtOfFunctions(context, functionsIn(tree)));
    if (doubt !== undefined) return doubt;
  }
  return undefined;
}

/**
 * Statements in a body that was stored as text: every relation and function that they name must be proven, under
 * the search_path of now. A call is planned under the one that holds then.
 */
async function doubtOfStatements(
  context: ProofContext,
  nodes: readonly RawNode[],
  seen: ReadonlySet<number>,
): Promise<Doubt> {
  const read = readerOn(context.session.trusted);
  const names: (readonly string[])[] = [];
  const calls: (readonly string[])[] = [];
  const ctes = new Set<string>();
  for (const node of nodes) {
    if (!/^(Select|Insert|Update|Delete|Merge)Stmt$/.test(kindOf(node)))
      return 'its body holds more than queries and writes';
    visit(node, (kind, fields) => {
      if (kind === 'CommonTableExpr') ctes.add(fields.ctename as string);
      if (kind === 'FuncCall') calls.push(list(fields, 'funcname').map(stringOf));
      if (typeof fields.relname === 'string')
        names.push([...(typeof fields.schemaname === 'string' ? [fields.schemaname] : []), fields.relname]);
    });
  }
  const oids = new Set<number>();
  for (const parts of names) {
    if (parts.length === 1 && ctes.has(parts[0]!)) continue;
    const relation = await resolveRelation(read, parts);
    if (!relation) return `it names "${parts.join('.')}", which is not there`;
    oids.add(relation.oid);
  }
  const relations =
    (await doubtOfViews(context, oids)) ??
    (await doubtOfTypes(context.session, new Set(), typeNamesIn(nodes)));
  if (relations !== undefined) return relations;
  const functions = new Set<number>();
  for (const parts of calls) {
    const [row] = await read(
      "SELECT coalesce(string_agg(p.oid::text, ','), '') FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = $1 AND ($2::text IS NULL OR n.nspname = $2)",
      [parts.at(-1) ?? '', parts.length > 1 ? (parts.at(-2) ?? null) : null],
    );
    for (const oid of (row?.[0] ?? '').split(',')) if (oid !== '') functions.add(Number(oid));
  }
  return doubtOfFunctions(context, functions, seen);
}

/** Every query in a PL/pgSQL body as a tree, with the types of its variables, or why they cannot be known. */
function plpgsqlQueries(
  definition: string,
): { readonly nodes: readonly RawNode[]; readonly types: readonly string[] } | string {
  let parsed: unknown;
  try {
    parsed = library.parsePlPgSQLSync(definition);
  } catch {
    return 'its PL/pgSQL body cannot be read';
  }
  const nodes: RawNode[] = [];
  const types: string[] = [];
  let doubt: string | undefined;
  visit(parsed, (kind, fields) => {
    if (
      kind === 'PLpgSQL_stmt_dynexecute' ||
      kind === 'PLpgSQL_stmt_dynfors' ||
      fields.dynquery !== undefined
    )
      doubt = 'it runs SQL text that it makes itself';
    if (kind === 'PLpgSQL_type' && !/%type/i.test(String(fields.typname)))
      types.push(String(fields.typname).replace(/%rowtype/i, ''));
    if (kind !== 'PLpgSQL_expr') return;
    const query = queryOf(fields);
    if (query === undefined) doubt ??= 'an expression in its PL/pgSQL body cannot be read';
    else nodes.push(...query);
  });
  return doubt ?? { nodes, types };
}

/** RawParseMode of PostgreSQL (src/include/parser/parser.h): statement 0, expression 2, assignment 3 and above. */
function queryOf({ query, parseMode }: RawFields): readonly RawNode[] | undefined {
  const text = String(query ?? '');
  const mode = Number(parseMode ?? 0);
  const sql = mode === 0 ? text : `SELECT ${mode >= 3 ? text.replace(/^[^:=]*:?=/s, '') : text}`;
  try {
    return parseStatements(sql).map(({ node }) => node);
  } catch {
    return undefined;
  }
}

/** What a CREATE FUNCTION that has just run in the shadow made, proven or not. */
export async function doubtOfNewFunction(context: ProofContext, node: RawNode): Promise<Doubt> {
  const fields = fieldsOf(node);
  const parts = list(fields, 'funcname').map(stringOf);
  const rows = await readerOn(context.session.trusted)(
    `SELECT p.oid::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE p.proname = $1 AND n.nspname = coalesce($2::text, pg_catalog.current_schema()::text)`,
    [parts.at(-1) ?? '', parts.length > 1 ? (parts.at(-2) ?? null) : null],
  );
  // Overloads of the name are proven with it: more than asked, never less.
  return doubtOfFunctions(context, new Set(rows.map(row => Number(row[0]))));
}
