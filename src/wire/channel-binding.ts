import { createHash } from 'node:crypto';

/** An element of DER (X.690 section 8.1): its tag and where its contents lie. */
interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

const sequence = 0x30;
const objectIdentifier = 0x06;
/** [0] EXPLICIT, the hash of RSASSA-PSS-params */
const firstContext = 0xa0;

/** Signature algorithms (contents of their OID in hex) by the hash they use. RFC 5929: MD5 and SHA-1 become SHA-256. */
const hashOfSignature: Readonly<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha256', // sha1WithRSAEncryption
  '2a864886f70d01010e': 'sha224',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d0401': 'sha256', // ecdsa-with-SHA1
  '2a8648ce3d040301': 'sha224',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
};
const rsaPss = '2a864886f70d01010a';
/** Hashes named in RSASSA-PSS-params. */
const hashOfPss: Readonly<Record<string, string>> = {
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

/**
 * The channel binding `tls-server-end-point` of a certificate: its hash, by the hash of its signature (RFC 5929
 * section 4.1).
 * @param certificate DER
 * @returns undefined where RFC 5929 defines none (Ed25519 and the like), or when the bytes are no certificate
 */
export function serverEndPoint(certificate: Uint8Array): Buffer | undefined {
  const hash = signatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue } (RFC 5280 section 4.1) */
function signatureHash(der: Uint8Array): string | undefined {
  const certificate = elementAt(der, 0, der.length);
  if (certificate?.tag !== sequence) return undefined;
  const signed = elementAt(der, certificate.start, certificate.end);
  const algorithm = signed && elementAt(der, signed.end, certificate.end);
  if (algorithm?.tag !== sequence) return undefined;
  const oid = elementAt(der, algorithm.start, algorithm.end);
  if (oid?.tag !== objectIdentifier) return undefined;
  const name = hex(der, oid);
  if (name !== rsaPss) return hashOfSignature[name];
  const parameters = elementAt(der, oid.end, algorithm.end);
  const explicit = parameters && elementAt(der, parameters.start, parameters.end);
  if (explicit?.tag !== firstContext) return 'sha256'; // SHA-1 is the default there, and becomes SHA-256
  const hash = elementAt(der, explicit.start, explicit.end);
  const hashOid = hash && elementAt(der, hash.start, hash.end);
  return hashOid === undefined ? undefined : hashOfPss[hex(der, hashOid)];
}

function elementAt(der: Uint8Array, at: number, limit: number): Element | undefined {
  if (at + 2 > limit) return undefined;
  let length = der[at + 1]!;
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4 || start + count > limit) return undefined;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + der[start++]!;
  }
  const end = start + length;
  return end > limit ? undefined : { tag: der[at]!, start, end };
}

const hex = (der: Uint8Array, element: Element): string =>
  Buffer.from(der.subarray(element.start, element.end)).toString('hex');
