/**
 * Records of leases as they lie in a cloud: sealed, so that the cloud learns how many leases there were and
 * nothing else. docs/spec/state.md writes the format down.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { ClarusError } from '../errors.js';

/** What was set aside, once and for all. Values from `first` up to, not including, `until`. */
export type Lease =
  | {
      readonly kind: 'rows';
      readonly table: number;
      readonly first: number;
      readonly until: number;
    }
  | {
      readonly kind: 'counter';
      readonly table: number;
      readonly column: number;
      readonly counter: string;
      readonly first: number;
      readonly until: number;
      /** 16 random bytes that enter the derivation of keys used under this lease */
      readonly salt: Uint8Array;
    }
  | {
      readonly kind: 'seals';
      readonly table: number;
      readonly column: number;
      readonly epoch: number;
      /** seals set aside under this epoch so far, this lease included */
      readonly until: number;
    };

const format = 0xc1;
const nonce_bytes = 12;
const tag_bytes = 16;
/** Records are padded to a multiple, so that their length does not tell the kind. */
const padding_bytes = 256;

/**
 * AES-256-GCM with a random nonce; the associated data are the number of the lease.
 * @param key 32 bytes
 * @param id number of the lease
 */
export function sealLease(key: Uint8Array, id: number, lease: Lease): Buffer {
  const text = JSON.stringify(lease.kind === 'counter' ? { ...lease, salt: hex(lease.salt) } : lease);
  const size = Buffer.byteLength(text);
  const plain = Buffer.alloc(Math.ceil(size / padding_bytes) * padding_bytes, ' ');
  plain.write(text);
  const nonce = randomBytes(nonce_bytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associatedData(id));
  return Buffer.concat([Buffer.of(format), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * @param keys the key in force, then earlier ones
 * @throws ClarusError XX001 when no key opens it: changed, moved to another number, or of another installation
 */
export function openLease(keys: readonly Uint8Array[], id: number, sealed: Uint8Array): Lease {
  for (const key of keys) {
    const plain = open(key, id, sealed);
    if (plain !== undefined) return parse(plain.toString('utf8'));
  }
  throw new ClarusError(
    'XX001',
    `record ${id} in clarus.leases of the cloud does not open with this root key`,
    {
      severity: 'FATAL',
      hint: 'Another Clarus uses this cloud database, the root key was rotated after this backup of the trusted database was made, or the cloud changed the record.',
    },
  );
}

function open(key: Uint8Array, id: number, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < 1 + nonce_bytes + tag_bytes || sealed[0] !== format) return undefined;
  const end = sealed.length - tag_bytes;
  const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonce_bytes), {
    authTagLength: tag_bytes,
  })
    .setAAD(associatedData(id))
    .setAuthTag(sealed.subarray(end));
  const plain = cipher.update(sealed.subarray(1 + nonce_bytes, end));
  try {
    return Buffer.concat([plain, cipher.final()]);
  } catch {
    return undefined;
  }
}

/** The text was authenticated: only we wrote it. */
function parse(text: string): Lease {
  const lease = JSON.parse(text) as Lease | (Omit<Lease, 'salt'> & { readonly salt: string });
  return 'salt' in lease && typeof lease.salt === 'string'
    ? ({ ...lease, salt: Uint8Array.from(Buffer.from(lease.salt, 'hex')) } as Lease)
    : (lease as Lease);
}

function associatedData(id: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeBigUInt64BE(BigInt(id));
  return data;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
