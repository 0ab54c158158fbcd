import type { ClientPort, SessionPort } from '../ports.js';
import { exactSettings } from './exact.js';

/**
 * The session as statements see it that fetch rows for another one: what no encoding answers is not split again.
 * @param client takes the rows in place of the session's client
 * @param residual of a part of a statement that may be split itself
 */
export const fetching = (
  session: SessionPort,
  client: ClientPort = session.client,
  residual?: SessionPort['residual'],
  settings = (): SessionPort['settings'] => session.settings,
  internal = session.internal === true,
): SessionPort => ({
  ...(internal ? { internal } : {}),
  residual,
  user: session.user,
  database: session.database,
  cloudMajor: session.cloudMajor,
  get cancelRequests() {
    return session.cancelRequests;
  },
  get settings() {
    return settings();
  },
  cloud: session.cloud,
  trusted: session.trusted,
  client,
  catalog: () => session.catalog(),
  // a part of a statement
  asksLast: () => false,
  transaction: session.transaction,
  cursors: session.cursors,
  temporary: session.temporary,
  randomness: session.randomness,
  zones: session.zones,
  touching: () => session.touching?.(),
  recorded: (plan, work) => session.recorded(plan, work),
  fetched: (table, columns, rows, bytes) => session.fetched(table, columns, rows, bytes),
  watchFetches: () => session.watchFetches(),
  analyse: (sql, types) => session.analyse(sql, types),
  analyseTentatively: (sql, types) => session.analyseTentatively(sql, types),
  check: (statement, bound) => session.check(statement, bound),
  asOwner: work => session.asOwner(work),
  tries: statement => session.tries(statement),
});

/** The session as parts of a statement are planned in it: by its own role. */
export const internally = (session: SessionPort): SessionPort =>
  session.internal || session.transaction.acting === undefined
    ? fetching(session, undefined, undefined, undefined, true)
    : { ...analysedByOwner(session), residual: undefined, asksLast: () => false, internal: true };

/**
 * The session where its own role analyses statements and reads the catalogue: what is made of a statement may name what the
 * role that it acts as may not see.
 */
export const analysedByOwner = (session: SessionPort): SessionPort => {
  const { trusted } = session;
  const analyse: SessionPort['analyse'] = (sql, types) => session.asOwner(() => session.analyse(sql, types));
  return {
    ...withSecrets(session, session.secrets ?? new Set()),
    get cancelRequests() {
      return session.cancelRequests;
    },
    get settings() {
      return session.settings;
    },
    asksLast: () => session.asksLast(),
    trusted: {
      bind: (...given) => trusted.bind(...given),
      gather: (...given) => session.asOwner(() => trusted.gather(...given)),
      run: (...given) => trusted.run(...given),
      copyIn: sql => trusted.copyIn(sql),
      flush: () => trusted.flush(),
      flushLast: () => trusted.flushLast(),
    },
    analyse,
    analyseTentatively: analyse,
  };
};

/** The session where the trusted PostgreSQL runs statements as the role that it acts as. */
export const ranAsRole = (session: SessionPort): SessionPort => ({
  ...withSecrets(session, session.secrets ?? new Set()),
  get cancelRequests() {
    return session.cancelRequests;
  },
  get settings() {
    return session.settings;
  },
  asksLast: () => session.asksLast(),
  asRole: true,
});

/** The same where rows are on their way to another side: they are printed as they are. */
export const printingFetched = (session: SessionPort, client: ClientPort): SessionPort =>
  fetching(session, client, undefined, () => exactSettings(session.settings));

/** The session as statements are planned in it some of whose parameters may hold protected values. */
export const withSecrets = (session: SessionPort, secrets: ReadonlySet<number>): SessionPort => ({
  ...fetching(session, session.client, session.residual),
  ...(session.naming && { naming: session.naming }),
  get cancelRequests() {
    return session.cancelRequests;
  },
  get settings() {
    return session.settings;
  },
  secrets,
});
