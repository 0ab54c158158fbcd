/** Locks that DDL takes of tables: the cloud's before the shadow's. */
import { type Catalog, isFilled, type LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { treeOf } from '../../catalog/trees.js';
import type { SessionPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import { detachCarriers } from './backends.js';
import type { DdlDependencies } from './body.js';
import { ofTriggers } from './table-checks.js';

type LockMode = 'ACCESS EXCLUSIVE' | 'SHARE ROW EXCLUSIVE' | 'SHARE';

/**
 * Takes the cloud's locks of a statement that locks its tables against others, before the shadow's: whoever uses
 * such a table meanwhile is analysed in the shadow, and must not wait there while this one waits in the cloud for it.
 * @throws PostgresError 55P03 by the session's lock_timeout, 40P01
 */
export async function lockInCloud(
  session: SessionPort,
  tables: Iterable<LogicalTable>,
  mode: LockMode = 'ACCESS EXCLUSIVE',
): Promise<void> {
  // LOCK TABLE takes no materialised view
  const names = [...tables]
    .filter(({ materialised }) => materialised !== 'cloud')
    .map(({ physical }) => quoteQualified(physical.schema, physical.name));
  if (names.length > 0) await session.cloud.run(`LOCK TABLE ${names.join(', ')} IN ${mode} MODE`);
}

/** Takes the locks of a statement that locks its tables against everybody, the cloud's first. */
export async function lockBoth(
  session: SessionPort,
  deps: DdlDependencies,
  tables: Iterable<LogicalTable>,
): Promise<void> {
  const asked = await deps.changing.begin(session, tables);
  await lockInCloud(session, tables).finally(asked);
  await detachCarriers(session, tables);
}

/**
 * Takes the cloud's lock of a statement that lets reads go on, but no writes.
 * @param mode of CREATE INDEX, SHARE; else that of CREATE TRIGGER and of foreign keys
 */
export async function holdWrites(
  session: SessionPort,
  { changing }: Pick<DdlDependencies, 'changing'>,
  tables: readonly LogicalTable[],
  mode: Exclude<LockMode, 'ACCESS EXCLUSIVE'> = 'SHARE ROW EXCLUSIVE',
): Promise<void> {
  const asked = await changing.begin(session, tables, { forWrites: true });
  await lockInCloud(session, tables, mode).finally(asked);
}

/**
 * Does a table stand by itself, so that it is not made a foreign one while its rows are carried? Its carrier is then in the
 * way of little, and reads go on.
 */
export const standsAlone = (table: LogicalTable, catalog: Catalog): boolean =>
  treeOf(catalog, table).length === 1 && !isFilled(table);

/** Lets other sessions go on reading a table while a statement locks it against DDL, and carriers are DDL. */
export async function letReadsGoOn(session: SessionPort, table: LogicalTable): Promise<void> {
  await session.residual?.carry([table.oid]);
}

/** Commands that let reads go on (AlterTableGetLockLevel of tablecmds.c) and do nothing to heirs, as carriers are. */
const readable: ReadonlySet<unknown> = new Set([
  'AT_ValidateConstraint',
  'AT_SetRelOptions',
  'AT_ResetRelOptions',
  'AT_ClusterOn',
  'AT_DropCluster',
  ...ofTriggers,
]);

/** A foreign key lets readers through, in either place. */
const addsForeignKey = ({ AlterTableCmd: command }: RawNode): boolean =>
  (command?.def as RawNode | undefined)?.Constraint?.contype === 'CONSTR_FOREIGN';

/** Tables of the trees to which foreign keys of a table refer. */
const treesReferredTo = ({ keys }: LogicalTable, catalog: Catalog): readonly LogicalTable[] =>
  [...catalog.tables.values()]
    .filter(({ number }) => keys.some(({ references }) => references?.table === number))
    .flatMap(referred => treeOf(catalog, referred))
    .filter(referred => !standsAlone(referred, catalog));

/** Does a command change what writes do? */
const changesWrites = (command: RawNode): boolean =>
  addsForeignKey(command) || ofTriggers.some(kind => command.AlterTableCmd?.subtype === kind);

/**
 * Takes the locks of ALTER TABLE.
 * @param all what it changes
 * @returns reads of these go on
 */
export async function lockToAlter(
  session: SessionPort,
  deps: DdlDependencies,
  table: LogicalTable,
  commands: readonly RawNode[],
  all: readonly LogicalTable[],
): Promise<boolean> {
  const catalog = session.catalog();
  const isAlone = standsAlone(table, catalog);
  // the trusted PostgreSQL lets no foreign key refer to partitions while they are carried
  const hasPartitions = all.some(one => one.state === 'protected' && (one.partitioned || one.bounds));
  const goesOn =
    !hasPartitions &&
    commands.every(
      command => addsForeignKey(command) || (isAlone && readable.has(command.AlterTableCmd?.subtype)),
    );
  // foreign keys of columns that change their types are made anew
  const isRetyped = commands.some(command => command.AlterTableCmd?.subtype === 'AT_AlterColumnType');
  if (isRetyped)
    await detachCarriers(
      session,
      all.flatMap(one => treesReferredTo(one, catalog)),
    );
  if (!goesOn) await lockBoth(session, deps, all);
  else {
    if (commands.some(changesWrites)) await holdWrites(session, deps, all);
    if (isAlone) await letReadsGoOn(session, table);
  }
  return goesOn;
}
