import { ClarusError } from '../errors.js';

/** Where a PostgreSQL server listens. */
export type ServerAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** path of the socket itself, such as `/var/run/postgresql/.s.PGSQL.5432` */
  | { readonly kind: 'unix'; readonly path: string };

/** What it takes to connect to a PostgreSQL server, a cloud's or the trusted one. */
export interface ConnectionOptions {
  /** what messages call the server: `cloud "main"`, `the trusted database` */
  readonly label: string;
  readonly address: ServerAddress;
  readonly user: string;
  readonly database: string;
  readonly password?: string | undefined;
  /** verify: TLS with a certificate that proves the host; off: plain. Ignored for a Unix socket. */
  readonly tls: 'verify' | 'off';
  /** PEM text of the authorities to trust instead of the well-known ones */
  readonly ca?: string | undefined;
  /** run-time settings for the startup message; an `application_name` among them is not sent */
  readonly parameters?: Iterable<readonly [string, string]>;
  /** the client's, for the trusted server only: no cloud may see it. Default: `clarus` */
  readonly applicationName?: string | undefined;
  /** for everything until the server is ready; default 10,000 */
  readonly connectTimeout_ms?: number;
  /** is given every byte sent, before encryption; tests prove by it what left */
  readonly record?: ((bytes: Uint8Array) => void) | undefined;
}

/** A connection could not be made. One line says the cause and what to do about it. */
export class ConnectError extends ClarusError {
  override readonly name: string = 'ConnectError';
  /** true when trying again later may help (the server is starting, the network is down) */
  readonly transient: boolean;

  constructor(code: string, message: string, transient: boolean) {
    super(code, message, { severity: 'FATAL' });
    this.transient = transient;
  }
}

/** `host:port`, or the path of the socket. */
export const addressText = (address: ServerAddress): string =>
  address.kind === 'unix'
    ? address.path
    : address.host.includes(':')
      ? `[${address.host}]:${address.port}`
      : `${address.host}:${address.port}`;
