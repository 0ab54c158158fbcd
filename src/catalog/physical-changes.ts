/**
 * The DDL that leads a cloud from one state of physical tables to another. Pure: the two states in, statements
 * out, in an order that works across tables (foreign keys go first and come last). Each statement stands alone.
 */
import { ClarusError } from '../errors.js';
import { ROW_COLUMN } from './catalog.js';
import type { DescribedSequence } from './description.js';
import { dropExclusionLock, makeExclusionLock } from './exclusion-lock.js';
import {
  dropCollectors,
  dropKeyTables,
  forgetPartitions,
  makeCollectors,
  makeKeyTables,
} from './key-table-changes.js';
import { HELPER_SCHEMA } from './object-queries.js';
import type {
  PhysicalColumn,
  PhysicalConstraint,
  PhysicalIndex,
  PhysicalSideTable,
  PhysicalTable,
} from './physical-parts.js';
import { quoteName, quoteQualified } from './quote.js';

/** A table before and after; undefined where it is not there. */
export interface PhysicalChange {
  readonly before: PhysicalTable | undefined;
  readonly after: PhysicalTable | undefined;
  /** what a column's values become where its type changes: by its name, SQL over its old values */
  readonly using?: ReadonlyMap<string, string> | undefined;
  /** what is done with its rows between the two phases; absent: nothing */
  readonly refill?: Refilled | undefined;
}

/** New physical columns that the rows of a table get their values for, and what these are made from. */
export interface Refilled {
  /** names of columns that are filled: without a value until then, whatever they are to be in the end */
  readonly columns: ReadonlySet<string>;
  /** names of columns that are read, and stay so long */
  readonly sources: ReadonlySet<string>;
}

/** Statements before the rows are filled, and after it. */
export interface ChangePhases {
  readonly first: readonly string[];
  readonly last: readonly string[];
}

/**
 * @param cascade DROP takes with it what depends on a vanished table in the cloud alone
 * @throws ClarusError 0A000 for a change of a column that has no DDL
 */
export function changePhases(changes: readonly PhysicalChange[], cascade = false): ChangePhases {
  const kept = changes.filter(isKept).map(withLikeParts);
  const made = changes.flatMap(({ before, after }) => (after && !before ? [after] : []));
  const gone = changes.flatMap(({ before, after }) => (before && !after ? [before] : []));
  return {
    first: [
      ...kept.flatMap(change => dropConstraints(change, kind => kind === 'foreign')),
      ...changes.flatMap(dropCollectors),
      ...dropTables(gone, cascade),
      ...forgetPartitions(changes),
      ...dropKeyTables(changes),
      ...kept.flatMap(change => dropConstraints(change, kind => kind !== 'foreign')),
      ...kept.flatMap(dropIndexes),
      ...kept.flatMap(rename),
      ...kept.flatMap(change => (change.refill ? beginRefill(change, change.refill) : changeColumns(change))),
      ...made.flatMap(createTable),
    ],
    last: [
      ...kept.flatMap(change => (change.refill ? endRefill(change, change.refill) : [])),
      ...kept.flatMap(validate),
      ...kept.flatMap(addConstraintsAndIndexes),
      ...kept.flatMap(change => (change.refill ? [] : changeSideTables(change))),
      ...kept.flatMap(changeExclusionLock),
      ...changes.flatMap(makeKeyTables),
      ...changes.flatMap(makeCollectors),
      ...made.flatMap(after => foreignKeys(after, after.constraints)),
      ...kept.flatMap(({ before, after }) =>
        foreignKeys(after, added(before.constraints, after.constraints)),
      ),
    ],
  };
}

/**
 * All of it, where no rows are to be filled.
 * @throws as `changePhases`
 */
export function changeStatements(changes: readonly PhysicalChange[], cascade = false): readonly string[] {
  const { first, last } = changePhases(changes, cascade);
  return [...first, ...last];
}

/** The DDL that makes a table anew. */
export const createStatements = (table: PhysicalTable): readonly string[] =>
  changeStatements([{ before: undefined, after: table }]);

interface Kept {
  readonly before: PhysicalTable;
  readonly after: PhysicalTable;
  readonly using?: ReadonlyMap<string, string> | undefined;
  readonly refill?: Refilled | undefined;
}

const isKept = (change: PhysicalChange): change is Kept =>
  change.before !== undefined && change.after !== undefined;

/**
 * An index that only its name tells from one that goes, and a constraint that has come to be valid, take the place of what
 * there was: making them anew would lock the table against reads.
 */
