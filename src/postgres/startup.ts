import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ClarusError } from '../errors.js';
import { decodeStartup } from '../wire/decode-startup.js';
import { writeBackend } from '../wire/encode-backend.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { CancelRequest, StartupMessage } from '../wire/messages.js';
import { startupCodes } from '../wire/protocol.js';
import { authenticate } from './authentication.js';
import type { FrameSource } from './frame-source.js';
import type { GatewayOptions, LocalUser } from './options.js';
import { type StartupSettings, startupSettings } from './startup-settings.js';
import { type ServerIdentity, secure } from './tls.js';

/** A client that has proven who it is. */
export interface Greeted {
  readonly kind: 'greeted';
  readonly socket: Socket;
  readonly user: LocalUser;
  /** protocol version in force: 3.0 or 3.2 */
  readonly version: number;
  readonly settings: StartupSettings;
}

/** What a connection has said of itself before it is known to be true. */
export interface Attempt {
  /** name of the user, cut to what PostgreSQL keeps of a name; empty: not told yet */
  user: string;
}

/** Characters of a name that PostgreSQL keeps (NAMEDATALEN). */
const nameLengthMax = 63;

type Startup = Extract<StartupMessage, { kind: 'StartupMessage' }>;

/** First byte of a TLS ClientHello record (RFC 8446 section 5.1): libpq's sslnegotiation=direct. */
const tlsHandshake = 0x16;

/**
 * The startup phase of one connection: encryption, version, database and user (PostgreSQL manual, chapter
 * 54.2.1), or a CancelRequest.
 *
 * @param attempt told who the client says it is
 * @param onSocket told when the connection goes on inside TLS
 * @throws ClarusError FATAL with what the client is to be told; ConnectionClosed
 */
export async function greet(
  socket: Socket,
  frames: FrameSource,
  options: GatewayOptions,
  identity: ServerIdentity | undefined,
  attempt: Attempt,
  onSocket: (socket: TLSSocket) => void,
): Promise<Greeted | CancelRequest> {
  let current = socket;
  let secured = false;
  const startTls = async (): Promise<void> => {
    const inner = await secure(current, identity!.secureContext);
    frames.switchTo(inner);
    onSocket(inner);
    current = inner;
    secured = true;
  };
  if (identity !== undefined && (await frames.firstByte()) === tlsHandshake) {
    current.unshift(frames.reader.takeRest());
    await startTls();
  }
  let gssAsked = false;
  for (;;) {
    const reader = await frames.next();
    const message = decodeStartup(reader.buffer, reader.body, reader.end);
    switch (message.kind) {
      case 'CancelRequest':
        return message;
      case 'StartupMessage':
        attempt.user = (message.parameters.get('user') ?? '').slice(0, nameLengthMax);
        return login(message, current, frames, options, secured ? identity?.channelBinding : undefined);
      case 'GSSENCRequest':
        if (gssAsked) throw repeated();
        gssAsked = true;
        refuseSlippedIn(reader.pending_bytes);
        current.write('N');
        break;
      case 'SSLRequest':
        if (secured) throw repeated();
        // what came before the handshake could be another's (CVE-2021-23214)
        refuseSlippedIn(reader.pending_bytes);
        if (identity === undefined) current.write('N');
        else {
          current.write('S');
          await startTls();
        }
        break;
    }
  }
}

async function login(
  message: Startup,
  socket: Socket,
  frames: FrameSource,
  options: GatewayOptions,
  channelBinding: Buffer | undefined,
): Promise<Greeted> {
  const write = (bytes: Buffer): void => {
    socket.write(bytes);
  };
  const version = negotiate(message, write);
  const settings = startupSettings(message.parameters);
  const user = await authenticate(options.users, settings.user, frames, write, channelBinding);
  // told only to those who may know: after authentication
  if (settings.database !== options.database) {
    throw new ClarusError('3D000', `database "${settings.database}" does not exist`, {
      severity: 'FATAL',
      hint: `This proxy serves the database "${options.database}".`,
    });
  }
  return { kind: 'greeted', socket, user, version, settings };
}

/** Settles the version and tells of options that are not known (PostgreSQL manual, chapter 54.1.1). */
function negotiate(message: Startup, write: (bytes: Buffer) => void): number {
  const unrecognized = [...message.parameters.keys()].filter(name => name.startsWith('_pq_.'));
  const newest = startupCodes.version_3_2;
  const version = message.version >= newest ? newest : startupCodes.version_3_0;
  if (message.version > newest || unrecognized.length > 0) {
    const writer = new MessageWriter(256);
    writeBackend(writer, { kind: 'NegotiateProtocolVersion', version, unrecognized });
    write(writer.take());
  }
  return version;
}

function refuseSlippedIn(size: number): void {
  if (size > 0) {
    throw new ClarusError('08P01', 'received unencrypted data after encryption request', {
      severity: 'FATAL',
    });
  }
}

const repeated = (): ClarusError =>
  new ClarusError('08P01', 'encryption was asked for twice', { severity: 'FATAL' });
