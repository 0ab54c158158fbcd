/**
 * What the body of a function names, before anything of it is resolved: SQL by PostgreSQL's grammar, PL/pgSQL by its
 * own, every query and expression in it.
 */
import { quoteName } from '../catalog/quote.js';
import { holdsMoment } from './moment.js';
import { grammar } from './raw/grammar.js';
import { kindOf, list, type RawFields, type RawNode, stringOf, visit } from './raw/node.js';
import { parseStatements } from './raw/parse.js';
import { textsOf } from './routine-blocks.js';

/** What bodies name: relations and functions by the parts of their names, joined. */
export class BodyNames {
  readonly relations = new Set<string>();
  /** names of WITH, which stand for no relation where there is none of the name */
  readonly subqueries = new Set<string>();
  readonly functions = new Set<string>();
  /** functions in the select lists of queries that sort */
  readonly sorted = new Set<string>();
  readonly operators = new Set<string>();
  /** what may be a function in the notation of a column */
  readonly attributes = new Set<string>();
  /** as `to_regtype` takes them */
  readonly types = new Set<string>();
  /** it inserts, updates, deletes or merges */
  writes = false;
  /** a query of it that reads relations has subqueries other than IN, ANY and ALL */
  scalarSubqueries = false;
  /** functions that these call, as in `functions` */
  readonly withinSubqueries = new Set<string>();
  /** it asks for the time, or holds a literal that means it */
  time = false;
  /** it asks by whom, or over which schemas, it is run */
  role = false;
  /** names of the settings that it reads, where it says them */
  readonly settings = new Set<string>();
  /** it computes the name of a setting that it reads */
  computesSetting = false;
  /** why it cannot run over carriers, in words */
  unreadable: string | undefined;
  /** why it is not understood, in words */
  doubt: string | undefined;

  /** Statements of a body that is written in SQL. */
  sql(source: string): void {
    try {
      this.#statements(parseStatements(source).map(({ node }) => node));
    } catch {
      this.doubt ??= 'its SQL body cannot be read';
    }
  }

  /** @param definition CREATE FUNCTION, or DO */
  plpgsql(definition: string, source: string): void {
    let parsed: unknown;
    try {
      parsed = grammar.parsePlPgSQLSync(definition);
    } catch {
      this.#blocks(source);
      return;
    }
    const records: RawFields[] = [];
    visit(parsed, (kind, fields) => {
      if (/^PLpgSQL_stmt_dyn/.test(kind) || fields.dynquery !== undefined)
        this.doubt ??= 'it runs SQL text that it makes itself';
      if (/^PLpgSQL_stmt_(commit|rollback)$/.test(kind)) this.doubt ??= 'it ends transactions';
      if (kind === 'PLpgSQL_rec') records.push(fields);
      if (kind === 'PLpgSQL_type') this.#type(String(fields.typname));
      if (kind === 'PLpgSQL_expr') this.#expression(fields);
    });
    if (hasHiddenDefault(records, source))
      this.doubt ??= 'the default of a variable in its PL/pgSQL body cannot be read';
  }

