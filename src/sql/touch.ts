/**
 * What a statement touches, and so where it may run: proven to touch no protected table, it passes to the cloud or
 * runs on the shadow schema; else it is planned over encodings.
 */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { oidArray, textArray } from '../catalog/reader.js';
import { heirsOf } from '../catalog/trees.js';
import { ClarusError } from '../errors.js';
import { flag, isNode, type Node, numberIn, readNodes, textIn, walk } from './analysed/node.js';
import { COMMAND, functionsIn, RTE } from './analysed/query.js';
import { FIRST_USER_OID, type FunctionHomes, isOfSequence, LASTVAL } from './functions.js';
import type { Analysis, SessionPort } from './ports.js';
import { readerOn } from './reading.js';
import { type Routines, routinesCalled } from './routines.js';
import { type SequenceUse, sequencesUsed } from './sequences.js';

/** What a statement reads, writes and calls, as the trusted PostgreSQL analysed it. */
export interface Touch {
  /** the analysed query before views and rules were expanded */
  readonly query: Node | undefined;
  readonly tables: readonly LogicalTable[];
  /** true where the statement itself names a view of users: its text means the view, not the tables */
  readonly views: boolean;
  /** true where a relation of pg_catalog or information_schema is read */
  readonly catalogue: boolean;
  /** true where it is a table, and not only a view of what the server tells of itself */
  readonly stored: boolean;
  /** homes of the functions it calls */
  readonly homes: ReadonlySet<string>;
  /** true where it asks for the time (CURRENT_TIMESTAMP and its kin) */
  readonly time: boolean;
  /** functions and aggregates of users that it calls itself */
  readonly functions: readonly number[];
  /** what they do, which `tables`, `catalogue` and `homes` hold too; undefined: there are none */
  readonly routines: Routines | undefined;
  /** true where it reads pg_cursors */
  readonly cursors: boolean;
  /** numbers of its parameters that may depend on protected columns */
  readonly secrets: ReadonlySet<number>;
  /** shadow OIDs of the session's temporary tables, views and sequences that it names */
  readonly temporary: ReadonlySet<number>;
  /** it says from what random numbers follow (setseed) */
  readonly seeds: boolean;
  /** sequences it calls or reads; their functions have no home in `homes` */
  readonly sequences: SequenceUse;
}

/** Tables that were found in what a session is planning. */
const found = new WeakMap<SessionPort['transaction'], Set<LogicalTable>>();

/** Plans a statement. @returns also all tables that it and its parts touch, those of functions that it calls too */
export async function touching<T>(
  { transaction }: SessionPort,
  work: () => Promise<T>,
): Promise<{ readonly done: T; readonly tables: ReadonlySet<LogicalTable> }> {
  const outer = found.get(transaction);
  const tables = new Set<LogicalTable>();
  found.set(transaction, tables);
  try {
    return { done: await work(), tables };
  } finally {
    if (outer) found.set(transaction, outer);
    else found.delete(transaction);
  }
}

/**
 * @throws ClarusError 55000 for a table that Clarus does not serve, 0A000 for functions that are not proven
 */
