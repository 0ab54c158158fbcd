import type { MessageWriter } from './message-writer.js';
import type { Bind, FormatCode, FrontendMessage, Parse, StartupMessage } from './messages.js';
import { frontendTypes, startupCodes } from './protocol.js';

/** Writes what opens a connection. */
export function writeStartup(writer: MessageWriter, message: StartupMessage): void {
  writer.beginUntagged();
  switch (message.kind) {
    case 'SSLRequest':
      writer.int32(startupCodes.sslRequest);
      break;
    case 'GSSENCRequest':
      writer.int32(startupCodes.gssEncRequest);
      break;
    case 'CancelRequest':
      writer.int32(startupCodes.cancelRequest);
      writer.int32(message.processId);
      writer.bytes(message.secretKey);
      break;
    case 'StartupMessage':
      writer.int32(message.version);
      for (const [name, value] of message.parameters) {
        writer.cstring(name);
        writer.cstring(value);
      }
      writer.uint8(0);
      break;
  }
  writer.end();
}

/** Writes a message as a frontend sends it. */
export function writeFrontend(writer: MessageWriter, message: FrontendMessage): void {
  switch (message.kind) {
    case 'Query':
      writer.begin(frontendTypes.query);
      writer.cstring(message.sql);
      break;
    case 'Parse':
      writeParse(writer, message);
      return;
    case 'Bind':
      writeBind(writer, message);
      return;
    case 'Describe':
    case 'Close':
      writer.begin(message.kind === 'Describe' ? frontendTypes.describe : frontendTypes.close);
      writer.uint8(message.target === 'statement' ? 0x53 : 0x50);
      writer.cstring(message.name);
      break;
    case 'Execute':
      writer.begin(frontendTypes.execute);
      writer.cstring(message.portal);
      writer.int32(message.maxRows);
      break;
    case 'Flush':
      writer.empty(frontendTypes.flush);
      return;
    case 'Sync':
      writer.empty(frontendTypes.sync);
      return;
    case 'CopyDone':
      writer.empty(frontendTypes.copyDone);
      return;
    case 'Terminate':
      writer.empty(frontendTypes.terminate);
      return;
    case 'CopyData':
      writer.begin(frontendTypes.copyData);
      writer.bytes(message.data);
      break;
    case 'CopyFail':
      writer.begin(frontendTypes.copyFail);
      writer.cstring(message.message);
      break;
    case 'FunctionCall':
      writer.begin(frontendTypes.functionCall);
      writer.int32(message.functionOid);
      writeFormats(writer, message.argumentFormats);
      writeFields(writer, message.arguments);
      writer.int16(message.resultFormat);
      break;
    case 'Password':
      writer.begin(frontendTypes.password);
      writer.bytes(message.data);
      break;
  }
  writer.end();
}

/** Writes a Parse message. @throws RangeError above 65,535 parameter types, the most the protocol can tell */
export function writeParse(writer: MessageWriter, message: Omit<Parse, 'kind'>): void {
  writer.begin(frontendTypes.parse);
  writer.cstring(message.name);
  writer.cstring(message.sql);
  writeCount(writer, message.parameterTypes.length);
  for (const oid of message.parameterTypes) writer.int32(oid);
  writer.end();
}

/** Writes a Bind message. @throws RangeError above 65,535 parameters, the most the protocol can tell */
export function writeBind(writer: MessageWriter, message: Omit<Bind, 'kind'>): void {
  writer.begin(frontendTypes.bind);
  writer.cstring(message.portal);
  writer.cstring(message.statement);
  writeFormats(writer, message.parameterFormats);
  writeFields(writer, message.parameters);
  writeFormats(writer, message.resultFormats);
  writer.end();
}

function writeFormats(writer: MessageWriter, formats: readonly FormatCode[]): void {
  writeCount(writer, formats.length);
  for (const format of formats) writer.int16(format);
}

function writeFields(writer: MessageWriter, values: readonly (Uint8Array | null)[]): void {
  writeCount(writer, values.length);
  for (const value of values) writer.field(value);
}

function writeCount(writer: MessageWriter, count: number): void {
  if (count > 0xffff) throw new RangeError('a message cannot count above 65,535');
  writer.int16(count);
}
