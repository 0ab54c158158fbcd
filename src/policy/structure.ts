/** Checks a file's structure against the JSON Schema and words what is wrong. */
import { createRequire } from 'node:module';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { suggest } from './nearest.js';
import type { Findings } from './problems.js';
import type { Path, Source } from './source.js';

/** A part of the JSON Schema, as far as this room looks into it. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** whole sentence after the name of the value; editors show it too */
  readonly errorMessage?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly items?: SchemaNode;
  readonly then?: SchemaNode;
  readonly else?: SchemaNode;
  readonly definitions?: Readonly<Record<string, SchemaNode>>;
}

/**
 * The schema, from the file that editors read too: one source of truth. (`require`, because Node 20 prints a
 * warning when JSON is imported.)
 */
export const configSchema: SchemaNode = createRequire(import.meta.url)('./clarus.schema.json');

let compiled: ValidateFunction | undefined;

/** Whether data are a configuration by the JSON Schema; `errors` of the function tell why not. */
export function schemaValidator(): ValidateFunction {
  if (compiled) return compiled;
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true, strictTypes: false });
  ajv.addKeyword('errorMessage');
  compiled = ajv.compile(configSchema);
  return compiled;
}

/**
 * Reports every departure of a file from the schema, then removes what departs: what stays is of the types the
 * schema says, only required keys may be missing. So the checks that follow can go on and report more.
 */
export function checkStructure(source: Source, findings: Findings): void {
  const validate = schemaValidator();
  if (validate(source.value)) return;
  const wrong: Path[] = [];
  const told = new Set<string>();
  for (const error of validate.errors ?? []) {
    const path = pathOf(error.instancePath, source.value);
    const word = wordError(error, path, source);
    if (!word) continue;
    const identity = JSON.stringify([word.path, word.missing]);
    if (word.missing === undefined) wrong.push(word.path);
    if (told.has(identity)) continue;
    told.add(identity);
    const position = word.onKey ? source.keyAt(word.path) : source.valueAt(word.path);
    findings.problem(position, word.message, word.suggestion);
  }
  for (const path of wrong) remove(source.value, path);
}

/** Parameters of those of ajv's errors that are worded here (ajv 8, "Error parameters"). */
interface AjvParameters {
  readonly additionalProperty?: string;
  readonly missingProperty?: string;
  /** numbers of two equal items */
  readonly i?: number;
  readonly j?: number;
}

interface Wording {
  /** the value that departs, or the mapping that misses a key */
  readonly path: Path;
  readonly missing?: string;
  readonly onKey?: boolean;
  readonly message: string;
  readonly suggestion?: string;
}

function wordError(error: ErrorObject, path: Path, source: Source): Wording | undefined {
  const schema = error.parentSchema as SchemaNode;
  const name = path.length === 0 ? 'the file' : `"${showPath(path)}"`;
  const { additionalProperty, missingProperty, i, j } = error.params as AjvParameters;
  switch (error.keyword) {
    case 'if':
      return undefined;
    case 'additionalProperties': {
      const key = additionalProperty ?? '';
      const known = Object.keys(schema.properties ?? {});
      const inTable = path.length === 2 && path[0] === 'tables';
      const suggestion =
        inTable && suggest(key, known).startsWith('known') ? 'name it under columns:' : suggest(key, known);
      return { path: [...path, key], onKey: true, message: `unknown key ${JSON.stringify(key)}`, suggestion };
    }
    case 'required': {
      const key = missingProperty ?? '';
      const example = schema.properties?.[key]?.examples?.[0];
      const suggestion = example === undefined ? undefined : `add ${key}: ${writeExample(example)}`;
      return {
        path,
        missing: key,
        onKey: true,
        message: path.length === 0 ? `the key "${key}" is missing` : `${name} lacks the key "${key}"`,
        ...(suggestion === undefined ? {} : { suggestion }),
      };
    }
    case 'enum': {
      const allowed = (schema.enum ?? []).map(String);
      const value = valueAtPath(source.value, path);
      const message = schema.errorMessage ?? `must be one of ${allowed.join(', ')}`;
      const near = typeof value === 'string' && value.length < 40 ? suggest(value, allowed) : '';
      const suggestion = near.startsWith('did') ? near : value === false ? 'write the word off' : undefined;
      return { path, message: `${name} ${message}`, ...(suggestion === undefined ? {} : { suggestion }) };
    }
    case 'minimum':
    case 'maximum':
      return { path, message: `${name} must be a whole number from ${schema.minimum} to ${schema.maximum}` };
    case 'uniqueItems': {
      const repeated = Math.max(i ?? 0, j ?? 0);
      const item = [...path, repeated];
      return {
        path: item,
        message: `"${showPath(item)}" stands there already`,
        suggestion: 'keep one of them',
      };
    }
    default: {
      const value = valueAtPath(source.value, path);
      const expected = schema.errorMessage ?? `must be ${article(schema.type)}`;
      if (value === null) return { path, message: `${name} has no value`, suggestion: `it ${expected}` };
      return { path, message: `${name} ${expected}` };
    }
  }
}

/** A value in YAML's flow style. */
function writeExample(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, inner]) => `${key}: ${writeExample(inner)}`);
  return `{ ${entries.join(', ')} }`;
}

function article(type: SchemaNode['type']): string {
  const first = typeof type === 'string' ? type : type?.[0];
  return first === 'integer'
    ? 'a whole number'
    : first === 'array'
      ? 'a list'
      : first === 'object'
        ? 'a mapping'
        : 'text';
}

/** A path for people: `tables."public.t".columns.age`, `queries[1]` counted from 1. */
export function showPath(path: Path): string {
  let shown = '';
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step + 1}]`;
    else shown += `${shown === '' ? '' : '.'}${/[.\s"]/u.test(step) ? JSON.stringify(step) : step}`;
  }
  return shown;
}

/** RFC 6901 pointer to path; a step is a number where the data have a list. */
function pathOf(pointer: string, data: unknown): Path {
  const path: (string | number)[] = [];
  let at = data;
  for (const escaped of pointer.split('/').slice(1)) {
    const step = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(at) ? Number(step) : step);
    at = (at as Record<string, unknown> | null | undefined)?.[step];
  }
  return path;
}

function valueAtPath(data: unknown, path: Path): unknown {
  let at = data;
  for (const step of path) at = (at as Record<string | number, unknown> | null | undefined)?.[step];
  return at;
}

function remove(data: unknown, path: Path): void {
  const last = path.at(-1);
  const parent = valueAtPath(data, path.slice(0, -1));
  if (last !== undefined && typeof parent === 'object' && parent !== null) {
    delete (parent as Record<string | number, unknown>)[last];
  }
}
