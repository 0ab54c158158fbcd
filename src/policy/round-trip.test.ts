import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { diffPolicy } from './diff.js';
import { formatPolicy, replacePolicy } from './format.js';
import { policyFromJson, policyToJson } from './json.js';
import { formatLabel, type Label, parseLabel } from './label.js';
import { joinName, rejectName, splitName } from './names.js';
import { parseConfig } from './parse.js';
import { type ColumnPolicy, columnClasses, type Policy, queryKinds, type TablePolicy } from './policy.js';

const queries = fc.subarray([...queryKinds]);
const columnClass = fc.option(fc.constantFrom(...columnClasses), { nil: undefined });
const domain = fc.option(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined });

const label: fc.Arbitrary<Label> = fc.oneof(
  fc.record(
    { class: columnClass, protect: fc.constant('encrypt' as const), queries, domain },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      class: columnClass,
      protect: fc.constant('none' as const),
      queries: fc.constant([]),
      domain: fc.constant(undefined),
    },
    { noNullPrototype: true },
  ),
);

/** Any name PostgreSQL can have, the awkward ones often. */
const name = fc
  .oneof(
    fc.stringMatching(/^[a-z_][a-z0-9_]{0,12}$/),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 15 }),
    fc.constantFrom(
      'null',
      'true',
      '1.0',
      '~',
      'a.b',
      'say "hi"',
      '#',
      '- x',
      '<<',
      '__proto__',
      ' ',
      'é',
      'a: b',
      "it's",
      '\n',
      '*a',
      '&a',
      '!b',
    ),
  )
  .filter(text => rejectName(text) === undefined && text !== 'clarus_row');
const schema = name.filter(text => !text.startsWith('pg_') && text !== 'information_schema');

const column: fc.Arbitrary<ColumnPolicy> = fc
  .tuple(name, label)
  .map(([columnName, said]) => ({ name: columnName, ...said, position: undefined }));
const table: fc.Arbitrary<TablePolicy> = fc.record({
  schema,
  name,
  columns: fc.uniqueArray(column, { maxLength: 6, selector: ({ name: columnName }) => columnName }),
  position: fc.constant(undefined),
});
const policy: fc.Arbitrary<Policy> = fc.record({
  unlisted: fc.constantFrom('refuse', 'encrypt', 'pass'),
  declassify: fc.uniqueArray(fc.array(name, { minLength: 2, maxLength: 3 }).map(joinName), { maxLength: 3 }),
  tables: fc.uniqueArray(table, { maxLength: 4, selector: listed => joinName([listed.schema, listed.name]) }),
});

/** Without places in files. */
function withoutPlaces({ tables, ...rest }: Policy): Policy {
  return {
    ...rest,
    tables: tables.map(listed => ({
      ...listed,
      position: undefined,
      columns: listed.columns.map(named => ({ ...named, position: undefined })),
    })),
  };
}

/** In the order of names, integers first: the order in which JavaScript keeps such keys. */
function sorted({ tables, ...rest }: Policy): Policy {
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return {
    ...rest,
    tables: tables
      .map(listed => ({ ...listed, columns: [...listed.columns].sort((a, b) => byText(a.name, b.name)) }))
      .sort((a, b) => byText(a.schema, b.schema) || byText(a.name, b.name)),
  };
}

const head = 'clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\n';

test('a label that is written is read back', () => {
  fc.assert(
    fc.property(label, said => assert.deepEqual(parseLabel(formatLabel(said)), said)),
    { numRuns: 500 },
  );
});

test('a policy that is exported is read back the same, whatever its names are', () => {
  fc.assert(
    fc.property(policy, before => {
      const after = parseConfig(head + formatPolicy(before), 'clarus.yaml').policy;
      assert.deepEqual(sorted(withoutPlaces(after)), sorted(before));
      assert.deepEqual(diffPolicy(before, after), []);
    }),
    { numRuns: 200 },
  );
});

test('comments behind columns do not change what is read', () => {
  fc.assert(
    fc.property(policy, fc.string(), (before, comment) => {
      const text = head + formatPolicy(before, () => comment);
      assert.deepEqual(sorted(withoutPlaces(parseConfig(text, 'clarus.yaml').policy)), sorted(before));
    }),
    { numRuns: 100 },
  );
});

test('a file whose policy is replaced says the new policy, and all else as before', () => {
  const rest = [
    '# what is first\nclarus: 1 # version\n',
    'clouds: # where\n  main: { postgres: "postgres://app@127.0.0.1/hospital" }\n\n',
    '# who\nusers: { app: { password: "env:P" } }\n',
    'limits: # all\n  portals_max: 7 # few\n',
  ];
  fc.assert(
    fc.property(policy, policy, fc.nat(4), fc.boolean(), (before, after, place, together) => {
      const written = formatPolicy(before);
      const cut = together ? written.length : written.indexOf('tables:');
      const parts = [...rest];
      parts.splice(place, 0, written.slice(0, cut));
      parts.push(written.slice(cut));
      const text = replacePolicy(parts.join(''), after);
      const config = parseConfig(text, 'clarus.yaml');
      assert.deepEqual(sorted(withoutPlaces(config.policy)), sorted(after));
      assert.equal(text.replace(formatPolicy(after), ''), rest.join(''));
    }),
    { numRuns: 200 },
  );
});

test('a stored policy is read back the same, and its text does not depend on order', () => {
  fc.assert(
    fc.property(policy, before => {
      const text = policyToJson(before);
      const after = policyFromJson(text);
      assert.deepEqual(diffPolicy(before, after), []);
      assert.deepEqual(sorted({ ...after, declassify: [] }), sorted({ ...before, declassify: [] }));
      const reversed = {
        ...before,
        tables: [...before.tables].reverse(),
        declassify: [...before.declassify].reverse(),
      };
      assert.equal(policyToJson(reversed), text);
    }),
    { numRuns: 200 },
  );
});

test('the difference of two policies is empty exactly when they are stored alike', () => {
  fc.assert(
    fc.property(policy, policy, (before, after) => {
      const named = (text: Policy): Policy => ({
        ...text,
        tables: text.tables.filter(({ columns }) => columns.length > 0),
      });
      const differences = diffPolicy(named(before), named(after));
      if (policyToJson(before) === policyToJson(after)) assert.deepEqual(differences, []);
      for (const { words } of differences) assert.ok(words.length > 0);
      if (before.unlisted !== after.unlisted) assert.ok(differences.length > 0);
    }),
    { numRuns: 200 },
  );
});

test('a name that is joined is split into its parts', () => {
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 3 }), parts =>
      assert.deepEqual(splitName(joinName(parts)), parts),
    ),
  );
});
