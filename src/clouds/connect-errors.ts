import type { PostgresError } from '../wire/diagnostic.js';
import { addressText, ConnectError, type ConnectionOptions } from './options.js';

/** Cause and remedy of a condition, and whether trying again may help. */
type Explanation = readonly [cause: string, remedy: string, transient: boolean];

/** By Node's error code: sockets, name service, TLS. */
const explanations: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: ['connection refused', 'is the server running, and is the port right?', true],
  ECONNRESET: ['the server closed the connection', 'see the log of the server', true],
  EPIPE: ['the server closed the connection', 'see the log of the server', true],
  ENOENT: ['no such socket', 'is the server running, and is the path right?', true],
  EACCES: ['permission denied', 'may this user open the socket?', false],
  ENOTFOUND: ['unknown host', 'check the spelling of the host name', false],
  EAI_AGAIN: ['the name service does not answer', 'check the network of this machine', true],
  ETIMEDOUT: ['no answer', 'check host, port and firewalls', true],
  EHOSTUNREACH: ['no route to the host', 'check the network of this machine', true],
  ENETUNREACH: ['no route to the network', 'check the network of this machine', true],
  CERT_HAS_EXPIRED: ['the certificate of the server has expired', 'renew it on the server', false],
  CERT_NOT_YET_VALID: [
    'the certificate of the server is not valid yet',
    'check the clocks of both machines',
    false,
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'the certificate of the server is for another host name',
    'connect by a name that is in the certificate',
    false,
  ],
  ...Object.fromEntries(
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'CERT_UNTRUSTED',
    ].map(code => [
      code,
      [
        'the certificate of the server is signed by an authority that is not trusted',
        'name the authority under "ca"',
        false,
      ] as const,
    ]),
  ),
};

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.name;

/** Words an error of the socket or of TLS. */
export function socketError(options: ConnectionOptions, error: Error): ConnectError {
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
  const code = codeOf(first);
  const [cause, remedy, transient] = explanations[code] ?? [
    `the connection failed (${code})`,
    'see the log of the server',
    true,
  ];
  return connectError(options, cause, remedy, transient);
}

/** Words a condition found while connecting. */
export function connectError(
  options: ConnectionOptions,
  cause: string,
  remedy: string,
  transient: boolean,
  code = '08001',
): ConnectError {
  const where = `${options.label} at ${addressText(options.address)}`;
  return new ConnectError(code, `cannot connect to ${where}: ${cause}; ${remedy}`, transient);
}

/** Words an error that the server reported before it was ready. Keeps its SQLSTATE. */
export function refusedByServer(options: ConnectionOptions, error: PostgresError): ConnectError {
  const { user, database, label } = options;
  switch (error.code) {
    case '28P01':
      return connectError(
        options,
        `password authentication failed for user "${user}"`,
        `check user and password of ${label}`,
        false,
        '28P01',
      );
    case '28000':
      return connectError(
        options,
        oneLine(error.message),
        `does pg_hba.conf of the server allow user "${user}" from here?`,
        false,
        '28000',
      );
    case '3D000':
      return connectError(
        options,
        `database "${database}" does not exist`,
        'create it, or correct its name',
        false,
        '3D000',
      );
    case '53300':
      return connectError(
        options,
        'the server has no connection left',
        'raise max_connections there, or lower limits.connections_max here',
        true,
        '53300',
      );
    case '57P03':
      return connectError(options, oneLine(error.message), 'try again in a moment', true, '57P03');
    default:
      return connectError(
        options,
        oneLine(error.message),
        'see the log of the server',
        error.code.startsWith('57P'),
        error.code,
      );
  }
}

/** A server's text as part of one line of ours. */
const oneLine = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 200);
