/**
 * Carriers: what lets the trusted PostgreSQL run a statement over rows that stand in a cloud. In a shadow database each
 * table is empty; its carrier is a foreign table that inherits from it and reads, through postgres_fdw, from an endpoint
 * of Clarus. So whatever means the table, a view or a subquery too, finds the rows, by OID and not by name.
 *
 * A table that shares rows with others by inheritance or partitioning can have no such child: a partition has none, and a
 * parent has its own. It is made a foreign table itself for as long as it is carried: `relkind` and what PostgreSQL knows
 * of its access methods by pg_class are put aside, its OID, columns and constraints stay. Such a table is told from a
 * foreign table of users by `relam`, which those have not. With `relhassubclass` PostgreSQL plans it as a parent, so that
 * postgres_fdw asks for rows of one table only, and for no joins and aggregates.
 *
 * Carriers are made when they are first needed, and dropped before DDL changes their table. `attach` is called in the
 * transaction of each statement that reads through one: it sees to it that the carrier is there, and stays. Where a table
 * is made a foreign one, advisory locks keep the two apart: readers share that of a table, DDL has it alone.
 */
import pg from 'pg';
import { catalogueViewsDdl } from './catalogue-views.js';
import { CARRIER_SERVER, OWN_SCHEMA } from './own-schema.js';
import { roleFunctions, strayMemberships, superusersDdl } from './roles.js';

/** Where carriers read from. */
export interface CarrierEndpoint {
  readonly host: string;
  readonly port: number;
  /** what postgres_fdw proves itself with */
  readonly token: string;
}

/** Rows that postgres_fdw asks for at a time. */
const fetchSize = 1_000;

const { escapeLiteral } = pg;

/** A view that is materialised keeps its rule while it is made a foreign table. */
const isView = (alias: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = ${alias}.oid AND rulename = '_RETURN')`;

/** What a table that is made a foreign one is, and was. */
const kindBefore = (alias: string): string =>
  `CASE WHEN ${isView(alias)} THEN 'm'::"char" ELSE 'r'::"char" END`;

/** Is a table made a foreign one? */
const isCarried = (alias: string): string => `(${alias}.relkind = 'f' AND ${alias}.relam <> 0)`;

/** Is what has this OID carried as a foreign table itself, where it is carried? */
const isSwitched = (oid: string): string => `(
  EXISTS (SELECT FROM pg_catalog.pg_class s WHERE s.oid = ${oid} AND (s.relkind = 'm' OR ${isCarried('s')})) OR
  EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid
    WHERE ${oid} IN (i.inhrelid, i.inhparent) AND child.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace))`;

/** First key of the advisory locks under which that is begun, shared, and ended. */
const SWITCH_LOCK = 1_280_460_387;
/** Keys of the one of a table. */
const switchKey = (oid: string): string => `${SWITCH_LOCK}, (${oid}::int8 % 2147483647)::int4`;

/** Makes tables again what they were. */
const putBack = (which: string): string => `
    DELETE FROM pg_catalog.pg_foreign_table WHERE ftrelid IN
      (SELECT c.oid FROM pg_catalog.pg_class c WHERE ${isCarried('c')} AND ${which});
    UPDATE pg_catalog.pg_class c SET relkind = ${kindBefore('c')},
        relhasrules = EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid),
        relhasindex = EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = c.oid),
        relhastriggers = EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid),
        relhassubclass = EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)
     WHERE ${isCarried('c')} AND ${which};`;

/** DDL of what does not change between starts. */
const objects = `
CREATE SCHEMA IF NOT EXISTS ${OWN_SCHEMA};
CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA ${OWN_SCHEMA};
CREATE SERVER IF NOT EXISTS ${CARRIER_SERVER} FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '', port '', dbname 'rows', fetch_size '${fetchSize}', keep_connections 'on');
CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER ${CARRIER_SERVER} OPTIONS (user 'clarus', password '');

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.attach(tables oid[]) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  parent oid;
  carrier oid;
  kind "char";
