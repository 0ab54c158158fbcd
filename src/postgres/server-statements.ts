import type { MessageWriter } from '../wire/message-writer.js';
import { frontendTypes } from '../wire/protocol.js';
import { type AnswerHandler, expects, internal, step } from './expectations.js';
import type { Pipeline } from './pipeline.js';

/** Statements that stay prepared on one server for one session. */
const preparedMax = 512;
/** OIDs below this are PostgreSQL's own, the same on every server (FirstNormalObjectId in transam.h). */
const firstUserOid = 16_384;

/** Statements that this session has prepared on a server, under names of ours. */
export class ServerStatements {
  readonly #pipeline: Pipeline;
  /** by what identifies the statement: an id or a plan; in order of use, oldest first */
  readonly #names = new Map<unknown, string>();
  readonly #sameTypes: boolean;
  #next = 1;

  /** @param sameTypes OIDs of types that users made are this server's */
  constructor(pipeline: Pipeline, sameTypes: boolean) {
    this.#pipeline = pipeline;
    this.#sameTypes = sameTypes;
  }

  /**
   * Name of a statement, after seeing to it that it is prepared when the next message arrives.
   * @param key identifies the statement for this session
   * @param clients an error is the client's to hear
   * @param described is given the server's description, once, when the statement is prepared
   */
  prepare(
    key: unknown,
    sql: string,
    parameterTypes: readonly number[],
    clients = false,
    shift = 0,
    described?: AnswerHandler,
  ): string {
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = `clarus_s${this.#next++}`;
    this.#names.set(key, name);
    writeParse(this.#pipeline.writer, name, sql, parameterTypes, this.#sameTypes);
    const handler: AnswerHandler = {
      failed: () => {
        if (this.#names.get(key) === name) this.#names.delete(key);
      },
    };
    this.#pipeline.expect(clients ? step(expects.parse, handler, shift) : internal(expects.parse, handler));
    if (described !== undefined) {
      writeDescribe(this.#pipeline.writer, 0x53, name);
      this.#pipeline.expect(step(expects.describe, described, shift));
    }
    if (this.#names.size > preparedMax) this.#evict();
    return name;
  }

  /** Closes all of them, and the unnamed statement. */
  close(): void {
    for (const name of ['', ...this.#names.values()]) {
      writeClose(this.#pipeline.writer, 0x53, name);
      this.#pipeline.expect(internal(expects.close));
    }
    this.#names.clear();
  }

  /** Is it prepared, or about to be? */
  has(key: unknown): boolean {
    return this.#names.has(key);
  }

  /** It is to be prepared anew at its next use. */
  drop(key: unknown): void {
    const name = this.#names.get(key);
    if (name === undefined) return;
    this.#names.delete(key);
    writeClose(this.#pipeline.writer, 0x53, name);
    this.#pipeline.expect(internal(expects.close));
  }

  /** The server has forgotten all of them. */
  forget(): void {
    this.#names.clear();
  }

  #evict(): void {
    this.drop(this.#names.keys().next().value);
  }
}

/** Writes Parse. OIDs of types that users made differ between servers: those are left to be inferred. */
export function writeParse(
  writer: MessageWriter,
  name: string,
  sql: string,
  parameterTypes: readonly number[],
  sameTypes: boolean,
): void {
  writer.begin(frontendTypes.parse);
  writer.cstring(name);
  writer.cstring(sql);
  writer.int16(parameterTypes.length);
  for (const oid of parameterTypes) writer.int32(sameTypes || oid < firstUserOid ? oid : 0);
  writer.end();
}

/** Writes Describe. @param target S (0x53) or P (0x50) */
export function writeDescribe(writer: MessageWriter, target: number, name: string): void {
  writer.begin(frontendTypes.describe);
  writer.uint8(target);
  writer.cstring(name);
  writer.end();
}

/** Writes Close. @param target S (0x53) or P (0x50) */
export function writeClose(writer: MessageWriter, target: number, name: string): void {
  writer.begin(frontendTypes.close);
  writer.uint8(target);
  writer.cstring(name);
  writer.end();
}

/** Writes Execute. */
export function writeExecute(writer: MessageWriter, portal: string, maxRows: number): void {
  writer.begin(frontendTypes.execute);
  writer.cstring(portal);
  writer.int32(maxRows);
  writer.end();
}

/** Writes Bind of values that are at hand. */
export function writeBindValues(
  writer: MessageWriter,
  portal: string,
  statement: string,
  values: readonly (Uint8Array | null)[],
  parameterFormats: readonly (0 | 1)[],
  resultFormats: readonly (0 | 1)[],
): void {
  writer.begin(frontendTypes.bind);
  writer.cstring(portal);
  writer.cstring(statement);
  writer.int16(parameterFormats.length);
  for (const format of parameterFormats) writer.int16(format);
  writer.int16(values.length);
  for (const value of values) writer.field(value);
  writer.int16(resultFormats.length);
  for (const format of resultFormats) writer.int16(format);
  writer.end();
}
