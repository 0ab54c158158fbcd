/**
 * The messages of PostgreSQL's protocol, version 3, as data (PostgreSQL manual, chapter 54.7).
 * Byte strings are views on the buffer they were decoded from.
 */
import type { Diagnostic } from './diagnostic.js';

/** 0: text, 1: binary */
export type FormatCode = 0 | 1;
/** What a Describe or Close is about. */
export type Target = 'statement' | 'portal';
/** State told by ReadyForQuery: idle, in a transaction block, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

/** What opens a connection, before messages carry a type. */
export type StartupMessage =
  | {
      readonly kind: 'StartupMessage';
      /** major version in the high 16 bits, minor in the low */
      readonly version: number;
      /** in the order sent; `user` is there, `database`, `options`, `replication` may be */
      readonly parameters: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'SSLRequest' }
  | { readonly kind: 'GSSENCRequest' }
  | CancelRequest;

/** Asks for what another connection runs to be cancelled; sent on a connection of its own. */
export interface CancelRequest {
  readonly kind: 'CancelRequest';
  readonly processId: number;
  /** 4 bytes in version 3.0, up to 256 in 3.2 */
  readonly secretKey: Uint8Array;
}

/** Makes a prepared statement. */
export interface Parse {
  readonly kind: 'Parse';
  /** statement to make; empty: the unnamed one */
  readonly name: string;
  readonly sql: string;
  /** OIDs; 0: to be inferred */
  readonly parameterTypes: readonly number[];
}

/** Makes a portal of a prepared statement and its parameters. */
export interface Bind {
  readonly kind: 'Bind';
  readonly portal: string;
  readonly statement: string;
  /** none: all text; one: for all; else one a parameter */
  readonly parameterFormats: readonly FormatCode[];
  readonly parameters: readonly (Uint8Array | null)[];
  /** likewise, for the result's columns */
  readonly resultFormats: readonly FormatCode[];
}

/** Messages a frontend sends once it has begun to authenticate. */
export type FrontendMessage =
  | Parse
  | Bind
  | { readonly kind: 'Query'; readonly sql: string }
  | { readonly kind: 'Describe'; readonly target: Target; readonly name: string }
  | { readonly kind: 'Close'; readonly target: Target; readonly name: string }
  /** `maxRows` 0: no limit */
  | { readonly kind: 'Execute'; readonly portal: string; readonly maxRows: number }
  | { readonly kind: 'Flush' | 'Sync' | 'CopyDone' | 'Terminate' }
  | { readonly kind: 'CopyData'; readonly data: Uint8Array }
  | { readonly kind: 'CopyFail'; readonly message: string }
  | {
      readonly kind: 'FunctionCall';
      readonly functionOid: number;
      readonly argumentFormats: readonly FormatCode[];
      readonly arguments: readonly (Uint8Array | null)[];
      readonly resultFormat: FormatCode;
    }
  /** PasswordMessage, SASLInitialResponse, SASLResponse or GSSResponse: which it is depends on what was asked */
  | { readonly kind: 'Password'; readonly data: Uint8Array };

/** What the server demands of a frontend, or that it is content. */
export type Authentication =
  | { readonly kind: 'Authentication'; readonly method: 'ok' | 'cleartext' }
  | { readonly kind: 'Authentication'; readonly method: 'md5'; readonly salt: Uint8Array }
  | { readonly kind: 'Authentication'; readonly method: 'sasl'; readonly mechanisms: readonly string[] }
  | {
      readonly kind: 'Authentication';
      readonly method: 'saslContinue' | 'saslFinal';
      readonly data: Uint8Array;
    }
  /** a method that is not spoken here (Kerberos, GSSAPI, SSPI ...) */
  | { readonly kind: 'Authentication'; readonly method: 'other'; readonly code: number };

/** One column of a RowDescription. */
export interface FieldDescription {
  readonly name: string;
  /** 0 when the column is none of a table */
  readonly tableOid: number;
  /** attribute number, 0 when the column is none of a table */
  readonly attribute: number;
  readonly typeOid: number;
  /** negative: of variable length */
  readonly typeSize: number;
  readonly typeModifier: number;
  readonly format: FormatCode;
}

/** How COPY data will travel. */
export interface CopyResponse {
  readonly kind: 'CopyInResponse' | 'CopyOutResponse' | 'CopyBothResponse';
  readonly format: FormatCode;
  readonly columnFormats: readonly FormatCode[];
}

/** Messages a backend sends. */
export type BackendMessage =
  | Authentication
  | CopyResponse
  /** 4 bytes of key in version 3.0, up to 256 in 3.2 */
  | { readonly kind: 'BackendKeyData'; readonly processId: number; readonly secretKey: Uint8Array }
  | {
      readonly kind:
        | 'ParseComplete'
        | 'BindComplete'
        | 'CloseComplete'
        | 'NoData'
        | 'PortalSuspended'
        | 'EmptyQueryResponse'
        | 'CopyDone';
    }
  | { readonly kind: 'CommandComplete'; readonly tag: string }
  | { readonly kind: 'CopyData'; readonly data: Uint8Array }
  | { readonly kind: 'DataRow'; readonly values: readonly (Uint8Array | null)[] }
  | { readonly kind: 'ErrorResponse' | 'NoticeResponse'; readonly diagnostic: Diagnostic }
  | { readonly kind: 'FunctionCallResponse'; readonly value: Uint8Array | null }
  | {
      readonly kind: 'NegotiateProtocolVersion';
      /** newest version the server speaks: the whole number in 3.2 servers, the minor one in older */
      readonly version: number;
      readonly unrecognized: readonly string[];
    }
  | {
      readonly kind: 'NotificationResponse';
      readonly processId: number;
      readonly channel: string;
      readonly payload: string;
    }
  | { readonly kind: 'ParameterDescription'; readonly types: readonly number[] }
  | { readonly kind: 'ParameterStatus'; readonly name: string; readonly value: string }
  | { readonly kind: 'ReadyForQuery'; readonly status: TransactionStatus }
  | { readonly kind: 'RowDescription'; readonly fields: readonly FieldDescription[] };
