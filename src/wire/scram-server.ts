import { timingSafeEqual } from 'node:crypto';
import { ClarusError } from '../errors.js';
import {
  attributesOf,
  base64,
  fromBase64,
  hmac,
  makeNonce,
  malformedScram,
  type ScramMechanism,
  type ScramVerifier,
  sha256,
  xor,
} from './scram.js';

/** What a frontend's first SASL message says, cut out of the PasswordMessage's body. */
export interface SaslInitialResponse {
  readonly mechanism: string;
  /** undefined: none sent */
  readonly data: Buffer | undefined;
}

/** Reads a SASLInitialResponse. @throws ClarusError FATAL 08P01 when it is malformed */
export function decodeSaslInitialResponse(data: Uint8Array): SaslInitialResponse {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const zero = bytes.indexOf(0);
  if (zero < 0 || bytes.length < zero + 5) throw malformedScram('mechanism and length expected');
  const mechanism = bytes.toString('latin1', 0, zero);
  const size = bytes.readInt32BE(zero + 1);
  if (size === -1 && bytes.length === zero + 5) return { mechanism, data: undefined };
  if (size !== bytes.length - zero - 5) throw malformedScram('wrong length');
  return { mechanism, data: bytes.subarray(zero + 5) };
}

/**
 * The server's side of one SCRAM exchange (RFC 5802 section 3).
 *
 * @example
 * const exchange = new ScramServer(verifier, { channelBinding: serverEndPoint(certificate) });
 * // AuthenticationSASL with exchange.mechanisms; then for SASLInitialResponse and SASLResponse:
 * const challenge = exchange.first(initial.mechanism, initial.data); // AuthenticationSASLContinue
 * const proof = exchange.final(response); // AuthenticationSASLFinal, or undefined: wrong password
 */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #channelBinding: Uint8Array | undefined;
  readonly #nonce: string;
  readonly #doomed: boolean;
  #header = '';
  #bound = false;
  #clientFirstBare = '';
  #serverFirst = '';
  #wholeNonce = '';

  /**
   * @param options.channelBinding tls-server-end-point of our certificate, on a TLS connection only
   * @param options.doomed true for a mock verifier: the exchange fails in any case
   * @param options.nonce only for tests with published exchanges
   */
  constructor(
    verifier: ScramVerifier,
    options: { channelBinding?: Uint8Array | undefined; doomed?: boolean; nonce?: string } = {},
  ) {
    this.#verifier = verifier;
    this.#channelBinding = options.channelBinding;
    this.#doomed = options.doomed ?? false;
    this.#nonce = options.nonce ?? makeNonce();
  }

  /** What to offer, best first. */
  get mechanisms(): readonly ScramMechanism[] {
    return this.#channelBinding === undefined ? ['SCRAM-SHA-256'] : ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'];
  }

  /**
   * Answers client-first-message with server-first-message.
   * @throws ClarusError FATAL 08P01 (malformed), 0A000 (an extension), 28000 (a downgrade)
   */
  first(mechanism: string, data: Uint8Array | undefined): Buffer {
    if (!(this.mechanisms as readonly string[]).includes(mechanism)) {
      throw new ClarusError('08P01', 'client selected an invalid SASL authentication mechanism', {
        severity: 'FATAL',
      });
    }
    const message = Buffer.from(data ?? []).toString('utf8');
    // gs2-header: channel-binding flag, authorisation identity; then client-first-message-bare
    const parts = /^(([nyp])(?:=([^,]*))?,([^,]*),)(.*)$/s.exec(message);
    if (parts === null) throw malformedScram('GS2 header expected');
    const [, header, flag, binding, identity, bare] = parts as unknown as string[];
    this.#checkBinding(mechanism === 'SCRAM-SHA-256-PLUS', flag!, binding);
    if (identity !== '') throw unsupported('client uses authorization identity, but it is not supported');
    const attributes = attributesOf(bare!);
    if (attributes[0]![0] === 'm') throw unsupported('client requires an unsupported SCRAM extension');
    if (attributes[0]![0] !== 'n' || attributes[1]?.[0] !== 'r') throw malformedScram('nonce expected');
    const clientNonce = attributes[1][1];
    if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(clientNonce)) throw malformedScram('nonce is not printable');
    this.#header = header!;
    this.#clientFirstBare = bare!;
    this.#wholeNonce = clientNonce + this.#nonce;
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#wholeNonce},s=${base64(salt)},i=${iterations}`;
    return Buffer.from(this.#serverFirst);
  }

  /**
   * Answers client-final-message with server-final-message.
   * @returns undefined when the password is wrong
   * @throws ClarusError FATAL 08P01 when the message is malformed
   */
  final(data: Uint8Array): Buffer | undefined {
    const message = Buffer.from(data).toString('utf8');
    const proofAt = message.lastIndexOf(',p=');
    if (proofAt < 0 || this.#serverFirst === '') throw malformedScram('proof expected');
    const withoutProof = message.slice(0, proofAt);
    const proof = fromBase64(message.slice(proofAt + 3));
    const [binding, nonce] = attributesOf(withoutProof);
    if (proof?.length !== 32) throw malformedScram('proof has the wrong length');
    if (binding![0] !== 'c' || nonce?.[0] !== 'r') throw malformedScram('channel binding and nonce expected');
    if (nonce[1] !== this.#wholeNonce) throw malformedScram('nonce does not match');
    const bound = this.#bound ? this.#channelBinding! : Buffer.alloc(0);
    if (binding![1] !== base64(Buffer.concat([Buffer.from(this.#header), bound]))) {
      throw new ClarusError('28000', 'SCRAM channel binding check failed', { severity: 'FATAL' });
    }
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const { storedKey, serverKey } = this.#verifier;
    const clientKey = xor(proof, hmac(storedKey, authMessage));
    const fits = timingSafeEqual(sha256(clientKey), storedKey);
    if (!fits || this.#doomed) return undefined;
    return Buffer.from(`v=${base64(hmac(serverKey, authMessage))}`);
  }

  #checkBinding(plus: boolean, flag: string, binding: string | undefined): void {
    if (plus !== (flag === 'p')) throw malformedScram('channel-binding flag does not fit the mechanism');
    if (flag === 'p' && binding !== 'tls-server-end-point') {
      throw new ClarusError('08P01', 'unsupported SCRAM channel-binding type', { severity: 'FATAL' });
    }
    if (flag === 'y' && this.#channelBinding !== undefined) {
      // the client believes that we cannot: somebody between took the better mechanism out of our offer
      throw new ClarusError('28000', 'SCRAM channel binding negotiation error', {
        severity: 'FATAL',
        detail:
          'The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding.',
      });
    }
    this.#bound = plus;
  }
}

const unsupported = (message: string): ClarusError =>
  new ClarusError('0A000', message, { severity: 'FATAL' });
