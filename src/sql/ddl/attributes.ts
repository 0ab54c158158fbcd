/** ALTER TYPE of the attributes of composite types, and of tables that are made OF them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { treeOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, type RawFields } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { inCloud, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { lockBoth } from './locks.js';
import { qualifyRelations, rangeParts, resolveType } from './resolve.js';
import { changeTables } from './tables.js';
import { defineInCloud, forgetTypes } from './types.js';
import { holdersOf, refuseOtherAttributes, refuseOtherRows } from './values-of-types.js';

/**
 * ADD, DROP, ALTER and RENAME ATTRIBUTE. Of tables OF the type the columns change too.
 * @throws PostgresError of the shadow; ClarusError 0A000 where rows hold values of the type in protected columns, or open
 *   and protected tables are made of it
 */
export async function alterAttributes(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
): Promise<{ readonly tag: string }> {
  const read = readerOn(session.trusted);
  const parts = rangeParts(fieldsOf(body.node).relation as RawFields);
  const type = await resolveType(read, parts);
  if (type === undefined) return { tag: await runInShadow(session, body.text) };
  const typed = await tablesOf(session, type);
  const open = typed.filter(({ state }) => state === 'open');
  if (open.length > 0 && open.length < typed.length)
    throw new ClarusError('0A000', `open and protected tables are made of type ${type}`, {
      hint: 'Make them tables of their own first (ALTER TABLE ... NOT OF).',
    });
  const holders = await holdersOf(session, type);
  const tables = new Set([...holders.map(({ table }) => table), ...typed]);
  await lockBoth(session, deps, new Set([...tables].flatMap(table => treeOf(session.catalog(), table))));
  if (open.length === 0) await forgetTypes(session, [await typeOid(session, type)]);
  const stands = await inCloud(session, 'to_regtype', type);
  const inItsCloud = deparse(await qualifyRelations(read, body.node));
  const { tag } = await changeTables(session, deps, {
    scope: undefined,
    text: body.text,
    mirror: async () => (open.length > 0 ? defineInCloud(session, inItsCloud) : undefined),
    beforehand: stands && open.length === 0 ? [inItsCloud] : [],
    check: async ({ changed }) => {
      if (kindOf(body.node) !== 'RenameStmt') await refuseOtherAttributes(session, deps, type);
      await refuseOtherRows(session, deps, changed);
    },
  });
  return { tag };
}

/** Tables that are made OF a type. */
async function tablesOf(session: SessionPort, type: string): Promise<readonly LogicalTable[]> {
  const rows = await readerOn(session.trusted)(
    'SELECT oid::text FROM pg_catalog.pg_class WHERE reloftype = pg_catalog.to_regtype($1)',
    [type],
  );
  return rows.flatMap(([oid]) => session.catalog().tables.get(Number(oid)) ?? []);
}

async function typeOid(session: SessionPort, type: string): Promise<number> {
  const [row] = await readerOn(session.trusted)('SELECT pg_catalog.to_regtype($1)::pg_catalog.oid::text', [
    type,
  ]);
  return Number(row?.[0] ?? 0);
}