function withLikeParts(change: Kept): Kept {
  const { before, after } = change;
  const fresh = [...added(before.indexes, after.indexes)];
  const gone = added(after.indexes, before.indexes).map(index => {
    const at = fresh.findIndex(other => unnamed(other) === unnamed(index));
    return at < 0 ? index : { ...index, key: fresh.splice(at, 1)[0]!.key };
  });
  const valid = added(before.constraints, after.constraints);
  const constraints = before.constraints.map(constraint => {
    const like = valid.find(other => isValid(constraint, other));
    return like ? { ...constraint, key: like.key } : constraint;
  });
  const kept = pairs(after.indexes, before.indexes).map(([, index]) => index);
  return { ...change, before: { ...before, indexes: [...kept, ...gone], constraints } };
}

const unnamed = ({ name, definition }: PhysicalIndex): string => definition.replace(quoteName(name), '');

/** Is a constraint another one that is not valid yet? */
const isValid = (not: PhysicalConstraint, { name, definition }: PhysicalConstraint): boolean =>
  not.name === name && not.definition === `${definition} NOT VALID`;

const validate = ({ before, after }: Kept): readonly string[] =>
  pairs(before.constraints, after.constraints).flatMap(([was, is]) =>
    isValid(was, is) ? [`ALTER TABLE ${nameOf(after)} VALIDATE CONSTRAINT ${quoteName(is.name)}`] : [],
  );

const nameOf = ({ schema, name }: PhysicalTable): string => quoteQualified(schema, name);

/** Parts of the second list that the first has not, by key. */
function added<Part extends { readonly key: string }>(
  before: readonly Part[],
  after: readonly Part[],
): readonly Part[] {
  const known = new Set(before.map(part => part.key));
  return after.filter(part => !known.has(part.key));
}

/** Parts in both lists, old and new. */
function pairs<Part extends { readonly key: string }>(
  before: readonly Part[],
  after: readonly Part[],
): readonly (readonly [Part, Part])[] {
  const old = new Map(before.map(part => [part.key, part]));
  return after.flatMap(part => {
    const was = old.get(part.key);
    return was ? [[was, part] as const] : [];
  });
}

function dropConstraints(
  { before, after }: Kept,
  wanted: (kind: PhysicalConstraint['kind']) => boolean,
): readonly string[] {
  return added(after.constraints, before.constraints)
    .filter(constraint => wanted(constraint.kind))
    .map(constraint => `ALTER TABLE ${nameOf(before)} DROP CONSTRAINT ${quoteName(constraint.name)}`);
}

/** What stands on tables goes before them; the tables of one statement may refer to each other. */
function dropTables(tables: readonly PhysicalTable[], cascade: boolean): readonly string[] {
  const side = tables.flatMap(table => [
    ...table.sideTables.map(({ name }) => `DROP TABLE ${name}`),
    ...dropExclusionLock(table.exclusionLock),
  ]);
  const main = (['MATERIALIZED VIEW', 'FOREIGN TABLE', 'TABLE'] as const).flatMap(relation => {
    const names = tables.filter(table => table.relation === relation).map(nameOf);
    return names.length === 0 ? [] : [`DROP ${relation} ${names.join(', ')}${cascade ? ' CASCADE' : ''}`];
  });
  return [...side, ...main];
}

const dropIndexes = ({ before, after }: Kept): readonly string[] =>
  added(after.indexes, before.indexes).map(
    index => `DROP INDEX ${quoteQualified(before.schema, index.name)}`,
  );

function rename({ before, after }: Kept): readonly string[] {
  const statements: string[] = [];
  if (before.name !== after.name)
    statements.push(`ALTER TABLE ${nameOf(before)} RENAME TO ${quoteName(after.name)}`);
  if (before.schema !== after.schema)
    statements.push(
      `ALTER TABLE ${quoteQualified(before.schema, after.name)} SET SCHEMA ${quoteName(after.schema)}`,
    );
  const table = nameOf(after);
  for (const [was, is] of pairs(before.columns, after.columns))
    if (was.name !== is.name)
      statements.push(`ALTER TABLE ${table} RENAME COLUMN ${quoteName(was.name)} TO ${quoteName(is.name)}`);
  for (const [was, is] of pairs(before.constraints, after.constraints))
    if (was.name !== is.name)
      statements.push(
        `ALTER TABLE ${table} RENAME CONSTRAINT ${quoteName(was.name)} TO ${quoteName(is.name)}`,
      );
  for (const [was, is] of pairs(before.indexes, after.indexes))
    if (was.name !== is.name)
      statements.push(
        `ALTER INDEX ${quoteQualified(after.schema, was.name)} RENAME TO ${quoteName(is.name)}`,
      );
  for (const [was, is] of pairs(before.columns, after.columns))
    if (was.sequence && is.sequence && was.sequence.name !== is.sequence.name)
      statements.push(
        `ALTER SEQUENCE ${quoteQualified(is.sequence.schema, was.sequence.name)} RENAME TO ${quoteName(is.sequence.name)}`,
      );
  return statements;
}

