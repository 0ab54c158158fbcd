import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { serverEndPoint } from '../wire/channel-binding.js';
import type { GatewayOptions } from './options.js';

/** What the gateway shows to clients that ask for TLS. */
export interface ServerIdentity {
  readonly secureContext: SecureContext;
  /** for SCRAM-SHA-256-PLUS; undefined where RFC 5929 defines none for the certificate */
  readonly channelBinding: Buffer | undefined;
}

/**
 * Loads or makes the certificate. A self-made one protects against listening only: clients that verify
 * (`sslmode=verify-full`) need a configured one.
 * @returns undefined when TLS is off
 * @throws Error when the configured certificate or key cannot be used
 */
export async function loadIdentity(
  tls: GatewayOptions['tls'],
  host: string,
): Promise<ServerIdentity | undefined> {
  if (tls === 'off') return undefined;
  const { certificate, key } = tls === 'self-made' ? await selfMade(host) : tls;
  return {
    secureContext: createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' }),
    channelBinding: serverEndPoint(new X509Certificate(certificate).raw),
  };
}

/** Speaks TLS over an accepted connection; resolves when the handshake is done. */
export function secure(socket: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      // libpq's sslnegotiation=direct insists on this name (PostgreSQL manual, 54.2.12)
      ALPNProtocols: ['postgresql'],
    });
    secured.once('error', reject);
    secured.once('close', () => reject(new Error('connection closed during the TLS handshake')));
    secured.once('secure', () => {
      secured.off('error', reject);
      resolve(secured);
    });
  });
}

async function selfMade(host: string): Promise<{ certificate: string; key: string }> {
  const notBeforeDate = new Date(Date.now() - 3_600_000);
  const notAfterDate = new Date(notBeforeDate.getTime() + 825 * 86_400_000);
  const made = await generate([{ name: 'commonName', value: host }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate,
    notAfterDate,
  });
  return { certificate: made.cert, key: made.private };
}
