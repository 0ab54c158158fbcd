/** Plans of the statements that act on the session itself: transactions, settings, prepared statements. */
import { ClarusError } from '../errors.js';
import { textColumn } from './explain.js';
import { explainOptions, explainTypes } from './explained/options.js';
import type { Plan } from './plan.js';
import { stripComments } from './raw/comments.js';
import { deparse, deparseExpression, typeText } from './raw/deparse.js';
import { child, list, type RawFields, type RawNode, text, visit } from './raw/node.js';
import { sidesOf } from './settings.js';

/** Plan of a session statement, or undefined for every other statement. */
export function planSessionStatement(raw: RawNode, sql: string): Plan | undefined {
  const clean = stripComments(sql);
  if (raw.TransactionStmt) return transaction(raw.TransactionStmt, clean);
  if (raw.VariableSetStmt) return setting(raw.VariableSetStmt, clean);
  if (raw.PrepareStmt) {
    refuseJunkAfterParameter(clean);
    return {
      kind: 'prepare',
      name: text(raw.PrepareStmt, 'name') ?? '',
      sql: deparse(child(raw.PrepareStmt, 'query')!),
      parameterTypes: list(raw.PrepareStmt, 'argtypes').map(typeText),
    };
  }
  if (raw.ExecuteStmt) return execute(raw.ExecuteStmt, sql);
  const explained = raw.ExplainStmt && child(raw.ExplainStmt, 'query')?.ExecuteStmt;
  if (explained) {
    const { asked, format } = explainOptions(raw.ExplainStmt!);
    const columns = [{ ...textColumn('QUERY PLAN'), typeOid: explainTypes[format] }];
    return { ...execute(explained, sql), explain: { sql: asked, columns } };
  }
  if (raw.DeallocateStmt) return { kind: 'deallocate', name: text(raw.DeallocateStmt, 'name') };
  if (raw.DiscardStmt) {
    const targets = {
      DISCARD_ALL: 'all',
      DISCARD_PLANS: 'plans',
      DISCARD_SEQUENCES: 'sequences',
      DISCARD_TEMP: 'temp',
    } as const;
    return {
      kind: 'discard',
      target: targets[(raw.DiscardStmt.target as keyof typeof targets | undefined) ?? 'DISCARD_ALL'],
      sql: clean,
    };
  }
  return undefined;
}

function execute(fields: RawFields, sql: string): Extract<Plan, { kind: 'execute' }> {
  refuseSubqueries(fields, sql);
  return {
    kind: 'execute',
    name: text(fields, 'name') ?? '',
    arguments: list(fields, 'params').map(deparseExpression),
  };
}

const quoted = /'(?:[^']|'')*'|"[^"]*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g;
const parameterWithJunk = /(?<![\w$\u0080-\uffff])\$\d+[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*/;

/**
 * libpg-query reads `$1a` as a parameter and a name, which PostgreSQL refuses (param_junk in scan.l).
 * @throws ClarusError 42601
 */
function refuseJunkAfterParameter(sql: string): void {
  const [junk] = parameterWithJunk.exec(sql.replace(quoted, '')) ?? [];
  if (junk !== undefined)
    throw new ClarusError('42601', `trailing junk after parameter at or near "${junk}"`, {
      position: [...sql.slice(0, sql.indexOf(junk))].length + 1,
    });
}

/** @throws ClarusError 0A000 as PostgreSQL words it (transformSubLink in parse_expr.c) */
function refuseSubqueries(execute: RawFields, sql: string): void {
  visit(execute.params, (kind, { location }) => {
    if (kind !== 'SubLink') return;
    const before = Buffer.from(sql).subarray(0, (location as number | undefined) ?? 0);
    const position = [...before.toString()].length + 1;
    throw new ClarusError('0A000', 'cannot use subquery in EXECUTE parameter', { position });
  });
}

function transaction(fields: RawFields, sql: string): Plan {
  const name = text(fields, 'savepoint_name') ?? '';
  const chain = fields.chain === true;
  switch (fields.kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      return { kind: 'transaction', action: { kind: 'begin', sql } };
    case 'TRANS_STMT_COMMIT':
      return { kind: 'transaction', action: { kind: 'commit', sql, chain } };
    case 'TRANS_STMT_ROLLBACK':
      return { kind: 'transaction', action: { kind: 'rollback', sql, chain } };
    case 'TRANS_STMT_SAVEPOINT':
      return { kind: 'transaction', action: { kind: 'savepoint', name, sql } };
    case 'TRANS_STMT_RELEASE':
      return { kind: 'transaction', action: { kind: 'release', name, sql } };
    case 'TRANS_STMT_ROLLBACK_TO':
      return { kind: 'transaction', action: { kind: 'rollback-to', name, sql } };
    default:
      throw new ClarusError(
        '0A000',
        'two-phase commit statements are refused in a database with protected tables',
        {
          hint: 'A prepared transaction could outlive the trusted side’s part of it.',
        },
      );
  }
}

function setting(fields: RawFields, sql: string): Plan {
  const value = fields.kind === 'VAR_SET_VALUE' ? argument(fields) : undefined;
  mustNotRestrict(fields);
  const name = text(fields, 'name')?.toLowerCase();
  if (name === 'role' || name === 'session_authorization') {
    const role = { setting: name, to: value, local: fields.is_local === true } as const;
    return { kind: 'setting', sql, sides: 'trusted', role };
  }
  return { kind: 'setting', sql, sides: sidesOf(text(fields, 'name') ?? '', value) };
}

/**
 * pg_dump sets it by set_config, for queries of the catalogue alone.
 * @throws ClarusError 0A000 for a restriction that statements would not heed
 */
function mustNotRestrict(fields: RawFields): void {
  const isRestriction = text(fields, 'name')?.toLowerCase() === 'restrict_nonsystem_relation_kind';
  if (isRestriction && fields.kind === 'VAR_SET_VALUE' && argument(fields) !== '')
    throw new ClarusError(
      '0A000',
      '"restrict_nonsystem_relation_kind" cannot be set in a database with protected tables',
      { detail: 'The trusted side answers by views and foreign tables of its own.' },
    );
}

const argument = (fields: RawFields): string => {
  const value = list(fields, 'args')[0]?.A_Const as
    | { sval?: { sval?: string }; ival?: { ival?: number }; boolval?: { boolval?: boolean } }
    | undefined;
  return value?.sval?.sval ?? String(value?.ival?.ival ?? value?.boolval?.boolval ?? '');
};
