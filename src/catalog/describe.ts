/** Reads a database's schema from its pg_catalog (PostgreSQL 14 to 18). */
import { ClarusError } from '../errors.js';
import { typeOids } from '../wire/types.js';
import type { DatabaseDescription, DescribedObject, DescribedTable } from './description.js';
import { objectQueries, ownObject, users } from './object-queries.js';
import { oidArray, type Reader, readJson, readOne } from './reader.js';

/**
 * What a type of users is compared as: of a domain, that is its base, of an enum the text of its labels, which are not renamed
 * while a protected column holds them. @param type its OID @returns jsonb with `forms`, empty where it is none of them
 */
const comparedAs = (type: string): string => `coalesce((WITH RECURSIVE base (oid, kind, next) AS (
     SELECT b.oid, b.typtype, b.typbasetype FROM pg_type b WHERE b.oid = ${type} AND b.typtype IN ('d', 'e')
     UNION ALL SELECT b.oid, b.typtype, b.typbasetype FROM base JOIN pg_type b ON b.oid = base.next)
   SELECT jsonb_build_object('forms', CASE WHEN kind = 'e' THEN ${typeOids.text} ELSE oid::int8 END) FROM base WHERE next = 0), '{}')`;

/** Fields that newer versions have are read through JSON, so that one text serves all of them. */
const columns = `
(SELECT jsonb_agg(jsonb_build_object(
   'attnum', a.attnum, 'name', a.attname,
   'type', jsonb_build_object('oid', a.atttypid::int8, 'modifier', a.atttypmod, 'collation', a.attcollation::int8,
     'deterministic', coalesce(l.collisdeterministic, true)) || ${comparedAs('a.atttypid')},
   'typeName', format_type(a.atttypid, a.atttypmod),
   'userType', CASE WHEN coalesce(et.oid, t.oid) >= 16384 THEN coalesce(et.oid, t.oid)::int8 ELSE 0 END,
   'collation', CASE WHEN a.attcollation <> t.typcollation THEN format('%I.%I', ln.nspname, l.collname) END,
   'notNull', a.attnotnull,
   'default', pg_get_expr(d.adbin, d.adrelid),
   'identity', a.attidentity, 'generated', a.attgenerated,
   'generatedFrom', coalesce((SELECT jsonb_agg(DISTINCT g.refobjsubid) FROM pg_depend g
      WHERE a.attgenerated <> '' AND g.refclassid = 'pg_class'::regclass AND g.refobjid = a.attrelid
        AND g.refobjsubid > 0 AND g.refobjsubid <> a.attnum
        AND ((g.classid = 'pg_attrdef'::regclass AND g.objid = d.oid)
          OR (g.classid = 'pg_class'::regclass AND g.objid = a.attrelid AND g.objsubid = a.attnum))), '[]'),
   'sequence', (SELECT jsonb_build_object('oid', s.seqrelid::int8, 'schema', sn.nspname, 'name', sc.relname,
        'type', format_type(s.seqtypid, NULL), 'start', s.seqstart::text, 'increment', s.seqincrement::text,
        'minimum', s.seqmin::text, 'maximum', s.seqmax::text, 'cache', s.seqcache::text, 'cycle', s.seqcycle)
      FROM pg_depend o JOIN pg_sequence s ON s.seqrelid = o.objid JOIN pg_class sc ON sc.oid = o.objid
        JOIN pg_namespace sn ON sn.oid = sc.relnamespace
      WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = a.attrelid
        AND o.refobjsubid = a.attnum AND o.deptype IN ('a', 'i') LIMIT 1)
   ) ORDER BY a.attnum)
 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   LEFT JOIN pg_type et ON et.oid = t.typelem AND t.typcategory = 'A'
   LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`;

/** Does a foreign key that refers to a partitioned table have this for one of its partitions? */
const isPart = (key: string): string =>
  `EXISTS (SELECT FROM pg_constraint whole WHERE whole.oid = ${key}.conparentid AND whole.conrelid = ${key}.conrelid)`;

