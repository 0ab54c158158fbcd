/**
 * Carriers: what lets the trusted PostgreSQL run a statement over rows that stand in a cloud. In a shadow database each
 * table is empty; its carrier is a foreign table that inherits from it and reads, through postgres_fdw, from an endpoint
 * of Clarus. So whatever means the table, a view or a subquery too, finds the rows, by OID and not by name.
 *
 * Carriers are made when they are first needed, and dropped before DDL changes their table. `attach` is called in the
 * transaction of each statement that reads through one: it sees to it that the carrier is there, and stays.
 */
import pg from 'pg';
import { catalogueViewsDdl } from './catalogue-views.js';
import { CARRIER_SERVER, OWN_SCHEMA } from './own-schema.js';

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
BEGIN
  FOREACH parent IN ARRAY tables LOOP
    -- Held until the transaction ends: DDL on the table, which drops the carrier, waits for it.
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', parent::regclass);
    carrier := to_regclass(format('${OWN_SCHEMA}.%I', 't' || parent));
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = parent OR inhparent = parent AND inhrelid IS DISTINCT FROM carrier)
        OR (SELECT relkind FROM pg_class WHERE oid = parent) <> 'r' THEN
      RAISE feature_not_supported USING
        MESSAGE = format('table "%s" cannot be read by a statement that is finished on the trusted side', parent::regclass),
        DETAIL = 'It is partitioned, takes part in inheritance, or is a materialised view.';
    END IF;
    -- A carrier takes its table's constraints for true of every row, and PostgreSQL leaves out what they exclude.
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = parent AND contype IN ('c', 'n') AND NOT convalidated) THEN
      RAISE feature_not_supported USING
        MESSAGE = format('table "%s" has a constraint that is NOT VALID, so it cannot be read by a statement that is finished on the trusted side', parent::regclass),
        HINT = 'VALIDATE CONSTRAINT first.';
    END IF;
    CONTINUE WHEN carrier IS NOT NULL;
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
  -- The lock that DDL takes anyway, so that nobody makes the carrier again meanwhile.
  EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent::regclass);
  EXECUTE format('DROP FOREIGN TABLE IF EXISTS ${OWN_SCHEMA}.%I', 't' || parent);
END
$function$;
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
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = '${OWN_SCHEMA}' AND c.relkind = 'f'`,
  );
  if (rows.length > 0) await query(`DROP FOREIGN TABLE ${rows.map(row => row.name).join(', ')}`);
}

/** What drops the carrier of a table, in a session's transaction, before DDL changes the table. */
export const detachSql = (table: number): string => `SELECT ${OWN_SCHEMA}.detach(${table})`;

/**
 * Makes in a shadow database what carriers need, and tells it where they read from.
 * @param shadow administrator's connections to the shadow database
 * @returns why there are none, in words; undefined: they can be used
 */
export async function ensureCarriers(
  shadow: pg.Pool,
  endpoint: CarrierEndpoint,
): Promise<string | undefined> {
  const client = await shadow.connect();
  try {
    await client.query('BEGIN');
    await client.query('SET LOCAL client_min_messages = warning');
    await client.query('SELECT pg_advisory_xact_lock($1)', [carrierLock]);
    await client.query(objects);
    await client.query(catalogueViewsDdl);
    const { host, port, token } = endpoint;
    await client.query(
      `ALTER SERVER ${CARRIER_SERVER} OPTIONS (SET host ${escapeLiteral(host)}, SET port '${port}');
       ALTER USER MAPPING FOR PUBLIC SERVER ${CARRIER_SERVER} OPTIONS (SET password ${escapeLiteral(token)})`,
    );
    await client.query('COMMIT');
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK');
    // what is missing here takes nothing from the rest
    return `the trusted PostgreSQL gives no carriers (${(error as Error).message})`;
  } finally {
    client.release();
  }
}
