/** Sequences follow the columns that they feed: to the trusted side when a column is protected. */
import { quoteLiteral, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { physical } from '../compilation.js';
import { inCloudsWords } from '../opaque/index.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { ChangedTable } from './changed-table.js';

/**
 * Every use of a sequence by a column: by its default, or because the column owns it. Carriers have the defaults of their
 * tables.
 */
const usesQuery = `
SELECT s.oid::text, n.nspname::text, s.relname::text, u.relation::text, u.attnum::text, u.owned::text
FROM (SELECT d.refobjid AS sequence, a.adrelid AS relation, a.adnum AS attnum, false AS owned
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid
       WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      UNION SELECT d.objid, d.refobjid, d.refobjsubid, true FROM pg_catalog.pg_depend d
       WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         AND d.deptype IN ('a', 'i')) u
  JOIN pg_catalog.pg_class s ON s.oid = u.sequence JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
  JOIN pg_catalog.pg_class r ON r.oid = u.relation JOIN pg_catalog.pg_namespace o ON o.oid = r.relnamespace
WHERE s.relkind = 'S' AND o.nspname <> '${OWN_SCHEMA}'`;

interface Uses {
  readonly schema: string;
  readonly name: string;
  /** by columns of tables that the statement changes */
  changed: boolean;
  protected: boolean;
  open: boolean;
  /** the cloud has none: the column that owns it is new, or was protected before */
  apart: boolean;
}

/** A move to the trusted side: what is left to do when no column of the cloud uses the sequence any more. */
export type SequenceMove = () => Promise<void>;

/**
 * Moves the sequences that feed protected columns now and stand in the cloud, with their counts.
 * @returns what takes them away from the cloud, to be called when the tables have changed there
 * @throws ClarusError 0A000 for a sequence that feeds a protected and an unprotected column
 */
export async function moveSequences(
  session: SessionPort,
  changed: readonly ChangedTable[],
): Promise<readonly SequenceMove[]> {
  if (changed.every(({ after }) => after === undefined)) return [];
  const moves: SequenceMove[] = [];
  for (const { schema, name, ...uses } of await usesOf(session, changed)) {
    if (!uses.changed || !uses.protected || (uses.apart && !uses.open)) continue;
    if (uses.open)
      throw new ClarusError('0A000', `sequence "${name}" would feed a protected and an unprotected column`, {
        detail: 'It counts on one side only.',
        hint: 'Make a sequence for each column.',
        schema,
      });
    const sequence = quoteQualified(schema, name);
    const there = inCloudsWords(session.catalog(), schema, name);
    const [stands] = await readerOn(session.cloud)('SELECT pg_catalog.to_regclass($1) IS NOT NULL', [there]);
    if (stands?.[0] === 't') moves.push(await move(session, sequence, name));
  }
  return moves;
}

async function usesOf(session: SessionPort, changed: readonly ChangedTable[]): Promise<Iterable<Uses>> {
  const tables = new Map(session.catalog().tables);
  for (const { before, after } of changed) {
    if (before) tables.delete(before.table.oid);
    if (after) tables.set(after.table.oid, after.table);
  }
  const here = new Set(changed.map(({ after }) => after?.table.oid));
  const shown = new Map(
    changed.flatMap(({ before, after }) => (after ? [[after.table.oid, before?.table] as const] : [])),
  );
  const found = new Map<string, Uses>();
  for (const [oid, schema, name, relation, attnum, owned] of await readerOn(session.trusted)(usesQuery, [])) {
    const uses = found.get(oid!) ?? {
      schema: schema!,
      name: name!,
      changed: false,
      protected: false,
      open: false,
      apart: false,
    };
    found.set(oid!, uses);
    uses.changed ||= here.has(Number(relation));
    const was = shown.get(Number(relation))?.columns.find(column => column.attnum === Number(attnum));
    uses.apart ||= owned === 'true' && shown.has(Number(relation)) && (!was || was.protection !== undefined);
    const table = tables.get(Number(relation));
    if (table?.columns.find(column => column.attnum === Number(attnum))?.protection) uses.protected = true;
    else uses.open = true;
  }
  return found.values();
}

async function move(session: SessionPort, sequence: string, name: string): Promise<SequenceMove> {
  const { cloud, transaction, trusted } = session;
  // It locks the sequence: nobody takes a value any more (nextval, sequence.c).
  await cloud.run(`ALTER SEQUENCE ${sequence} OWNED BY NONE`);
  const { rows } = await cloud.gather(
    physical(`SELECT last_value, is_called FROM ${sequence}`, []),
    [],
    false,
  );
  const [last, called] = rows[0]!.map(value => Buffer.from(value ?? []).toString());
  const set = `SELECT pg_catalog.setval(${quoteLiteral(sequence)}, ${last}, ${called === 't'})`;
  await trusted.gather(physical(set, []), [], false);
  transaction.record(set, []);
  return async () => {
    try {
      await cloud.run(`DROP SEQUENCE ${sequence}`);
    } catch (error) {
      if (!(error instanceof PostgresError && error.code === '2BP01')) throw error;
      throw new ClarusError('0A000', `sequence "${name}" cannot move to the trusted side`, {
        detail: 'Something else in the cloud uses it.',
        hint: 'Make a sequence of its own for the protected column.',
      });
    }
  };
}
