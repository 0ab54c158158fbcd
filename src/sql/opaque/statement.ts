/**
 * Statements for a cloud in opaque names. All that a statement over a hidden table calls by a name is called otherwise, one
 * name for another wherever it stands, so that each name goes on meaning what it meant: columns and tables by the opaque
 * names of the catalogue, aliases and output columns by numbers. What cannot be called otherwise is refused.
 */
import { ROW_COLUMN, SEEN_COLUMN } from '../../catalog/catalog.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, str, stringOf } from '../raw/node.js';
import { spelledConstant } from './constants.js';
import { declaredNames, systemColumns, valuesWidth } from './declared.js';
import { tableFunction } from './functions.js';
import { impliedName } from './implied-names.js';
import { type HiddenNames, relationKey } from './names.js';
import { cannotSpell } from './refusal.js';

/** Qualifiers that PostgreSQL gives a meaning (INSERT, MERGE). */
const givenQualifiers: ReadonlySet<string> = new Set(['excluded', 'old', 'new']);

/** One statement over hidden tables. */
export class OpaqueStatement {
  /** what stands for names that are the statement's own: names by what stands for them */
  readonly aliases = new Map<string, string>();
  readonly #names: HiddenNames;
  readonly #locals = new Map<string, string>();
  readonly #declared: ReadonlySet<string>;
  readonly #ctes: ReadonlySet<string>;
  /** opaque names of tables that stand in the statement as they are */
  readonly #unaliased: ReadonlySet<string>;

  /** @param tree the statement, or a part of one whose columns are those of hidden tables */
  constructor(names: HiddenNames, tree: RawNode) {
    this.#names = names;
    const { declared, ctes, unaliased, readsSystemColumns, locks } = declaredNames(tree);
    this.#declared = declared;
    this.#ctes = ctes;
    this.#unaliased = new Set([...unaliased].filter(name => names.own.has(name)));
    this.#mixes = !readsSystemColumns && !locks;
  }

  /** May open tables be renamed column by column? Their system columns and locks are not. */
  readonly #mixes: boolean;

  /**
   * A value of the tree in opaque names.
   * @throws ClarusError 0A000 for what keeps a name of its own
   */
  value<T>(value: T): T {
    return this.#value(value) as T;
  }

