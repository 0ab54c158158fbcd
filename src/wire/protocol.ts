/**
 * Numbers of PostgreSQL's frontend/backend protocol, version 3 (PostgreSQL manual, chapter 54).
 */

/** First bytes of the messages a frontend sends, after the startup phase. */
export const frontendTypes = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  describe: 0x44, // D
  execute: 0x45, // E
  flush: 0x48, // H
  functionCall: 0x46, // F
  parse: 0x50, // P
  /** PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse share it */
  password: 0x70, // p
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const;

/** First bytes of the messages a backend sends. */
export const backendTypes = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  functionCallResponse: 0x56, // V
  negotiateProtocolVersion: 0x76, // v
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const;

/** Version numbers and request codes of the untagged messages of the startup phase. */
export const startupCodes = {
  version_3_0: 0x0003_0000,
  version_3_2: 0x0003_0002,
  cancelRequest: 80877102,
  sslRequest: 80877103,
  gssEncRequest: 80877104,
} as const;

/** Sub-codes of the Authentication message. */
export const authenticationCodes = {
  ok: 0,
  cleartextPassword: 3,
  md5Password: 5,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const;

/** Largest startup packet, bytes (MAX_STARTUP_PACKET_LENGTH in PostgreSQL's pqcomm.h). */
export const startupBytesMax = 10_000;
/** Largest message of a kind that carries no data, bytes (PQ_SMALL_MESSAGE_LIMIT in libpq.h). */
export const smallMessageBytesMax = 10_000;
/** Largest authentication message, bytes (PG_MAX_AUTH_TOKEN_LENGTH in libpq/auth.h). */
export const authenticationBytesMax = 65_535;
/** Largest message PostgreSQL takes, bytes (PQ_LARGE_MESSAGE_LIMIT in libpq.h). */
export const messageBytesMax = 0x3fff_fffe;

/**
 * Largest length field accepted for each first byte; 0 where the byte is not a message of this state.
 * Entry 0 is the limit of untagged messages.
 */
export type FrameLimits = Uint32Array;

const limits = (entries: readonly (readonly [number, number])[]): FrameLimits => {
  const table = new Uint32Array(256);
  for (const [type, limit] of entries) table[type] = limit;
  return table;
};

/** Limits before a session is named: untagged messages only. */
export const startupLimits: FrameLimits = limits([[0, startupBytesMax]]);

/** Limits while a frontend authenticates: its answers, or Terminate. */
export const authenticationLimits: FrameLimits = limits([
  [frontendTypes.password, authenticationBytesMax],
  [frontendTypes.terminate, smallMessageBytesMax],
]);

/**
 * Limits of an authenticated frontend.
 * @param largest limit of messages that carry data or SQL, bytes
 */
export function frontendLimits(largest: number): FrameLimits {
  const large = [
    frontendTypes.query,
    frontendTypes.parse,
    frontendTypes.bind,
    frontendTypes.copyData,
    frontendTypes.functionCall,
  ];
  const small = [
    frontendTypes.close,
    frontendTypes.copyDone,
    frontendTypes.copyFail,
    frontendTypes.describe,
    frontendTypes.execute,
    frontendTypes.flush,
    frontendTypes.sync,
    frontendTypes.terminate,
  ];
  const smallLimit = Math.min(largest, smallMessageBytesMax);
  return limits([
    ...large.map(type => [type, largest] as const),
    ...small.map(type => [type, smallLimit] as const),
  ]);
}

/**
 * Limits of a backend's messages.
 * @param largest limit of every message, bytes; streamed frames are not buffered and need none
 */
export const backendLimits = (largest: number): FrameLimits =>
  limits(Object.values(backendTypes).map(type => [type, largest] as const));
