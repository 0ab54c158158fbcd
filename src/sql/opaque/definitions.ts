/** Definitions of the shadow schema in opaque names: expressions, constraints and indexes of hidden tables. */
import type { LogicalTable } from '../../catalog/catalog.js';
import type { Spelling } from '../../catalog/physical-parts.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import { list, type RawFields, type RawNode, str, stringOf } from '../raw/node.js';
import { parseExpression, parseOne } from '../raw/parse.js';
import { type HiddenNames, hiddenNamesOf, relationKey } from './names.js';
import { cannotSpell } from './refusal.js';
import { OpaqueStatement } from './statement.js';

/**
 * How definitions are spelled.
 * @param tables those of the catalogue
 */
export function spellingOf(tables: Iterable<LogicalTable>): Spelling {
  const names = hiddenNamesOf(tables);
  const spelled =
    (spell: (text: string, names: HiddenNames) => string) =>
    (text: string): string => {
      if (!names) throw cannotSpell('a definition');
      return spell(text, names);
    };
  return { expression: spelled(expression), constraint: spelled(constraint), index: spelled(index) };
}

function expression(text: string, names: HiddenNames): string {
  const tree = parseExpression(text);
  return deparseExpression(new OpaqueStatement(names, tree).value(tree));
}

const before = 'ALTER TABLE x ADD CONSTRAINT y ';

function constraint(definition: string, names: HiddenNames): string {
  const tree = parseOne(before + definition);
  const [command] = list(tree.AlterTableStmt!, 'cmds');
  const of = (command!.AlterTableCmd!.def as RawNode).Constraint!;
  const spelled = { Constraint: constraintFields(of, names) };
  const sql = deparse({
    AlterTableStmt: {
      ...tree.AlterTableStmt,
      cmds: [{ AlterTableCmd: { ...command!.AlterTableCmd, def: spelled } }],
    },
  });
  if (!sql.startsWith(before)) throw cannotSpell('a constraint');
  return sql.slice(before.length);
}

/** Columns of a constraint that are listed by name. */
const lists = ['keys', 'including', 'fk_attrs', 'fk_del_set_cols'];

/** The fields of a constraint of a hidden table. */
function constraintFields(of: RawFields, names: HiddenNames): RawFields {
  const statement = new OpaqueStatement(names, { Constraint: of });
  const listed = (field: string): RawFields =>
    of[field] ? { [field]: list(of, field).map(name => str(statement.column(stringOf(name)))) } : {};
  const part = (field: string): RawFields => (of[field] ? { [field]: statement.value(of[field]) } : {});
  return {
    ...of,
    ...Object.assign({}, ...lists.map(listed)),
    ...part('raw_expr'),
    ...part('where_clause'),
    ...(of.exclusions
      ? {
          exclusions: list(of, 'exclusions').map(pair => {
            const [element, operator] = list(pair.List!, 'items');
            return { List: { items: [statement.value(element), operator] } };
          }),
        }
      : {}),
    ...referenced(of, names),
  };
}

/** What a foreign key refers to, where that is a hidden table. */
export function referenced(of: RawFields, names: HiddenNames): RawFields {
  const target = of.pktable as RawFields | undefined;
  if (!target) return {};
  const hidden = names.relations.get(relationKey(String(target.schemaname), String(target.relname)));
  if (!hidden) return {};
  const statement = new OpaqueStatement(names, { Constraint: {} });
  return {
    pktable: { ...target, relname: hidden.opaque },
    ...(of.pk_attrs
      ? { pk_attrs: list(of, 'pk_attrs').map(name => str(statement.column(stringOf(name)))) }
      : {}),
  };
}

function index(definition: string, names: HiddenNames): string {
  const tree = parseOne(definition);
  const of = tree.IndexStmt!;
  const relation = of.relation as RawFields;
  const hidden = names.relations.get(relationKey(String(relation.schemaname), String(relation.relname)));
  const statement = new OpaqueStatement(names, { IndexStmt: { ...of, relation: undefined } });
  const part = (field: string): RawFields => (of[field] ? { [field]: statement.value(of[field]) } : {});
  return deparse({
    IndexStmt: {
      ...of,
      idxname: ownIndexName(String(of.idxname), names),
      relation: { ...relation, relname: hidden?.opaque ?? relation.relname },
      ...part('indexParams'),
      ...part('indexIncludingParams'),
      ...part('whereClause'),
    },
  });
}

/** The index on the row id has a name of ours (physical-parts.ts). */
const ownIndexName = (name: string, { opaque }: HiddenNames): string => {
  const hidden = opaque.get(name);
  if (hidden === undefined && !/^clarus_row_\d+$/.test(name)) throw cannotSpell(`index "${name}"`);
  return hidden ?? name;
};