const constraints = `
(SELECT jsonb_agg(jsonb_build_object(
   'oid', k.oid::int8, 'name', k.conname, 'kind', k.contype, 'columns', coalesce(to_jsonb(k.conkey), '[]'),
   'definition', pg_get_constraintdef(k.oid),
   'references', CASE WHEN k.contype = 'f' THEN jsonb_build_object('table', k.confrelid::int8, 'columns', to_jsonb(k.confkey),
     'operators', (SELECT jsonb_agg(jsonb_build_object('oid', q.oid::int8, 'name', q.oprname, 'left', q.oprleft::int8, 'right', q.oprright::int8) ORDER BY f.o)
       FROM unnest(k.conpfeqop) WITH ORDINALITY f (op, o) JOIN pg_operator q ON q.oid = f.op)) END,
   'onUpdate', k.confupdtype, 'onDelete', k.confdeltype, 'match', k.confmatchtype,
   'deleteColumns', coalesce(nullif(to_jsonb(k) -> 'confdelsetcols', 'null'), '[]'),
   'deferrable', k.condeferrable, 'deferred', k.condeferred, 'validated', k.convalidated,
   'nullsNotDistinct', coalesce((SELECT (to_jsonb(i) ->> 'indnullsnotdistinct')::bool FROM pg_index i WHERE i.indexrelid = k.conindid AND k.contype IN ('p', 'u')), false),
   'period', coalesce((to_jsonb(k) ->> 'conperiod')::bool, false),
   'inherited', k.conparentid <> 0 OR (NOT k.conislocal AND k.coninhcount > 0),
   'parts', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', r.conname, 'schema', rn.nspname, 'table', rc.relname) ORDER BY r.oid), '[]')
      FROM pg_constraint r JOIN pg_class rc ON rc.oid = r.confrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
     WHERE k.contype = 'f' AND r.conrelid = k.conrelid AND r.contype = 'f' AND r.conkey = k.conkey AND ${isPart('r')}
       AND k.confrelid IN (SELECT s.relid FROM pg_partition_ancestors(r.confrelid) s))
   ) ORDER BY k.oid)
 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n' AND NOT ${isPart('k')})`;

/**
 * Do all keys of an index `i` (pg_index) compare as = of their types does? Operator classes of users may compare otherwise,
 * those of character(n) leave out spaces at the end of other texts, and a collation may hold different texts for equal.
 */
export const USUAL_EQUALITY = `NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest(i.indclass::pg_catalog.oid[]), pg_catalog.unnest(i.indcollation::pg_catalog.oid[])) WITH ORDINALITY AS u (class, coll, n)
      JOIN pg_catalog.pg_opclass uc ON uc.oid = u.class
      JOIN pg_catalog.pg_attribute ua ON ua.attrelid = i.indexrelid AND ua.attnum = u.n
      JOIN pg_catalog.pg_type ut ON ut.oid = ua.atttypid
      LEFT JOIN pg_catalog.pg_collation ul ON ul.oid = u.coll
    WHERE uc.opcnamespace <> 'pg_catalog'::pg_catalog.regnamespace OR NOT ul.collisdeterministic
       OR uc.opcintype = ${typeOids.bpchar} AND coalesce(nullif(ut.typbasetype, 0), ut.oid) <> ${typeOids.bpchar})`;

const indexes = `
(SELECT jsonb_agg(jsonb_build_object(
   'oid', x.oid::int8, 'name', x.relname, 'unique', i.indisunique, 'method', am.amname,
   'columns', (SELECT jsonb_agg(u.k ORDER BY u.o) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (k, o) WHERE u.o <= i.indnkeyatts),
   'reads', (SELECT coalesce(jsonb_agg(DISTINCT r.k), '[]') FROM (
       SELECT u.k::int AS k FROM unnest(i.indkey::int2[]) u (k) WHERE u.k <> 0
       UNION SELECT p.refobjsubid FROM pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = x.oid
         AND p.refclassid = 'pg_class'::regclass AND p.refobjid = i.indrelid AND p.refobjsubid > 0) r),
   'readsRow', coalesce(i.indexprs::text, '') || coalesce(i.indpred::text, '') ~ ':varattno (0|-d+) ',
   'predicate', pg_get_expr(i.indpred, i.indrelid),
   'usualEquality', ${USUAL_EQUALITY},
   'nullsNotDistinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
   'keys', CASE WHEN i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) THEN
       (SELECT jsonb_agg(jsonb_build_object('sql', pg_get_indexdef(x.oid, e.attnum::int4, false),
          'type', jsonb_build_object('oid', e.atttypid::int8, 'modifier', e.atttypmod, 'collation', e.attcollation::int8,
            'deterministic', coalesce(el.collisdeterministic, true)),
          'typeName', format_type(e.atttypid, e.atttypmod), 'isEnum', et.typtype = 'e') ORDER BY e.attnum)
        FROM pg_attribute e JOIN pg_type et ON et.oid = e.atttypid LEFT JOIN pg_collation el ON el.oid = e.attcollation
       WHERE e.attrelid = x.oid AND e.attnum <= i.indnkeyatts) END,
   'definition', pg_get_indexdef(x.oid),
   'constraint', coalesce((SELECT k.oid::int8 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x') LIMIT 1), 0),
   'inherited', EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.oid)
   ) ORDER BY x.oid)
 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam
 WHERE i.indrelid = c.oid)`;

