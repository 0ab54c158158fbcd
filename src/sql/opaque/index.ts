/**
 * Hidden names at the boundary to a cloud: every statement passes `spelled` on its way out, every report of the cloud
 * `ownReport` on its way back. The rest of the product knows the names of the application.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { deparse } from '../raw/deparse.js';
import {
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { spelledConstant } from './constants.js';
import { referenced } from './definitions.js';
import { type HiddenNames, hiddenNames, relationKey } from './names.js';
import { cannotSpell } from './refusal.js';
import { OpaqueStatement } from './statement.js';

export { namesIn } from './constants.js';
export { spellingOf } from './definitions.js';
export { hiddenNames, hiddenNamesOf, inCloudsWords } from './names.js';
export { ownPlan, ownReport } from './reports.js';

/** A statement as a cloud gets it. */
export interface Spelled {
  readonly sql: string;
  /** what stands for the names that were changed: names by what stands for them */
  readonly aliases: ReadonlyMap<string, string>;
}

/** Statements that are kept, of one catalogue, and the longest of them in characters. */
const KEPT_MAX = 2_000;
const KEPT_LENGTH_MAX = 10_000;

const kept = new WeakMap<HiddenNames, Map<string, Spelled>>();

/** Statements about the session itself, which name no table. */
const ofSession =
  /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET(?!\s+CONSTRAINTS)|RESET|SHOW|DEALLOCATE|FETCH|MOVE|CLOSE|DISCARD)\b/i;

/**
 * A statement in the names that the cloud knows.
 * @param tables those of the catalogue; where none is hidden the statement stays as it is
 * @throws ClarusError 0A000 for what cannot be said without a hidden name
 */
export function spelled(sql: string, tables: ReadonlyMap<number, LogicalTable>): string {
  const names = hiddenNames(tables);
  return names ? spelledIn(sql, names).sql : sql;
}

/** As `spelled`, with what stands for what. */
export function spelledIn(sql: string, names: HiddenNames): Spelled {
  let known = kept.get(names);
  if (!known) {
    known = new Map();
    kept.set(names, known);
  }
  const found = known.get(sql);
  if (found) return found;
  const made = sql.trim() === '' || ofSession.test(sql) ? unchanged(sql) : spell(sql, names);
  if (sql.length <= KEPT_LENGTH_MAX) {
    if (known.size >= KEPT_MAX) known.clear();
    known.set(sql, made);
  }
  return made;
}

const unchanged = (sql: string): Spelled => ({ sql, aliases: new Map() });

/** Statements that name columns of what they read and write; all others name relations alone, or are ours already. */
const overColumns: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'CopyStmt',
  'DeclareCursorStmt',
  'ExplainStmt',
]);

function spell(sql: string, names: HiddenNames): Spelled {
  const tree = parseOne(sql);
  if (overColumns.has(kindOf(tree)) && touchesHidden(tree, names)) {
    const statement = new OpaqueStatement(names, tree);
    return { sql: deparse(statement.value(tree)), aliases: statement.aliases };
  }
  if (tree.CreateTableAsStmt && touchesHidden(tree, names)) throw cannotSpell('CREATE TABLE AS');
  const changed = withRelations(tree, names);
  return JSON.stringify(changed) === JSON.stringify(tree)
    ? unchanged(sql)
    : { sql: deparse(changed), aliases: new Map() };
}

function touchesHidden(tree: RawNode, names: HiddenNames): boolean {
  let touches = false;
  visit(tree, (kind, fields) => {
    if (kind !== 'RangeVar' && kind !== 'relation') return;
    if (relationOf(fields, names)?.kind === 'table') touches = true;
  });
  return touches;
}

const relationOf = ({ schemaname, relname }: RawFields, { relations }: HiddenNames) =>
  typeof schemaname === 'string' && typeof relname === 'string'
    ? relations.get(relationKey(schemaname, relname))
    : undefined;

