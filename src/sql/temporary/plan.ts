/**
 * Statements over temporary tables. These stand on the trusted side alone, on the connection that analyses the session's
 * statements, which takes part in its transaction; so PostgreSQL itself gives them names, life and undoing.
 */
import { rangeParts } from '../ddl/resolve.js';
import { holdsMoment, withMoment } from '../moment.js';
import type { Plan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, list, type RawFields, type RawNode, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { planBeside } from './beside.js';
import { planTemporaryCursor } from './cursor.js';
import { elsewhere, isOwnTemporary, refused, type TemporaryPlanning } from './own.js';

/**
 * @param raw the statement; its text is `sql`
 * @throws ClarusError 0A000 for what the trusted side cannot answer alone
 */
export async function planTemporary(raw: RawNode, sql: string, planning: TemporaryPlanning): Promise<Plan> {
  const { analysis, touch, homes, session, plan } = planning;
  const { shape } = analysis;
  if (holdsMoment(raw)) {
    const dated = await withMoment(parseOne(sql), analysis, session);
    if (dated) {
      const written = deparse(dated);
      return plan(parseOne(written), written, shape.parameterTypes);
    }
  }
  if (kindOf(raw) === 'DeclareCursorStmt') return planTemporaryCursor(parseOne(sql), planning);
  if (touch.catalogue) throw refused('the system catalogue');
  const cause = touch.tables.length > 0 ? refused('another table') : elsewhere(touch, homes);
  if (cause) return planBeside(raw, sql, planning, cause);
  return { kind: 'trusted', sql, shape, temporary: writes(raw) ? 'writes' : 'reads' };
}

/** Does a statement write, in any part of it? */
export function writes(raw: RawNode): boolean {
  let found = false;
  visit(raw, kind => {
    found ||= /^(Insert|Update|Delete|Merge)Stmt$/.test(kind);
  });
  return found;
}

/** Statements that name relations by RangeVar, and neither query nor write them. */
const utilities: ReadonlySet<string> = new Set(['LockStmt', 'VacuumStmt', 'ClusterStmt', 'ReindexStmt']);

/** LOCK, VACUUM, ANALYZE and their kin of temporary tables; undefined: it is about others. */
export async function planTemporaryUtility(
  raw: RawNode,
  sql: string,
  session: SessionPort,
): Promise<Plan | undefined> {
  if (!session.temporary.exist || !utilities.has(kindOf(raw))) return undefined;
  const names: RawFields[] = [];
  visit(raw, (kind, fields) => {
    if (kind === 'RangeVar' || kind === 'relation') names.push(fields);
  });
  const found = await Promise.all(names.map(name => isOwnTemporary(session, rangeParts(name))));
  if (!found.includes(true)) return undefined;
  if (found.includes(false)) throw refused('another table');
  // VACUUM runs in no transaction block
  const temporary = kindOf(raw) === 'VacuumStmt' ? 'reads' : 'writes';
  const whole = { kind: 'trusted', shape: { parameterTypes: [], columns: undefined }, temporary } as const;
  if (!raw.ReindexStmt || session.transaction.explicit) return { ...whole, sql };
  return { ...whole, sql: atOnce(raw.ReindexStmt), once: true };
}

/** REINDEX without CONCURRENTLY, of which PostgreSQL takes no notice here (ReindexIndex, indexcmds.c). */
const atOnce = (fields: RawFields): string =>
  deparse({
    ReindexStmt: {
      ...fields,
      params: list(fields, 'params').filter(({ DefElem: option }) => option?.defname !== 'concurrently'),
    },
  });
