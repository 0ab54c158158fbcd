/** The check of promises itself: a promise without a test that ran and passed is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

interface Row {
  readonly promise: string;
  readonly shownBy: readonly string[];
  readonly open: boolean;
}
interface Checker {
  parsePromises(text: string): Row[];
  problemOf(
    reference: string,
    ran: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>,
    exists: (path: string) => boolean,
    npmScripts: readonly string[],
  ): string | undefined;
}
interface Reporter {
  default(events: Iterable<{ type: string; data: unknown }>): AsyncIterable<string>;
}
const script = (name: string): string => new URL(`../../../scripts/${name}`, import.meta.url).href;
const { parsePromises, problemOf } = (await import(script('check-promises.mjs'))) as Checker;
const reporter = (await import(script('test-reporter.mjs'))) as Reporter;

test('rows are read, those that nothing shows yet apart', () => {
  const rows = parsePromises(`# Promises
| promise | shown by |
|---|---|
| a \\| b | \`a.test.ts › one\`<br>npm run bench |

## Not shown yet
| promise | shown by |
|---|---|
| c | |
`);
  assert.deepEqual(
    rows.map(({ promise, shownBy, open }) => ({ promise, shownBy, open })),
    [
      { promise: 'a \\| b', shownBy: ['a.test.ts › one', 'npm run bench'], open: false },
      { promise: 'c', shownBy: [], open: true },
    ],
  );
});

test('a test must have run and passed, every time that it ran', () => {
  const ran = new Map([
    [
      'a.test.ts',
      new Map([
        ['suite › passes', ['passed', 'passed']],
        ['fails once', ['passed', 'failed']],
        ['is skipped', ['skipped']],
      ]),
    ],
  ]);
  const problem = (reference: string) =>
    problemOf(reference, ran, path => /^(a\.test\.ts|bench\/main\.ts)$/.test(path), ['bench']);
  assert.equal(problem('a.test.ts › passes'), undefined);
  assert.equal(problem('a.test.ts › suite › passes'), undefined);
  assert.equal(problem('bench/main.ts › ratios'), undefined);
  assert.equal(problem('npm run bench'), undefined);
  assert.match(problem('a.test.ts › fails once') ?? '', /failed/);
  assert.match(problem('a.test.ts › is skipped') ?? '', /skipped/);
  assert.match(problem('a.test.ts › is missing') ?? '', /ran no test/);
  assert.match(problem('b.test.ts › passes') ?? '', /does not exist/);
  assert.match(problem('npm run soap') ?? '', /no script/);
  assert.match(problem('by looking at it') ?? '', /neither/);
});

test('the reporter names a test with the suites around it, and leaves suites out', async () => {
  const file = `${process.cwd()}/a.test.ts`;
  const event = (type: string, nesting: number, name: string, more: object = {}) => ({
    type,
    data: { file, nesting, name, ...more },
  });
  const lines: unknown[] = [];
  for await (const line of reporter.default([
    event('test:start', 0, 'suite'),
    event('test:start', 1, 'one'),
    event('test:pass', 1, 'one', { details: { duration_ms: 1.4 } }),
    event('test:start', 1, 'two'),
    event('test:fail', 1, 'two', { details: {} }),
    event('test:fail', 0, 'suite', { details: { type: 'suite' } }),
    event('test:start', 0, 'three'),
    event('test:pass', 0, 'three', { skip: true, details: {} }),
  ]))
    lines.push(JSON.parse(line));
  assert.deepEqual(lines, [
    { file: 'a.test.ts', name: 'suite › one', outcome: 'passed', duration_ms: 1 },
    { file: 'a.test.ts', name: 'suite › two', outcome: 'failed', duration_ms: 0 },
    { file: 'a.test.ts', name: 'three', outcome: 'skipped', duration_ms: 0 },
  ]);
});
