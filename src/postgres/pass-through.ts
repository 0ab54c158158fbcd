import { ClarusError } from '../errors.js';
import { FrameReader } from '../wire/frame-reader.js';
import type { TransactionStatus } from '../wire/messages.js';
import {
  backendLimits,
  backendTypes,
  frontendLimits,
  frontendTypes,
  messageBytesMax,
} from '../wire/protocol.js';
import { SyncLedger } from './sync-ledger.js';

const only = (types: readonly number[]): Uint8Array => {
  const table = new Uint8Array(256).fill(1);
  for (const type of types) table[type] = 0;
  return table;
};
/** Everything is forwarded as it comes; only these are looked at whole. */
const streamedFromServer = only([
  backendTypes.readyForQuery,
  backendTypes.copyInResponse,
  backendTypes.errorResponse,
]);
const streamedFromClient = only([
  frontendTypes.query,
  frontendTypes.parse,
  frontendTypes.sync,
  frontendTypes.functionCall,
  frontendTypes.copyDone,
  frontendTypes.copyFail,
  frontendTypes.terminate,
]);

const nothingStreamed = new Uint8Array(256);

const word = Buffer.from('clarus');
/** the untranslated severity of an ErrorResponse that ends the connection */
const fatal = Buffer.from('VFATAL\0');
/** the bit that turns an ASCII capital into a small letter */
const lowerCase = 0x20;

/** Where a pass-through session gets its bytes to. */
export interface PassThroughPorts {
  toServer(bytes: Buffer): void;
  toClient(bytes: Buffer): void;
  /**
   * A Query or Parse mentions Clarus; what came before it has been forwarded.
   * @returns true: the frame and what follows it belong to the session's next mode
   */
  mentioned(text: string): boolean;
  /** the server said ReadyForQuery and all requests are answered */
  idle(): void;
  /** the client sent Terminate */
  terminated(): void;
}

/**
 * A session in a database without protected tables: both streams are forwarded as they come. They are cut into
 * frames only to know when the session is idle, to keep to the limits, and to notice what is addressed to Clarus.
 */
export class PassThrough {
  readonly ledger = new SyncLedger();
  status: TransactionStatus = 'I';
  /** the server has told the client that it ends the connection */
  fatalTold = false;
  readonly fromClient: FrameReader;
  readonly fromServer: FrameReader;
  readonly #ports: PassThroughPorts;
  #ending = false;

  /** @param messageLimit largest message taken from the client, bytes */
  constructor(ports: PassThroughPorts, messageLimit: number) {
    this.#ports = ports;
    this.fromClient = new FrameReader({
      tagged: true,
      limits: frontendLimits(messageLimit),
      streamed: streamedFromClient,
    });
    this.fromServer = new FrameReader({
      tagged: true,
      limits: backendLimits(messageBytesMax),
      streamed: streamedFromServer,
    });
  }

  /** Nothing asked is unanswered, and no message is half sent. */
  get idle(): boolean {
    return this.ledger.idle && this.fromClient.atBoundary && this.fromServer.atBoundary;
  }

  /** From now on nothing of the client goes to the server but what ends a batch that is under way. */
  end(): void {
    this.#ending = true;
    this.fromClient.streamed = nothingStreamed;
  }

