/**
 * What functions of users do, with all that they call: which tables they touch, whether they write, what else decides
 * where they may run. Names in bodies are taken for everything of that name, whatever the search_path: more than is
 * meant, never less.
 */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { oidArray, type TextRow, textArray } from '../catalog/reader.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { flag, isNode, type Node, nodesIn, numberIn, readNodes, textIn, walk } from './analysed/node.js';
import { COMMAND, functionsIn, RTE, subLinksRunOnce } from './analysed/query.js';
import { sortsBySets } from './analysed/sets.js';
import { typeOf } from './analysed/types.js';
import { FIRST_USER_OID, isOfSequence } from './functions.js';
import type { SessionPort, StatementPort } from './ports.js';
import { dependsOnStrings, mustNotDepend } from './raw/string-literals.js';
import { readerOn } from './reading.js';
import { BodyNames, joined, partsOf } from './routine-bodies.js';
import {
  checks,
  namedAttributes,
  namedFunctions,
  namedOperators,
  namedRelations,
  relationQuery,
  routineQuery,
  versionsQuery,
} from './routine-queries.js';
import { rowsWithin, typesIn } from './row-types.js';
import { ofSettings, settingRead } from './setting-names.js';
import type { Needed } from './standing.js';

/** Functions of users that a statement calls, themselves and by others. */
export interface Routines {
  /** why it is not known what they do, in words; undefined: it is */
  readonly doubt: string | undefined;
  /** relations that they name and that are not there, by the joined parts of their names; the only doubt that there is */
  readonly absent: readonly string[];
  /** shadow OIDs of the tables that they name, those behind views too */
  readonly tables: ReadonlySet<number>;
  /** they insert, update, delete or merge */
  readonly writes: boolean;
  /** one of them is volatile: it sees what the statement around it has written */
  readonly volatile: boolean;
  /** OIDs of the built-in functions that they may call */
  readonly builtins: ReadonlySet<number>;
  /** they ask for the time */
  readonly time: boolean;
  /** they ask by whom, or over which schemas, they are run */
  readonly role: boolean;
  /** names of the settings that they read; undefined: they compute one */
  readonly settings: readonly string[] | undefined;
  /** they read the system catalogue */
  readonly catalogue: boolean;
  /** they use sequences */
  readonly sequences: boolean;
  /** why they cannot run over carriers, in words; undefined: they can */
  readonly unreadable: string | undefined;
  /** a query of theirs has subqueries that may be run once (split/subqueries.ts) */
  readonly subqueries: boolean;
  /** one of these subqueries calls a function of users */
  readonly nested: boolean;
  /** they have values of type money */
  readonly money: boolean;
  /** a table that is not open, whose row type they use */
  readonly rowsOf: LogicalTable | undefined;
  /** a body whose literals standard_conforming_strings decides on; undefined: there is none */
  readonly literals: string | undefined;
  /** relations that bodies name, without their schemas */
  readonly names: readonly string[];
  /** what they need to stand in a cloud, checks of domains left out */
  readonly uses: Required<Needed>;
  readonly versions: RoutineVersions;
}

/** Functions at a moment: of which version each was. */
export interface RoutineVersions {
  /** those that are called, by others too: OIDs in the shadow */
  readonly oids: readonly number[];
  /** equal as long as none of them is replaced */
  readonly text: string;
}

/** What is found out for a catalogue, as long as it is in force. */
const known = new WeakMap<Catalog, Map<string, Promise<Routines>>>();

/**
 * @param oids of functions and aggregates of users, in the shadow
 * @param session whose transaction they are read in
 */
export function routinesCalled(oids: ReadonlySet<number>, session: SessionPort): Promise<Routines> {
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<string, Promise<Routines>>();
  known.set(catalog, found);
  const key = [...oids].sort((a, b) => a - b).join();
  const routines = found.get(key) ?? new Search(session).run(oids);
  found.set(key, routines);
  routines.catch(() => found.delete(key));
  return routines.then(read => {
    if (read.literals !== undefined) mustNotDepend([read.literals], session.settings, 'a function of users');
    return read;
  });
}

/** Of which version functions are now, as a text. */
export async function versionsOf(oids: readonly number[], port: StatementPort): Promise<string> {
  const [row] = await readerOn(port)(versionsQuery, [oidArray(oids)]);
  return row?.[0] ?? '';
}