export async function touchOf(
  analysis: Analysis,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<Touch> {
  const touch = await touchWithRoutines(analysis, session, homes);
  const tables = found.get(session.transaction);
  for (const table of touch.tables) tables?.add(table);
  return touch;
}

async function touchWithRoutines(
  analysis: Analysis,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<Touch> {
  const { strange, others, ...itself } = touchItself(
    analysis,
    session.catalog(),
    homes,
    session.secrets ?? none,
  );
  const temporary = await temporaryAmong([...strange, ...others, ...itself.sequences.named], session);
  if ([...strange].some(oid => !temporary.has(oid))) throw unknownTable();
  const own = { ...itself, temporary };
  const touch = own.functions.length === 0 ? own : await withRoutines(own, session, homes);
  const isSeeded = session.randomness.seeded && touch.homes.has('random');
  return isSeeded ? { ...touch, homes: new Set([...touch.homes, 'cloud']) } : touch;
}

const none: ReadonlySet<number> = new Set();

/** Which relations are temporary ones of the session. */
async function temporaryAmong(oids: readonly number[], session: SessionPort): Promise<ReadonlySet<number>> {
  if (!session.temporary.exist || oids.length === 0) return none;
  const rows = await readerOn(session.trusted)(ownTemporary, [oidArray(oids)]);
  return new Set(rows.map(row => Number(row[0])));
}
const ownTemporary = `SELECT c.oid::text FROM pg_catalog.pg_class c
  WHERE c.oid = ANY ($1::oid[]) AND c.relnamespace = pg_catalog.pg_my_temp_schema()`;
const ownTemporaryNamed = `SELECT c.relname::text FROM pg_catalog.pg_class c
  WHERE c.relname = ANY ($1::text[]) AND c.relnamespace = pg_catalog.pg_my_temp_schema()`;

/** @throws ClarusError 0A000 where a name in a function could mean a temporary table */
async function refuseTemporaryNames({ names }: Routines, session: SessionPort): Promise<void> {
  if (!session.temporary.exist || names.length === 0) return;
  const [row] = await readerOn(session.trusted)(ownTemporaryNamed, [textArray(names)]);
  if (row)
    throw new ClarusError(
      '0A000',
      `a function of users names "${row[0]}", which is also the name of a temporary table`,
      { hint: 'Name the temporary table otherwise.' },
    );
}

/** What the functions of users do is done by the statement. */
async function withRoutines(touch: Touch, session: SessionPort, homes: FunctionHomes): Promise<Touch> {
  const routines = await routinesCalled(new Set(touch.functions), session);
  await refuseTemporaryNames(routines, session);
  const tables = new Set(touch.tables);
  for (const oid of routines.tables) {
    const table = session.catalog().tables.get(oid)!;
    for (const one of [table, ...rowsBelow(session.catalog(), table)]) {
      if (one.state === 'blocked') throw blocked(one);
      tables.add(one);
    }
  }
  const called = [...routines.builtins].filter(oid => !isOfSequence(oid)).map(oid => homes.home(oid));
  return {
    ...touch,
    tables: [...tables],
    catalogue: touch.catalogue || routines.catalogue,
    homes: new Set([...touch.homes, ...called]),
    seeds: touch.seeds || routines.builtins.has(SETSEED),
    sequences: { ...touch.sequences, last: touch.sequences.last || routines.builtins.has(LASTVAL) },
    routines,
  };
}

/** pg_class.relkind of views and sequences, and of EXCLUDED where the target of an INSERT is a view */
const viewsAndTheirLike: ReadonlySet<string> = new Set(['v', 'S', 'c']);

/** `others` and `strange` are relations that the catalogue does not know; `strange` are no views and sequences. */
function touchItself(
  analysis: Analysis,
  catalog: Catalog,
  homes: FunctionHomes,
  secrets: ReadonlySet<number>,
): Omit<Touch, 'temporary'> & {
  readonly strange: ReadonlySet<number>;
  readonly others: ReadonlySet<number>;
} {
  const parsed = analysis.parsed.flatMap(readNodes);
  const all = [...parsed, ...analysis.rewritten.flatMap(readNodes)];
  const tables = new Set<LogicalTable>();
  const strange = new Set<number>();
  const others = new Set<number>();
  let catalogue = false;
  let stored = false;
  let time = false;
  for (const tree of all)
    walk(tree, node => {
      if (node.kind === 'QUERY') mustBeTold(node);
      if (node.kind === 'SQLVALUEFUNCTION' && isTime(node)) time = true;
      if (
        (node.kind !== 'RANGETBLENTRY' && node.kind !== 'RTE') ||
        numberIn(node, 'rtekind') !== RTE.relation
      ) {
        // A view that was expanded keeps its OID in an entry that is a subquery now.
        return true;
      }
      const relid = numberIn(node, 'relid');
      const table = catalog.tables.get(relid);
      if (table) {
        if (table.state === 'blocked') throw blocked(table);
        tables.add(table);
        if (table.partitioned || flag(node, 'inh'))
          for (const heir of rowsBelow(catalog, table)) {
            if (heir.state === 'blocked') throw blocked(heir);
            tables.add(heir);
          }
      } else if (relid < FIRST_USER_OID) {
        catalogue = true;
        stored ||= textIn(node, 'relkind') === 'r';
      } else if (viewsAndTheirLike.has(textIn(node, 'relkind') ?? '')) others.add(relid);
      else strange.add(relid);
      return true;
    });
  const called = [...functionsIn(all)];
  if (called.includes(pgPreparedStatement)) throw ownStatements();
  return {
    query: parsed[0],
    tables: [...tables],
    views: namesView(parsed),
    catalogue,
    stored,
    time,
    homes: new Set(
      called.filter(oid => oid < FIRST_USER_OID && !isOfSequence(oid)).map(oid => homes.home(oid)),
    ),
    seeds: called.includes(SETSEED),
    sequences: sequencesUsed(all),
    functions: called.filter(oid => oid >= FIRST_USER_OID && homes.figure(oid) === undefined),
    routines: undefined,
    secrets,
    cursors: called.includes(pgCursor),
    strange,
    others,
  };
}

/** Tables whose rows a protected one means too; those of open ones the cloud knows. */
const rowsBelow = (catalog: Catalog, table: LogicalTable): readonly LogicalTable[] =>
  table.state === 'protected' ? heirsOf(catalog, table) : [];

/** setseed(float8) (pg_proc.dat) */
const SETSEED = 1599;
/** pg_cursor() (pg_proc.dat) */
const pgCursor = 2511;
/** pg_prepared_statement() (pg_proc.dat) */
const pgPreparedStatement = 2510;

/** Up to version 15, PostgreSQL prints `?` for most statements that are no queries. */
function mustBeTold(query: Node): void {
  if (numberIn(query, 'commandType') === COMMAND.utility && !isNode(query.fields.utilityStmt))
    throw new ClarusError('0A000', 'the trusted PostgreSQL does not tell what the statement is about');
}

function namesView(parsed: readonly Node[]): boolean {
  let found = false;
  for (const tree of parsed)
    walk(tree, node => {
      if (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE')
        found ||= numberIn(node, 'relid') >= FIRST_USER_OID && textIn(node, 'relkind') === 'v';
      return true;
    });
  return found;
}

/** SQLValueFunctionOp 0 to 8 are dates and times; the rest are names of roles and schemas. */
export const isTime = (node: Node): boolean => numberIn(node, 'op') <= 8;

const blocked = (table: LogicalTable): ClarusError =>
  new ClarusError(
    '55000',
    `table "${table.schema}.${table.name}" is neither served nor written${table.reason ? `: ${table.reason}` : ''}`,
    {
      hint: '"clarus check" says what is missing; "clarus copy" makes a protected copy.',
      schema: table.schema,
      table: table.name,
    },
  );

/** The cloud's are those that Clarus has prepared there. */
const ownStatements = (): ClarusError =>
  new ClarusError('0A000', 'the prepared statements of a session are not listed', {
    hint: 'Ask in a database without protected tables.',
  });

const unknownTable = (): ClarusError =>
  new ClarusError('55000', 'the statement uses a table that Clarus has not taken in yet', {
    hint: 'Tables made past Clarus are taken in when it starts.',
  });
