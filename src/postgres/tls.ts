import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { ClarusError } from '../errors.js';
import { serverEndPoint } from '../wire/channel-binding.js';
import type { GatewayOptions } from './options.js';

/** What the gateway shows to clients that ask for TLS. */
export interface ServerIdentity {
  readonly secureContext: SecureContext;
  /** for SCRAM-SHA-256-PLUS; undefined where RFC 5929 defines none for the certificate */
  readonly channelBinding: Buffer | undefined;
}

/** Files of a certificate chain and of its private key (PEM). */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Reads what `tls` of the configuration names.
 * @returns the contents of the files in their place
 * @throws ClarusError F0000 for a file that cannot be read, is no PEM, or may be read by everybody, and for a key of another
 *   certificate
 */
export function readCertificate<Word extends string>(tls: CertificateFiles | Word): CertificateFiles | Word {
  if (typeof tls === 'string') return tls;
  const certificate = contentsOf('certificate', tls.certificate);
  const key = contentsOf('key', tls.key);
  const unusable = (what: keyof CertificateFiles, hint: string): ClarusError =>
    new ClarusError('F0000', `the ${what} of tls, ${tls[what]}, cannot be used`, { hint });
  let own: X509Certificate;
  try {
    own = new X509Certificate(certificate);
  } catch {
    throw unusable('certificate', 'it must hold a certificate chain in PEM, the own one first');
  }
  try {
    if (own.checkPrivateKey(createPrivateKey(key))) return { certificate, key };
  } catch {
    throw unusable('key', 'it must hold a private key in PEM, without a passphrase');
  }
  throw unusable('key', `it is not the key of ${tls.certificate}`);
}

function contentsOf(what: keyof CertificateFiles, path: string): string {
  const wrong = (why: string, hint: string): ClarusError =>
    new ClarusError('F0000', `the ${what} of tls, ${path}, ${why}`, { hint });
  try {
    if (what === 'key' && (statSync(path).mode & 0o007) !== 0)
      throw wrong('can be read by everybody', `chmod 600 ${path}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ClarusError) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw wrong(
      isMissing ? 'does not exist' : 'cannot be read',
      'name another file under tls: in clarus.yaml, or change its rights',
    );
  }
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
