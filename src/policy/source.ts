/** YAML text to plain data with the place of every key and value. Aliases are followed, within limits. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from 'yaml';
import type { SourcePosition } from './policy.js';
import type { Findings } from './problems.js';

/** Where a value stands: keys of mappings and numbers of list items, from the top. */
export type Path = readonly (string | number)[];

/** A file as data. Mappings are objects without prototype, so that any key is only a key. */
export interface Source {
  readonly value: unknown;
  /** place of the value at a path; of the nearest enclosing one where there is none */
  valueAt(path: Path): SourcePosition;
  /** place of the key at a path; of the nearest enclosing one where there is none */
  keyAt(path: Path): SourcePosition;
}

/** Characters of a configuration file at most. */
const charactersMax = 8 * 1024 * 1024;
/** Values of a file at most, counted again for each alias that repeats them: no small file grows without end. */
const valuesMax = 200_000;
/** The format nests six levels; deeper is a mistake. */
const depthMax = 20;

interface Places {
  readonly key: number;
  readonly value: number;
}

/**
 * Reads YAML 1.2.
 * @param file for positions
 * @param findings takes syntax errors and duplicate keys
 * @returns undefined when the text is no YAML, its problems are in `findings`
 */
export function readSource(text: string, file: string, findings: Findings): Source | undefined {
  if (text.length > charactersMax) {
    findings.problem({ file, line: 1, column: 1 }, `the file has more than ${charactersMax} characters`);
    return undefined;
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const position = (offset: number): SourcePosition => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const errors = [...document.errors, ...document.warnings];
  for (const error of errors) {
    const { message, suggestion } = wordSyntaxError(error);
    findings.problem(position(error.pos[0]), message, suggestion);
  }
  if (errors.length > 0) return undefined;

  const places = new Map<string, Places>();
  const reader = new Reader(document, places, (offset, message, suggestion) =>
    findings.problem(position(offset), message, suggestion),
  );
  const value = reader.read(document.contents, [], 0, 0);
  if (!reader.readable) return undefined;
  const find = (path: Path, which: keyof Places): SourcePosition => {
    for (let length = path.length; length > 0; length--) {
      const place = places.get(JSON.stringify(path.slice(0, length)));
      if (place) return position(length === path.length ? place[which] : place.key);
    }
    return position(document.contents?.range?.[0] ?? 0);
  };
  return { value, valueAt: path => find(path, 'value'), keyAt: path => find(path, 'key') };
}

/** Turns nodes into data, noting places. */
class Reader {
  /** false: what was read is not what the file says */
  readable = true;
  #values = 0;

  constructor(
    private readonly document: Document,
    private readonly places: Map<string, Places>,
    private readonly problem: (offset: number, message: string, suggestion?: string) => void,
  ) {}

  /** @param offset where the node is used (an alias is placed where it stands, not where its anchor does) */
  read(node: Node | null | undefined, path: Path, offset: number, depth: number): unknown {
    this.#values++;
    if (this.#values > valuesMax) return this.stop(offset, 'the file has too many values');
    if (depth > depthMax) return this.stop(offset, 'the file nests too deeply');
    if (isAlias(node)) {
      const target = node.resolve(this.document);
      if (target) return this.read(target, path, offset, depth + 1);
      return this.stop(
        offset,
        'an alias (*name) without its anchor (&name)',
        'put text that begins with * in quotes',
      );
    }
    if (isMap<unknown, Node | null>(node)) return this.readMapping(node.items, path, depth);
    if (isSeq<Node>(node)) {
      return node.items.map((item, i) => {
        const start = startOf(item) ?? offset;
        this.place([...path, i], start, start);
        return this.read(item, [...path, i], start, depth + 1);
      });
    }
    return isScalar(node) ? node.value : null;
  }

  /** Reports what leaves the file without meaning; only the first such problem, for the others may follow from it. */
  private stop(offset: number, message: string, suggestion?: string): null {
    if (this.readable) this.problem(offset, message, suggestion);
    this.readable = false;
    return null;
  }

  private readMapping(pairs: readonly Pair<unknown, Node | null>[], path: Path, depth: number): unknown {
    const mapping: Record<string, unknown> = Object.create(null);
    for (const { key, value } of pairs) {
      if (!isScalar(key)) {
        this.problem(
          startOf(key) ?? 0,
          'a key must be a word',
          'put a key that begins with * & { or [ in quotes',
        );
        continue;
      }
      const name = typeof key.value === 'string' ? key.value : (key.source ?? '');
      const keyOffset = startOf(key) ?? 0;
      const valuePath = [...path, name];
      if (name in mapping) {
        this.problem(keyOffset, `the key ${JSON.stringify(name)} is written twice`, 'keep one of them');
        continue;
      }
      const valueOffset = startOf(value) ?? keyOffset;
      this.place(valuePath, keyOffset, valueOffset);
      mapping[name] = this.read(value, valuePath, valueOffset, depth + 1);
    }
    return mapping;
  }

  private place(path: Path, key: number, value: number): void {
    this.places.set(JSON.stringify(path), { key, value });
  }
}

/** Offset of a node's first character; undefined where nothing is written. */
function startOf(node: unknown): number | undefined {
  if (isScalar(node) && node.value === null && !node.source) return undefined;
  const range = (node as Node | null)?.range;
  return range ? range[0] : undefined;
}

/** Words a syntax error without any text of the file, which might be a secret. */
function wordSyntaxError(error: YAMLError): { readonly message: string; readonly suggestion?: string } {
  switch (error.code) {
    case 'BAD_INDENT':
    case 'BLOCK_IN_FLOW':
      return {
        message: 'wrong indentation, or a bracket that is not closed',
        suggestion: 'entries of one mapping begin in one column',
      };
    case 'TAB_AS_INDENT':
      return { message: 'a tab is used for indentation', suggestion: 'indent with spaces' };
    case 'MISSING_CHAR':
      return {
        message: 'a character is missing: a closing quote or bracket, a comma, or the colon after a key',
      };
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', suggestion: 'remove the line ---' };
    case 'TAG_RESOLVE_FAILED':
      return {
        message: 'tags (!name) are not used here',
        suggestion: 'put text that begins with ! in quotes',
      };
    case 'BAD_SCALAR_START':
      return { message: 'this character cannot begin a word', suggestion: 'put the text in quotes' };
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
      return {
        message: 'a mapping where a word is expected',
        suggestion: 'indent it below its key, and put text that holds ": " in quotes',
      };
    case 'BAD_DQ_ESCAPE':
      return { message: 'an unknown escape in a quoted text', suggestion: 'write \\\\ for a backslash' };
    case 'RESOURCE_EXHAUSTION':
      return { message: 'the file nests too deeply' };
    default:
      return {
        message: 'this is no YAML (version 1.2)',
        suggestion: 'put text with special characters in quotes',
      };
  }
}
