import type { MessageWriter } from '../wire/message-writer.js';
import { frontendTypes } from '../wire/protocol.js';
import { type AnswerHandler, expects, internal, step } from './expectations.js';
import type { Origin } from './failure.js';
import type { Pipeline } from './pipeline.js';

/** Statements that stay prepared on one server for one session. */
const preparedMax = 512;
/** OIDs below this are PostgreSQL's own, the same on every server (FirstNormalObjectId in transam.h). */
const firstUserOid = 16_384;

interface Prepared {
  readonly name: string;
  /** the batch in which it was sent: an error before it makes the server skip it, which later batches cannot tell */
  readonly batch: number;
  /** the server has prepared it */
  certain: boolean;
}

/** Statements that this session has prepared on a server, under names of ours. */
export class ServerStatements {
  readonly #pipeline: Pipeline;
  /** by what identifies the statement: an id or a plan; in order of use, oldest first */
  readonly #prepared = new Map<unknown, Prepared>();
  readonly #sameTypes: boolean;
  readonly #spelled: (sql: string) => string;
  #next = 1;
  #schema: unknown;
  /** names of statements that were prepared before the last change of the schema */
  #outdated: readonly string[] = [];

  /**
   * @param sameTypes OIDs of types that users made are this server's
   * @param spelled a statement in the names that the server knows
   */
  constructor(pipeline: Pipeline, sameTypes: boolean, spelled: (sql: string) => string) {
    this.#pipeline = pipeline;
    this.#sameTypes = sameTypes;
    this.#spelled = spelled;
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
    shift: Origin = 0,
    described?: AnswerHandler,
  ): string {
    const known = this.#prepared.get(key);
    if (known !== undefined) {
      if (known.certain || known.batch === this.#pipeline.batch) return known.name;
      this.drop(key);
    }
    const text = this.#spelled(sql);
    const name = `clarus_s${this.#next++}`;
    const prepared: Prepared = { name, batch: this.#pipeline.batch, certain: false };
    this.#prepared.set(key, prepared);
    writeParse(this.#pipeline.writer, name, text, parameterTypes, this.#sameTypes);
    const handler: AnswerHandler = {
      done: () => {
        prepared.certain = true;
      },
      failed: () => {
        if (this.#prepared.get(key) === prepared) this.#prepared.delete(key);
      },
    };
    this.#pipeline.expect(clients ? step(expects.parse, handler, shift) : internal(expects.parse, handler));
    if (described !== undefined) {
      writeDescribe(this.#pipeline.writer, 0x53, name);
      this.#pipeline.expect(step(expects.describe, described, shift));
    }
    if (this.#prepared.size > preparedMax) this.#evict();
    return name;
  }

  /** Makes the server see what was done before, as every Parse does. */
  parseNothing(): void {
    writeParse(this.#pipeline.writer, '', '', [], this.#sameTypes);
    this.#pipeline.expect(internal(expects.parse));
  }

  /**
   * Prepares all of them anew where the schema may be another than it was: a prepared statement goes on meaning the label
   * of an enum that its text named when it was prepared. Who has been given a name may still bind it: it is closed with
   * the next change.
   * @param schema another value for each state of it
   */
  follow(schema: unknown): void {
    if (this.#schema === schema) return;
    this.#schema = schema;
    for (const name of this.#outdated) this.#close(name);
    this.#outdated = [...this.#prepared.values()].map(({ name }) => name);
    this.#prepared.clear();
  }

  /** Closes all of them, and the unnamed statement. */
  close(): void {
    this.#close('');
    for (const name of [...this.#outdated, ...[...this.#prepared.values()].map(one => one.name)])
      this.#close(name);
    this.#outdated = [];
    this.#prepared.clear();
  }

  /** Is it prepared, or about to be? */
  has(key: unknown): boolean {
    return this.#prepared.has(key);
  }

  /** It is to be prepared anew at its next use. */
  drop(key: unknown): void {
    const prepared = this.#prepared.get(key);
    if (prepared === undefined) return;
    this.#prepared.delete(key);
    this.#close(prepared.name);
  }

  /** The server has forgotten all of them. */
  forget(): void {
    this.#outdated = [];
    this.#prepared.clear();
  }

  #evict(): void {
    this.drop(this.#prepared.keys().next().value);
  }

  /** Closes what may never have been prepared, too: that is no error (PostgreSQL manual, 54.2.3). */
  #close(name: string): void {
    writeClose(this.#pipeline.writer, 0x53, name);
    this.#pipeline.expect(internal(expects.close));
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
