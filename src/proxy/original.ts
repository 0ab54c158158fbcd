/** The plaintext original of a copy as its cloud describes it, and the DDL that makes the same table again. */

import { describeTables, qualified } from '../catalog/describe.js';
import type {
  DescribedColumn,
  DescribedConstraint,
  DescribedSequence,
  DescribedTable,
} from '../catalog/description.js';
import { quoteLiteral, quoteName, quoteQualified } from '../catalog/quote.js';
import { type Reader, readJson, readOne } from '../catalog/reader.js';
import { originalsIn, type SetAside } from '../catalog/set-aside.js';
import { shadowDdl } from '../catalog/shadow-ddl.js';
import { ClarusError } from '../errors.js';
import { joinName } from '../policy/names.js';

/** A plaintext table that is to be copied. */
export interface Original {
  readonly described: DescribedTable;
  /** statements that make the table, its keys, checks, indexes, foreign keys and where its sequences stand, in order */
  readonly ddl: readonly string[];
  /** names of the columns that hold data: generated ones are computed again */
  readonly columns: readonly string[];
  /** foreign keys of open tables that refer to it: dropped, and added again to refer to the copy */
  readonly referring: { readonly drop: readonly string[]; readonly add: readonly string[] };
}

/** What the catalogue says of tables, by name. */
export interface Surroundings {
  /** does it wait for its own copy? */
  waits(schema: string, name: string): boolean;
  /** is it served in the clear? Its foreign keys are changed with the copy. */
  open(schema: string, name: string): boolean;
  /** does the policy protect a column? */
  protects(schema: string, table: string, column: string): boolean;
}

/**
 * Describes a table that is to be copied.
 * @param read a connection to the cloud, inside a transaction
 * @throws ClarusError 42P01 when it is not there, 0A000 with all that stands in the way, and what to do about it
 */
export async function describeOriginal(
  read: Reader,
  schema: string,
  name: string,
  around: Surroundings,
): Promise<Original> {
  const tables = await qualified(read, () => describeTables(read, undefined));
  const described = tables.find(table => table.schema === schema && table.name === name);
  const title = joinName([schema, name]);
  if (!described) throw new ClarusError('42P01', `there is no table ${title} in the cloud`);
  const originals = await originalsIn(read);
  const referring = referringKeys(described, tables, originals, around);
  const hindrances = [
    ...shapeHindrances(described),
    ...(await dependentHindrances(read, described)),
    ...ownHindrances(described, tables, originals, around),
    ...referring.hindrances,
  ];
  if (hindrances.length > 0)
    throw new ClarusError('0A000', `${title} cannot be copied: ${hindrances.map(h => h.what).join('; ')}`, {
      hint: `Nothing was changed. First: ${[...new Set(hindrances.map(h => h.remedy))].join('; ')}.`,
    });
  const prepared = withSequences(described);
  const constraints = prepared.constraints.map(constraint => redirected(constraint, tables, originals));
  const { items } = shadowDdl({ tables: [{ ...prepared, constraints }], objects: [] });
  return {
    described,
    ddl: [...items.flatMap(({ statements }) => statements), ...(await counts(read, described))],
    columns: dataColumns(described),
    referring: { drop: referring.drop, add: referring.add },
  };
}

/** Names of the columns that hold data of their own. */
export const dataColumns = ({ columns }: DescribedTable): readonly string[] =>
  columns.filter(({ generated }) => generated === '').map(({ name }) => name);

/** What a copy would break or cannot have, and what the owner can do about it. */
interface Hindrance {
  readonly what: string;
  readonly remedy: string;
}

const dependents = `
SELECT jsonb_build_object('what', pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid),
  'ofFunction', d.classid = 'pg_catalog.pg_proc'::regclass,
  'view', (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.rulename = '_RETURN'))::text
FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::oid AND (
  d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_publication_rel'::regclass)
  OR d.classid = 'pg_catalog.pg_trigger'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid AND NOT t.tgisinternal))
ORDER BY 1`;

/**
 * What keeps a copy from being dropped: views and functions that read it.
 * @param read a connection to the shadow database
 * @returns in words, each once
 */
