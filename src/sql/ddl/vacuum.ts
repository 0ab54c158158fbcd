/** VACUUM of tables of which a role may do so with some only, or with none: the shadow tells of the others, as PostgreSQL does. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { oidArray } from '../../catalog/reader.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import { readerOn, trustedMajor } from '../reading.js';
import { apart, mustBeFirst } from './apart.js';
import type { DdlBody } from './body.js';
import { rangeParts, resolveRelation } from './resolve.js';

/** A table that a statement is about, itself or as a part of one. */
interface Meant {
  readonly oid: number;
  /** it is a partitioned table, which has no rows of its own */
  readonly partitioned: boolean;
  readonly permitted: boolean;
}

/** As vacuum_is_permitted_for_relation (vacuum.c). */
const meantQuery = (right: string): string => `WITH RECURSIVE named AS (
    SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
    UNION SELECT i.inhrelid FROM named n JOIN pg_catalog.pg_inherits i ON i.inhparent = n.oid)
  SELECT c.oid::pg_catalog.text, (c.relkind = 'p')::pg_catalog.text, (${right})::pg_catalog.text
    FROM named n JOIN pg_catalog.pg_class c ON c.oid = n.oid WHERE c.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`;

/** The tables of a VACUUM or ANALYZE with their partitions and heirs; those that are not there are left out. */
export async function tablesMeant(node: RawNode, session: SessionPort): Promise<readonly Meant[]> {
  const read = readerOn(session.trusted);
  const right =
    (await trustedMajor(session)) >= 17
      ? "pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"
      : "pg_catalog.pg_has_role(c.relowner, 'USAGE')";
  const oids: number[] = [];
  for (const range of rangesOf(node)) {
    const found = await resolveRelation(read, rangeParts(range));
    if (found) oids.push(found.oid);
  }
  const rows = await read(meantQuery(right), [oidArray(oids)]);
  return rows.map(([oid, partitioned, permitted]) => ({
    oid: Number(oid),
    partitioned: partitioned === 'true',
    permitted: permitted === 'true',
  }));
}

const rangesOf = (node: RawNode): readonly RawFields[] =>
  list(node.VacuumStmt!, 'rels').map(rel => fieldsOf(rel).relation as RawFields);

/**
 * Runs VACUUM in the shadow, as the role, and in the cloud for the tables that the role may do so with.
 * @throws PostgresError; ClarusError 25001
 */
export async function vacuum(session: SessionPort, body: DdlBody): Promise<{ readonly tag: string }> {
  const { node } = body;
  const { tables } = session.catalog();
  const meant = await tablesMeant(node, session);
  const rels = meant.flatMap(({ oid, partitioned, permitted }) => {
    const table = permitted && !partitioned ? tables.get(oid) : undefined;
    return table && table.state !== 'blocked' ? [relationOf(table.physical)] : [];
  });
  const work = rels.length === 0 ? [] : [deparse({ VacuumStmt: { ...node.VacuumStmt!, rels } })];
  mustBeFirst(session, body);
  const held = meant.flatMap(({ oid }) => tables.get(oid) ?? []);
  return apart(session, { ...body, text: deparse(await inShadow(node, session)) }, held, work);
}

const relationOf = ({ schema, name }: LogicalTable['physical']): RawNode => ({
  VacuumRelation: { relation: { schemaname: schema, relname: name, inh: true, relpersistence: 'p' } },
});

/** Rows that could be looked at stand in the cloud, and what is told of tables that are left is told of VACUUM. */
async function inShadow(node: RawNode, session: SessionPort): Promise<RawNode> {
  const options = list(node.VacuumStmt!, 'options').filter(
    option => text(fieldsOf(option), 'defname') !== 'analyze',
  );
  const { VacuumStmt: fields } = await withoutCarriers(node, session);
  const rels = list(fields!, 'rels').map(rel => {
    const { va_cols: _columns, ...rest } = fieldsOf(rel);
    return { VacuumRelation: rest };
  });
  return { VacuumStmt: { ...fields!, options, rels } };
}

/** Carriers inherit from tables that stand alone, and are none that PostgreSQL would tell of. */
export async function withoutCarriers(node: RawNode, session: SessionPort): Promise<RawNode> {
  // before, they are told of by nothing
  if ((await trustedMajor(session)) < 18) return node;
  const rels: RawNode[] = [];
  for (const rel of list(node.VacuumStmt!, 'rels')) {
    const fields = fieldsOf(rel);
    const { inh: _heirs, ...only } = fields.relation as RawFields;
    const found = await resolveRelation(readerOn(session.trusted), rangeParts(only));
    const [heir] = await readerOn(session.trusted)(heirsQuery, [String(found?.oid ?? 0)]);
    rels.push(found?.kind === 'r' && !heir ? { VacuumRelation: { ...fields, relation: only } } : rel);
  }
  return { VacuumStmt: { ...node.VacuumStmt!, rels } };
}

const heirsQuery = `SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = $1::pg_catalog.oid AND c.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace LIMIT 1`;
