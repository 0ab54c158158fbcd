/**
 * PostgreSQL's own grammar, lexer and fingerprints (libpg-query, WASM). A text that is nested too deeply overflows the stack
 * of this process within it, and leaves its memory as it was at that moment: what it has allocated is never freed, its own
 * stack does not shrink, and after some dozens of such texts it would read none any more. So its memory is put back to what
 * it was when it was loaded.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import '../../crypto/kernel.js';
import type { RawNode } from './node.js';

/** What is used of libpg-query. */
interface LibPgQuery {
  loadModule(): Promise<void>;
  parseSync(query: string): {
    readonly stmts?: readonly {
      readonly stmt: RawNode;
      readonly stmt_location?: number;
      readonly stmt_len?: number;
    }[];
  };
  parsePlPgSQLSync(sql: string): unknown;
  scanSync(sql: string): {
    readonly tokens: readonly {
      readonly start: number;
      readonly end: number;
      readonly text: string;
      readonly tokenName: string;
    }[];
  };
  fingerprintSync(sql: string): string;
}

interface Memory {
  readonly buffer: ArrayBuffer;
}
interface Instance {
  readonly exports: Readonly<Record<string, unknown>>;
}
/** What this file uses of the global WebAssembly, which @types/node leaves out. */
declare const WebAssembly: {
  readonly Memory: new () => Memory;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => Instance;
  readonly RuntimeError: new () => Error;
};

/** What emscripten makes of a program: its functions by name. */
type Program = Record<string, unknown>;
type Call = (...values: readonly number[]) => unknown;
type MakeProgram = (options: {
  instantiateWasm(imports: object, made: (instance: Instance) => void): void;
}) => Promise<Program>;

// V8 would compile its functions a second time, for which the threads that do it keep 85 MiB; without, a parse that took
// 53 to 64 us takes 61 to 84. V8 reads the flag when a module is made: the kernel of the cells, which needs it, was made
// before.
setFlagsFromString(`--wasm-tiering-budget=${2 ** 31 - 1}`);

// The CommonJS build: one instance for us and for pgsql-deparser's tests.
const require = createRequire(import.meta.url);
const place = require.resolve('libpg-query/wasm/libpg-query.js');
const make = require(place) as MakeProgram;
let exported: Instance['exports'] = {};
let program: Program = {};
require.cache[place]!.exports = async (): Promise<Program> => {
  program = await make({
    instantiateWasm(imports, made) {
      const code = new WebAssembly.Module(readFileSync(place.replace(/js$/, 'wasm')));
      const instance = new WebAssembly.Instance(code, imports);
      exported = instance.exports;
      made(instance);
    },
  });
  return program;
};

/** The grammar of PostgreSQL 18. Where a text is nested too deeply, its functions throw a RangeError. */
export const grammar = require('libpg-query') as LibPgQuery;
await grammar.loadModule();

/** The name of a function among the exports of the program, which are shortened. */
function shortened(name: string): Call {
  const [, short = ''] = new RegExp(`[,;{]${name}=wasmExports\\["(\\w+)"\\]`).exec(source) ?? [];
  const call = exported[short];
  if (typeof call !== 'function') throw new Error(`this build of libpg-query has no ${name}`);
  return call as Call;
}
const source = readFileSync(place, 'utf8');
const restoreStack = shortened('__emscripten_stack_restore');
const top = shortened('_emscripten_stack_get_current')() as number;
const memory = Object.values(exported).find(value => value instanceof WebAssembly.Memory) as Memory;
const image = withoutZeros(Buffer.from(new Uint8Array(memory.buffer)));

function withoutZeros(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return Buffer.from(bytes.subarray(0, end));
}

/** What was allocated before is gone. */
let lost = false;

function putBack(): void {
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(image);
  bytes.fill(0, image.length);
  restoreStack(top);
  lost = true;
}

for (const [name, call] of Object.entries(program)) {
  if (!/^_(?:wasm_|malloc|free)/.test(name)) continue;
  const frees = /^_(?:wasm_)?free/.test(name);
  program[name] = (...values: readonly number[]): unknown => {
    if (name === '_malloc') lost = false;
    if (frees && lost) return undefined;
    try {
      return (call as Call)(...values);
    } catch (error) {
      const ofStack = error instanceof RangeError || error instanceof WebAssembly.RuntimeError;
      if (ofStack) putBack();
      throw error instanceof WebAssembly.RuntimeError
        ? new RangeError('Maximum call stack size exceeded', { cause: error })
        : error;
    }
  };
}
