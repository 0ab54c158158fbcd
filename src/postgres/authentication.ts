import { randomBytes } from 'node:crypto';
import { ClarusError } from '../errors.js';
import { writeBackend } from '../wire/encode-backend.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { Authentication } from '../wire/messages.js';
import { authenticationLimits, frontendTypes } from '../wire/protocol.js';
import { mockVerifier } from '../wire/scram.js';
import { decodeSaslInitialResponse, ScramServer } from '../wire/scram-server.js';
import { ConnectionClosed, type FrameSource } from './frame-source.js';
import type { LocalUser } from './options.js';

/** The same for one process, so that a name that does not exist always shows the same salt. */
const mockSecret = randomBytes(32);

/**
 * Asks for the password of a user by SCRAM (PostgreSQL manual, chapter 54.3).
 * A name that does not exist goes through the same exchange, which then fails.
 *
 * @param write sends bytes to the client
 * @param channelBinding of our certificate, on a TLS connection
 * @throws ClarusError FATAL 28P01 when name or password are wrong, 08P01 when the exchange is malformed
 */
export async function authenticate(
  users: ReadonlyMap<string, LocalUser>,
  name: string,
  frames: FrameSource,
  write: (bytes: Buffer) => void,
  channelBinding: Buffer | undefined,
): Promise<LocalUser> {
  const user = users.get(name);
  const exchange = new ScramServer(user?.verifier ?? mockVerifier(name, mockSecret), {
    channelBinding,
    doomed: user === undefined,
  });
  const ask = (message: Authentication): void => {
    const writer = new MessageWriter(512);
    writeBackend(writer, message);
    write(writer.take());
  };
  frames.reader.tagged = true;
  frames.reader.limits = authenticationLimits;
  ask({ kind: 'Authentication', method: 'sasl', mechanisms: exchange.mechanisms });
  const initial = decodeSaslInitialResponse(await nextPassword(frames));
  ask({
    kind: 'Authentication',
    method: 'saslContinue',
    data: exchange.first(initial.mechanism, initial.data),
  });
  const proof = exchange.final(await nextPassword(frames));
  if (proof === undefined || user === undefined) {
    throw new ClarusError('28P01', `password authentication failed for user "${name}"`, {
      severity: 'FATAL',
    });
  }
  ask({ kind: 'Authentication', method: 'saslFinal', data: proof });
  return user;
}

async function nextPassword(frames: FrameSource): Promise<Buffer> {
  const reader = await frames.next();
  if (reader.type !== frontendTypes.password) throw new ConnectionClosed('client gave up');
  return reader.buffer.subarray(reader.body, reader.end);
}
