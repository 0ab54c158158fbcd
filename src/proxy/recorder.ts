/** What the gateway tells, as the audit journal records it. */
import type { Journal } from '../audit/journal.js';
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { isEncoded } from '../catalog/compare.js';
import { diffPolicy } from '../policy/diff.js';
import { joinName } from '../policy/names.js';
import type { GatewayEvent } from '../postgres/options.js';
import { factsOf } from '../sql/facts.js';

/**
 * Records an event of the gateway.
 * @param catalog that the event's plan was made with
 * @returns a promise when nothing more may be served before it resolves; it rejects while nothing can be recorded
 */
export function recordEvent(
  journal: Journal,
  event: GatewayEvent,
  catalog: () => Catalog,
): Promise<void> | undefined {
  return append(journal, event, catalog) ? undefined : journal.drained();
}

function append(journal: Journal, event: GatewayEvent, catalog: () => Catalog): boolean {
  switch (event.kind) {
    case 'statement': {
      const { user, session, number, plan } = event;
      const ddl = plan.kind === 'protected' && plan.body.kind === 'ddl';
      if (!ddl && !journal.records('statements')) return true;
      const statement = factsOf(plan, catalog());
      const room = journal.append({ kind: 'statement', user, session, number, statement });
      if (!ddl) return room;
      return journal.append({
        kind: 'ddl',
        user,
        session,
        command: statement.command,
        objects: statement.tables,
      });
    }
    case 'statement-end': {
      if (!journal.records('statements')) return true;
      const { code, fetched, ...end } = event;
      return journal.append({
        ...end,
        ...(code === undefined ? {} : { code }),
        ...(fetched === undefined ? {} : { fetched }),
      });
    }
    default:
      return journal.append(event);
  }
}

/** Records keys of tables that came and went between two versions of the catalogue. */
export function recordKeys(journal: Pick<Journal, 'append'>, before: Catalog, after: Catalog): void {
  const numbered = ({ tables }: Catalog): ReadonlyMap<number, LogicalTable> =>
    new Map([...tables.values()].filter(isEncoded).map(table => [table.number, table]));
  const [old, now] = [numbered(before), numbered(after)];
  const append = (action: string, { schema, name }: LogicalTable): void =>
    void journal.append({ kind: 'key-changed', action, subject: joinName([schema, name]) });
  for (const [number, table] of now) if (!old.has(number)) append('created', table);
  const left = new Set([...after.tables.values()].map(({ number }) => number));
  for (const [number, table] of old) if (!left.has(number)) append('destroyed', table);
}

/** Records that another version of the policy is in force. */
export function recordPolicy(journal: Pick<Journal, 'append'>, before: Catalog, after: Catalog): void {
  if (after.policyVersion === before.policyVersion) return;
  journal.append({
    kind: 'policy-changed',
    from: before.policyVersion,
    to: after.policyVersion,
    changes: diffPolicy(before.policy, after.policy).map(difference => difference.words),
  });
}
