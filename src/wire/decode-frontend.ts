import { ByteReader, malformed } from './byte-reader.js';
import type { Bind, FormatCode, FrontendMessage, Parse, Target } from './messages.js';
import { frontendTypes } from './protocol.js';

/**
 * Reads a message that a frontend sent.
 * @param type its first byte
 * @param start first byte of the body, after type and length
 * @throws ClarusError 08P01 when the body is malformed, 22021 when text is not UTF-8
 */
export function decodeFrontend(type: number, buffer: Buffer, start: number, end: number): FrontendMessage {
  const reader = new ByteReader(buffer, start, end);
  const message = read(type, reader);
  reader.finish();
  return message;
}

function read(type: number, reader: ByteReader): FrontendMessage {
  switch (type) {
    case frontendTypes.query:
      return { kind: 'Query', sql: reader.cstring() };
    case frontendTypes.parse:
      return readParse(reader);
    case frontendTypes.bind:
      return readBind(reader);
    case frontendTypes.describe:
      return { kind: 'Describe', target: readTarget(reader, 'DESCRIBE'), name: reader.cstring() };
    case frontendTypes.execute:
      return { kind: 'Execute', portal: reader.cstring(), maxRows: Math.max(0, reader.int32()) };
    case frontendTypes.close:
      return { kind: 'Close', target: readTarget(reader, 'CLOSE'), name: reader.cstring() };
    case frontendTypes.sync:
      return { kind: 'Sync' };
    case frontendTypes.flush:
      return { kind: 'Flush' };
    case frontendTypes.terminate:
      return { kind: 'Terminate' };
    case frontendTypes.copyData:
      return { kind: 'CopyData', data: reader.rest() };
    case frontendTypes.copyDone:
      return { kind: 'CopyDone' };
    case frontendTypes.copyFail:
      return { kind: 'CopyFail', message: reader.lenientCstring() };
    case frontendTypes.functionCall:
      return readFunctionCall(reader);
    case frontendTypes.password:
      return { kind: 'Password', data: reader.rest() };
    default:
      throw malformed(`invalid frontend message type ${type}`);
  }
}

function readParse(reader: ByteReader): Parse {
  const name = reader.cstring();
  const sql = reader.cstring();
  const parameterTypes: number[] = [];
  for (let left = reader.uint16(); left > 0; left--) parameterTypes.push(reader.uint32());
  return { kind: 'Parse', name, sql, parameterTypes };
}

function readBind(reader: ByteReader): Bind {
  const portal = reader.cstring();
  const statement = reader.cstring();
  const parameterFormats = readFormats(reader);
  const parameters = readFields(reader);
  if (parameterFormats.length > 1 && parameterFormats.length !== parameters.length) {
    throw malformed(
      `bind message has ${parameterFormats.length} parameter formats but ${parameters.length} parameters`,
    );
  }
  return {
    kind: 'Bind',
    portal,
    statement,
    parameterFormats,
    parameters,
    resultFormats: readFormats(reader),
  };
}

function readFunctionCall(reader: ByteReader): FrontendMessage {
  const functionOid = reader.uint32();
  const argumentFormats = readFormats(reader);
  const values = readFields(reader);
  if (argumentFormats.length > 1 && argumentFormats.length !== values.length) {
    throw malformed(
      `function call message contains ${argumentFormats.length} argument formats but ${values.length} arguments`,
    );
  }
  return {
    kind: 'FunctionCall',
    functionOid,
    argumentFormats,
    arguments: values,
    resultFormat: readFormat(reader),
  };
}

function readTarget(reader: ByteReader, message: string): Target {
  const code = reader.uint8();
  if (code === 0x53) return 'statement';
  if (code === 0x50) return 'portal';
  throw malformed(`invalid ${message} message subtype ${code}`);
}

/** A count and as many fields. */
function readFields(reader: ByteReader): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  for (let left = reader.uint16(); left > 0; left--) values.push(reader.field());
  return values;
}

/** A count and as many format codes. */
function readFormats(reader: ByteReader): FormatCode[] {
  const formats: FormatCode[] = [];
  for (let left = reader.uint16(); left > 0; left--) formats.push(readFormat(reader));
  return formats;
}

/** @throws ClarusError 08P01 for a code other than 0 and 1; PostgreSQL says 22023, after the same fate */
function readFormat(reader: ByteReader): FormatCode {
  const code = reader.int16();
  if (code !== 0 && code !== 1) throw malformed(`unsupported format code: ${code}`);
  return code;
}
