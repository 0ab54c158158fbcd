/**
 * Payloads of notifications (docs/spec/notification.md): sealed on their way through a cloud, by AES-256-GCM under a key
 * derived from the root key. They are not stored.
 */
import { createCipheriv, createDecipheriv, createHmac, randomFillSync } from 'node:crypto';
import { ClarusError } from '../errors.js';
import { deriveKey } from './keys.js';

const prefix = 'clarus1:';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What PostgreSQL takes (NOTIFY_PAYLOAD_MAX_LENGTH in async.c: a page less the rest of an entry). */
const sealedMax = 7_999;
/** What a payload may take, in bytes. */
export const payloadMax = Math.floor(((sealedMax - prefix.length) * 3) / 4) - NONCE_BYTES - TAG_BYTES;

/** A transaction of a session: within one, the same payload is sealed alike, so that PostgreSQL sends it once. */
export interface NotifyingTransaction {
  /** 16 random bytes of the session */
  readonly session: Uint8Array;
  /** another one for each transaction of the session */
  readonly number: number;
}

/** Random bytes for a session. */
export const sessionSalt = (): Uint8Array => randomFillSync(new Uint8Array(16));

/** Seals and opens payloads. */
export class Payloads {
  readonly #key: Uint8Array;
  readonly #nonceKey: Uint8Array;

  /** @param rootKey 32 bytes */
  constructor(rootKey: Uint8Array) {
    this.#key = deriveKey(rootKey, 'clarus/1 notification');
    this.#nonceKey = deriveKey(rootKey, 'clarus/1 notification nonce');
  }

  /**
   * @param channel as the cloud is told it; what is sealed opens on this channel only
   * @returns ASCII, at most 7,999 bytes
   * @throws ClarusError 54000 for more than `payloadMax` bytes
   */
  seal(channel: string, payload: string, { session, number }: NotifyingTransaction): string {
    const bytes = Buffer.from(payload);
    if (bytes.length > payloadMax)
      throw new ClarusError('54000', 'payload of a notification is too long to be sealed', {
        detail: `It may take ${payloadMax} bytes.`,
        hint: 'Notify of the key of a row, and read the row from its table.',
      });
    const counted = Buffer.alloc(8);
    counted.writeBigUInt64BE(BigInt(number));
    const nonce = createHmac('sha256', this.#nonceKey)
      .update(session)
      .update(counted)
      .update(bound(channel))
      .update(bytes)
      .digest()
      .subarray(0, NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(bound(channel));
    const sealed = Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    return prefix + sealed.toString('base64').replace(/=+$/, '');
  }

  /**
   * What was sealed, or the text as it is where nobody sealed it: the cloud sends notifications of its own triggers.
   * @throws ClarusError XX001 where it does not verify
   */
  open(channel: string, text: string): string {
    if (!isSealed(text)) return text;
    const sealed = Buffer.from(text.slice(prefix.length), 'base64');
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES));
      decipher.setAAD(bound(channel));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      const opened = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([opened, decipher.final()]).toString();
    } catch {
      throw new ClarusError('XX001', 'the payload of a notification does not verify', {
        hint: 'The cloud changed it, or it was sealed under another root key.',
      });
    }
  }
}

/** Does a payload say of itself that it is sealed? */
export const isSealed = (text: string): boolean => text.startsWith(prefix);

/** A channel before what follows it: its length in bytes, and its name. */
function bound(channel: string): Buffer {
  const name = Buffer.from(channel);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(name.length);
  return Buffer.concat([length, name]);
}
