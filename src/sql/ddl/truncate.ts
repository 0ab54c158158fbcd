/** TRUNCATE: rows are the cloud's; the shadow checks rights and foreign keys, and restarts sequences of its own. */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { oidArray } from '../../catalog/reader.js';
import { isInTree } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { Diagnostic } from '../../wire/diagnostic.js';
import { tell } from '../notices.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { refuseSecuredTriggers } from '../row-security/routines.js';
import { firedBy, triggersOf } from '../triggers/catalogue.js';
import type { FiredTriggers, Trigger } from '../triggers/trigger.js';
import { detachCarriers, runInShadow } from './backends.js';
import type { DdlBody, QueryRunner } from './body.js';
import { writesMustBeFireable } from './fireable.js';
import { lockInCloud } from './locks.js';
import { rangeParts, resolveRelation } from './resolve.js';
import { servedTable } from './served.js';

/**
 * Empties tables in the cloud with their side tables.
 * @throws ClarusError 55000 for a blocked table; PostgresError of the shadow for missing rights or foreign keys
 */
export async function truncate(
  session: SessionPort,
  { node, text }: DdlBody,
  queries: () => QueryRunner,
): Promise<{ tag: string }> {
  const fields = fieldsOf(node);
  const names: string[] = [];
  const tables: LogicalTable[] = [];
  const heirsOfAll: LogicalTable[] = [];
  /** with those below each, in the order in which PostgreSQL empties them */
  const wholeTables: LogicalTable[] = [];
  const relations = list(fields, 'relations');
  for (const { RangeVar: range } of relations) {
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range as RawFields));
    if (!relation) continue;
    const table = servedTable(session, relation);
    if (table.materialised !== undefined) throw new ClarusError('42809', `"${table.name}" is not a table`);
    tables.push(table);
    const only = range?.inh === true ? '' : 'ONLY ';
    const heirs = only === '' && table.state === 'protected' ? byLevel(session.catalog(), table) : [];
    heirsOfAll.push(...heirs);
    wholeTables.push(table, ...heirs);
    for (const one of [table, ...heirs]) names.push(...namesOf(one, only));
  }
  await refuseSecuredTriggers(tables, session, true);
  await lockInCloud(session, [...tables, ...heirsOfAll]);
  const catalog = session.catalog();
  const inTree = tables.filter(table => table.state === 'protected' && isInTree(catalog, table));
  const restart = fields.restart_seqs === true ? ' RESTART IDENTITY' : '';
  const cascade = fields.behavior === 'DROP_CASCADE' ? ' CASCADE' : '';
  // Without ONLY it would reach for the rows of their carriers. A table that is not there is for PostgreSQL to tell.
  const logical = tables.map(({ schema, name }) => quoteQualified(schema, name));
  const shadowText =
    tables.length === relations.length && inTree.length === 0
      ? `TRUNCATE ONLY ${logical.join(', ONLY ')}${restart}${cascade}`
      : text;
  const whole = [...new Set(wholeTables)];
  const empties = await emptied(whole, cascade !== '', session);
  // in the cloud the foreign keys that refer to a partitioned table do not refer to its partitions
  const cascaded = empties.flatMap(({ oid }) => {
    const table = catalog.tables.get(oid);
    return table?.state === 'protected' && !whole.some(one => one.oid === oid) ? [table] : [];
  });
  names.push(...cascaded.flatMap(table => namesOf(table, 'ONLY ')));
  const fired = await firedOn(whole, empties, session);
  const triggered = empties.filter(({ triggers }) => triggers.length > 0);
  if (restart !== '' && triggered.length > 0) throw restartRefused(triggered[0]!);
  if (inTree.length > 0) await detachCarriers(session, [...tables, ...heirsOfAll]);
  await session.trusted.run('SAVEPOINT clarus_truncate');
  for (const { schema, name } of triggered)
    await session.trusted.run(`ALTER TABLE ${quoteQualified(schema, name)} DISABLE TRIGGER USER`);
  const tag = await runInShadow(session, shadowText);
  // there are no rows: what is asked there is whether it may be done, and no lock stays that carriers would wait for
  if (restart === '') await session.trusted.run('ROLLBACK TO SAVEPOINT clarus_truncate');
  await session.trusted.run('RELEASE SAVEPOINT clarus_truncate');
  const firings = fired.map(one => queries().firing(one));
  for (const firing of firings) await firing.statement('BEFORE');
  // functions of open tables speak for themselves; what the cloud says of its own has been said
  const noticed: Diagnostic[] = [];
  await session.cloud.run(`TRUNCATE ${names.join(', ')}${restart}${cascade}`, diagnostic => {
    if (diagnostic.where !== undefined) noticed.push(diagnostic);
  });
  await tell(session, noticed);
  for (const firing of firings) await firing.statement('AFTER');
  for (const firing of firings) await firing.mustStandStill();
  if (restart !== '') session.transaction.record(shadowText, []);
  return { tag };
}

