/** Commands of ALTER TABLE that the physical table is told as they were said: the difference of two states does not tell them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { nameInCloud } from '../../catalog/opaque.js';
import { deparse } from '../raw/deparse.js';
import type { RawNode } from '../raw/node.js';

/** Options of storage: nothing in them could hold a value. */
const ofStorage: ReadonlySet<unknown> = new Set([
  'AT_SetRelOptions',
  'AT_ResetRelOptions',
  'AT_SetLogged',
  'AT_SetUnLogged',
]);

/**
 * What the physical form of a protected table is told: options of storage, and options of the sequence behind an identity
 * column in the clear, which counts in the cloud. Its RESTART is something that is done, and no state that is left behind.
 */
export function physicalCommands(table: LogicalTable, commands: readonly RawNode[]): readonly string[] {
  const cmds = commands.flatMap(command => {
    const { subtype, name } = command.AlterTableCmd ?? {};
    if (ofStorage.has(subtype)) return [command];
    const column = table.columns.find(one => one.name === name);
    if (subtype !== 'AT_SetIdentity' || column?.protection) return [];
    return [{ AlterTableCmd: { ...command.AlterTableCmd, name: nameInCloud(table, String(name)) } }];
  });
  if (cmds.length === 0) return [];
  const relation = {
    schemaname: table.physical.schema,
    relname: table.physical.name,
    inh: true,
    relpersistence: 'p',
  };
  return [deparse({ AlterTableStmt: { relation, cmds, objtype: 'OBJECT_TABLE' } })];
}
