/** What a statement notices on the trusted side. */
import type { Diagnostic } from '../wire/diagnostic.js';
import type { SessionPort } from './ports.js';
import { readerOn } from './reading.js';

/** Severities of notices, as `client_min_messages` orders them; below are LOG and what is for debugging. */
const severities = ['NOTICE', 'WARNING', 'ERROR'];

/** Tells the client what was noticed, as far as it wants to hear it. */
export async function tell(session: SessionPort, noticed: readonly Diagnostic[]): Promise<void> {
  const told = noticed.filter(notice => rankOf(notice) >= 0 || severityOf(notice) === 'INFO');
  if (told.length === 0) return;
  const [[least] = []] = await readerOn(session.cloud)(
    "SELECT pg_catalog.upper(pg_catalog.current_setting('client_min_messages'))",
    [],
  );
  for (const notice of told)
    if (isTold(severityOf(notice), least ?? ''))
      session.client.notice({ ...notice, severity: severityOf(notice) });
}

/**
 * Does a client hear of a notice? INFO is always told (PostgreSQL manual, client_min_messages).
 * @param least what the setting is
 */
export const isTold = (severity: string, least: string): boolean =>
  severity === 'INFO' || severities.indexOf(severity) >= severities.indexOf(least.toUpperCase());

const severityOf = ({ severity, severityPlain }: Diagnostic): string => severityPlain ?? severity;
const rankOf = (notice: Diagnostic): number => severities.indexOf(severityOf(notice));
