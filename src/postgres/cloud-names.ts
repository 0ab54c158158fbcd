/** The names of a session's statements on their way to its cloud, and of the cloud's reports on their way back. */
import { hiddenNames, ownReport, spelledIn } from '../sql/opaque/index.js';
import type { HiddenNames } from '../sql/opaque/names.js';
import type { SessionPort } from '../sql/ports.js';
import { withoutDoubt } from '../sql/raw/string-literals.js';
import type { Diagnostic } from '../wire/diagnostic.js';

const inForce = (session: SessionPort): HiddenNames | undefined =>
  session.naming?.names ?? hiddenNames(session.catalog().tables);

/**
 * A statement in the names that the cloud knows, and with literals that it reads as they are meant.
 * @throws ClarusError 0A000 for what cannot be said without a hidden name, or where standard_conforming_strings is off
 */
export function toCloud(sql: string, session: SessionPort): string {
  const names = inForce(session);
  const spelled = names ? spelledIn(sql, names).sql : sql;
  return session.settings.standardConformingStrings ? spelled : withoutDoubt(spelled);
}

/** What the cloud reports, in the names of the application. */
export function fromCloud(report: Diagnostic, session: SessionPort): Diagnostic {
  const names = inForce(session);
  return names ? ownReport(report, names) : report;
}