BEGIN
  -- before any other lock: what holds these exclusively goes on to lock the tables
  PERFORM pg_advisory_xact_lock_shared(${switchKey('t')}) FROM (SELECT t FROM unnest(tables) AS t WHERE ${isSwitched('t')} ORDER BY t) AS switched;
  FOREACH parent IN ARRAY tables LOOP
    -- Held until the transaction ends: DDL on the table, which drops the carrier, waits for it.
    EXECUTE format('SELECT FROM ONLY %s WHERE false', parent::regclass);
    carrier := to_regclass(format('${OWN_SCHEMA}.%I', 't' || parent));
    SELECT CASE WHEN ${isCarried('c')} THEN ${kindBefore('c')} ELSE relkind END INTO kind FROM pg_class c WHERE oid = parent;
    IF kind NOT IN ('r', 'p', 'm') THEN
      RAISE feature_not_supported USING
        MESSAGE = format('table "%s" cannot be read by a statement that is finished on the trusted side', parent::regclass),
        DETAIL = 'It is a foreign table.';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = parent
        AND child.relnamespace <> '${OWN_SCHEMA}'::regnamespace AND inhrelid <> ALL (tables)) THEN
      -- the statement was planned with all that were there
      RAISE serialization_failure USING
        MESSAGE = 'could not serialize access due to concurrent update',
        DETAIL = format('Another session has given table "%s" a partition or heir.', parent::regclass),
        HINT = 'Try again.';
    END IF;
    -- A carrier takes its table's constraints for true of every row, and PostgreSQL leaves out what they exclude.
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = parent AND contype IN ('c', 'n') AND NOT convalidated) THEN
      RAISE feature_not_supported USING
        MESSAGE = format('table "%s" has a constraint that is NOT VALID, so it cannot be read by a statement that is finished on the trusted side', parent::regclass),
        HINT = 'VALIDATE CONSTRAINT first.';
    END IF;
    -- another session may have made it since
    CONTINUE WHEN carrier IS NOT NULL OR kind = 'p';
    -- the carrier of a table that stands by itself, which another session may just be making, makes no tree of it
    IF ${isSwitched('parent')} THEN
      UPDATE pg_class SET relkind = 'f', relhasindex = false, relhasrules = false, relhastriggers = false, relhassubclass = true
       WHERE oid = parent AND relkind IN ('r', 'm');
      IF FOUND THEN
        INSERT INTO pg_foreign_table (ftrelid, ftserver, ftoptions)
        SELECT parent, oid, ARRAY['schema_name=${OWN_SCHEMA}', 'table_name=' || parent]
          FROM pg_foreign_server WHERE srvname = '${CARRIER_SERVER}';
      END IF;
      CONTINUE;
    END IF;
    BEGIN
      EXECUTE format('CREATE FOREIGN TABLE ${OWN_SCHEMA}.%I () INHERITS (%s) SERVER ${CARRIER_SERVER} '
        'OPTIONS (schema_name %L, table_name %L)', 't' || parent, parent::regclass, '${OWN_SCHEMA}', parent::text);
    EXCEPTION WHEN duplicate_table THEN NULL; -- of another session, at the same moment
    END;
  END LOOP;
END
$function$;

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.detach(parent oid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  -- nobody makes it a foreign table again until this transaction ends
  PERFORM pg_advisory_xact_lock(${switchKey('parent')});
  -- A foreign table cannot be locked; nobody sees before this commits that it is none any more.
  IF (SELECT ${isCarried('c')} FROM pg_class c WHERE c.oid = parent) THEN
    ${putBack('c.oid = parent')}
  END IF;
  -- The lock that DDL takes anyway, so that nobody makes the carrier again meanwhile.
  IF (SELECT relkind = 'm' FROM pg_class WHERE oid = parent) THEN
    -- LOCK TABLE takes none
    EXECUTE (SELECT format('ALTER MATERIALIZED VIEW %s OWNER TO %I', parent::regclass, rolname)
      FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = parent);
  ELSE
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent::regclass);
  END IF;
  -- IF EXISTS would tell the client where there is none
  IF to_regclass(format('${OWN_SCHEMA}.%I', 't' || parent)) IS NOT NULL THEN
    EXECUTE format('DROP FOREIGN TABLE ${OWN_SCHEMA}.%I', 't' || parent);
  END IF;
END
$function$;

-- Keeps tables of trees, and materialised views, from being carried until let_go: for what is done in several transactions.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.hold(tables oid[]) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  parent oid;
BEGIN
  FOR parent IN SELECT c.oid FROM pg_class c WHERE c.oid = ANY (tables) AND c.relkind <> 'p' AND ${isSwitched('c.oid')} ORDER BY c.oid LOOP
    PERFORM pg_advisory_lock(${switchKey('parent')});
    PERFORM ${OWN_SCHEMA}.detach(parent);
  END LOOP;
END
$function$;

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.let_go() RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT pg_advisory_unlock(classid::int4, objid::int4) FROM pg_locks
   WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = ${SWITCH_LOCK} AND objsubid = 2 AND mode = 'ExclusiveLock'
$function$;

-- Makes what is carried plain tables until the transaction is rolled back.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.as_tables() RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  UPDATE pg_class p SET relkind = ${kindBefore('p')} WHERE oid IN
    (SELECT c.oid FROM pg_class c WHERE ${isCarried('c')} FOR NO KEY UPDATE SKIP LOCKED)
$function$;

-- Says whether a materialised view can be read: the shadow never holds its rows.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.populate(view oid, filled boolean) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF NOT (SELECT pg_has_role(session_user, relowner, 'MEMBER') FROM pg_class WHERE oid = view) THEN
    RAISE insufficient_privilege USING MESSAGE = format('must be owner of materialized view %s', view::regclass);
  END IF;
  UPDATE pg_class SET relispopulated = filled WHERE oid = view AND relkind IN ('m', 'f') AND relispopulated <> filled;
