/** Plans of the statements that act on the session itself: transactions, settings, prepared statements. */
import { ClarusError } from '../errors.js';
import type { Plan, SessionPort } from './plan.js';
import { stripComments } from './raw/comments.js';
import { deparse, deparseExpression } from './raw/deparse.js';
import { child, list, type RawFields, type RawNode, text, visit } from './raw/node.js';
import { sidesOf } from './settings.js';

/** Plan of a session statement, or undefined for every other statement. */
export function planSessionStatement(raw: RawNode, sql: string, _session: SessionPort): Plan | undefined {
  const clean = stripComments(sql);
  if (raw.TransactionStmt) return transaction(raw.TransactionStmt, clean);
  if (raw.VariableSetStmt) return setting(raw.VariableSetStmt, clean);
  if (raw.PrepareStmt)
    return {
      kind: 'prepare',
      name: text(raw.PrepareStmt, 'name') ?? '',
      sql: deparse(child(raw.PrepareStmt, 'query')!),
      parameterTypes: list(raw.PrepareStmt, 'argtypes').map(typeText),
    };
  if (raw.ExecuteStmt) {
    refuseSubqueries(raw.ExecuteStmt, sql);
    return {
      kind: 'execute',
      name: text(raw.ExecuteStmt, 'name') ?? '',
      arguments: list(raw.ExecuteStmt, 'params').map(deparseExpression),
    };
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
  return { kind: 'setting', sql, sides: sidesOf(text(fields, 'name') ?? '', value) };
}

const argument = (fields: RawFields): string => {
  const value = list(fields, 'args')[0]?.A_Const as
    | { sval?: { sval?: string }; ival?: { ival?: number }; boolval?: { boolval?: boolean } }
    | undefined;
  return value?.sval?.sval ?? String(value?.ival?.ival ?? value?.boolval?.boolval ?? '');
};

/** A type name of PREPARE as SQL. */
function typeText(type: RawNode): string {
  const cast = deparseExpression({
    TypeCast: { arg: { A_Const: { isnull: true } }, typeName: type.TypeName ?? type },
  });
  return cast.replace(/^NULL::|^CAST\(NULL AS (.*)\)$/i, '$1');
}
