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
/** bytes of a datum in the server's memory form (little-endian) */
export interface Datum {
  readonly datum: readonly number[];
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

class Reader {
  private at = 0;
  constructor(private readonly text: string) {}

  value(): Value {
    this.space();
    const c = this.text[this.at];
    if (c === '{') return this.node();
    if (c === '(') return this.list();
    if (c === '"') return this.quoted();
    if (c === '<' && this.text[this.at + 1] === '>') {
      this.at += 2;
      return null;
    }
    const token = this.token();
    this.space();
    if (this.text[this.at] === '[') return { datum: this.bytes() };
    return token;
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
      if (first && /[iobx]/.test(c) && /[ )]/.test(this.text[this.at + 1] ?? '')) this.at++;
      else values.push(this.value());
      first = false;
    }
  }

  private bytes(): readonly number[] {
    this.at++;
    const values: number[] = [];
    for (;;) {
      const token = this.token();
      if (token === ']') return values;
      values.push(Number(token) & 255);
    }
  }

  /** `"..."`: a String node, or an empty string */
  private quoted(): string {
    this.at++;
    let value = '';
    for (;;) {
      const c = this.text[this.at++];
      if (c === undefined) throw new Error('unterminated string in a node tree');
      if (c === '"') return value;
      value += c === '\\' ? this.text[this.at++] : c;
    }
  }

  private token(): string {
    this.space();
    let value = '';
    for (;;) {
      const c = this.text[this.at];
      if (c === undefined || /[\s(){}]/.test(c)) break;
      this.at++;
      if (c === '\\') value += this.text[this.at++] ?? '';
      else value += c;
    }
    if (value === '') throw new Error(`empty token in a node tree at ${this.at}`);
    return value;
  }

  private space(): void {
    while (this.at < this.text.length && this.text.charCodeAt(this.at) <= 32) this.at++;
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
