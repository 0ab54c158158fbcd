import type { ClientPort, SessionPort } from '../plan.js';

/**
 * The session as statements see it that fetch rows for another one: what no encoding answers is not split again.
 * @param client takes the rows in place of the session's client
 */
export const fetching = (session: SessionPort, client: ClientPort = session.client): SessionPort => ({
  user: session.user,
  database: session.database,
  get cancelRequests() {
    return session.cancelRequests;
  },
  get settings() {
    return session.settings;
  },
  cloud: session.cloud,
  trusted: session.trusted,
  client,
  catalog: () => session.catalog(),
  transaction: session.transaction,
  zones: session.zones,
  analyse: (sql, types) => session.analyse(sql, types),
  check: (statement, bound) => session.check(statement, bound),
});
