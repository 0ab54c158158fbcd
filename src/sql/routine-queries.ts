/** What finding out about functions of users asks the shadow. */
import { figureFunctions } from '../trusted/figures.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { FIRST_USER_OID } from './functions.js';

/** Constructors that CREATE TYPE AS RANGE makes (makeRangeConstructors, typecmds.c), where nothing of users compares bounds. */
const makesRange = String.raw`l.lanname = 'internal' AND p.prosrc ~ '^(multi)?range_constructor\d$' AND EXISTS (
    SELECT FROM pg_catalog.pg_range r WHERE p.prorettype IN (r.rngtypid, r.rngmultitypid)
      AND r.rngcanonical = 0::pg_catalog.oid AND r.rngsubopc < ${FIRST_USER_OID})`;

/**
 * Functions in C of extensions that come with PostgreSQL and do no more than compute. Where others of an extension read settings,
 * tables or files, those that are IMMUTABLE do not.
 */
const ofComputing = `l.lanname IN ('c', 'internal') AND EXISTS (
    SELECT FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
     WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e'
       AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
       AND (x.extname IN ('uuid-ossp', 'pgcrypto', 'unaccent') OR p.provolatile = 'i' AND x.extname IN (
         'citext', 'hstore', 'ltree', 'pg_trgm', 'fuzzystrmatch', 'isn', 'cube', 'seg', 'earthdistance', 'intarray',
         'btree_gin', 'btree_gist')))`;

/** Functions by OID: what they are, call and return. */
export const routineQuery = String.raw`SELECT p.oid::text, p.proname::text, CASE WHEN ${makesRange} OR ${ofComputing} THEN 'computing' ELSE l.lanname::text END, p.prosrc, p.prosqlbody::text,
    CASE WHEN p.prokind <> 'a' AND l.lanname = 'plpgsql' THEN pg_catalog.pg_get_functiondef(p.oid) END,
    p.proargdefaults::text, p.provolatile::text,
    (SELECT pg_catalog.string_agg(CASE WHEN c !~ '^search_path=' THEN 'it changes settings'
         WHEN c ~ ',\s*"?pg_catalog' THEN 'it does not search pg_catalog first' END, ', ') FROM pg_catalog.unnest(p.proconfig) c),
    (SELECT pg_catalog.string_agg(t::text, ',') FROM pg_catalog.unnest(
       p.proargtypes::pg_catalog.oid[] || coalesce(p.proallargtypes, '{}') || p.prorettype) t),
    (SELECT pg_catalog.concat_ws(',', a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid,
       a.aggdeserialfn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid) FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid),
    EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) c WHERE c ~ '^standard_conforming_strings=')::text,
    p.xmin::text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid = ANY ($1::oid[])`;

/** A stored query names views, not what they stand for: their own stored queries are read. */
export const relationQuery = `SELECT c.oid::text, c.relname::text, c.relkind::text, n.nspname::text,
    (SELECT r.ev_action::text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename = '_RETURN' AND c.relkind = 'v')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`;

/** Relations by name. */
export const namedRelations = `${relationQuery} WHERE c.relname = ANY ($1::text[]) AND c.relkind NOT IN ('i', 'I', 't', 'c')
    AND c.relpersistence <> 't'`;

/** Functions by name. */
export const namedFunctions = `SELECT p.oid::text, p.proname::text, n.nspname::text, p.proretset::text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = ANY ($1::text[])
    AND NOT (n.nspname = '${OWN_SCHEMA}' AND p.proname IN (${[...figureFunctions].map(name => `'${name}'`).join(', ')}))`;

const ofExtension = (catalogue: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.${catalogue}'::pg_catalog.regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** Operators of users by name, and those that PostgreSQL uses unnamed. */
export const namedOperators = `SELECT o.oprcode::pg_catalog.oid::text FROM pg_catalog.pg_operator o WHERE o.oid >= ${FIRST_USER_OID}
    AND o.oprcode <> 0 AND (o.oprname = ANY ($1::text[]) OR o.oprname IN ('=', '<>', '<', '<=', '>', '>='))
    AND NOT ${ofExtension('pg_operator', 'o.oid')}`;

/** Functions of users that may be called in the notation of a column: of one argument, which may be a row. */
export const namedAttributes = `SELECT p.oid::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
  WHERE p.oid >= ${FIRST_USER_OID} AND p.proname = ANY ($1::text[]) AND t.typtype IN ('c', 'p') AND p.pronargs - p.pronargdefaults <= 1`;

/** Checks of domains: any value may turn into one of a domain. */
export const checks = `SELECT k.conbin::text FROM pg_catalog.pg_constraint k
  WHERE k.contypid <> 0 AND k.conbin IS NOT NULL AND k.oid >= ${FIRST_USER_OID} AND NOT ${ofExtension('pg_type', 'k.contypid')}`;

/** Of which versions functions are. */
export const versionsQuery =
  "SELECT pg_catalog.string_agg(p.oid || ' ' || p.xmin, ',' ORDER BY p.oid) FROM pg_catalog.pg_proc p WHERE p.oid = ANY ($1::oid[])";
