/** What policies say of rows that are written: their conditions for new rows, as PostgreSQL chooses them for a role. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { type Node, nodesIn, numberIn, readNodes, textIn, walk } from '../analysed/node.js';
import { physical } from '../compilation.js';
import { generatedColumns, plainExpressions } from '../defaults.js';
import type { Analysis, SessionPort } from '../ports.js';

/** A condition that new rows of a table must meet. */
export interface PolicyCheck {
  /** of a restrictive policy; undefined: of all that permit */
  readonly name: string | undefined;
  /** over the names of the table's columns, and the table's own */
  readonly sql: string;
}

/** The conditions for the rows that a statement writes into one table. */
export interface PolicyChecks {
  readonly table: LogicalTable;
  readonly checks: readonly PolicyCheck[];
  /** the columns that they read */
  readonly columns: readonly LogicalColumn[];
}

interface Policy {
  readonly name: string;
  /** pg_policy.polcmd */
  readonly command: string;
  readonly permissive: boolean;
  readonly using: string | undefined;
  readonly check: string | undefined;
}

/** Policies of a table that count for the role (check_role_for_policy of rowsecurity.c), by name. */
const policiesQuery = physical(
  `SELECT p.polname, p.polcmd, p.polpermissive, pg_catalog.pg_get_expr(p.polqual, p.polrelid),
          pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
     FROM pg_catalog.pg_policy p
    WHERE p.polrelid = $1 AND EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS r (oid)
      WHERE r.oid = 0 OR pg_catalog.pg_has_role(r.oid, 'USAGE')) ORDER BY p.polname`,
  [26],
);

/** RTEPermissionInfo.requiredPerms: ACL_SELECT (parsenodes.h) */
const SELECT = 2;
const ALL = '*';
/** WCO_RLS_INSERT_CHECK and WCO_RLS_UPDATE_CHECK of WCOKind (parsenodes.h) */
const kinds = { INSERT: 1, UPDATE: 2 } as const;
const commands = { INSERT: 'a', UPDATE: 'w' } as const;

/**
 * @param query the analysed INSERT or UPDATE
 * @returns undefined: the role is exempt
 * @throws ClarusError 0A000 where they read what cannot be given to them
 */
export async function policyChecks(
  command: keyof typeof commands,
  query: Node,
  table: LogicalTable,
  { rewritten }: Analysis,
  session: SessionPort,
): Promise<PolicyChecks | undefined> {
  const [written, ...more] = rewritten.flatMap(readNodes);
  if (!written || more.length > 0) throw refused(table, 'Rules make several statements of it.');
  const options = nodesIn(written, 'withCheckOptions');
  if (options.length === 0) return undefined;
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: policiesQuery, parameters: [oid] }]);
  const policies = rows!.map((row): Policy => {
    const [name, command, permissive, using, check] = row.map(field =>
      field === null ? undefined : Buffer.from(field).toString(),
    );
    return { name: name!, command: command!, permissive: permissive === 't', using, check };
  });
  const forCommand = (one: string): readonly Policy[] =>
    policies.filter(policy => policy.command === one || policy.command === ALL);
  const all = [
    ...checksOf(forCommand(commands[command]), policy => policy.check ?? policy.using),
    ...(readsTarget(query) ? checksOf(forCommand('r'), policy => policy.using) : []),
  ];
  const checks = all.filter(
    ({ name, sql }, i) => all.findIndex(one => one.name === name && one.sql === sql) === i,
  );
  // what the rewriter has made of the same policies
  const theirs = options.map(option => [numberIn(option, 'kind'), textIn(option, 'polname') ?? '']);
  const ours = checks.map(({ name }) => [kinds[command], name ?? '']);
  if (JSON.stringify(theirs) !== JSON.stringify(ours))
    throw refused(table, 'Its policies are applied in another way than Clarus knows.');
  return { table, checks, columns: await columnsRead(checks, table, session) };
}

/** add_with_check_options of rowsecurity.c */
function checksOf(
  policies: readonly Policy[],
  conditionOf: (policy: Policy) => string | undefined,
): readonly PolicyCheck[] {
  const permitting = policies
    .filter(({ permissive }) => permissive)
    .map(conditionOf)
    .filter(sql => sql !== undefined);
  if (permitting.length === 0) return [{ name: undefined, sql: 'false' }];
  return [
    { name: undefined, sql: permitting.map(sql => `(${sql})`).join(' OR ') },
    ...policies.flatMap(policy => {
      const sql = policy.permissive ? undefined : conditionOf(policy);
      return sql === undefined ? [] : [{ name: policy.name, sql }];
    }),
  ];
}

/** Must the statement be allowed to SELECT from the table that it writes, as for RETURNING and conditions? */
function readsTarget(query: Node): boolean {
  const target = nodesIn(query, 'rtable')[numberIn(query, 'resultRelation') - 1]!;
  const place = numberIn(target, 'perminfoindex');
  const rights = place > 0 ? nodesIn(query, 'rteperminfos')[place - 1]! : target;
  return (numberIn(rights, 'requiredPerms') & SELECT) !== 0;
}

async function columnsRead(
  checks: readonly PolicyCheck[],
  table: LogicalTable,
  session: SessionPort,
): Promise<readonly LogicalColumn[]> {
  const numbers = new Set<number>();
  const name = quoteQualified(table.schema, table.name);
  for (const { sql } of checks) {
    const { parsed } = await session.analyse(`SELECT (${sql}) FROM ${name}`, []);
    for (const tree of parsed.flatMap(readNodes)) readBy(tree, 0, numbers);
  }
  if ([...numbers].some(number => number <= 0))
    throw refused(table, 'A policy reads the whole row or a column of the system.');
  const generated = await generatedColumns(table, session);
  const columns = table.columns.filter(({ attnum }) => numbers.has(attnum));
  const computed = columns.find(column => generated.has(column.name));
  if (computed) throw refused(table, `A policy reads the generated column "${computed.name}".`);
  return columns;
}

/** Columns of the one table of the outermost query. @param depth of the query within which a node stands */
function readBy(query: Node, depth: number, found: Set<number>): void {
  for (const value of Object.values(query.fields))
    walk(value, node => {
      if (node.kind === 'QUERY') {
        readBy(node, depth + 1, found);
        return false;
      }
      if (node.kind === 'VAR' && numberIn(node, 'varlevelsup') === depth)
        found.add(numberIn(node, 'varattno'));
      return true;
    });
}

/** A check as what is true where a row does not meet it. @param row SQL of the row, as columns of the table */
export const broken = ({ sql }: PolicyCheck, { name }: LogicalTable, row: string): string =>
  `(SELECT ${sql} FROM (${row}) AS ${quoteName(name)}) IS NOT TRUE`;

/** What PostgreSQL says of a row that does not meet one (ExecWithCheckOptions of execMain.c). */
export const violation = (table: LogicalTable, name: string | undefined): ClarusError =>
  new ClarusError(
    '42501',
    name === undefined
      ? `new row violates row-level security policy for table "${table.name}"`
      : `new row violates row-level security policy "${name}" for table "${table.name}"`,
  );

const refused = ({ name }: LogicalTable, detail: string): ClarusError =>
  new ClarusError('0A000', `policies of table "${name}" cannot be applied to rows that are written`, {
    detail,
    hint: 'A policy may read the columns of the row that are not computed, and tables.',
  });