  #value(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(item => this.#value(item));
    if (value === null || typeof value !== 'object') return value;
    const keys = Object.keys(value);
    if (keys.length === 1 && /^[A-Z]/.test(keys[0]!)) return this.#node(value as RawNode);
    return this.#fields(value as RawFields);
  }

  #fields(fields: RawFields): RawFields {
    return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, this.#value(field)]));
  }

  #node(node: RawNode): RawNode {
    const kind = kindOf(node);
    const fields = fieldsOf(node);
    switch (kind) {
      case 'String':
        return node;
      case 'SelectStmt':
        return { SelectStmt: this.#select(fields) };
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        return { [kind]: this.#write(fields) };
      case 'MergeWhenClause':
        return { [kind]: { ...this.#fields(without(fields, 'targetList')), ...this.#assigned(fields) } };
      case 'CopyStmt':
        return { CopyStmt: this.#copy(fields) };
      case 'RangeVar':
        return this.#rangeVar(fields);
      case 'RangeSubselect':
        return { RangeSubselect: { ...this.#fields(fields), alias: this.#aliasOfSubselect(fields) } };
      case 'RangeFunction':
        return { RangeFunction: { ...this.#fields(fields), alias: this.#alias(tableFunction(fields)) } };
      case 'RangeTableSample': {
        const sample = this.#fields(fields);
        if (!(sample.relation as RawNode).RangeVar) throw cannotSpell('TABLESAMPLE');
        return { RangeTableSample: sample };
      }
      case 'JoinExpr':
        return { JoinExpr: this.#join(fields) };
      case 'CommonTableExpr':
        return { CommonTableExpr: this.#cte(fields) };
      case 'ColumnRef':
        return { ColumnRef: { ...fields, fields: this.#columnRef(list(fields, 'fields')) } };
      case 'IndexElem': {
        const named = typeof fields.name === 'string' ? { name: this.column(fields.name) } : {};
        return {
          IndexElem: { ...this.#fields(without(fields, 'opclass')), ...pick(fields, 'opclass'), ...named },
        };
      }
      case 'WindowDef':
        return { WindowDef: this.#window(fields) };
      case 'FuncCall': {
        const over = fields.over ? { over: this.#window(fields.over as RawFields) } : {};
        return {
          FuncCall: {
            ...this.#fields(spelledConstant({ FuncCall: fields }, this.#names).FuncCall!),
            ...over,
          },
        };
      }
      case 'TypeCast':
        return { TypeCast: this.#fields(spelledConstant({ TypeCast: fields }, this.#names).TypeCast!) };
      case 'LockingClause':
        return {
          LockingClause: { ...fields, lockedRels: list(fields, 'lockedRels').map(one => this.#locked(one)) },
        };
      case 'A_Indirection':
        if (list(fields, 'indirection').some(step => !step.A_Indices))
          throw cannotSpell('a field of a composite value');
        return { A_Indirection: this.#fields(fields) };
      case 'ResTarget':
      case 'RangeTableFunc':
      case 'JsonTable':
      case 'XmlExpr':
      case 'ReturningOption':
      case 'IntoClause':
        throw cannotSpell(kind);
      default:
        return { [kind]: this.#fields(fields) };
    }
  }

  #select(fields: RawFields): RawFields {
    if (fields.intoClause) throw cannotSpell('INTO');
    const { targetList, larg, rarg, ...rest } = fields;
    return {
      ...this.#fields(rest),
      ...(targetList ? { targetList: this.#targets(targetList as readonly RawNode[]) } : {}),
      ...(larg ? { larg: this.#select(larg as RawFields) } : {}),
      ...(rarg ? { rarg: this.#select(rarg as RawFields) } : {}),
    };
  }

  /** Entries of a select list: the names that they would get by themselves are written out. */
  #targets(targets: readonly RawNode[]): readonly RawNode[] {
    return targets.map(({ ResTarget: target }) => {
      if (!target) throw cannotSpell('a select list');
      const value = child(target, 'val')!;
      const renamed = { ...target, val: this.#value(value) };
      if (typeof target.name !== 'string' && value.ColumnRef) return { ResTarget: renamed };
      const name = typeof target.name === 'string' ? target.name : impliedName(value);
      if (name === undefined) throw cannotSpell('an expression without a name in a select list');
      return { ResTarget: { ...renamed, name: this.name(name) } };
    });
  }

  #write(fields: RawFields): RawFields {
    const { relation, cols, targetList, returningClause, onConflictClause, ...rest } = fields;
    if (fields.returningList) throw cannotSpell('RETURNING');
    const target = this.#rangeVar(relation as RawFields).RangeVar;
    if (!target) throw cannotSpell('a write of an unprotected table');
    const returning = returningClause as RawFields | undefined;
    if (returning && list(returning, 'options').length > 0) throw cannotSpell('RETURNING WITH');
    return {
      ...this.#fields(rest),
      relation: target,
      ...(cols ? this.#assigned({ targetList: cols }, 'cols') : {}),
      ...(targetList ? this.#assigned({ targetList }) : {}),
      ...(onConflictClause ? { onConflictClause: this.#conflict(onConflictClause as RawFields) } : {}),
      ...(returning
        ? { returningClause: { ...returning, exprs: this.#targets(list(returning, 'exprs')) } }
        : {}),
    };
  }

  /** Columns that are written, with what is written to them. */
  #assigned(fields: RawFields, field = 'targetList'): RawFields {
    if (!fields.targetList) return {};
    const assigned = list(fields, 'targetList').map(({ ResTarget: target }) => {
      if (list(target!, 'indirection').some(step => !step.A_Indices))
        throw cannotSpell('a field of a column');
      return {
        ResTarget: { ...this.#fields(without(target!, 'name')), name: this.column(String(target!.name)) },
      };
    });
    return { [field]: assigned };
  }

  #conflict(fields: RawFields): RawFields {
    const { infer, targetList, ...rest } = fields;
    const inferred = infer as RawFields | undefined;
    const by = inferred && {
      ...this.#fields(inferred),
      ...(typeof inferred.conname === 'string' ? { conname: this.name(inferred.conname) } : {}),
    };
    return { ...this.#fields(rest), ...(by ? { infer: by } : {}), ...this.#assigned({ targetList }) };
  }

  #copy(fields: RawFields): RawFields {
    const attlist = list(fields, 'attlist').map(name => str(this.column(stringOf(name))));
    const { relation, ...rest } = without(fields, 'attlist');
    const target = relation && this.#rangeVar(relation as RawFields).RangeVar;
    if (relation && !target) throw cannotSpell('COPY of an unprotected table');
    return {
      ...this.#fields(rest),
      ...(target ? { relation: target } : {}),
      ...(fields.attlist ? { attlist } : {}),
    };
  }

  /** A table reference; one of an open table becomes a subquery that calls its columns otherwise. */
  #rangeVar(fields: RawFields): RawNode {
    const { schemaname, relname, alias } = fields as {
      schemaname?: string;
      relname: string;
      alias?: RawFields;
    };
    const called = alias ? { alias: this.#alias(alias) } : {};
    if (schemaname === undefined) {
      if (!this.#ctes.has(relname)) throw cannotSpell(`"${relname}"`);
      return { RangeVar: { ...fields, relname: this.name(relname), ...called } };
    }
    const key = relationKey(schemaname, relname);
    const hidden = this.#names.relations.get(key);
    if (hidden?.kind === 'table') return { RangeVar: { ...fields, relname: hidden.opaque, ...called } };
    const columns = this.#names.open.get(key);
    if (!columns || !this.#mixes) throw cannotSpell(`"${relname}" beside a table whose name is hidden`);
    return {
      RangeSubselect: {
        subquery: {
          SelectStmt: {
            targetList: columns.map(name => ({
              ResTarget: { name: this.name(name), val: { ColumnRef: { fields: [str(name)] } } },
            })),
            fromClause: [{ RangeVar: without(fields, 'alias') }],
            limitOption: 'LIMIT_OPTION_DEFAULT',
            op: 'SETOP_NONE',
          },
        },
        alias: this.#alias(alias ?? { aliasname: relname }),
      },
    };
  }

  #alias(alias: RawFields): RawFields {
    return {
      ...alias,
      aliasname: this.name(String(alias.aliasname)),
      ...(alias.colnames ? { colnames: this.#strings(list(alias, 'colnames')) } : {}),
    };
  }

  #strings(names: readonly RawNode[]): readonly RawNode[] {
    return names.map(name => str(this.name(stringOf(name))));
  }

  /** Columns of VALUES are called column1 and so on, unless that is said otherwise. */
  #aliasOfSubselect(fields: RawFields): RawFields {
    const alias = fields.alias as RawFields | undefined;
    if (!alias) throw cannotSpell('a subquery in FROM without an alias');
    const columns = Array.from({ length: valuesWidth(child(fields, 'subquery')) }, (_, i) =>
      str(`column${i + 1}`),
    );
    const given = list(alias, 'colnames');
    const colnames = [...given, ...columns.slice(given.length)];
    return this.#alias(colnames.length > 0 ? { ...alias, colnames } : alias);
  }

  #cte(fields: RawFields): RawFields {
    if (fields.search_clause || fields.cycle_clause) throw cannotSpell('SEARCH and CYCLE');
    const { ctename, aliascolnames, ...rest } = fields;
    const columns = Array.from({ length: valuesWidth(child(fields, 'ctequery')) }, (_, i) =>
      str(`column${i + 1}`),
    );
    const given = (aliascolnames as readonly RawNode[] | undefined) ?? [];
    const names = [...given, ...columns.slice(given.length)];
    return {
      ...this.#fields(rest),
      ctename: this.name(String(ctename)),
      ...(names.length > 0 ? { aliascolnames: this.#strings(names) } : {}),
    };
  }

  #join(fields: RawFields): RawFields {
    const { alias, join_using_alias: using, usingClause, ...rest } = fields;
    return {
      ...this.#fields(rest),
      ...(usingClause ? { usingClause: this.#strings(usingClause as readonly RawNode[]) } : {}),
      ...(alias ? { alias: this.#alias(alias as RawFields) } : {}),
      ...(using ? { join_using_alias: this.#alias(using as RawFields) } : {}),
    };
  }

  #window(fields: RawFields): RawFields {
    const renamed = (field: string): RawFields =>
      typeof fields[field] === 'string' ? { [field]: this.name(fields[field]) } : {};
    return { ...this.#fields(fields), ...renamed('name'), ...renamed('refname') };
  }

  #locked({ RangeVar: fields }: RawNode): RawNode {
    return { RangeVar: { ...fields, relname: this.#qualifier(String(fields!.relname)) } };
  }

  #columnRef(names: readonly RawNode[]): readonly RawNode[] {
    const [last, table] = [names.at(-1)!, names.at(-2)];
    if (names.length > 3) throw cannotSpell('a column with its database');
    const column = last.String ? str(this.column(stringOf(last))) : last;
    return table ? [...names.slice(0, -2), str(this.#qualifier(stringOf(table))), column] : [column];
  }

  #qualifier(name: string): string {
    if (givenQualifiers.has(name) || this.#unaliased.has(name)) return name;
    return this.column(name);
  }

  /** A column of PostgreSQL's own, or one that Clarus gives a table: called alike everywhere. */
  #isOurs(name: string): boolean {
    return (
      systemColumns.has(name) ||
      ((name === ROW_COLUMN || name === SEEN_COLUMN) && !this.#names.opaque.has(name))
    );
  }

  /**
   * What stands for a name that a statement refers to.
   * @throws ClarusError 0A000 for one that neither a hidden table nor the statement has
   */
  column(name: string): string {
    if (this.#isOurs(name)) return name;
    if (!this.#names.opaque.has(name) && !this.#declared.has(name) && !this.#locals.has(name))
      throw cannotSpell(`"${name}"`);
    return this.name(name);
  }

  /** What stands for a name that a statement gives. */
  name(name: string): string {
    if (this.#isOurs(name)) return name;
    if (this.#unaliased.has(name)) throw cannotSpell(`the alias "${name}"`);
    const known = this.#names.opaque.get(name) ?? this.#locals.get(name);
    if (known !== undefined) {
      if (this.#names.opaque.has(name)) this.aliases.set(known, name);
      return known;
    }
    const local = `a${this.#locals.size + 1}`;
    this.#locals.set(name, local);
    this.aliases.set(local, name);
    return local;
  }
}

const without = (fields: RawFields, field: string): RawFields => {
  const { [field]: _, ...rest } = fields;
  return rest;
};

const pick = (fields: RawFields, field: string): RawFields =>
  fields[field] === undefined ? {} : { [field]: fields[field] };
