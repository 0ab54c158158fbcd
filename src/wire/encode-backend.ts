import { writeDiagnostic } from './diagnostic.js';
import type { MessageWriter } from './message-writer.js';
import type { Authentication, BackendMessage, FieldDescription } from './messages.js';
import { authenticationCodes, backendTypes } from './protocol.js';

/** Messages that are only a type. */
const emptyTypes = {
  ParseComplete: backendTypes.parseComplete,
  BindComplete: backendTypes.bindComplete,
  CloseComplete: backendTypes.closeComplete,
  NoData: backendTypes.noData,
  PortalSuspended: backendTypes.portalSuspended,
  EmptyQueryResponse: backendTypes.emptyQueryResponse,
  CopyDone: backendTypes.copyDone,
} as const;

const copyTypes = {
  CopyInResponse: backendTypes.copyInResponse,
  CopyOutResponse: backendTypes.copyOutResponse,
  CopyBothResponse: backendTypes.copyBothResponse,
} as const;

/** Writes a message as a backend sends it. */
export function writeBackend(writer: MessageWriter, message: BackendMessage): void {
  switch (message.kind) {
    case 'ParseComplete':
    case 'BindComplete':
    case 'CloseComplete':
    case 'NoData':
    case 'PortalSuspended':
    case 'EmptyQueryResponse':
    case 'CopyDone':
      writer.empty(emptyTypes[message.kind]);
      return;
    case 'ErrorResponse':
    case 'NoticeResponse':
      writeDiagnostic(writer, message.kind, message.diagnostic);
      return;
    case 'RowDescription':
      writeRowDescription(writer, message.fields);
      return;
    case 'CommandComplete':
      writeCommandComplete(writer, message.tag);
      return;
    case 'ReadyForQuery':
      writer.begin(backendTypes.readyForQuery);
      writer.uint8(message.status.charCodeAt(0));
      break;
    case 'Authentication':
      writeAuthentication(writer, message);
      break;
    case 'CopyInResponse':
    case 'CopyOutResponse':
    case 'CopyBothResponse':
      writer.begin(copyTypes[message.kind]);
      writer.uint8(message.format);
      writer.int16(message.columnFormats.length);
      for (const format of message.columnFormats) writer.int16(format);
      break;
    case 'CopyData':
      writer.begin(backendTypes.copyData);
      writer.bytes(message.data);
      break;
    case 'BackendKeyData':
      writer.begin(backendTypes.backendKeyData);
      writer.int32(message.processId);
      writer.bytes(message.secretKey);
      break;
    case 'DataRow':
      writer.begin(backendTypes.dataRow);
      writer.int16(message.values.length);
      for (const value of message.values) writer.field(value);
      break;
    case 'FunctionCallResponse':
      writer.begin(backendTypes.functionCallResponse);
      writer.field(message.value);
      break;
    case 'NegotiateProtocolVersion':
      writer.begin(backendTypes.negotiateProtocolVersion);
      writer.int32(message.version);
      writer.int32(message.unrecognized.length);
      for (const name of message.unrecognized) writer.cstring(name);
      break;
    case 'NotificationResponse':
      writer.begin(backendTypes.notificationResponse);
      writer.int32(message.processId);
      writer.cstring(message.channel);
      writer.cstring(message.payload);
      break;
    case 'ParameterDescription':
      writer.begin(backendTypes.parameterDescription);
      writer.int16(message.types.length);
      for (const oid of message.types) writer.int32(oid);
      break;
    case 'ParameterStatus':
      writer.begin(backendTypes.parameterStatus);
      writer.cstring(message.name);
      writer.cstring(message.value);
      break;
  }
  writer.end();
}

/** Writes what the columns of the rows to come are. */
export function writeRowDescription(writer: MessageWriter, fields: readonly FieldDescription[]): void {
  writer.begin(backendTypes.rowDescription);
  writer.int16(fields.length);
  for (const field of fields) {
    writer.cstring(field.name);
    writer.int32(field.tableOid);
    writer.int16(field.attribute);
    writer.int32(field.typeOid);
    writer.int16(field.typeSize);
    writer.int32(field.typeModifier);
    writer.int16(field.format);
  }
  writer.end();
}

/** Writes the end of a statement. @param tag such as `SELECT 1` */
export function writeCommandComplete(writer: MessageWriter, tag: string): void {
  writer.begin(backendTypes.commandComplete);
  writer.cstring(tag);
  writer.end();
}

function writeAuthentication(writer: MessageWriter, message: Authentication): void {
  writer.begin(backendTypes.authentication);
  switch (message.method) {
    case 'ok':
      writer.int32(authenticationCodes.ok);
      break;
    case 'cleartext':
      writer.int32(authenticationCodes.cleartextPassword);
      break;
    case 'md5':
      writer.int32(authenticationCodes.md5Password);
      writer.bytes(message.salt);
      break;
    case 'sasl':
      writer.int32(authenticationCodes.sasl);
      for (const mechanism of message.mechanisms) writer.cstring(mechanism);
      writer.uint8(0);
      break;
    case 'saslContinue':
      writer.int32(authenticationCodes.saslContinue);
      writer.bytes(message.data);
      break;
    case 'saslFinal':
      writer.int32(authenticationCodes.saslFinal);
      writer.bytes(message.data);
      break;
    case 'other':
      writer.int32(message.code);
      break;
  }
}