function changeColumns({ before, after, using }: Kept): readonly string[] {
  const fresh = added(before.columns, after.columns);
  const actions = [
    ...added(after.columns, before.columns).map(dropColumn),
    ...fresh.map(column => `ADD COLUMN ${columnDefinition(column)}`),
    ...pairs(before.columns, after.columns).flatMap(([was, is]) =>
      columnActions(was, is, using?.get(is.name)),
    ),
  ];
  return [...ownedSequences(fresh), ...alter(after, actions), ...settle(after, fresh)];
}

const dropColumn = ({ name }: PhysicalColumn): string => `DROP COLUMN ${quoteName(name)}`;

const alter = (table: PhysicalTable, actions: readonly string[]): readonly string[] =>
  actions.length === 0 ? [] : [`ALTER TABLE ${nameOf(table)} ${actions.join(', ')}`];

const ownedSequences = (columns: readonly PhysicalColumn[]): readonly string[] =>
  columns.flatMap(({ sequence, identity }) => (sequence && !identity ? [createSequence(sequence)] : []));

const settle = (table: PhysicalTable, fresh: readonly PhysicalColumn[]): readonly string[] => [
  ...storage(table, fresh),
  ...ownSequences(table, fresh),
];

/** Columns that are filled are there without a value, and those that are read are still there. */
function beginRefill(change: Kept, { columns, sources }: Refilled): readonly string[] {
  const { before, after } = change;
  const fresh = added(before.columns, after.columns);
  const actions = [
    ...added(after.columns, before.columns)
      .filter(({ name }) => !sources.has(name))
      .map(dropColumn),
    ...fresh.map(column => {
      const definition = columns.has(column.name) ? { ...column, notNull: false } : column;
      return `ADD COLUMN ${columnDefinition(definition)}`;
    }),
  ];
  return [
    ...ownedSequences(fresh),
    ...alter(after, actions),
    ...settle(after, fresh),
    ...changeSideTables(change),
  ];
}

function endRefill({ before, after, using }: Kept, { columns, sources }: Refilled): readonly string[] {
  const actions = [
    ...added(after.columns, before.columns)
      .filter(({ name }) => sources.has(name))
      .map(dropColumn),
    ...after.columns
      .filter(({ name, notNull }) => notNull && columns.has(name))
      .map(({ name }) => `ALTER COLUMN ${quoteName(name)} SET NOT NULL`),
    ...pairs(before.columns, after.columns).flatMap(([was, is]) =>
      columnActions(was, is, using?.get(is.name)),
    ),
  ];
  return alter(after, actions);
}

function columnActions(
  was: PhysicalColumn,
  is: PhysicalColumn,
  using: string | undefined,
): readonly string[] {
  const alter = `ALTER COLUMN ${quoteName(is.name)}`;
  const actions: string[] = [];
  if (was.typeKey !== is.typeKey)
    actions.push(`${alter} TYPE ${is.type}${using === undefined ? '' : ` USING (${using})::${is.type}`}`);
  if (was.generated && !is.generated) actions.push(`${alter} DROP EXPRESSION`);
  else if (was.generated?.said !== is.generated?.said && was.typeKey === is.typeKey)
    throw new ClarusError('0A000', `the expression of generated column "${is.name}" cannot be changed`, {
      hint: 'Drop the column and add it anew.',
      column: is.name,
    });
  if (was.identity && !is.identity) actions.push(`${alter} DROP IDENTITY`);
  if (was.notNull !== is.notNull) actions.push(`${alter} ${is.notNull ? 'SET' : 'DROP'} NOT NULL`);
  if (was.default !== is.default)
    actions.push(is.default === undefined ? `${alter} DROP DEFAULT` : `${alter} SET DEFAULT ${is.default}`);
  if (is.identity && was.identity !== is.identity) {
    const always = is.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT';
    actions.push(was.identity ? `${alter} SET GENERATED ${always}` : `${alter} ADD ${identityClause(is)}`);
  }
  return actions;
}

function createTable(table: PhysicalTable): readonly string[] {
  const sequences = table.columns
    .filter(c => c.sequence && !c.identity)
    .map(c => createSequence(c.sequence!));
  const parts = [
    ...table.columns.map(columnDefinition),
    ...table.constraints
      .filter(constraint => constraint.kind !== 'foreign')
      .map(constraint => `CONSTRAINT ${quoteName(constraint.name)} ${constraint.definition}`),
  ];
  return [
    ...sequences,
    `CREATE ${table.unlogged ? 'UNLOGGED ' : ''}TABLE ${nameOf(table)} (${parts.join(', ')})`,
    ...storage(table, table.columns),
    ...ownSequences(table, table.columns),
    ...table.indexes.map(index => index.definition),
    ...sideTables(table, table.sideTables),
    ...makeExclusionLock(table.exclusionLock),
  ];
}

