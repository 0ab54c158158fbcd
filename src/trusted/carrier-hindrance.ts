/** What a trusted server must be for carriers, by which statements are finished that no encoding answers. */
import type { TrustedServer } from './server.js';

/**
 * Why a trusted server gives no carriers, as far as its version and place tell.
 * @returns in words; undefined where it may give them
 */
export function carrierHindrance({
  major,
  server: { host },
}: {
  readonly major: number;
  readonly server: Pick<TrustedServer, 'host'>;
}): string | undefined {
  if (major < 15) return 'the trusted PostgreSQL is older than 15';
  if (!/^(127\.|::1$|localhost$|\/)/.test(host)) return 'the trusted PostgreSQL is on another machine';
  return undefined;
}
