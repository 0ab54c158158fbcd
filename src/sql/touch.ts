/**
 * What a statement touches, and so where it may run: proven to touch no protected table, it passes to the cloud or
 * runs on the shadow schema; else it is planned over encodings.
 */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import { type Node, numberIn, readNodes, textIn, walk } from './analysed/node.js';
import { functionsIn, RTE } from './analysed/query.js';
import { FIRST_USER_OID, type FunctionHomes, isOfSequence } from './functions.js';
import type { Analysis } from './plan.js';
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
  /** homes of the functions it calls */
  readonly homes: ReadonlySet<string>;
  /** true where it asks for the time (CURRENT_TIMESTAMP and its kin) */
  readonly time: boolean;
  /** user-defined functions it calls */
  readonly functions: readonly number[];
  /** sequences it calls or reads; their functions have no home in `homes` */
  readonly sequences: SequenceUse;
}

/**
 * @throws ClarusError 55000 for a table that Clarus does not serve, 0A000 for functions that are not proven
 */
export function touchOf(analysis: Analysis, catalog: Catalog, homes: FunctionHomes): Touch {
  const parsed = analysis.parsed.flatMap(readNodes);
  const all = [...parsed, ...analysis.rewritten.flatMap(readNodes)];
  const tables = new Set<LogicalTable>();
  let catalogue = false;
  let time = false;
  for (const tree of all)
    walk(tree, node => {
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
      } else if (relid < FIRST_USER_OID) catalogue = true;
      else if (!['v', 'S'].includes(textIn(node, 'relkind') ?? '')) throw unknownTable();
      return true;
    });
  const called = [...functionsIn(all)];
  return {
    query: parsed[0],
    tables: [...tables],
    views: namesView(parsed),
    catalogue,
    time,
    homes: new Set(called.filter(oid => !isOfSequence(oid)).map(oid => homes.home(oid))),
    sequences: sequencesUsed(all),
    functions: called.filter(oid => oid >= FIRST_USER_OID),
  };
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
const isTime = (node: Node): boolean => numberIn(node, 'op') <= 8;

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

const unknownTable = (): ClarusError =>
  new ClarusError('55000', 'the statement uses a table that Clarus has not taken in yet', {
    hint: 'Tables made past Clarus are taken in when it starts.',
  });