  /** libpg-query knows no types of users, and so refuses the assignment of a field of a row. */
  #blocks(source: string): void {
    try {
      const texts = textsOf(source);
      if (texts.isDynamic) this.doubt ??= 'it runs SQL text that it makes itself';
      if (texts.endsTransactions) this.doubt ??= 'it ends transactions';
      for (const type of texts.types) this.#type(type);
      const expressions = texts.expressions.map(text => `SELECT ${text}`);
      for (const sql of [...texts.statements, ...expressions])
        this.#statements(parseStatements(sql).map(({ node }) => node));
    } catch {
      this.doubt ??= 'its PL/pgSQL body cannot be read';
    }
  }

  #type(name: string): void {
    if (!/%type/i.test(name)) this.types.add(name.replace(/%rowtype/i, ''));
  }

  /** RawParseMode (src/include/parser/parser.h): statement 0, expression 2, assignment 3 and above. */
  #expression({ query, parseMode }: RawFields): void {
    const text = String(query ?? '');
    const mode = Number(parseMode ?? 0);
    const texts =
      mode === 0 ? [text] : (mode >= 3 ? sidesOf(text) : [text]).map(expression => `SELECT ${expression}`);
    try {
      for (const sql of texts) this.#statements(parseStatements(sql).map(({ node }) => node));
    } catch {
      this.doubt ??= 'an expression in its PL/pgSQL body cannot be read';
    }
  }

  #statements(nodes: readonly RawNode[]): void {
    for (const node of nodes) {
      if (!/^(Select|Insert|Update|Delete|Merge|Call)Stmt$/.test(kindOf(node)))
        this.doubt ??= 'its body holds more than queries and writes';
      if (holdsMoment(node)) this.time = true;
      visit(node, (kind, fields) => this.#node(kind, fields));
    }
  }

  #node(kind: string, fields: RawFields): void {
    if (typeof fields.relname === 'string') {
      this.relations.add(
        joined([...(typeof fields.schemaname === 'string' ? [fields.schemaname] : []), fields.relname]),
      );
      if (fields.inh !== true) this.unreadable ??= 'it reads a table without what inherits from it';
    }
    if (Array.isArray(fields.names) && fields.pct_type !== true) this.#typeName(fields.names.map(stringOf));
    switch (kind) {
      case 'CommonTableExpr':
        this.subqueries.add(String(fields.ctename));
        break;
      case 'FuncCall':
        this.functions.add(joined(list(fields, 'funcname').map(stringOf)));
        if (stringOf(list(fields, 'funcname').at(-1)) === 'current_setting')
          this.#setting(list(fields, 'args'));
        break;
      case 'CallStmt':
        this.functions.add(joined(list(fields.funccall as RawFields, 'funcname').map(stringOf)));
        break;
      case 'A_Expr':
        this.#operator(list(fields, 'name'));
        break;
      case 'SubLink':
        this.#operator(list(fields, 'operName'));
        break;
      case 'SortBy':
        this.#operator(list(fields, 'useOp'));
        break;
      case 'ColumnRef':
        this.#attribute(list(fields, 'fields'));
        break;
      case 'A_Indirection':
        this.#attribute(list(fields, 'indirection'));
        break;
      case 'SQLValueFunction':
        if (/^SVFOP_(CURRENT_(DATE|TIME)|LOCALTIME)/.test(String(fields.op))) this.time = true;
        else this.role = true;
        break;
      case 'SelectStmt':
        this.#select(fields);
        break;
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        this.writes = true;
        this.#subqueries(fields);
        break;
      case 'LockingClause':
        this.unreadable ??= 'it locks rows';
        break;
      case 'RangeTableSample':
        this.unreadable ??= 'it samples a table';
        break;
      case 'IntoClause':
      case 'intoClause':
        this.doubt ??= 'it makes a table';
        break;
      case 'CurrentOfExpr':
        this.doubt ??= 'it writes the row of a cursor';
        break;
    }
  }

  #typeName(parts: readonly string[]): void {
    if (parts[0] !== 'pg_catalog') this.types.add(parts.map(quoteName).join('.'));
    else if (parts[1] === 'money') this.types.add('money');
  }

  #setting([name]: readonly RawNode[]): void {
    const { sval } = (name?.A_Const?.sval ?? {}) as { readonly sval?: string };
    if (sval === undefined) this.computesSetting = true;
    else this.settings.add(sval);
  }

  #operator(name: readonly RawNode[]): void {
    const operator = stringOf(name.at(-1));
    if (operator !== '') this.operators.add(operator);
  }

  #attribute(fields: readonly RawNode[]): void {
    for (const name of fields.map(stringOf)) {
      if (/^(ctid|xmin|xmax|cmin|cmax|tableoid)$/.test(name))
        this.unreadable ??= `it reads the system column ${name}`;
      if (name !== '') this.attributes.add(name);
    }
  }

  #subqueries(statement: RawFields): void {
    visit(statement, (kind, { subLinkType, ...inner }) => {
      if (kind !== 'SubLink' || /^A(NY|LL)_/.test(String(subLinkType))) return;
      this.scalarSubqueries = true;
      visit(inner, (within, { funcname }) => {
        if (within === 'FuncCall') this.withinSubqueries.add(joined((funcname as RawNode[]).map(stringOf)));
      });
    });
  }

  #select(fields: RawFields): void {
    if (list(fields, 'fromClause').length > 0) this.#subqueries(fields);
    if (list(fields, 'sortClause').length === 0) return;
    visit(list(fields, 'targetList'), (kind, inner) => {
      if (kind === 'FuncCall') this.sorted.add(joined(list(inner, 'funcname').map(stringOf)));
    });
  }
}

/** Parts of a name in one text, and back. */
export const joined = (parts: readonly string[]): string => parts.join('\0');
/** The schema, where there is one, and the name. */
export const partsOf = (name: string): { readonly schema: string | undefined; readonly name: string } => {
  const parts = name.split('\0');
  return { schema: parts.at(-2), name: parts.at(-1)! };
};

/** Target and value of an assignment, each an expression: what stands before and after the first `:=` or `=`. */
function sidesOf(text: string): readonly string[] {
  let depth = 0;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') {
      if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '[' || c === '(') depth++;
    else if (c === ']' || c === ')') depth--;
    else if (depth === 0 && c === '=')
      return [text.slice(0, text[i - 1] === ':' ? i - 1 : i), text.slice(i + 1)];
  }
  return [text];
}

/**
 * libpg-query does not tell the default of a variable whose type it does not know: that it has none is read from the
 * tokens of its declaration.
 */
function hasHiddenDefault(records: readonly RawFields[], source: string): boolean {
  // parameters, and what FOR declares, have none
  const declared = records.filter(({ datatype, lineno }) => datatype !== undefined && lineno !== undefined);
  if (declared.length === 0) return false;
  let tokens: readonly string[];
  try {
    tokens = grammar
      .scanSync(source)
      .tokens.map(({ text }) => text)
      .filter(text => !/^(--|\/\*)/.test(text));
  } catch {
    return true;
  }
  const declarations = new Map<string, boolean>();
  let within = false;
  let start = true;
  let name = '';
  for (const token of tokens) {
    const word = token.toLowerCase();
    if (word === 'declare') {
      within = true;
      start = true;
    } else if (word === 'begin') within = false;
    else if (!within) continue;
    else if (word === ';') start = true;
    else if (start) {
      name = token.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') : word;
      declarations.set(name, declarations.get(name) ?? false);
      start = false;
    } else if (word === ':=' || word === '=' || word === 'default') declarations.set(name, true);
  }
  return declared.some(({ refname }) => declarations.get(String(refname)) !== false);
}
