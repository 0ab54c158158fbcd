/** Plans of statements that neither query nor write tables, and are not about the session itself. */
import { isFilled } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import { withoutColumns } from './analyze-columns.js';
import { qualifyRelations, rangeParts, resolveRelation } from './ddl/resolve.js';
import { hiddenNames } from './opaque/index.js';
import type { Plan, Shape } from './plan.js';
import { mustBeCursorOfClient } from './portal-names.js';
import type { SessionPort } from './ports.js';
import { stripComments } from './raw/comments.js';
import { deparse } from './raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, text } from './raw/node.js';
import { parseOne } from './raw/parse.js';
import { readerOn } from './reading.js';

const noRows: Shape = { parameterTypes: [], columns: undefined };

/**
 * @returns undefined: not a statement of these kinds
 * @throws ClarusError 0A000 for what would tell the cloud a value, or is not proven to touch no protected table
 */
export async function planUtility(
  raw: RawNode,
  sql: string,
  session: SessionPort,
): Promise<Plan | undefined> {
  const pass: Plan = { kind: 'pass', sql: stripComments(sql), shape: noRows };
  switch (kindOf(raw)) {
    case 'VariableShowStmt': {
      const { shape } = await session.analyse(pass.sql, []);
      const name = text(raw.VariableShowStmt!, 'name')?.toLowerCase();
      const here =
        name === 'application_name' || (name === 'role' && session.transaction.acting !== undefined);
      return here ? { kind: 'trusted', sql: pass.sql, shape } : { ...pass, shape };
    }
    case 'FetchStmt':
      return {
        ...ofCursor(raw.FetchStmt!, pass.sql, undefined),
        ...(raw.FetchStmt!.ismove === true ? { moves: true } : {}),
      };
    case 'ClosePortalStmt':
      return { ...ofCursor(raw.ClosePortalStmt!, pass.sql, noRows), closes: true };
    case 'ListenStmt':
    case 'UnlistenStmt':
    case 'CheckPointStmt':
    case 'ConstraintsSetStmt':
    case 'NotifyStmt':
      return pass;
    case 'LockStmt':
      await mustBeLockable(list(raw.LockStmt!, 'relations'), session);
      return { ...pass, sql: await qualified(raw, pass.sql, session) };
    case 'VacuumStmt': {
      const whole = (await withoutColumns(raw, session)) ?? pass.sql;
      return { ...pass, sql: await qualified(parseOne(whole), whole, session) };
    }
    default:
      return undefined;
  }
}

/**
 * A materialised view, which in the cloud is a table.
 * @throws ClarusError 42809 for one (RangeVarCallbackForLockTable, lockcmds.c), 25P01 outside a transaction block
 */
async function mustBeLockable(relations: readonly RawNode[], session: SessionPort): Promise<void> {
  for (const relation of relations) {
    const found = await resolveRelation(readerOn(session.trusted), rangeParts(fieldsOf(relation)));
    const table = found && session.catalog().tables.get(found.oid);
    if (!table || !isFilled(table)) continue;
    if (!session.transaction.block)
      throw new ClarusError('25P01', 'LOCK TABLE can only be used in transaction blocks');
    throw new ClarusError('42809', `cannot lock relation "${table.name}"`, {
      detail: 'This operation is not supported for materialized views.',
    });
  }
}

/** A statement about tables, with their schemas where names are hidden: these are told apart by both. */
async function qualified(raw: RawNode, sql: string, session: SessionPort): Promise<string> {
  if (!hiddenNames(session.catalog().tables)) return sql;
  return deparse(await qualifyRelations(readerOn(session.trusted), raw));
}

/** FETCH, MOVE and CLOSE: the cloud has the cursor. */
function ofCursor(fields: RawFields, sql: string, shape: Shape | undefined): Extract<Plan, { kind: 'pass' }> {
  const cursor = text(fields, 'portalname');
  mustBeCursorOfClient(cursor);
  return { kind: 'pass', sql, shape, cursor };
}
