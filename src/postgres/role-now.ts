/** Asking the trusted backend which role it acts as. */
import type { CarefulContext } from './context.js';
import { physicalQuery } from './own-statements.js';
import { parameterTold } from './shapes.js';

/** The role of the session's own, as SQL: which it begins with, and RESET goes back to. */
export const ownRole = `coalesce(nullif((SELECT s.reset_val FROM pg_catalog.pg_settings s WHERE s.name = 'role'), 'none'), session_user)`;
/**
 * Setting of the trusted backend that holds the user that SET SESSION AUTHORIZATION said: the backend's own user may not
 * say it there. So it follows transactions and savepoints, as the role does.
 */
export const authorization = 'clarus.session_authorization';

const currentRole = physicalQuery(
  `SELECT nullif(pg_catalog.current_setting('role'), 'none')::pg_catalog.text, (${ownRole})::pg_catalog.text,
          nullif(pg_catalog.current_setting('${authorization}', true), '')::pg_catalog.text`,
);

/** Takes down which role that is. The backend has joined the transaction, or follows it. */
export async function readRole({ acting, trusted, transaction }: CarefulContext): Promise<void> {
  await trusted.ready();
  const { rows } = await trusted.port.gather(currentRole, [], false);
  if (!transaction.joined) trusted.settle();
  const [role, own, authorized] = rows[0]!.map(value =>
    value === null ? undefined : Buffer.from(value).toString(),
  );
  acting.current = role === own ? undefined : role;
  acting.authorized = acting.current === undefined ? undefined : authorized;
}

/** Tells the client that it is no superuser any more, or one again: a role of the application is none (GUC_REPORT). */
export function tellSuperuser({ acting, settings, cloud }: CarefulContext): void {
  const now = settings.superuser && acting.current === undefined;
  if (now === (acting.superuser ?? settings.superuser)) return;
  acting.superuser = now;
  cloud.pipeline.own(parameterTold('is_superuser', now ? 'on' : 'off'));
}
