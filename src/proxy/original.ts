/** The plaintext original of a copy as its cloud describes it, and the DDL that makes the same table again. */

import { describeTables, qualified } from '../catalog/describe.js';
import type {
  DescribedColumn,
  DescribedConstraint,
  DescribedSequence,
  DescribedTable,
} from '../catalog/description.js';
import { quoteQualified } from '../catalog/quote.js';
import { type Reader, readOne } from '../catalog/reader.js';
import { shadowDdl } from '../catalog/shadow-ddl.js';
import { ClarusError } from '../errors.js';
import { joinName } from '../policy/names.js';
import { originalsIn, type SetAside } from './set-aside.js';

/** A plaintext table that is to be copied. */
export interface Original {
  readonly described: DescribedTable;
  /** statements that make the table, its keys, checks, indexes and foreign keys, in order */
  readonly ddl: readonly string[];
  /** names of the columns that hold data: generated ones are computed again */
  readonly columns: readonly string[];
}

/**
 * Describes a table that is to be copied.
 * @param read a connection to the cloud, inside a transaction
 * @param standsAside is a table, by name, one that waits for its own copy? Its foreign keys may point to this one.
 * @throws ClarusError 42P01 when it is not there, 0A000 when something depends on it that a copy would break
 */
export async function describeOriginal(
  read: Reader,
  schema: string,
  name: string,
  standsAside: (schema: string, name: string) => boolean,
): Promise<Original> {
  const tables = await qualified(read, () => describeTables(read, undefined));
  const described = tables.find(table => table.schema === schema && table.name === name);
  const title = joinName([schema, name]);
  if (!described) throw new ClarusError('42P01', `there is no table ${title} in the cloud`);
  const problem = (await hindrances(read, described, tables, standsAside))[0];
  if (problem !== undefined)
    throw new ClarusError('0A000', `${title} cannot be copied: ${problem}`, {
      hint: 'Drop that in the cloud first, and make it again through Clarus afterwards.',
    });
  const prepared = await withSequences(read, described);
  const originals = await originalsIn(read);
  const constraints = prepared.constraints.map(constraint => redirected(constraint, tables, originals));
  const { items } = shadowDdl({ tables: [{ ...prepared, constraints }], objects: [] });
  return {
    described,
    ddl: items.flatMap(({ statements }) => statements),
    columns: described.columns.filter(({ generated }) => generated === '').map(column => column.name),
  };
}

const dependents = `
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::oid AND (
  d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_publication_rel'::regclass)
  OR d.classid = 'pg_catalog.pg_trigger'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid AND NOT t.tgisinternal))
ORDER BY 1`;

async function hindrances(
  read: Reader,
  table: DescribedTable,
  tables: readonly DescribedTable[],
  standsAside: (schema: string, name: string) => boolean,
): Promise<readonly string[]> {
  const found: string[] = [];
  if (table.kind !== 'r' || table.persistence !== 'p') found.push('only ordinary tables can');
  if (table.parents.length > 0 || table.hasChildren) found.push('it inherits, or is inherited from');
  if (table.rowSecurity) found.push('it has row security');
  for (const [words] of await read(dependents, [String(table.oid)])) found.push(`${words} depends on it`);
  for (const other of tables)
    for (const { kind, references, name } of other.constraints)
      if (
        kind === 'f' &&
        references?.table === table.oid &&
        other.oid !== table.oid &&
        !standsAside(other.schema, other.name)
      )
        found.push(`the foreign key "${name}" of ${joinName([other.schema, other.name])} refers to it`);
  return found;
}

/** Sequences begin where those of the original stand. */
async function withSequences(read: Reader, table: DescribedTable): Promise<DescribedTable> {
  const columns: DescribedColumn[] = [];
  for (const column of table.columns) {
    const sequence = column.sequence && { ...column.sequence, start: await nextOf(read, column.sequence) };
    if (!sequence || column.identity === '') columns.push({ ...column, sequence });
    // An identity column tells its sequence with its type: the one place where CREATE TABLE takes the options.
    else
      columns.push({
        ...column,
        identity: '',
        default: null,
        sequence: null,
        typeName: `${column.typeName} ${identityClause(column, sequence)}`,
      });
  }
  return { ...table, columns };
}

function identityClause({ identity }: DescribedColumn, s: DescribedSequence): string {
  const options = `INCREMENT ${s.increment} MINVALUE ${s.minimum} MAXVALUE ${s.maximum} START ${s.start} CACHE ${s.cache} ${s.cycle ? 'CYCLE' : 'NO CYCLE'}`;
  return `GENERATED ${identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY (SEQUENCE NAME ${quoteQualified(s.schema, s.name)} ${options})`;
}

async function nextOf(
  read: Reader,
  { schema, name, increment, minimum, maximum }: DescribedSequence,
): Promise<string> {
  const name_ = quoteQualified(schema, name);
  const last = BigInt((await readOne(read, `SELECT last_value::text FROM ${name_}`)) ?? '0');
  const called = (await readOne(read, `SELECT is_called::text FROM ${name_}`)) === 'true';
  const next = called ? last + BigInt(increment) : last;
  return String(next > BigInt(maximum) ? maximum : next < BigInt(minimum) ? minimum : next);
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
  return {
    ...constraint,
    definition: constraint.definition.replace(
      reference,
      (_, words: string) => `${words}${quoteQualified(aside.schema, aside.table)}`,
    ),
  };
}
