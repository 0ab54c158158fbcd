/** ANALYZE of some columns: of a protected table, whose columns are others in the cloud, it is ANALYZE of the table. */
import { ClarusError } from '../errors.js';
import { rangeParts, resolveRelation } from './ddl/resolve.js';
import type { SessionPort } from './ports.js';
import { deparse } from './raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text } from './raw/node.js';
import { readerOn } from './reading.js';

/**
 * @param raw a VacuumStmt
 * @returns the statement for the cloud; undefined: as it stands
 * @throws ClarusError 42703 and 42701 as PostgreSQL words them (do_analyze_rel in analyze.c)
 */
export async function withoutColumns(raw: RawNode, session: SessionPort): Promise<string | undefined> {
  const rels = list(raw.VacuumStmt!, 'rels').map(fieldsOf);
  if (rels.every(rel => list(rel, 'va_cols').length === 0) || !analyzes(raw.VacuumStmt!)) return undefined;
  const whole: RawNode[] = [];
  for (const rel of rels) whole.push({ VacuumRelation: await wholeTable(rel, session) });
  return deparse({ VacuumStmt: { ...raw.VacuumStmt!, rels: whole } });
}

/** PostgreSQL refuses columns of a VACUUM that does not analyse before it does anything. */
const analyzes = (vacuum: RawFields): boolean =>
  vacuum.is_vacuumcmd !== true ||
  list(vacuum, 'options').some(option => text(fieldsOf(option), 'defname') === 'analyze');

async function wholeTable(rel: RawFields, session: SessionPort): Promise<RawFields> {
  const names = list(rel, 'va_cols').map(stringOf);
  if (names.length === 0) return rel;
  const relation = await resolveRelation(readerOn(session.trusted), rangeParts(rel.relation as RawFields));
  const table = relation && session.catalog().tables.get(relation.oid);
  if (table?.state !== 'protected') return rel;
  for (const [i, name] of names.entries()) {
    if (!table.columns.some(column => column.name === name))
      throw new ClarusError('42703', `column "${name}" of relation "${table.name}" does not exist`);
    if (names.indexOf(name) < i)
      throw new ClarusError('42701', `column "${name}" of relation "${table.name}" appears more than once`);
  }
  const { va_cols: _columns, ...all } = rel;
  return all;
}
