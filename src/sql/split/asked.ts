/**
 * What a split statement asks of the cloud once, before it runs: the time of the transaction, its number, the server's
 * process. Such functions give one value as long as a statement runs, so the value can stand as a parameter.
 */
import { collect } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import { withTime } from '../operand.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { castTo, list, paramRef, type RawFields, type RawNode, rewrite, stringOf } from '../raw/node.js';

/** A value that is asked for. */
export interface Asked {
  /** an expression of the cloud, without anything of a statement's values */
  readonly sql: string;
  /** OID of its type */
  readonly type: number;
  /** it is about the transaction, which must be the one that the statement writes in */
  readonly ofTransaction: boolean;
}

/** Types by function, none of which takes arguments (pg_proc.dat). */
const types: Readonly<Record<string, readonly [name: string, oid: number]>> = {
  pg_backend_pid: ['int4', 23],
  txid_current: ['int8', 20],
  txid_current_if_assigned: ['int8', 20],
  txid_current_snapshot: ['txid_snapshot', 2970],
  pg_current_xact_id: ['xid8', 5069],
  pg_current_xact_id_if_assigned: ['xid8', 5069],
  pg_current_snapshot: ['pg_snapshot', 5038],
  inet_client_addr: ['inet', 869],
  inet_client_port: ['int4', 23],
  inet_server_addr: ['inet', 869],
  inet_server_port: ['int4', 23],
  pg_is_in_recovery: ['bool', 16],
  pg_postmaster_start_time: ['timestamptz', 1184],
  pg_conf_load_time: ['timestamptz', 1184],
};

const now: Asked = { sql: 'pg_catalog.now()', type: 1184, ofTransaction: false };

/** A statement with what it asks of the cloud as parameters. */
export interface Asking {
  readonly tree: RawNode;
  readonly asked: readonly Asked[];
}

/**
 * @param raw calls no function of users in the place of one that is asked for: what is left is looked at afterwards
 * @param before number of its parameters
 */
export function withAsked(raw: RawNode, before: number): Asking {
  const asked: Asked[] = [];
  const number = (value: Asked): number => {
    const known = asked.findIndex(({ sql }) => sql === value.sql);
    return before + (known < 0 ? asked.push(value) : known + 1);
  };
  const named = rewrite(raw, (kind, fields) => (kind === 'FuncCall' ? call(fields, number) : undefined));
  const { tree, time } = withTime(named, before + asked.length + 1);
  return { tree: atLeastNow(tree, before + asked.length + 1, time), asked: time ? [...asked, now] : asked };
}

function call(fields: RawFields, number: (value: Asked) => number): RawNode | undefined {
  const [name = '', schema = 'pg_catalog', ...more] = list(fields, 'funcname').map(stringOf).reverse();
  if (schema !== 'pg_catalog' || more.length > 0) return undefined;
  const found = types[name];
  const args = list(fields, 'args');
  if (found && args.length === 0) {
    const ofTransaction = /xact_id|txid_current$|if_assigned/.test(name);
    return castTo(paramRef(number({ sql: `pg_catalog.${name}()`, type: found[1], ofTransaction })), found[0]);
  }
  // the name of a setting is no value of a table
  if (name !== 'current_setting' || args.length === 0 || !args.every(isConstant)) return undefined;
  const sql = deparseExpression({ FuncCall: { ...fields, funcname: pgCatalog('current_setting') } });
  return castTo(paramRef(number({ sql, type: 25, ofTransaction: false })), 'text');
}

const pgCatalog = (name: string): readonly RawNode[] =>
  ['pg_catalog', name].map(sval => ({ String: { sval } }));

const isConstant = (node: RawNode): boolean =>
  node.A_Const !== undefined || (node.TypeCast?.arg as RawNode | undefined)?.A_Const !== undefined;

/** The clock of the trusted side does not show a time before that of the cloud's transaction. */
function atLeastNow(tree: RawNode, number: number, known: boolean): RawNode {
  if (!known) return tree;
  return rewrite(tree, (kind, fields) => {
    const name = kind === 'FuncCall' ? stringOf(list(fields, 'funcname').at(-1)) : '';
    if (name !== 'clock_timestamp' && name !== 'statement_timestamp') return undefined;
    const args = [{ FuncCall: fields }, castTo(paramRef(number), 'timestamptz')];
    return { MinMaxExpr: { op: 'IS_GREATEST', args } };
  });
}

/** Asks the cloud: values in binary form. */
export async function askCloud(
  asked: readonly Asked[],
  session: SessionPort,
): Promise<readonly (Uint8Array | null)[]> {
  if (asked.length === 0) return [];
  const query = statement(`SELECT ${asked.map(({ sql }) => sql).join(', ')}`, []);
  const [row] = await collect(
    session.cloud,
    query,
    [],
    [],
    asked.map(() => 1 as const),
  );
  return row ?? asked.map(() => null);
}
