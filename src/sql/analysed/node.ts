/**
 * Reads PostgreSQL's analysed query trees: the text that `debug_print_parse` and `debug_print_rewritten` print
 * (src/backend/nodes/outfuncs.c). The trusted PostgreSQL resolves every name, type and operator; nothing is
 * guessed here.
 *
 * A node is `{KIND :field value ...}`; lists are `(...)`, with `i`, `o`, `b`, `x` before integer, OID, bit and
 * transaction id lists; `<>` is null; a datum is `length [ bytes ]`. A token after a field's name is its value
 * whatever it looks like, so that an identifier such as `":relid"` cannot pose as a field.
 */
export interface Node {
  readonly kind: string;
  readonly fields: Readonly<Record<string, Value>>;
}
/** a datum in the server's memory form (little-endian), as printed: `datumBytes` reads it */
export interface Datum {
  readonly datum: string;
}
/** What a field holds. Numbers, booleans and names are strings, as printed; null is `<>`. */
export type Value = Node | Datum | string | null | readonly Value[];

/**
 * Reads a printed tree: one node, or a list of nodes (rewriting may make several queries of one, or none).
 * @throws Error when the text is not a node tree (a server that prints otherwise than we know)
 */
export function readNodes(text: string): readonly Node[] {
  const value = new Reader(text).value();
  const nodes = Array.isArray(value) ? value : value === null ? [] : [value];
  if (!nodes.every(isNode)) throw new Error('not a node tree');
  return nodes;
}

/** Tells a node from a datum, a list, a string and null. */
export const isNode = (value: Value | undefined): value is Node =>
  typeof value === 'object' && value !== null && 'kind' in value;

/**
 * Bytes of a datum. Each is printed as a signed number, with a space or the end of a line after it (outDatum of
 * outfuncs.c, format_node_dump of print.c).
 * @throws Error where it is none (a server that prints otherwise than we know)
 */
export function datumBytes({ datum }: Datum): Uint8Array {
  const bytes = new Uint8Array(datum.length >>> 1);
  let count = 0;
  let byte = 0;
  let sign = 1;
  let digits = 0;
  for (let at = 0; at < datum.length; at++) {
    const c = datum.charCodeAt(at);
    if (c === SPACE || c === NEWLINE) {
      if (digits > 0) bytes[count++] = sign * byte;
      byte = digits = 0;
      sign = 1;
    } else if (c === MINUS && digits === 0) sign = -1;
    else if (c >= ZERO && c <= NINE) {
      byte = byte * 10 + c - ZERO;
      digits++;
    } else throw new Error('unexpected text in a datum of a node tree');
  }
  return bytes.subarray(0, count);
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/** Ends a token: pg_strtok of read.c. */
const endsToken = (c: number): boolean =>
  c === SPACE || c === 0x28 || c === 0x29 || c === 0x7b || c === 0x7d || c === NEWLINE || c === 0x09;

/** V8 makes no slices of fewer characters: those are copied. */
const SLICE_CHARACTERS_MIN = 13;

/** A string of its own: what is kept of a tree must not keep the tree's whole text, which slices of it do. */
const ownString = (slice: string): string =>
  slice.length < SLICE_CHARACTERS_MIN ? slice : Buffer.from(slice, 'utf8').toString('utf8');

class Reader {
  private at = 0;
  constructor(private readonly text: string) {}

  value(): Value {
    this.space();
    const { text } = this;
    switch (text.charCodeAt(this.at)) {
      case 0x7b:
        return this.node();
      case 0x28:
        return this.list();
      case QUOTE:
        return this.quoted();
      case 0x3c:
        if (text[this.at + 1] !== '>') break;
        this.at += 2;
        return null;
    }
    const token = ownString(this.token());
    this.space();
    return text[this.at] === '[' ? this.datum() : token;
  }

  private node(): Node {
    this.at++;
    const kind = this.token();
    const fields: Record<string, Value> = {};
    for (;;) {
      this.space();
      const c = this.text[this.at];
      if (c === '}') {
        this.at++;
        return { kind, fields };
      }
      if (c !== ':') throw new Error(`unexpected text in a node tree at ${this.at}`);
      this.at++;
      const name = this.token();
      fields[name] = this.value();
    }
  }

  private list(): readonly Value[] {
    this.at++;
    const values: Value[] = [];
    let first = true;
    for (;;) {
      this.space();
      const c = this.text[this.at];
      if (c === undefined) throw new Error('unterminated list in a node tree');
      if (c === ')') {
        this.at++;
        return values;
      }
      // which integers they are; a line may end there
      if (first && 'iobx'.includes(c) && ' )\n\t'.includes(this.text[this.at + 1] ?? '?')) this.at++;
      else values.push(this.value());
      first = false;
    }
  }

  private datum(): Datum {
    const from = this.at + 2;
    const end = this.text.indexOf(']', this.at);
    if (end < 0) throw new Error('unterminated datum in a node tree');
    this.at = end + 1;
    return { datum: this.text.slice(from, end) };
  }

  /** `"..."`: a String node, or an empty string. What stands between is a token, so a quote in it ends nothing. */
  private quoted(): string {
    const token = this.token();
    if (token.length < 2 || !token.endsWith('"')) throw new Error('unterminated string in a node tree');
    return ownString(token.slice(1, -1));
  }

  private token(): string {
    this.space();
    const { text } = this;
    let from = this.at;
    let value = '';
    let at = from;
    for (; at < text.length; at++) {
      const c = text.charCodeAt(at);
      if (endsToken(c)) break;
      if (c !== BACKSLASH) continue;
      value += text.slice(from, at);
      from = ++at;
    }
    this.at = at;
    value = value === '' ? text.slice(from, at) : value + text.slice(from, at);
    if (value === '') throw new Error(`empty token in a node tree at ${this.at}`);
    return value;
  }

  private space(): void {
    const { text } = this;
    for (;;) {
      const c = text.charCodeAt(this.at);
      if (c !== SPACE && c !== NEWLINE && c !== 0x09) return;
      this.at++;
    }
  }
}

/** Number in a field; -1 when absent. */
export const numberIn = (node: Node, field: string): number => {
  const value = node.fields[field];
  return typeof value === 'string' ? Number(value) : -1;
};
/** True where a boolean field is. */
export const flag = (node: Node, field: string): boolean => node.fields[field] === 'true';
/** A node in a field, or undefined. */
export const nodeIn = (node: Node, field: string): Node | undefined => {
  const value = node.fields[field];
  return isNode(value) ? value : undefined;
};
/** A list of nodes in a field; empty when null. */
export const nodesIn = (node: Node, field: string): readonly Node[] => {
  const value = node.fields[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
};
/** A list of integers or OIDs in a field. */
export const numbersIn = (node: Node, field: string): readonly number[] => {
  const value = node.fields[field];
  return Array.isArray(value) ? value.map(Number) : [];
};
/** A string in a field, or undefined. */
export const textIn = (node: Node, field: string): string | undefined => {
  const value = node.fields[field];
  return typeof value === 'string' ? value : undefined;
};

/** Calls `see` for every node of a tree, parents first; `see` returns false to leave the children out. */
export function walk(value: Value | undefined, see: (node: Node) => boolean | undefined): void {
  if (value === null || value === undefined || typeof value === 'string') return;
  if (Array.isArray(value)) {
    for (const item of value) walk(item, see);
  } else if (isNode(value as Value)) {
    const node = value as Node;
    if (see(node) === false) return;
    for (const field of Object.values(node.fields)) walk(field, see);
  }
}
