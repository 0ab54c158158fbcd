import { timingSafeEqual } from 'node:crypto';
import { ClarusError } from '../errors.js';
import type { MessageWriter } from './message-writer.js';
import { frontendTypes } from './protocol.js';
import {
  attributesOf,
  base64,
  deriveKeys,
  fromBase64,
  hmac,
  iterationsMax,
  makeNonce,
  malformedScram,
  type ScramKeys,
  type ScramMechanism,
  sha256,
  xor,
} from './scram.js';

/** What a client brings to an exchange. */
export interface ScramClientOptions {
  readonly password: string;
  /** what the server offers */
  readonly mechanisms: readonly string[];
  /** tls-server-end-point of the server's certificate; undefined: no TLS, or a certificate that has none */
  readonly channelBinding?: Uint8Array | undefined;
  /** PostgreSQL takes the user from the startup packet and ignores this one; libpq leaves it empty */
  readonly user?: string;
  /** only for tests with published exchanges */
  readonly nonce?: string;
  /** derives the keys; a caller that connects often may keep them */
  readonly derive?: (password: string, salt: Uint8Array, iterations: number) => Promise<ScramKeys>;
}

/**
 * The client's side of one SCRAM exchange (RFC 5802 section 3), with channel binding where both sides can.
 *
 * @example
 * const exchange = new ScramClient({ password, mechanisms, channelBinding });
 * writeSaslInitialResponse(writer, exchange.mechanism, exchange.first());
 * const response = await exchange.respond(challenge); // of AuthenticationSASLContinue
 * exchange.verify(proof); // of AuthenticationSASLFinal: the server knows the verifier, too
 */
export class ScramClient {
  readonly mechanism: ScramMechanism;
  readonly #options: ScramClientOptions;
  readonly #header: string;
  readonly #nonce: string;
  readonly #firstBare: string;
  #serverSignature: Buffer | undefined;

  /** @throws ClarusError 08001 when the server offers no mechanism that is spoken here */
  constructor(options: ScramClientOptions) {
    const { mechanisms, channelBinding, user = '', nonce = makeNonce() } = options;
    const plus = channelBinding !== undefined && mechanisms.includes('SCRAM-SHA-256-PLUS');
    if (!plus && !mechanisms.includes('SCRAM-SHA-256')) {
      throw new ClarusError('08001', 'the server offers no SASL mechanism that Clarus supports', {
        hint: 'Set the password with password_encryption = scram-sha-256 on the server.',
      });
    }
    this.#options = options;
    this.mechanism = plus ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256';
    // y: we could bind, but the server did not offer it; it notices if it did
    this.#header = plus ? 'p=tls-server-end-point,,' : channelBinding !== undefined ? 'y,,' : 'n,,';
    this.#nonce = nonce;
    const saslName = user.replaceAll('=', '=3D').replaceAll(',', '=2C');
    this.#firstBare = `n=${saslName},r=${nonce}`;
  }

  /** client-first-message */
  first(): Buffer {
    return Buffer.from(this.#header + this.#firstBare);
  }

  /**
   * Answers server-first-message with client-final-message.
   * @throws ClarusError FATAL 08P01 when it is malformed, 08001 when it asks for too many iterations
   */
  async respond(serverFirst: Uint8Array): Promise<Buffer> {
    const first = Buffer.from(serverFirst).toString('utf8');
    const [nonce, salt, iterations] = attributesOf(first);
    if (nonce![0] !== 'r' || salt?.[0] !== 's' || iterations?.[0] !== 'i') {
      throw malformedScram('nonce, salt and iteration count expected');
    }
    if (!nonce![1].startsWith(this.#nonce) || nonce![1].length === this.#nonce.length) {
      throw malformedScram('nonce does not match');
    }
    const saltBytes = fromBase64(salt[1]);
    const count = Number(iterations[1]);
    if (saltBytes === undefined || !/^[1-9][0-9]*$/.test(iterations[1])) {
      throw malformedScram('salt or iteration count is invalid');
    }
    if (count > iterationsMax) {
      throw new ClarusError('08001', `the server asks for ${iterations[1]} SCRAM iterations`, {
        hint: `Clarus takes at most ${iterationsMax}.`,
      });
    }
    const derive = this.#options.derive ?? deriveKeys;
    const { clientKey, serverKey } = await derive(this.#options.password, saltBytes, count);
    const bound = this.mechanism === 'SCRAM-SHA-256-PLUS' ? this.#options.channelBinding! : Buffer.alloc(0);
    const binding = base64(Buffer.concat([Buffer.from(this.#header), bound]));
    const withoutProof = `c=${binding},r=${nonce![1]}`;
    const authMessage = `${this.#firstBare},${first},${withoutProof}`;
    this.#serverSignature = hmac(serverKey, authMessage);
    const proof = xor(clientKey, hmac(sha256(clientKey), authMessage));
    return Buffer.from(`${withoutProof},p=${base64(proof)}`);
  }

  /**
   * Checks server-final-message.
   * @throws ClarusError 28000 when the server does not prove that it knows the password's verifier
   */
  verify(serverFinal: Uint8Array): void {
    const [attribute] = attributesOf(Buffer.from(serverFinal).toString('utf8'));
    const signature = attribute![0] === 'v' ? fromBase64(attribute![1]) : undefined;
    const expected = this.#serverSignature;
    const proven =
      expected !== undefined && signature?.length === expected.length && timingSafeEqual(signature, expected);
    if (!proven) {
      throw new ClarusError('28000', 'the server did not prove that it knows the password', {
        hint: 'Somebody else may answer at this address.',
      });
    }
  }
}

/** Writes the SASLInitialResponse of an exchange. */
export function writeSaslInitialResponse(writer: MessageWriter, mechanism: string, data: Uint8Array): void {
  writer.begin(frontendTypes.password);
  writer.cstring(mechanism);
  writer.field(data);
  writer.end();
}