export async function readersOf(read: Reader, schema: string, name: string): Promise<readonly string[]> {
  const oid = await readOne(read, 'SELECT pg_catalog.to_regclass($1)::pg_catalog.oid::text', [
    quoteQualified(schema, name),
  ]);
  if (!oid) return [];
  const found = await readJson<Dependent>(read, dependents, [oid]);
  return [
    ...new Set(
      found.flatMap(({ what, view, ofFunction }) => {
        if (view !== null) return [`view ${view}`];
        return ofFunction ? [what] : [];
      }),
    ),
  ];
}

interface Dependent {
  readonly what: string;
  /** null: it is none */
  readonly view: string | null;
  readonly ofFunction: boolean;
}

const keepAndDrop =
  'keep the definitions of views, rules, triggers and policies on it, and drop them in the cloud; views and triggers can be made again through Clarus when the copy stands';

async function dependentHindrances(read: Reader, table: DescribedTable): Promise<readonly Hindrance[]> {
  const found = await readJson<Dependent>(read, dependents, [String(table.oid)]);
  const words = new Set(
    found.map(({ what, view }) => `${view === null ? what : `view ${view}`} depends on it`),
  );
  return [...words].map(what => ({ what, remedy: keepAndDrop }));
}

function shapeHindrances(table: DescribedTable): readonly Hindrance[] {
  const found: Hindrance[] = [];
  if (table.kind !== 'r' || table.persistence !== 'p')
    found.push({ what: 'only ordinary tables can', remedy: 'make an ordinary table of it in the cloud' });
  if (table.parents.length > 0 || table.hasChildren)
    found.push({
      what: 'it inherits, or is inherited from',
      remedy: 'make one table of it and its partitions or heirs in the cloud',
    });
  if (table.rowSecurity) found.push({ what: 'it has row security', remedy: keepAndDrop });
  return found;
}

/** Constraints and generated columns that the cloud could not check or compute over cells. */
function ownHindrances(
  table: DescribedTable,
  tables: readonly DescribedTable[],
  originals: readonly SetAside[],
  around: Surroundings,
): readonly Hindrance[] {
  const found: Hindrance[] = [];
  const { schema, name, columns } = table;
  const title = quoteQualified(schema, name);
  const isProtected = (of: DescribedTable, attnum: number): boolean => {
    const column = of.columns.find(one => one.attnum === attnum);
    return column !== undefined && around.protects(of.schema, of.name, column.name);
  };
  for (const { name: column, attnum, generated, generatedFrom } of columns)
    if (generated !== '' && [attnum, ...generatedFrom].some(one => isProtected(table, one)))
      found.push({
        what: `the generated column "${column}" is protected, or computed from a protected one`,
        remedy: `ALTER TABLE ${title} DROP COLUMN ${quoteName(column)} in the cloud`,
      });
  for (const constraint of table.constraints) {
    const { kind, references } = constraint;
    const remedy = `ALTER TABLE ${title} DROP CONSTRAINT ${quoteName(constraint.name)} in the cloud`;
    const concerned = constraint.columns.some(one => one === 0 || isProtected(table, one));
    if (kind === 'c' && constraint.columns.some(attnum => attnum <= 0))
      found.push({ what: `the check constraint "${constraint.name}" reads the whole row`, remedy });
    if (kind === 'x' && concerned)
      found.push({ what: `the exclusion constraint "${constraint.name}" reads a protected column`, remedy });
    const target = kind === 'f' ? tables.find(({ oid }) => oid === references?.table) : undefined;
    if (!target || !references) continue;
    const tags = concerned || references.columns.some(one => isProtected(target, one));
    if (tags && (constraint.onDelete !== 'a' || constraint.onUpdate !== 'a'))
      found.push({
        what: `the foreign key "${constraint.name}" has an action on a protected column`,
        remedy: `make it NO ACTION in the cloud, or ${remedy}`,
      });
    else if (
      target.oid !== table.oid &&
      around.waits(target.schema, target.name) &&
      !originals.some(o => o.schema === target.schema && o.name === target.name)
    )
      found.push({
        what: `the foreign key "${constraint.name}" refers to ${joinName([target.schema, target.name])}, which waits for its own copy`,
        remedy: `clarus copy ${joinName([target.schema, target.name])} (where the two refer to each other, drop one foreign key in the cloud)`,
      });
  }
  return found;
}

/**
 * Foreign keys of other tables that refer to this one. Those of a table that waits for its own copy follow when that
 * is made, and those of plaintext originals stay with the original.
 */
