/**
 * Row level security: policies, and which tables have it. It stands in the shadow alone, where PostgreSQL applies it
 * (row-security/); no cloud hears of policies, whose expressions may hold protected values.
 */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { inShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { lockBoth } from './locks.js';
import { listParts, rangeParts, resolveRelation } from './resolve.js';
import { refuseInTrees } from './secured-trees.js';
import { servedTable, tableOfRelation } from './served.js';

type Done = Promise<{ readonly tag: string }>;

const ofRowSecurity: ReadonlySet<unknown> = new Set([
  'AT_EnableRowSecurity',
  'AT_DisableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
]);

const isOfRowSecurity = ({ AlterTableCmd: command }: RawNode): boolean => ofRowSecurity.has(command?.subtype);

/**
 * Is an ALTER TABLE about row security?
 * @throws ClarusError 0A000 where it is about something else too
 */
export function altersRowSecurity(fields: RawFields): boolean {
  const commands = list(fields, 'cmds');
  if (!commands.some(isOfRowSecurity)) return false;
  if (commands.every(isOfRowSecurity)) return true;
  throw new ClarusError('0A000', 'ALTER TABLE of row security and of other things at once is not supported', {
    hint: 'Use one statement for each.',
  });
}

/** CREATE, ALTER, DROP and RENAME of a policy, and ALTER TABLE of row security. @param names of the table, or tables */
export async function changeRowSecurity(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  names: readonly (readonly string[])[],
): Done {
  for (const parts of names) {
    const relation = await resolveRelation(readerOn(session.trusted), parts);
    if (relation?.schema.startsWith('pg_temp'))
      throw new ClarusError('0A000', 'row security of temporary tables is not supported');
    if (!relation || !tableOfRelation(session, relation)) continue;
    const table = servedTable(session, relation);
    await lockBoth(session, deps, [table]);
  }
  const done = await inShadow(session, body);
  await refuseInTrees(session);
  return done;
}

/** The names of the tables whose policies a DROP POLICY names. */
export const tablesOfPolicies = (fields: RawFields): readonly (readonly string[])[] =>
  list(fields, 'objects').map(object => listParts(object).slice(0, -1));

/** The name of the table that a statement is about. */
export const tableNamed = (node: RawNode, field: string): readonly (readonly string[])[] => [
  rangeParts(fieldsOf(node)[field] as RawFields),
];
