/**
 * Writes a rewritten tree back as SQL and proves that it says the same: the text is parsed again and the two
 * trees are compared, locations and the spelling of equal things aside. What does not survive is refused.
 */
import { Deparser } from 'pgsql-deparser';
import { ClarusError } from '../../errors.js';
import { list, type RawFields, type RawNode, stringOf } from './node.js';
import { parseOne } from './parse.js';

/**
 * @throws ClarusError 0A000 for a form that cannot be written, or would not parse back into the same tree
 */
export function deparse(node: RawNode): string {
  const meant = canonicalText(node);
  for (const Kind of [Writer, QualifyingWriter]) {
    let sql: string;
    let again: RawNode;
    try {
      sql = new Kind(node as never, { pretty: false }).deparseQuery();
      again = parseOne(sql);
    } catch (error) {
      throw error instanceof RangeError ? error : cannot();
    }
    if (canonicalText(again) === meant) return sql;
  }
  throw cannot();
}

/** Deparses an expression (checked as part of `SELECT expression`). */
export function deparseExpression(node: RawNode): string {
  const select: RawNode = {
    SelectStmt: {
      targetList: [{ ResTarget: { val: node } }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  };
  return deparse(select).replace(/^SELECT\s+/, '');
}

/** A type's name as SQL. */
export function typeText(type: RawNode): string {
  const cast = deparseExpression({
    TypeCast: { arg: { A_Const: { isnull: true } }, typeName: type.TypeName ?? type },
  });
  return cast.replace(/^NULL::|^CAST\(NULL AS (.*)\)$/i, '$1');
}

type Select = Parameters<Deparser['SelectStmt']>[0];
type Context = Parameters<Deparser['SelectStmt']>[1];

/** A parameter that no statement has: numbers end at 65535 (protocol, Bind). */
const tied = { ParamRef: { number: 2_147_483_647 } };

type TableAs = Parameters<Deparser['CreateTableAsStmt']>[0];

type Type = Parameters<Deparser['TypeName']>[0];

type Option = Parameters<Deparser['DefElem']>[0];

/**
 * The deparser, which leaves WITH TIES out by itself, and UNLOGGED in CREATE TABLE AS, writes texts of storage options as
 * what they look like, and names of types that are keywords without quotes.
 */
class Writer extends Deparser {
  override SelectStmt(node: Select, context: Context): string {
    if (node.limitOption !== 'LIMIT_OPTION_WITH_TIES' || !node.limitCount)
      return super.SelectStmt(node, context);
    const sql = super.SelectStmt({ ...node, limitCount: tied }, context);
    const count = this.visit(node.limitCount, context);
    return sql.replace(`LIMIT $${tied.ParamRef.number}`, () => `FETCH FIRST (${count}) ROWS WITH TIES`);
  }

  override CreateTableAsStmt(node: TableAs, context: Context): string {
    const { into } = node;
    if (into?.rel?.relpersistence !== 'u') return super.CreateTableAsStmt(node, context);
    const rel = { ...into.rel, relpersistence: 'p' };
    const sql = super.CreateTableAsStmt({ ...node, into: { ...into, rel } }, context);
    return sql.replace(/^CREATE TABLE/, 'CREATE UNLOGGED TABLE');
  }

  override TypeName(node: Type, context: Context): string {
    const sql = super.TypeName(node, context);
    const [name, within] = list(node as RawFields, 'names').map(stringOf);
    // the deparser forgets that this one is an array
    if (sql === '"char"' || sql === 'pg_catalog.char')
      return (
        sql +
        list(node as RawFields, 'arrayBounds')
          .map(() => '[]')
          .join('')
      );
    if (within !== undefined || !keywords.has(name ?? '')) return sql;
    return sql.startsWith(name!) ? `"${name}"${sql.slice(name!.length)}` : sql;
  }

  override DefElem(node: Option, context: Context): string {
    const text = (node.arg as RawNode | undefined)?.String?.sval;
    const within = context.parentNodeTypes;
    const ofTable =
      (within.includes('CreateStmt') || within.includes('CreateTableAsStmt')) &&
      !within.includes('Constraint') &&
      !within.includes('SelectStmt');
    if (!ofTable || typeof text !== 'string') return super.DefElem(node, context);
    const name = node.defnamespace ? `${node.defnamespace}.${node.defname}` : node.defname;
    return `${name} = '${text.replaceAll("'", "''")}'`;
  }
}

type Cast = Parameters<Deparser['TypeCast']>[0];

/** The same, which does not leave pg_catalog out of the types of casts. */
class QualifyingWriter extends Writer {
  override TypeCast(node: Cast, context: Context): string {
    const [schema, name] = list(node.typeName as RawFields, 'names').map(stringOf);
    if (schema !== 'pg_catalog' || !unqualified.has(name ?? '')) return super.TypeCast(node, context);
    const arrays = list(node.typeName as RawFields, 'arrayBounds').map(() => '[]');
    return `CAST(${this.visit(node.arg!, context)} AS pg_catalog.${name}${arrays.join('')})`;
  }
}

/** Types whose names are keywords: without quotes the grammar reads another type, or one of another length (bit is bit(1)). */
const keywords: ReadonlySet<string> = new Set([
  'bit',
  'char',
  'interval',
  'json',
  'numeric',
  'time',
  'timestamp',
  'varchar',
]);

/** Types that the grammar reads with a schema and without as different names. */
const unqualified: ReadonlySet<string> = new Set([
  'bit',
  'bytea',
  'char',
  'date',
  'json',
  'jsonb',
  'money',
  'name',
  'oid',
  'regclass',
  'text',
  'tid',
  'uuid',
  'varbit',
  'xid',
]);

const cannot = (): ClarusError =>
  new ClarusError('0A000', 'the statement cannot be written back exactly after rewriting', {
    hint: 'Spell the statement in another way.',
  });

/** A tree as text without locations and without what says nothing: an empty list is as good as none. */
function canonicalText(value: unknown): string {
  return JSON.stringify(value, (key, field) => {
    if (
      key === 'location' ||
      key === 'stmt_location' ||
      key === 'stmt_len' ||
      key === 'list_start' ||
      key === 'list_end' ||
      key === 'rexpr_list_start' ||
      key === 'rexpr_list_end'
    )
      return undefined;
    if (key === 'query_location' || (Array.isArray(field) && field.length === 0)) return undefined;
    if (field !== null && typeof field === 'object' && !Array.isArray(field))
      return Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1)));
    return field;
  });
}