const partition = `
CASE WHEN c.relispartition THEN (SELECT jsonb_build_object('constraint', pg_get_partition_constraintdef(c.oid),
   'columns', coalesce(jsonb_agg(DISTINCT pa.attname) FILTER (WHERE pa.attname IS NOT NULL), '[]'),
   'plain', bool_and(pt.partstrat <> 'h' AND u.k <> 0), 'computed', bool_or(u.k = 0))
 FROM pg_partition_ancestors(c.oid) s JOIN pg_partitioned_table pt ON pt.partrelid = s.relid AND s.relid <> c.oid
   CROSS JOIN LATERAL unnest(pt.partattrs::int2[]) u (k)
   LEFT JOIN pg_attribute pa ON pa.attrelid = s.relid AND pa.attnum = u.k AND u.k <> 0) END`;

/** A table whose rows are carried (trusted/carriers.ts) has the kind of a foreign table meanwhile, which has no access method. */
const kind = `CASE WHEN NOT (c.relkind = 'f' AND c.relam <> 0) THEN c.relkind
  WHEN EXISTS (SELECT FROM pg_rewrite v WHERE v.ev_class = c.oid AND v.rulename = '_RETURN') THEN 'm' ELSE 'r' END`;

/** One row a table: `$1` the OIDs wanted (null: all), `$2` OIDs left out. */
const tablesQuery = `
SELECT jsonb_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', ${kind}, 'persistence', c.relpersistence,
  'parents', coalesce((SELECT jsonb_agg(h.inhparent::int8 ORDER BY h.inhseqno) FROM pg_inherits h WHERE h.inhrelid = c.oid), '[]'),
  'hasChildren', EXISTS (SELECT FROM pg_inherits h JOIN pg_class hc ON hc.oid = h.inhrelid JOIN pg_namespace hn ON hn.oid = hc.relnamespace
    WHERE h.inhparent = c.oid AND ${users('hn')}),
  'partitionKey', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
  'partitionBound', CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
  'partition', ${partition},
  'rowSecurity', c.relrowsecurity,
  'populated', c.relispopulated,
  'query', CASE WHEN ${kind} = 'm' THEN pg_get_viewdef(c.oid) END,
  'columns', coalesce(${columns}, '[]'), 'constraints', coalesce(${constraints}, '[]'), 'indexes', coalesce(${indexes}, '[]'))::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND ${users('n')} AND ${ownObject('pg_class', 'c.oid')}
  AND ($1::oid[] IS NULL OR c.oid = ANY ($1::oid[])) AND c.oid <> ALL ($2::oid[])
ORDER BY c.oid`;

/**
 * Describes tables. The reader's search_path should be `pg_catalog` only (`qualified`), else names in texts are
 * not qualified.
 * @param wanted OIDs; undefined: every table of users
 * @param without OIDs left out
 */
export function describeTables(
  reader: Reader,
  wanted: Iterable<number> | undefined,
  without: Iterable<number> = [],
): Promise<readonly DescribedTable[]> {
  return readJson<DescribedTable>(reader, tablesQuery, [wanted ? oidArray(wanted) : null, oidArray(without)]);
}

/**
 * Describes everything that users made in a database: schemas, types, sequences, functions, tables, views,
 * triggers, rules. What cannot be described as DDL carries the reason.
 * @param reader one connection, inside a transaction
 */
export async function describeDatabase(reader: Reader): Promise<DatabaseDescription> {
  return qualified(reader, async () => {
    const serverVersion = Number(await readOne(reader, "SELECT current_setting('server_version_num')"));
    const objects: DescribedObject[] = [];
    for (const query of objectQueries) objects.push(...(await readJson<DescribedObject>(reader, query)));
    return { serverVersion, objects, tables: await describeTables(reader, undefined) };
  });
}

/**
 * Runs work with an empty search_path, so that every name in a text is qualified, and with all of the planner's methods,
 * whatever the session has switched off; puts back what held before. SET LOCAL twice leaves the session's own value as it
 * is, also when the transaction set it.
 * @param reader one connection, inside a transaction
 */
export async function qualified<T>(reader: Reader, work: () => Promise<T>): Promise<T> {
  const names = Object.keys(describing);
  const exchange = async (values: readonly string[]): Promise<readonly string[]> =>
    (await reader(exchangeSettings, [JSON.stringify(names), JSON.stringify(values)])).map(
      row => row[0] ?? '',
    );
  const before = await exchange(Object.values(describing));
  const result = await work();
  const [path] = await exchange(before);
  if (path !== describing.search_path)
    throw new ClarusError('25P01', 'a schema can be described inside a transaction only');
  return result;
}

/** The parts of a select list are computed from left to right. */
const exchangeSettings = `SELECT current_setting(n), set_config(n, v, true)
  FROM ROWS FROM (json_array_elements_text($1::json), json_array_elements_text($2::json)) AS u (n, v)`;

/** Settings under which a schema is described: every name of users is qualified, and plans are the planner's own. */
const describing = {
  search_path: 'pg_catalog',
  enable_seqscan: 'on',
  enable_indexscan: 'on',
  enable_bitmapscan: 'on',
  enable_nestloop: 'on',
  enable_hashjoin: 'on',
  enable_mergejoin: 'on',
  enable_sort: 'on',
};