function addConstraintsAndIndexes({ before, after }: Kept): readonly string[] {
  const constraints = added(before.constraints, after.constraints)
    .filter(constraint => constraint.kind !== 'foreign')
    .map(constraint => addConstraint(after, constraint));
  return [...constraints, ...added(before.indexes, after.indexes).map(index => index.definition)];
}

const addConstraint = (table: PhysicalTable, { name, definition }: PhysicalConstraint): string =>
  `ALTER TABLE ${nameOf(table)} ADD CONSTRAINT ${quoteName(name)} ${definition}`;

const foreignKeys = (table: PhysicalTable, constraints: readonly PhysicalConstraint[]): readonly string[] =>
  constraints.filter(({ kind }) => kind === 'foreign').map(constraint => addConstraint(table, constraint));

function changeSideTables({ before, after }: Kept): readonly string[] {
  const gone = before.sideTables.filter(old => !after.sideTables.some(({ name }) => name === old.name));
  const fresh = after.sideTables.filter(side => !before.sideTables.some(({ name }) => name === side.name));
  return [...gone.map(({ name }) => `DROP TABLE ${name}`), ...sideTables(after, fresh)];
}

function changeExclusionLock({ before, after }: Kept): readonly string[] {
  if (before.exclusionLock === after.exclusionLock) return [];
  return [...dropExclusionLock(before.exclusionLock), ...makeExclusionLock(after.exclusionLock)];
}

/** Rows of a side table go with the row they belong to, whatever statement deletes it. */
function sideTables(table: PhysicalTable, tables: readonly PhysicalSideTable[]): readonly string[] {
  if (tables.length === 0) return [];
  const statements = [`CREATE SCHEMA IF NOT EXISTS ${quoteName(HELPER_SCHEMA)}`];
  for (const { name, columns } of tables) {
    const row =
      `${ROW_COLUMN} bigint NOT NULL REFERENCES ${nameOf(table)} (${ROW_COLUMN}) ` +
      'ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED';
    const others = columns.map(column => `${quoteName(column.name)} ${column.type}`);
    statements.push(`CREATE TABLE ${name} (${[row, ...others].join(', ')})`);
    statements.push(`CREATE INDEX ON ${name} (${ROW_COLUMN})`);
  }
  return statements;
}

function columnDefinition(column: PhysicalColumn): string {
  const parts = [quoteName(column.name), column.type];
  if (column.notNull) parts.push('NOT NULL');
  if (column.default !== undefined) parts.push(`DEFAULT ${column.default}`);
  if (column.generated)
    parts.push(
      `GENERATED ALWAYS AS (${column.generated.expression}) ${column.generated.kind === 's' ? 'STORED' : 'VIRTUAL'}`,
    );
  if (column.identity) parts.push(identityClause(column));
  return parts.join(' ');
}

function identityClause({ identity, sequence }: PhysicalColumn): string {
  const options = sequence
    ? ` (SEQUENCE NAME ${quoteQualified(sequence.schema, sequence.name)} ${sequenceOptions(sequence)})`
    : '';
  return `GENERATED ${identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY${options}`;
}

/** The DDL of a serial column's sequence. */
export const createSequence = (sequence: DescribedSequence): string =>
  `CREATE SEQUENCE ${quoteQualified(sequence.schema, sequence.name)} AS ${sequence.type} ${sequenceOptions(sequence)}`;

const sequenceOptions = ({ start, increment, minimum, maximum, cache, cycle }: DescribedSequence): string =>
  `INCREMENT ${increment} MINVALUE ${minimum} MAXVALUE ${maximum} START ${start} CACHE ${cache}${cycle ? ' CYCLE' : ' NO CYCLE'}`;

const ownSequences = (table: PhysicalTable, columns: readonly PhysicalColumn[]): readonly string[] =>
  columns
    .filter(column => column.sequence && !column.identity)
    .map(
      ({ name, sequence }) =>
        `ALTER SEQUENCE ${quoteQualified(sequence!.schema, sequence!.name)} OWNED BY ${nameOf(table)}.${quoteName(name)}`,
    );

function storage(table: PhysicalTable, columns: readonly PhysicalColumn[]): readonly string[] {
  const external = columns.filter(column => column.storage === 'external');
  if (external.length === 0) return [];
  const actions = external.map(column => `ALTER COLUMN ${quoteName(column.name)} SET STORAGE EXTERNAL`);
  return [`ALTER TABLE ${nameOf(table)} ${actions.join(', ')}`];
}
