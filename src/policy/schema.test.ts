import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { labelWords } from './label.js';
import { columnClasses, defaultLimits, protections, queryKinds } from './policy.js';
import { type SchemaNode, schemaValidator } from './structure.js';
import { writeConfigTemplate } from './template.js';

const schema: SchemaNode = JSON.parse(readFileSync(new URL('./clarus.schema.json', import.meta.url), 'utf8'));
const example = readFileSync(new URL('./fixtures/example.yaml', import.meta.url), 'utf8');
const manual = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

/** Every part of the schema, with the path of keys that leads to it. */
function* partsOf(part: SchemaNode, path: string): Generator<readonly [path: string, part: SchemaNode]> {
  yield [path, part];
  for (const [key, inner] of Object.entries(part.properties ?? {})) yield* partsOf(inner, `${path}.${key}`);
  for (const [key, inner] of Object.entries(part.definitions ?? {})) yield* partsOf(inner, `(${key})`);
  for (const inner of [part.items, part.then, part.else, part.additionalProperties]) {
    if (typeof inner === 'object') yield* partsOf(inner, `${path}.*`);
  }
}

test('the schema is a JSON Schema of draft 7, without a keyword that an editor would not know', () => {
  const ajv = new Ajv({ allowUnionTypes: true, strictTypes: false });
  ajv.addKeyword('errorMessage');
  assert.equal(ajv.validateSchema(schema), true, ajv.errorsText());
  assert.doesNotThrow(() => ajv.compile(schema));
});

test('the schema takes what the parser takes, and not what it refuses', () => {
  const validate = schemaValidator();
  for (const text of [example, writeConfigTemplate()]) assert.equal(validate(parse(text)), true);
  for (const text of [
    '',
    'clarus: 1',
    'clarus: 2',
    `${example}\nother: 1`,
    example.replace('range', 'ranges'),
  ]) {
    assert.equal(validate(parse(text)), false, text.slice(-20));
  }
});

test('every key of the schema has a description for editors', () => {
  for (const [path, part] of partsOf(schema, '')) {
    for (const [key, inner] of Object.entries(part.properties ?? {})) {
      assert.ok(inner.description, `${path}.${key}`);
    }
  }
});

test('the words of the schema are those of the policy', () => {
  const column = schema.definitions?.column?.properties;
  assert.deepEqual(column?.class?.enum, columnClasses);
  assert.deepEqual(column?.protect?.enum, protections);
  assert.deepEqual(column?.queries?.items?.enum, queryKinds);
});

test('the limits of the schema have the defaults that hold', () => {
  const limits = Object.entries(schema.properties?.limits?.properties ?? {});
  assert.deepEqual(Object.fromEntries(limits.map(([name, limit]) => [name, limit.default])), defaultLimits);
});

test('docs/configuration.md tells every key, every word and every default', () => {
  const missing = new Set<string>();
  for (const [path, part] of partsOf(schema, '')) {
    for (const [key, inner] of Object.entries(part.properties ?? {})) {
      if (!manual.includes(`\`${key}\``)) missing.add(`${path}.${key}`);
      const { default: value } = inner;
      const shown = typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
      if (shown !== undefined && !shown.includes(' ') && !manual.includes(`\`${shown}\``))
        missing.add(`${path}.${key}: ${shown}`);
    }
    for (const word of part.enum ?? []) if (!manual.includes(`\`${word}\``)) missing.add(`${path}: ${word}`);
  }
  for (const word of labelWords) if (!manual.includes(`"${word}"`)) missing.add(`label: ${word}`);
  assert.deepEqual([...missing], []);
});
