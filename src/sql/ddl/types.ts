/** User-defined types that DDL needs in a cloud, made there first; and those that nothing there needs any more. */
import { dropUnneeded, missingTypes, typesAround } from '../../catalog/cloud-types.js';
import { qualified } from '../../catalog/describe.js';
import type { SessionPort } from '../ports.js';
import { kindOf } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { rowsWithin, rowTypeRefused, typeNamesIn } from '../row-types.js';
import { absentFromCloud, type Needed } from '../standing.js';
import { schemaConnection } from './backends.js';

/**
 * Makes types in the cloud that something needs there and that it lacks, with those that they are made of.
 * @returns whether there were any
 * @throws ClarusError 0A000 where one holds rows of a protected table: the cloud knows these as rows of encodings
 */
export async function makeTypes(
  session: SessionPort,
  needed: Pick<Needed, 'types' | 'typeNames'>,
): Promise<boolean> {
  const { types = [], typeNames = [] } = needed;
  const table = await rowsWithin(new Set([...types].filter(oid => oid > 0)), typeNames, session);
  if (table) throw rowTypeRefused(table);
  const absent = await absentFromCloud({ types, typeNames }, session);
  if (absent.length === 0) return false;
  const shadow = readerOn(session.trusted);
  const oids = absent.map(({ oid }) => oid);
  const ddl = await qualified(shadow, () => missingTypes(shadow, readerOn(session.cloud), oids));
  for (const sql of ddl) await session.cloud.run(sql);
  return true;
}

/** Statements that need nothing of the types that they name. */
const needless: ReadonlySet<string> = new Set(['DropStmt', 'GrantStmt']);

/** Runs DDL in the cloud, where the types that it names are made first. @returns its command tag */
export async function defineInCloud(session: SessionPort, sql: string): Promise<string> {
  const node = parseOne(sql);
  if (!needless.has(kindOf(node))) await makeTypes(session, { typeNames: typeNamesIn(node) });
  return session.cloud.run(sql);
}

/**
 * Drops types from the cloud, and those that hold values of them, as far as nothing there needs them.
 * @param oids types of users in the shadow
 */
export async function forgetTypes(session: SessionPort, oids: readonly number[]): Promise<void> {
  await dropUnneeded(schemaConnection(session.cloud), await typesAround(readerOn(session.trusted), oids));
}
