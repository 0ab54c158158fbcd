/**
 * Views as subqueries: what a statement asks of the cloud becomes a parameter, and rows that are given become one too; a view
 * takes none, so that its definition has to stand in the statement itself.
 */
import { nameText, type Relation, rangeParts, resolveRelation } from './ddl/resolve.js';
import type { SessionPort } from './ports.js';
import { type RawFields, type RawNode, rewrite, text, visit } from './raw/node.js';
import { parseOne } from './raw/parse.js';
import { readerOn } from './reading.js';

/** Views upon views. */
const depthMost = 32;

/**
 * @param raw a query or write
 * @param which of the views that it names, and that these name
 * @returns the statement over their definitions, itself where it names none; undefined where a name of WITH would be taken
 *   for what a view names
 */
export async function withViewsWritten(
  raw: RawNode,
  session: SessionPort,
  which: (view: Relation) => boolean,
): Promise<RawNode | undefined> {
  let statement = raw;
  for (let depth = 0; depth < depthMost; depth++) {
    const { named, within } = namesIn(statement);
    const views = await definitionsOf(named, session, which);
    if (views.size === 0) return statement;
    const names = [...views.values()].flatMap(definition => [...namesIn(definition).named.keys()]);
    if (names.some(name => within.has(name))) return undefined;
    statement = rewrite(statement, (kind, fields) => {
      const definition = kind === 'RangeVar' ? views.get(nameText(rangeParts(fields))) : undefined;
      if (!definition) return undefined;
      const alias = fields.alias ?? { aliasname: text(fields, 'relname') };
      return { RangeSubselect: { subquery: definition, alias } };
    });
  }
  return undefined;
}

/** Relations that a statement names, by their names as SQL, and what its WITHs name instead. */
function namesIn(raw: RawNode): {
  readonly named: ReadonlyMap<string, readonly string[]>;
  readonly within: ReadonlySet<string>;
} {
  const named = new Map<string, readonly string[]>();
  const within = new Set<string>();
  visit(raw, (kind: string, fields: RawFields) => {
    if (kind === 'CommonTableExpr') within.add(nameText([text(fields, 'ctename') ?? '']));
    if (kind === 'RangeVar') named.set(nameText(rangeParts(fields)), rangeParts(fields));
  });
  for (const name of within) named.delete(name);
  return { named, within };
}

async function definitionsOf(
  named: ReadonlyMap<string, readonly string[]>,
  session: SessionPort,
  which: (view: Relation) => boolean,
): Promise<ReadonlyMap<string, RawNode>> {
  const read = readerOn(session.trusted);
  const found = new Map<string, RawNode>();
  for (const [name, parts] of named) {
    const relation = await resolveRelation(read, parts);
    if (relation?.kind !== 'v' || !which(relation)) continue;
    const [row] = await read('SELECT pg_catalog.pg_get_viewdef($1::pg_catalog.oid)', [String(relation.oid)]);
    found.set(name, parseOne(row?.[0] ?? ''));
  }
  return found;
}
