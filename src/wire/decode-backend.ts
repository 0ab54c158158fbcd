import { ByteReader, int32At, malformed } from './byte-reader.js';
import { decodeDiagnostic } from './diagnostic.js';
import type {
  Authentication,
  BackendMessage,
  CopyResponse,
  FieldDescription,
  FormatCode,
  TransactionStatus,
} from './messages.js';
import { authenticationCodes, backendTypes } from './protocol.js';

/**
 * Reads a message that a backend sent.
 * @param type its first byte
 * @param start first byte of the body, after type and length
 * @throws ClarusError 08P01 when the body is malformed, 22021 when text is not UTF-8
 */
export function decodeBackend(type: number, buffer: Buffer, start: number, end: number): BackendMessage {
  if (type === backendTypes.errorResponse) {
    return { kind: 'ErrorResponse', diagnostic: decodeDiagnostic(buffer, start, end) };
  }
  if (type === backendTypes.noticeResponse) {
    return { kind: 'NoticeResponse', diagnostic: decodeDiagnostic(buffer, start, end) };
  }
  const reader = new ByteReader(buffer, start, end);
  const message = read(type, reader);
  reader.finish();
  return message;
}

function read(type: number, reader: ByteReader): BackendMessage {
  switch (type) {
    case backendTypes.authentication:
      return readAuthentication(reader);
    case backendTypes.backendKeyData:
      return { kind: 'BackendKeyData', processId: reader.int32(), secretKey: reader.rest() };
    case backendTypes.bindComplete:
      return { kind: 'BindComplete' };
    case backendTypes.closeComplete:
      return { kind: 'CloseComplete' };
    case backendTypes.commandComplete:
      return { kind: 'CommandComplete', tag: reader.cstring() };
    case backendTypes.copyBothResponse:
      return readCopyResponse(reader, 'CopyBothResponse');
    case backendTypes.copyData:
      return { kind: 'CopyData', data: reader.rest() };
    case backendTypes.copyDone:
      return { kind: 'CopyDone' };
    case backendTypes.copyInResponse:
      return readCopyResponse(reader, 'CopyInResponse');
    case backendTypes.copyOutResponse:
      return readCopyResponse(reader, 'CopyOutResponse');
    case backendTypes.dataRow:
      return { kind: 'DataRow', values: readFields(reader) };
    case backendTypes.emptyQueryResponse:
      return { kind: 'EmptyQueryResponse' };
    case backendTypes.functionCallResponse:
      return { kind: 'FunctionCallResponse', value: reader.field() };
    case backendTypes.negotiateProtocolVersion:
      return readNegotiation(reader);
    case backendTypes.noData:
      return { kind: 'NoData' };
    case backendTypes.notificationResponse:
      return {
        kind: 'NotificationResponse',
        processId: reader.int32(),
        channel: reader.cstring(),
        payload: reader.cstring(),
      };
    case backendTypes.parameterDescription:
      return { kind: 'ParameterDescription', types: readOids(reader) };
    case backendTypes.parameterStatus:
      return { kind: 'ParameterStatus', name: reader.cstring(), value: reader.cstring() };
    case backendTypes.parseComplete:
      return { kind: 'ParseComplete' };
    case backendTypes.portalSuspended:
      return { kind: 'PortalSuspended' };
    case backendTypes.readyForQuery:
      return { kind: 'ReadyForQuery', status: readStatus(reader) };
    case backendTypes.rowDescription:
      return { kind: 'RowDescription', fields: readRowDescription(reader) };
    default:
      throw malformed(`invalid backend message type ${type}`);
  }
}

/**
 * Finds the fields of a DataRow without making an object for each.
 * @param bounds filled with pairs: start of the value, its length (-1: NULL); grown by nobody, so it must hold
 *   twice as many entries as the row has fields
 * @returns number of fields
 * @throws ClarusError 08P01 when the row is malformed or has more fields than `bounds` can tell
 */
export function fieldBounds(buffer: Uint8Array, start: number, end: number, bounds: Int32Array): number {
  if (end - start < 2) throw malformed('insufficient data left in message');
  const count = (buffer[start]! << 8) | buffer[start + 1]!;
  if (2 * count > bounds.length) throw malformed(`row has ${count} fields, more than were described`);
  let at = start + 2;
  for (let i = 0; i < count; i++) {
    if (end - at < 4) throw malformed('insufficient data left in message');
    const size = int32At(buffer, at);
    at += 4;
    bounds[2 * i] = at;
    bounds[2 * i + 1] = size;
    if (size > 0) {
      if (size > end - at) throw malformed('insufficient data left in message');
      at += size;
    } else if (size < -1) throw malformed('insufficient data left in message');
  }
  if (at !== end) throw malformed('invalid message format');
  return count;
}

function readAuthentication(reader: ByteReader): Authentication {
  const kind = 'Authentication';
  const code = reader.int32();
  switch (code) {
    case authenticationCodes.ok:
      return { kind, method: 'ok' };
    case authenticationCodes.cleartextPassword:
      return { kind, method: 'cleartext' };
    case authenticationCodes.md5Password:
      return { kind, method: 'md5', salt: reader.bytes(4) };
    case authenticationCodes.sasl: {
      const mechanisms: string[] = [];
      for (let name = reader.cstring(); name !== ''; name = reader.cstring()) mechanisms.push(name);
      return { kind, method: 'sasl', mechanisms };
    }
    case authenticationCodes.saslContinue:
      return { kind, method: 'saslContinue', data: reader.rest() };
    case authenticationCodes.saslFinal:
      return { kind, method: 'saslFinal', data: reader.rest() };
    default:
      reader.rest();
      return { kind, method: 'other', code };
  }
}

function readCopyResponse(reader: ByteReader, kind: CopyResponse['kind']): CopyResponse {
  const format = readFormat(reader.uint8());
  const columnFormats: FormatCode[] = [];
  for (let left = reader.uint16(); left > 0; left--) columnFormats.push(readFormat(reader.int16()));
  return { kind, format, columnFormats };
}

function readRowDescription(reader: ByteReader): FieldDescription[] {
  const fields: FieldDescription[] = [];
  for (let left = reader.uint16(); left > 0; left--) {
    fields.push({
      name: reader.cstring(),
      tableOid: reader.uint32(),
      attribute: reader.int16(),
      typeOid: reader.uint32(),
      typeSize: reader.int16(),
      typeModifier: reader.int32(),
      format: readFormat(reader.int16()),
    });
  }
  return fields;
}

function readNegotiation(reader: ByteReader): BackendMessage {
  const version = reader.int32();
  const unrecognized: string[] = [];
  for (let left = reader.int32(); left > 0; left--) unrecognized.push(reader.cstring());
  return { kind: 'NegotiateProtocolVersion', version, unrecognized };
}

function readFields(reader: ByteReader): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  for (let left = reader.uint16(); left > 0; left--) values.push(reader.field());
  return values;
}

function readOids(reader: ByteReader): number[] {
  const oids: number[] = [];
  for (let left = reader.uint16(); left > 0; left--) oids.push(reader.uint32());
  return oids;
}

function readStatus(reader: ByteReader): TransactionStatus {
  const status = String.fromCharCode(reader.uint8());
  if (status === 'I' || status === 'T' || status === 'E') return status;
  throw malformed('invalid transaction status');
}

function readFormat(code: number): FormatCode {
  if (code !== 0 && code !== 1) throw malformed(`unsupported format code: ${code}`);
  return code;
}