const MONEY = 790;
const REFCURSOR = 1790;
const passesCursor = 'it gives or takes a cursor';

/** One search, from functions to what they call. */
class Search {
  readonly #read: ReturnType<typeof readerOn>;
  readonly #functions = new Set<number>();
  readonly #relations = new Set<number>();
  readonly #views = new Set<number>();
  readonly #types = new Set<number>();
  readonly #typeNames = new Set<string>();
  readonly #tables = new Set<number>();
  readonly #builtins = new Set<number>();
  readonly #versions = new Map<number, string>();
  #names = new BodyNames();
  readonly #relationNames = new Set<string>();
  readonly #absent = new Set<string>();
  #doubt: string | undefined;
  #unreadable: string | undefined;
  #writes = false;
  #volatile = false;
  #time = false;
  #role = false;
  readonly #settings = new Set<string>();
  #computesSetting = false;
  #catalogue = false;
  #sequences = false;
  #subqueries = false;
  #nested = false;
  #cursors = false;
  #literals: string | undefined;

  constructor(private readonly session: SessionPort) {
    this.#read = readerOn(session.trusted);
  }

  async run(oids: ReadonlySet<number>): Promise<Routines> {
    await this.#follow(oids);
    const uses = {
      types: new Set(this.#types),
      typeNames: [...this.#typeNames],
      routines: [...this.#versions.keys()],
      views: new Set(this.#views),
    };
    const ofChecks = new Set<number>();
    for (const [check] of await this.#read(checks, [])) this.#trees(storedTrees(check ?? ''), ofChecks);
    await this.#follow(ofChecks);
    for (const oid of this.#builtins) {
      if (isOfSequence(oid)) this.#sequences = true;
    }
    // a cursor of a body is no cursor of the trusted side
    if (this.#cursors && this.#tables.size === 0) this.#doubt ??= passesCursor;
    return {
      doubt: this.#doubt ?? absence([...this.#absent]),
      absent: this.#doubt === undefined ? [...this.#absent] : [],
      tables: this.#tables,
      writes: this.#writes,
      volatile: this.#volatile,
      builtins: this.#builtins,
      time: this.#time,
      role: this.#role,
      settings: this.#computesSetting ? undefined : [...this.#settings],
      catalogue: this.#catalogue,
      sequences: this.#sequences,
      unreadable: this.#unreadable,
      subqueries: this.#subqueries,
      nested: this.#nested,
      money: this.#types.has(MONEY) || [...this.#typeNames].some(name => /^"?money"?(\[\])?$/i.test(name)),
      rowsOf: await rowsWithin(
        new Set([...this.#types].filter(oid => oid >= FIRST_USER_OID)),
        [...this.#typeNames],
        this.session,
      ),
      literals: this.#literals,
      names: [...this.#relationNames],
      uses,
      versions: { oids: [...this.#versions.keys()], text: this.#versionText() },
    };
  }

  /** Reads functions and all that they call. */
  async #follow(functions: ReadonlySet<number>): Promise<void> {
    let fresh = this.#fresh(functions);
    while (fresh.length > 0) {
      const called = new Set<number>();
      this.#names = new BodyNames();
      for (const row of await this.#read(routineQuery, [oidArray(fresh)])) await this.#routine(row, called);
      await this.#resolve(called);
      fresh = this.#fresh(called);
    }
  }

  /** As `versionsOf` says it. */
  #versionText(): string {
    const sorted = [...this.#versions].sort(([a], [b]) => a - b);
    return sorted.map(([oid, version]) => `${oid} ${version}`).join();
  }

  /** Functions of users that have not been read; built-in ones are noted. */
  #fresh(functions: ReadonlySet<number>): readonly number[] {
    const fresh: number[] = [];
    for (const oid of functions)
      if (oid < FIRST_USER_OID) this.#builtins.add(oid);
      else if (!this.#functions.has(oid)) {
        this.#functions.add(oid);
        fresh.push(oid);
      }
    return fresh;
  }

  async #routine(row: TextRow, called: Set<number>): Promise<void> {
    const [
      oid,
      name,
      language,
      source,
      body,
      definition,
      defaults,
      volatility,
      settings,
      types,
      ofAggregate,
      strings,
    ] = row;
    this.#versions.set(Number(oid), row.at(-1)!);
    if (volatility === 'v') this.#volatile = true;
    for (const type of numbers(types)) {
      this.#types.add(type);
      if (type !== REFCURSOR) continue;
      this.#cursors = true;
      this.#unreadable ??= passesCursor;
    }
    if (settings) this.#unreadable ??= settings;
    if (source && body === null && /^(sql|plpgsql)$/.test(language!) && dependsOnStrings(source)) {
      this.#literals ??= source;
      if (strings === 'true') this.#doubt ??= `function "${name}" says itself how its literals are read`;
    }
    if (defaults) this.#trees(storedTrees(defaults), called);
    const named = new BodyNames();
    if (ofAggregate) for (const oid of numbers(ofAggregate)) called.add(oid);
    else if (language === 'sql' && body !== null) await this.#stored(storedTrees(body ?? ''), called);
    else if (language === 'sql') named.sql(source ?? '');
    else if (language === 'plpgsql') named.plpgsql(definition ?? '', source ?? '');
    else if (language !== 'computing')
      named.doubt = `its body is written in ${language}, which Clarus does not read`;
    if (named.doubt !== undefined) this.#doubt ??= `function "${name}": ${named.doubt}`;
    if (named.unreadable !== undefined) this.#unreadable ??= named.unreadable;
    this.#writes ||= named.writes;
    this.#time ||= named.time;
    this.#role ||= named.role;
    for (const name of named.settings) this.#settings.add(name);
    this.#computesSetting ||= named.computesSetting;
    this.#subqueries ||= named.scalarSubqueries;
    for (const field of nameSets) for (const text of named[field]) this.#names[field].add(text);
  }

  /** Analysed queries, and those of the views that they name. */
  async #stored(trees: readonly Node[], called: Set<number>): Promise<void> {
    const relations = this.#trees(trees, called);
    const fresh = [...relations].filter(oid => !this.#relations.has(oid));
    if (fresh.length === 0) return;
    const rows = await this.#read(`${relationQuery} WHERE c.oid = ANY ($1::oid[])`, [oidArray(fresh)]);
    await this.#relationRows(rows, called);
  }

  async #relationRows(rows: readonly TextRow[], called: Set<number>): Promise<void> {
    const { tables } = this.session.catalog();
    for (const [oid, name, kind, schema, action] of rows) {
      const number = Number(oid);
      if (this.#relations.has(number)) continue;
      this.#relations.add(number);
      if (number < FIRST_USER_OID) this.#catalogue = true;
      else if (kind === 'S') this.#sequences = true;
      else if (kind === 'v' && schema !== OWN_SCHEMA) {
        this.#views.add(number);
        await this.#stored(storedTrees(action ?? ''), called);
      } else if (tables.has(number)) this.#tables.add(number);
      else this.#doubt ??= `it uses "${name}", which Clarus does not know`;
    }
  }

  /** @returns relations that they name */
  #trees(trees: readonly Node[], called: Set<number>): ReadonlySet<number> {
    const relations = new Set<number>();
    const once = subLinksRunOnce(trees);
    this.#subqueries ||= once.length > 0;
    this.#nested ||= [...functionsIn(once)].some(oid => oid >= FIRST_USER_OID);
    for (const oid of functionsIn(trees)) called.add(oid);
    for (const oid of typesIn(trees)) this.#types.add(oid);
    for (const tree of trees)
      walk(tree, node => {
        switch (node.kind) {
          case 'QUERY':
            this.#query(node);
            break;
          case 'RANGETBLENTRY':
          case 'RTE':
            if (numberIn(node, 'relid') > 0) relations.add(numberIn(node, 'relid'));
            this.#entry(node);
            break;
          case 'VAR':
            if (numberIn(node, 'varattno') < 0) this.#unreadable ??= 'it reads a system column';
            break;
          case 'SQLVALUEFUNCTION':
            this.#time ||= numberIn(node, 'op') <= 8;
            this.#role ||= numberIn(node, 'op') > 8;
            break;
          case 'NEXTVALUEEXPR':
            this.#sequences = true;
            break;
          case 'FUNCEXPR':
            if (ofSettings.has(numberIn(node, 'funcid'))) this.#setting(settingRead(node));
            break;
          case 'CURRENTOFEXPR':
            this.#doubt ??= 'it writes the row of a cursor';
            break;
        }
        if (typeOf(node) === MONEY) this.#types.add(MONEY);
        return true;
      });
    return relations;
  }

  #setting(name: string | undefined): void {
    if (name === undefined) this.#computesSetting = true;
    else this.#settings.add(name);
  }

  #query(query: Node): void {
    const command = numberIn(query, 'commandType');
    if (command === COMMAND.utility) this.#doubt ??= 'its body holds more than queries and writes';
    if (command !== COMMAND.select) this.#writes = true;
    if (nodesIn(query, 'rowMarks').length > 0) this.#unreadable ??= 'it locks rows';
    if (sortsBySets(query)) this.#unreadable ??= 'it sorts what a function in its select list returns';
  }

  #entry(rte: Node): void {
    if (numberIn(rte, 'rtekind') !== RTE.relation) return;
    if (isNode(rte.fields.tablesample)) this.#unreadable ??= 'it samples a table';
    if (textIn(rte, 'relkind') === 'r' && !flag(rte, 'inh'))
      this.#unreadable ??= 'it reads a table without what inherits from it';
  }

  /** Looks up what the bodies of a round name. */
  async #resolve(called: Set<number>): Promise<void> {
    const names = this.#names;
    for (const type of names.types) this.#typeNames.add(type);
    for (const name of lastParts(names.relations)) this.#relationNames.add(name);
    if (names.relations.size > 0) await this.#namedRelations(called);
    const functions = new Set([...names.functions]);
    const rows =
      functions.size > 0 ? await this.#read(namedFunctions, [textArray(lastParts(functions))]) : [];
    for (const [oid, name, schema, isSet] of rows) {
      if (!names.functions.has(name!) && !names.functions.has(joined([schema!, name!]))) continue;
      called.add(Number(oid));
      this.#nested ||=
        Number(oid) >= FIRST_USER_OID &&
        (names.withinSubqueries.has(name!) || names.withinSubqueries.has(joined([schema!, name!])));
      const sorts = names.sorted.has(name!) || names.sorted.has(joined([schema!, name!]));
      if (isSet === 'true' && sorts)
        this.#unreadable ??= 'it sorts what a function in its select list returns';
    }
    for (const [oid] of await this.#read(namedOperators, [textArray(names.operators)])) {
      called.add(Number(oid));
      this.#nested = true;
      if (ofSettings.has(Number(oid))) this.#computesSetting = true;
    }
    if (names.attributes.size > 0)
      for (const [oid] of await this.#read(namedAttributes, [textArray(names.attributes)]))
        called.add(Number(oid));
  }

  async #namedRelations(called: Set<number>): Promise<void> {
    const { relations, subqueries } = this.#names;
    const rows = await this.#read(namedRelations, [textArray(lastParts(relations))]);
    const meant = rows.filter(
      ([, name, , schema]) =>
        relations.has(joined([schema!, name!])) || (relations.has(name!) && schema !== 'information_schema'),
    );
    for (const relation of relations) {
      const { schema, name } = partsOf(relation);
      const found = meant.some(row => row[1] === name && (schema === undefined || row[3] === schema));
      if (!found && !(schema === undefined && subqueries.has(name))) this.#absent.add(relation);
    }
    await this.#relationRows(meant, called);
  }
}

const absence = ([first]: readonly string[]): string | undefined => {
  if (first === undefined) return undefined;
  const { schema, name } = partsOf(first);
  return `it names "${[schema, name].filter(part => part !== undefined).join('.')}", which is not there`;
};

const nameSets = [
  'relations',
  'subqueries',
  'functions',
  'sorted',
  'operators',
  'attributes',
  'types',
  'withinSubqueries',
] as const;

/** A stored body is a query, a list of queries, or a list of such lists; a stored expression stands alone. */
const storedTrees = (text: string): readonly Node[] =>
  text === '' ? [] : readNodes(`{BODY :queries ${text}}`);

const numbers = (text: string | null | undefined): readonly number[] =>
  (text ?? '').split(',').flatMap(part => (part === '' || part === '0' ? [] : [Number(part)]));

const lastParts = (names: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...names].map(name => partsOf(name).name));
