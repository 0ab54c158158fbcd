import { dependsOnStrings } from '../sql/raw/string-literals.js';
import type { CarefulContext } from './context.js';
import { expects, internal } from './expectations.js';
import { physicalQuery } from './own-statements.js';

const preparedStatements = physicalQuery(
  `SELECT name, statement, from_sql::pg_catalog.text,
          ARRAY(SELECT t::pg_catalog.oid FROM pg_catalog.unnest(parameter_types) t)::pg_catalog.text
   FROM pg_catalog.pg_prepared_statements WHERE name !~ '^clarus_s[0-9]+$'`,
);
const sessionSettings = physicalQuery(
  `SELECT 'SELECT pg_catalog.set_config(' || pg_catalog.quote_literal(name) || ', '
          || pg_catalog.quote_literal(setting) || ', false)'
   FROM pg_catalog.pg_settings WHERE source = 'session' AND name <> 'standard_conforming_strings'`,
);

/** Takes over the settings that a session made before its statements were planned. */
export async function adoptSettings(context: CarefulContext): Promise<void> {
  const { cloud, trusted, settings } = context;
  const set = await cloud.gather(sessionSettings, [], false);
  await settings.refresh(cloud, false);
  cloud.pipeline.sync(internal(expects.sync));
  await cloud.pipeline.drained();
  for (const [sql] of set.rows) trusted.remember(text(sql));
}

/**
 * Takes over its prepared statements: they are planned from now on. Those that can no longer be planned are gone,
 * as after DEALLOCATE; so are those with literals in which a backslash means something by a setting.
 */
export async function adoptStatements(context: CarefulContext): Promise<void> {
  const { cloud, statements, options } = context;
  const prepared = await cloud.gather(preparedStatements, [], false);
  await cloud.run('DEALLOCATE ALL');
  cloud.statements.forget();
  cloud.pipeline.sync(internal(expects.sync));
  await cloud.pipeline.drained();
  for (const [name, statement, fromSql, types] of prepared.rows) {
    const sql =
      fromSql === null || text(fromSql!) === 'false' ? text(statement) : preparedBody(text(statement));
    const oids = text(types).slice(1, -1);
    const parameterTypes = oids === '' ? [] : oids.split(',').map(Number);
    if (statements.has(text(name))) continue;
    try {
      // nobody knows any more how standard_conforming_strings was when it was prepared
      if (dependsOnStrings(sql)) throw new Error('its literals may mean something else');
      const [found] = options.planner.statements(sql);
      if (found === undefined) continue;
      const plan = await options.planner.plan(found, parameterTypes, context.port);
      statements.put(text(name), { statement: found, parameterTypes, plan });
    } catch {
      options.log?.('warning', 'a prepared statement could not be taken over', {
        session: context.processId,
      });
    }
  }
}

const text = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString();

/** What PREPARE name (types) AS stands before. */
const preparedBody = (sql: string): string =>
  sql.replace(/^\s*prepare\s+(?:"(?:[^"]|"")+"|[^\s(]+)\s*(?:\([^)]*\))?\s*as\s+/i, '').replace(/;\s*$/, '');