/** A statement that names hidden relations, and none of their columns but as targets of foreign keys. */
function withRelations(tree: RawNode, names: HiddenNames): RawNode {
  const fields = fieldsOf(tree);
  if (
    tree.RenameStmt &&
    relationOf((fields.relation ?? {}) as RawFields, names)?.own ===
      (fields.relation as RawFields | undefined)?.relname
  )
    throw cannotSpell('a change of this name');
  if (!overColumns.has(kindOf(tree)) && !tree.ConstraintsSetStmt) refuseUnqualified(tree, names);
  return rewriteRelations(
    rewrite(tree, (kind, node) => {
      if (kind === 'TypeCast' || kind === 'FuncCall') return spelledConstant({ [kind]: node }, names);
      if (kind === 'Constraint')
        return isReal(node, names) ? undefined : { Constraint: { ...node, ...referenced(node, names) } };
      if (kind === 'List') return ofParts(node, names);
      if (kind === 'VacuumRelation') return ofVacuum(node, names);
      if (kind === 'ConstraintsSetStmt') return { ConstraintsSetStmt: ofConstraints(node, names) };
      return undefined;
    }),
    names,
  );
}

/**
 * A relation without its schema may be a hidden one.
 * @throws ClarusError 0A000
 */
function refuseUnqualified(tree: RawNode, { relations }: HiddenNames): void {
  const own = new Set([...relations.values()].map(relation => relation.own));
  visit(tree, (_kind, { schemaname, relname }) => {
    if (schemaname === undefined && typeof relname === 'string' && own.has(relname))
      throw cannotSpell(`"${relname}"`);
  });
}

/** Does a foreign key refer to its table as the cloud calls that? Then it is one of ours, and so are its columns. */
const isReal = ({ pktable }: RawFields, names: HiddenNames): boolean => {
  const hidden = relationOf((pktable ?? {}) as RawFields, names);
  return hidden !== undefined && hidden.opaque === (pktable as RawFields).relname;
};

/** ANALYZE and VACUUM: PostgreSQL refuses columns of a VACUUM alone, and those of a hidden table by their opaque names. */
function ofVacuum(fields: RawFields, names: HiddenNames): RawNode | undefined {
  if (!fields.va_cols || !relationOf((fields.relation ?? {}) as RawFields, names)) return undefined;
  const statement = new OpaqueStatement(names, { VacuumRelation: {} });
  const columns = list(fields, 'va_cols').map(name => ({
    String: { sval: statement.column(stringOf(name)) },
  }));
  return { VacuumRelation: { ...fields, va_cols: columns } };
}

/** Constraints by their names alone: one that is hidden is the one of that name. */
function ofConstraints(fields: RawFields, names: HiddenNames): RawFields {
  const constraints = list(fields, 'constraints').map(({ RangeVar: range }) => {
    const name = String(range!.relname);
    return { RangeVar: { ...range, relname: names.opaque.get(name) ?? name } };
  });
  return fields.constraints ? { ...fields, constraints } : fields;
}

/** Names of relations, wherever they stand. */
function rewriteRelations<T>(value: T, names: HiddenNames): T {
  if (Array.isArray(value)) return value.map(item => rewriteRelations(item, names)) as T;
  if (value === null || typeof value !== 'object') return value;
  const hidden = relationOf(value as RawFields, names);
  const fields = Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, rewriteRelations(field, names)]),
  );
  return (hidden ? { ...fields, relname: hidden.opaque } : fields) as T;
}

/** A relation as a list of its parts, as DROP and OWNED BY name it. */
function ofParts(fields: RawFields, names: HiddenNames): RawNode | undefined {
  const items = (fields.items ?? []) as readonly RawNode[];
  if (items.length < 2 || !items.every(item => item.String)) return undefined;
  const [schema, name, column] = items.map(stringOf);
  const hidden = names.relations.get(relationKey(schema!, name!));
  if (!hidden || hidden.opaque === name) return undefined;
  const parts = [
    schema!,
    hidden.opaque,
    ...(column === undefined ? [] : [names.opaque.get(column) ?? column]),
  ];
  return { List: { items: parts.map(sval => ({ String: { sval } })) } };
}