function referringKeys(
  table: DescribedTable,
  tables: readonly DescribedTable[],
  originals: readonly SetAside[],
  around: Surroundings,
): { readonly drop: string[]; readonly add: string[]; readonly hindrances: readonly Hindrance[] } {
  const drop: string[] = [];
  const add: string[] = [];
  const hindrances: Hindrance[] = [];
  for (const other of tables) {
    if (other.oid === table.oid || around.waits(other.schema, other.name)) continue;
    if (originals.some(o => o.schema === other.schema && o.name === other.name)) continue;
    const title = joinName([other.schema, other.name]);
    for (const { kind, references, name, definition, inherited } of other.constraints) {
      if (kind !== 'f' || references?.table !== table.oid || inherited) continue;
      const column = table.columns.find(
        one => references.columns.includes(one.attnum) && around.protects(table.schema, table.name, one.name),
      );
      // The shadow loses the foreign key of a protected table when the original is set aside.
      if (!around.open(other.schema, other.name))
        hindrances.push({
          what: `the foreign key "${name}" of ${title} refers to it`,
          remedy: `drop the foreign key "${name}" of ${title} through Clarus, and add it again after`,
        });
      else if (column)
        hindrances.push({
          what: `the foreign key "${name}" of ${title} refers to the protected column "${column.name}"`,
          remedy: `protect the column of ${title} in the same domain in clarus.yaml, or drop that foreign key`,
        });
      else {
        const altered = `ALTER TABLE ${quoteQualified(other.schema, other.name)}`;
        drop.push(`${altered} DROP CONSTRAINT ${quoteName(name)}`);
        add.push(`${altered} ADD CONSTRAINT ${quoteName(name)} ${definition}`);
      }
    }
  }
  return { drop, add, hindrances };
}

/** Identity columns tell their sequences with their types: the one place where CREATE TABLE takes the options. */
const withSequences = (table: DescribedTable): DescribedTable => ({
  ...table,
  columns: table.columns.map(column =>
    column.sequence && column.identity !== ''
      ? {
          ...column,
          identity: '',
          default: null,
          sequence: null,
          typeName: `${column.typeName} ${identityClause(column, column.sequence)}`,
        }
      : column,
  ),
});

function identityClause({ identity }: DescribedColumn, s: DescribedSequence): string {
  const options = `INCREMENT ${s.increment} MINVALUE ${s.minimum} MAXVALUE ${s.maximum} START ${s.start} CACHE ${s.cache} ${s.cycle ? 'CYCLE' : 'NO CYCLE'}`;
  return `GENERATED ${identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY (SEQUENCE NAME ${quoteQualified(s.schema, s.name)} ${options})`;
}

/** Statements by which the sequences of the copy stand where those of the original do. */
async function counts(read: Reader, { columns }: DescribedTable): Promise<readonly string[]> {
  const statements: string[] = [];
  for (const { sequence } of columns) {
    if (!sequence) continue;
    const name = quoteQualified(sequence.schema, sequence.name);
    const last = await readOne(read, `SELECT last_value::text FROM ${name}`);
    const called = await readOne(read, `SELECT is_called::text FROM ${name}`);
    statements.push(`SELECT pg_catalog.setval(${quoteLiteral(name)}, ${last}, ${called})`);
  }
  return statements;
}

const reference = /( REFERENCES )(?:(?:"(?:[^"]|"")*"|[^\s(."]+)\.)?(?:"(?:[^"]|"")*"|[^\s(."]+)(?=\()/;

/** A foreign key to a table that was copied before points to the copy. */
function redirected(
  constraint: DescribedConstraint,
  tables: readonly DescribedTable[],
  originals: readonly SetAside[],
): DescribedConstraint {
  const target = tables.find(({ oid }) => oid === constraint.references?.table);
  const aside = target && originals.find(o => o.schema === target.schema && o.name === target.name);
  if (!aside) return constraint;
  return { ...constraint, definition: pointedTo(constraint.definition, aside.schema, aside.table) };
}

/** The definition of a foreign key that refers to another table. */
export const pointedTo = (definition: string, schema: string, table: string): string =>
  definition.replace(reference, (_, words: string) => `${words}${quoteQualified(schema, table)}`);
