import { ClarusError } from '../errors.js';
import { ByteReader } from './byte-reader.js';
import type { StartupMessage } from './messages.js';
import { startupCodes } from './protocol.js';

/** Longest cancel key of protocol 3.2, bytes. */
const cancelKeyBytesMax = 256;

/**
 * Reads an untagged message of the startup phase.
 * @param start first byte after the length
 * @throws ClarusError FATAL 08P01 (malformed), 0A000 (a major version other than 3), 28000 (no user named)
 */
export function decodeStartup(buffer: Buffer, start: number, end: number): StartupMessage {
  if (end - start < 4) throw invalid();
  const reader = new ByteReader(buffer, start, end);
  const code = reader.uint32();
  switch (code) {
    case startupCodes.sslRequest:
      if (reader.remaining > 0) throw invalid();
      return { kind: 'SSLRequest' };
    case startupCodes.gssEncRequest:
      if (reader.remaining > 0) throw invalid();
      return { kind: 'GSSENCRequest' };
    case startupCodes.cancelRequest: {
      if (reader.remaining < 5 || reader.remaining > 4 + cancelKeyBytesMax) {
        throw new ClarusError('08P01', 'invalid length of cancel request packet', { severity: 'FATAL' });
      }
      const processId = reader.int32();
      return { kind: 'CancelRequest', processId, secretKey: reader.rest() };
    }
  }
  if (code >>> 16 !== 3) {
    throw new ClarusError(
      '0A000',
      `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}: server supports 3.0 to 3.2`,
      { severity: 'FATAL' },
    );
  }
  return { kind: 'StartupMessage', version: code, parameters: readParameters(reader) };
}

function readParameters(reader: ByteReader): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  // the packet's last byte terminates the list, not a string in it
  while (reader.remaining > 1 && reader.buffer[reader.position] !== 0) {
    const name = startupString(reader);
    parameters.set(name, startupString(reader));
  }
  if (reader.remaining !== 1 || reader.uint8() !== 0) {
    throw new ClarusError('08P01', 'invalid startup packet layout: expected terminator as last byte', {
      severity: 'FATAL',
    });
  }
  if (!parameters.get('user')) {
    throw new ClarusError('28000', 'no PostgreSQL user name specified in startup packet', {
      severity: 'FATAL',
    });
  }
  return parameters;
}

function startupString(reader: ByteReader): string {
  try {
    return reader.cstring();
  } catch (error) {
    if (error instanceof ClarusError) {
      throw new ClarusError(error.code, error.message, { severity: 'FATAL' });
    }
    throw error;
  }
}

const invalid = (): ClarusError =>
  new ClarusError('08P01', 'invalid length of startup packet', { severity: 'FATAL' });
