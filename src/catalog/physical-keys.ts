/** Constraints of a physical table that the application declared: keys on tags or plain columns, and CHECKs. */
import type { Operator } from '../encodings/encoding.js';
import { encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { encodingOf, type LogicalColumn, type LogicalTable, readsProtected } from './catalog.js';
import { numbersOf } from './derive-keys.js';
import type { DescribedConstraint, DescribedTable } from './description.js';
import { KEY_ENCODING } from './encodings-for.js';
import { acts } from './foreign-keys.js';
import { collectedName, keyTableOf, referredKey } from './key-tables.js';
import type { PhysicalConstraint, PhysicalContext } from './physical-parts.js';
import { quoteName, quoteQualified } from './quote.js';
import { standIn } from './stand-in.js';

/** The name under which a key constraint sees a column: its own, or that of its tag. Undefined: it has no tag. */
export function keyColumnName(column: LogicalColumn): string | undefined {
  if (!column.protection) return column.name;
  const encoded = encodingOf(column, KEY_ENCODING);
  return encoded && Object.values(encoded.columns)[0];
}

/** The declared constraints under their own names, so that the cloud's errors carry the logical names. */
export function physicalKeys(
  described: DescribedTable,
  table: LogicalTable,
  context: PhysicalContext,
): readonly PhysicalConstraint[] {
  return (
    described.constraints
      // each protected table stands by itself
      .filter(constraint => !constraint.inherited || table.state === 'protected')
      // the trusted side looks for conflicts
      .filter(({ kind, name }) => kind !== 'x' || !table.exclusions?.some(one => one.name === name))
      .map(constraint =>
        constraint.kind === 'c' && readsProtected(table, constraint.columns)
          ? {
              key: `check:${constraint.name}`,
              name: constraint.name,
              kind: 'check',
              definition: standIn(constraint.name),
            }
          : {
              key: `constraint:${constraint.oid}${constraint.validated ? '' : ':not-valid'}${constraint.kind === 'f' ? deferral(constraint) : ''}${tagsOf(constraint, table, context)}`,
              name: constraint.name,
              ...definitionOf(constraint, table, context),
            },
      )
  );
}

/** The tags that it stands on: where they are others than before, it is made anew. */
function tagsOf(constraint: DescribedConstraint, table: LogicalTable, { tableOf }: PhysicalContext): string {
  const { columns, references } = constraint;
  const referenced = references && (references.table === table.oid ? table : tableOf(references.table));
  const collected =
    referenced && references && referredKey(referenced, numbersOf(referenced, references.columns));
  const tags = [
    ...(collected ? [`keys${collected.generation}`] : []),
    ...tagNames(table, columns),
    ...(referenced && references ? tagNames(referenced, references.columns) : []),
  ];
  return tags.map(tag => `:${tag}`).join('');
}

/** Names of the tags of those columns that are protected. */
export const tagNames = (table: LogicalTable, attnums: readonly number[]): readonly string[] =>
  table.columns
    .filter(({ attnum, protection }) => protection !== undefined && attnums.includes(attnum))
    .map(column => keyColumnName(column) ?? '');

function definitionOf(
  constraint: DescribedConstraint,
  table: LogicalTable,
  context: PhysicalContext,
): Pick<PhysicalConstraint, 'kind' | 'definition'> {
  const columns = constraint.columns.map(attnum => table.columns.find(c => c.attnum === attnum));
  const plain = columns.every(column => column !== undefined && !column.protection);
  switch (constraint.kind) {
    case 'f':
      return { kind: 'foreign', definition: foreignKey(constraint, table, context) };
    case 'p':
    case 'u': {
      if (plain) return { kind: 'key', definition: constraint.definition };
      const word =
        constraint.kind === 'p'
          ? 'PRIMARY KEY'
          : `UNIQUE${constraint.nullsNotDistinct ? ' NULLS NOT DISTINCT' : ''}`;
      return {
        kind: 'key',
        definition: `${word} (${nameList(table, constraint.columns)})${deferral(constraint)}`,
      };
    }
    default:
      // CHECK of plain columns, and EXCLUDE of such
      return { kind: 'check', definition: constraint.definition };
  }
}

function nameList(table: LogicalTable, attnums: readonly number[]): string {
  return attnums
    .map(attnum => {
      const column = table.columns.find(c => c.attnum === attnum);
      const name = column && keyColumnName(column);
      if (name === undefined)
        throw new ClarusError('XX000', `column ${attnum} of table "${table.name}" has no tag for its key`);
      return quoteName(name);
    })
    .join(', ');
}

const deferral = ({ deferrable, deferred }: DescribedConstraint): string =>
  deferrable ? ` DEFERRABLE INITIALLY ${deferred ? 'DEFERRED' : 'IMMEDIATE'}` : '';

/** What does no more than refuse is the cloud's to do. */
const restrictions = ({ onDelete, onUpdate }: DescribedConstraint): string =>
  `${onDelete === 'r' ? ' ON DELETE RESTRICT' : ''}${onUpdate === 'r' ? ' ON UPDATE RESTRICT' : ''}`;

/**
 * A foreign key on plain columns keeps its text. One on tags is written anew, without its actions: the trusted side runs
 * those, because the cloud cannot reseal.
 */
function foreignKey(constraint: DescribedConstraint, table: LogicalTable, context: PhysicalContext): string {
  const { references } = constraint;
  const referenced =
    references && (references.table === table.oid ? table : context.tableOf(references.table));
  if (!references || !referenced)
    throw new ClarusError('XX000', `foreign key "${constraint.name}" refers to an unknown table`);
  const collected = referenced.partitioned && referenced.state === 'protected';
  if (collected) requireCollectable(constraint, table, referenced);
  let anyProtected = false;
  for (const [i, attnum] of constraint.columns.entries()) {
    const from = table.columns.find(c => c.attnum === attnum);
    const to = referenced.columns.find(c => c.attnum === references.columns[i]);
    const operator = references.operators[i];
    if (!from || !to || !operator)
      throw new ClarusError('XX000', `foreign key "${constraint.name}" is unreadable`);
    if (from.protection || to.protection) {
      anyProtected = true;
      requireComparable(
        constraint,
        { table, column: from },
        { table: referenced, column: to },
        operator,
        context,
      );
    }
  }
  if (!anyProtected && !collected) return constraint.definition;
  const match = constraint.match === 'f' ? ' MATCH FULL' : '';
  const validity = constraint.validated ? '' : ' NOT VALID';
  const to = collected
    ? collectedColumns(constraint, referenced, references.columns)
    : `${quoteQualified(referenced.physical.schema, referenced.physical.name)} (${nameList(referenced, references.columns)})`;
  return (
    `FOREIGN KEY (${nameList(table, constraint.columns)}) REFERENCES ${to}` +
    `${match}${collected ? restriction(constraint) : restrictions(constraint)}${deferral(constraint)}${validity}`
  );
}

/** Where the key of a partitioned table stands in the cloud. */
function collectedColumns(
  { name }: DescribedConstraint,
  referenced: LogicalTable,
  attnums: readonly number[],
): string {
  const numbers = numbersOf(referenced, attnums);
  const key = referredKey(referenced, numbers);
  if (!key)
    throw new ClarusError('XX000', `the keys to which foreign key "${name}" refers are not collected`);
  return `${keyTableOf(key)} (${numbers.map(collectedName).join(', ')})`;
}

/** A key that is collected goes when its row goes, and when that gets another key. */
const restriction = ({ onDelete, onUpdate }: DescribedConstraint): string =>
  onDelete === 'r' || (acts(onDelete) && onUpdate === 'r') ? ' ON DELETE RESTRICT' : '';

/** @throws ClarusError 0A000 for what a foreign key to a partitioned table cannot be */
function requireCollectable(
  { name, onDelete, onUpdate, deferrable }: DescribedConstraint,
  table: LogicalTable,
  referenced: LogicalTable,
): void {
  const refuse = (detail: string, hint: string): ClarusError =>
    new ClarusError(
      '0A000',
      `foreign key "${name}" refers to "${referenced.name}", which is partitioned and has protected columns`,
      { detail, hint, constraint: name, table: table.name },
    );
  if (table.state !== 'protected')
    throw refuse(
      `The table "${table.name}" has no protected columns, so it stands in the cloud as it is.`,
      'Leave the foreign key out, or protect a column of the table.',
    );
  if (table.opaque)
    throw refuse('The names of the tables are hidden from the cloud.', 'Leave the foreign key out.');
  const restricts = [onDelete, onUpdate].filter(action => action === 'r').length;
  if (restricts === 1 && (onDelete === 'a' || (onUpdate === 'a' && deferrable)))
    throw refuse(
      'It is RESTRICT for one of DELETE and UPDATE and NO ACTION for the other; the cloud cannot tell them apart there.',
      'Say RESTRICT or NO ACTION for both.',
    );
}

interface ColumnOf {
  readonly table: LogicalTable;
  readonly column: LogicalColumn;
}

/**
 * Both sides must have tags under one key, for types whose equality is that of the tags.
 * @throws ClarusError 0A000
 */
function requireComparable(
  constraint: DescribedConstraint,
  from: ColumnOf,
  to: ColumnOf,
  operator: Omit<Operator, 'collation'>,
  { registry }: PhysicalContext,
): void {
  const [fromName, toName] = [from, to].map(({ table, column }) => `${table.name}.${column.name}`);
  const refuse = (detail: string, hint: string): ClarusError =>
    new ClarusError('0A000', `foreign key "${constraint.name}" cannot be checked by the cloud`, {
      detail,
      hint,
      constraint: constraint.name,
      table: from.table.name,
      column: from.column.name,
    });
  const tag = encodingOf(from.column, KEY_ENCODING);
  const other = encodingOf(to.column, KEY_ENCODING);
  if (!tag || !other) {
    const [open] = [from, to].filter(({ column }) => !column.protection);
    throw refuse(
      open
        ? `${open.table.name}.${open.column.name} stands in the clear, the other column is protected.`
        : `${fromName} and ${toName} do not both have equality tags.`,
      `Protect both columns and put them into one domain in the policy ("domain: NAME").`,
    );
  }
  if (tag.domain !== other.domain)
    throw refuse(
      `${fromName} and ${toName} are not of one domain, so their tags cannot be compared.`,
      `Put both columns into one domain in the policy ("domain: NAME").`,
    );
  const join = { kind: 'join', negated: false, distinct: false, other: tag } as const;
  const question = { ...join, operator: { ...operator, collation: to.column.type.collation } };
  if (!encodingNamed(registry, KEY_ENCODING).answers(other, question))
    throw refuse(
      `The tags of ${from.column.typeName} and ${to.column.typeName} are not proven to follow the operator that compares them.`,
      'Give both columns the same type.',
    );
}