END
$function$;

-- What the output function of a value prints, under whatever setting.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.exactly(value anyelement) RETURNS text
  LANGUAGE sql STABLE STRICT PARALLEL SAFE SET extra_float_digits = 1
  AS $function$ SELECT pg_catalog.format('%s', value) $function$;

-- A value that postgres_fdw must not ask for (sql/split/subqueries.ts); SQL would be inlined.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.evaluated(value anyelement) RETURNS anyelement
  LANGUAGE plpgsql STABLE PARALLEL SAFE AS $function$ BEGIN RETURN value; END $function$;

-- A condition that postgres_fdw must not take (sql/split/in-turn.ts): what it is given, for next to nothing. Of a value that
-- is passed by value, int4up returns that, whatever its type.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.in_turn(condition boolean) RETURNS boolean
  LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE COST 0.0001 AS 'int4up';
GRANT USAGE ON SCHEMA ${OWN_SCHEMA} TO PUBLIC;
`;

/** Key of the advisory lock under which they are made: two proxies may start at once. */
const carrierLock = '109304467351924';

/**
 * Drops all carriers of a shadow database, so that DDL on its tables meets nothing but them; they are made again when
 * they are needed.
 * @param query runs SQL as an administrator of the shadow database
 */
export async function dropCarriers(
  query: (sql: string) => Promise<{ readonly rows: readonly { readonly name: string }[] }>,
): Promise<void> {
  const { rows } = await query(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = '${OWN_SCHEMA}' AND c.relkind = 'f'`,
  );
  const carried = await query(
    `SELECT c.oid::pg_catalog.text AS name FROM pg_catalog.pg_class c WHERE ${isCarried('c')}`,
  );
  if (carried.rows.length > 0) await query(putBack('true'));
  if (rows.length > 0) await query(`DROP FOREIGN TABLE ${rows.map(row => row.name).join(', ')}`);
}

/** What makes tables that are carried plain ones to its transaction, which is to be rolled back. */
export const asTablesSql = `SELECT ${OWN_SCHEMA}.as_tables()`;

/** What says of a materialised view of the shadow whether it can be read. @param view its name as SQL */
export const populateSql = (view: string, filled: boolean): string =>
  `SELECT ${OWN_SCHEMA}.populate(${escapeLiteral(view)}::pg_catalog.regclass, ${filled})`;

/**
 * What keeps tables of trees, and materialised views, from being carried until `letGoSql`: they are no foreign tables then,
 * to whom PostgreSQL's access methods are nothing it can call.
 * @param tables OIDs; what is carried in another way is left
 */
export const holdSql = (tables: readonly number[]): string =>
  `SELECT ${OWN_SCHEMA}.hold('{${tables.join()}}')`;

/** What lets tables be carried again after `holdSql`. */
export const letGoSql = `SELECT ${OWN_SCHEMA}.let_go()`;

/** What drops the carrier of a table, in a session's transaction, before DDL changes the table. */
export const detachSql = (table: number): string => `SELECT ${OWN_SCHEMA}.detach(${table})`;

/**
 * Makes in a shadow database what carriers need, and tells it where they read from.
 * @param shadow administrator's connections to the shadow database
 * @param onStrays is told the roles of others that superusers of clouds were able to reach, and are not any more
 * @returns why there are none, in words; undefined: they can be used
 */
export async function ensureCarriers(
  shadow: pg.Pool,
  endpoint: CarrierEndpoint,
  onStrays: (roles: readonly string[]) => void,
): Promise<string | undefined> {
  const client = await shadow.connect();
  try {
    await client.query('BEGIN');
    await client.query('SET LOCAL client_min_messages = warning');
    await client.query('SELECT pg_advisory_xact_lock($1)', [carrierLock]);
    await client.query(objects);
    await client.query(superusersDdl);
    await client.query(catalogueViewsDdl);
    const strays = await client.query<{ role: string }>(strayMemberships);
    await client.query(roleFunctions);
    const { host, port, token } = endpoint;
    await client.query(
      `ALTER SERVER ${CARRIER_SERVER} OPTIONS (SET host ${escapeLiteral(host)}, SET port '${port}');
       ALTER USER MAPPING FOR PUBLIC SERVER ${CARRIER_SERVER} OPTIONS (SET password ${escapeLiteral(token)})`,
    );
    await client.query('COMMIT');
    if (strays.rows.length > 0) onStrays([...new Set(strays.rows.map(({ role }) => role))].sort());
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK');
    // what is missing here takes nothing from the rest
    return `the trusted PostgreSQL gives no carriers (${(error as Error).message})`;
  } finally {
    client.release();
  }
}