/** Side tables refer to the row ids of their table, so they are emptied with it. */
const namesOf = ({ physical, columns }: LogicalTable, only: 'ONLY ' | ''): readonly string[] => [
  only + quoteQualified(physical.schema, physical.name),
  ...columns.flatMap(({ protection }) =>
    (protection?.encodings ?? []).flatMap(({ encoded }) => Object.values(encoded.tables)),
  ),
];

/** Partitions and heirs of a table, level by level, in the order of their OIDs (find_all_inheritors of pg_inherits.c). */
function byLevel({ tables }: Pick<Catalog, 'tables'>, table: LogicalTable): readonly LogicalTable[] {
  const found = new Set([table]);
  for (const { number } of found)
    for (const child of [...tables.values()].sort((a, b) => a.oid - b.oid))
      if (child.parents?.includes(number)) found.add(child);
  return [...found].slice(1);
}

/** A table that a statement empties. */
interface Emptied {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** its triggers on TRUNCATE */
  readonly triggers: readonly Trigger[];
}

/** Tables by their OIDs, and with CASCADE those that refer to them, and to these. */
const emptiedQuery = `WITH RECURSIVE emptied AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[]) AS oid
    UNION SELECT k.conrelid FROM pg_catalog.pg_constraint k JOIN emptied e ON k.confrelid = e.oid
      WHERE k.contype = 'f' AND $2::pg_catalog.bool)
  SELECT c.oid::text, n.nspname::text, c.relname::text
    FROM emptied e JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`;

async function emptied(
  tables: readonly LogicalTable[],
  cascade: boolean,
  session: SessionPort,
): Promise<readonly Emptied[]> {
  const oids = oidArray(tables.map(({ oid }) => oid));
  const rows = await readerOn(session.trusted)(emptiedQuery, [oids, String(cascade)]);
  const found: Emptied[] = [];
  for (const [oid, schema, name] of rows) {
    const triggers = await triggersOf(Number(oid), session);
    found.push({
      oid: Number(oid),
      schema: schema!,
      name: name!,
      triggers: triggers.filter(({ events }) => events.includes('TRUNCATE')),
    });
  }
  return found;
}

/**
 * What Clarus fires: triggers of protected tables.
 * @throws ClarusError 0A000 where CASCADE would fire those of a table that the statement does not name
 */
async function firedOn(
  tables: readonly LogicalTable[],
  all: readonly Emptied[],
  session: SessionPort,
): Promise<readonly FiredTriggers<'TRUNCATE'>[]> {
  const fired: FiredTriggers<'TRUNCATE'>[] = [];
  for (const table of new Set(tables)) {
    if (table.state !== 'protected') continue;
    const one = await firedBy(table, 'TRUNCATE', [], session);
    if (!one) continue;
    await writesMustBeFireable(table, session);
    fired.push(one);
  }
  for (const { oid, schema, name, triggers } of all) {
    const isNamed = tables.some(table => table.oid === oid);
    if (isNamed || triggers.length === 0 || session.catalog().tables.get(oid)?.state !== 'protected')
      continue;
    throw new ClarusError(
      '0A000',
      `CASCADE to the table "${name}", which has triggers on TRUNCATE, is refused`,
      {
        hint: 'Name the table in the statement.',
        schema,
        table: name,
      },
    );
  }
  return fired;
}

const restartRefused = ({ schema, name }: Emptied): ClarusError =>
  new ClarusError(
    '0A000',
    `TRUNCATE ... RESTART IDENTITY of the table "${name}", which has triggers on TRUNCATE, is refused`,
    { hint: 'Restart its sequences by ALTER SEQUENCE.', schema, table: name },
  );