  /**
   * Forwards what the client sent.
   * @returns bytes that must go through the session's next mode, when it changes; else undefined
   * @throws ClarusError of the reader: the stream cannot be read on; 57P01 when it would have to go on with a batch
   *   or a COPY that began before the end
   */
  clientData(chunk: Buffer): Buffer | undefined {
    const reader = this.fromClient;
    reader.push(chunk);
    let buffer = chunk;
    let from = 0;
    let to = 0;
    while (reader.next()) {
      if (reader.buffer !== buffer || reader.start !== to) {
        if (to > from) this.#ports.toServer(buffer.subarray(from, to));
        buffer = reader.buffer;
        from = reader.start;
        to = from;
      }
      if (reader.run) {
        if (this.#ending) throw protectedMeanwhile();
        // a run that begins inside a frame belongs to what came before
        if (reader.type !== 0 && reader.type !== frontendTypes.copyData) this.ledger.message();
      } else if (reader.type === frontendTypes.terminate) {
        if (to > from) this.#ports.toServer(buffer.subarray(from, to));
        this.#ports.terminated();
        return undefined;
      } else if (this.#ending && !endsBatch(reader.type)) {
        if (!this.ledger.betweenBatches) throw protectedMeanwhile();
        if (to > from) this.#ports.toServer(buffer.subarray(from, to));
        return restOf(reader);
      } else if (this.#mentionsClarus(reader)) {
        if (to > from) this.#ports.toServer(buffer.subarray(from, to));
        from = to;
        if (this.#ports.mentioned(textOf(reader))) return restOf(reader);
        this.#note(reader.type);
      } else this.#note(reader.type);
      to = reader.end;
    }
    if (to > from) this.#ports.toServer(buffer.subarray(from, to));
    return undefined;
  }

  /**
   * Forwards what the server sent.
   * @throws ClarusError of the reader: the server does not speak the protocol; 57P01 when it asks for data of a COPY
   *   that may no longer go to it
   */
  serverData(chunk: Buffer): void {
    const reader = this.fromServer;
    this.#ports.toClient(chunk);
    reader.push(chunk);
    let ready = false;
    while (reader.next()) {
      if (reader.run) continue;
      if (reader.type === backendTypes.readyForQuery) {
        this.status = String.fromCharCode(reader.buffer[reader.body]!) as TransactionStatus;
        this.ledger.ready();
        ready = true;
      } else if (reader.type === backendTypes.copyInResponse) {
        if (this.#ending) throw protectedMeanwhile();
        this.ledger.copyBegan();
      } else {
        this.ledger.failed();
        this.fatalTold ||= reader.buffer.subarray(reader.body, reader.end).includes(fatal);
      }
    }
    if (ready && this.idle) this.#ports.idle();
  }

  #note(type: number): void {
    switch (type) {
      case frontendTypes.query:
      case frontendTypes.functionCall:
        this.ledger.query();
        break;
      case frontendTypes.parse:
        this.ledger.message();
        break;
      case frontendTypes.sync:
        this.ledger.sync();
        break;
      case frontendTypes.copyDone:
      case frontendTypes.copyFail:
        this.ledger.copyEnded();
        break;
    }
  }

  /** Does a Query or Parse hold the word "clarus" in any case? Only then is it worth a parse. */
  #mentionsClarus(reader: FrameReader): boolean {
    if (reader.type !== frontendTypes.query && reader.type !== frontendTypes.parse) return false;
    const { buffer } = reader;
    for (let i = reader.body, last = reader.end - word.length; i <= last; i++) {
      if ((buffer[i]! | lowerCase) === word[0]) {
        let matched = 1;
        while (matched < word.length && (buffer[i + matched]! | lowerCase) === word[matched]) matched++;
        if (matched === word.length) return true;
      }
    }
    return false;
  }
}

const endsBatch = (type: number): boolean => type === frontendTypes.sync || type === frontendTypes.flush;

/** The message at hand and everything behind it: the connection changes hands. */
export const restOf = (reader: FrameReader): Buffer =>
  Buffer.concat([reader.buffer.subarray(reader.start, reader.end), reader.takeRest()]);

/** What a session began before the first protected table cannot go on: its statements were never looked at. */
export const protectedMeanwhile = (): ClarusError =>
  new ClarusError('57P01', 'terminating connection because the database has protected tables since', {
    severity: 'FATAL',
    hint: 'Connect again and repeat the transaction.',
  });

/** The statement of a Query or Parse, without what stands around it in Parse. */
export function textOf(reader: FrameReader): string {
  const { buffer, body, end } = reader;
  const from = reader.type === frontendTypes.parse ? buffer.indexOf(0, body) + 1 : body;
  const to = buffer.indexOf(0, from);
  return buffer.toString('utf8', from, to < 0 || to > end ? end : to);
}
