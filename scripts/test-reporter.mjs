// A reporter for node:test that writes one JSON line a finished test: file, full name, outcome, duration.
// check-promises.mjs reads these lines to see that each test it names really ran and passed.
import { relative } from 'node:path';

/** Joins the names of a test and the suites around it. */
export const nameSeparator = ' › ';

/**
 * @param {AsyncIterable<{type: string, data: any}>} events of node:test
 * @yields {string} one line of JSON a finished test; suites are left out, for they only hold tests
 */
export default async function* testReporter(events) {
  const openNames = new Map();
  for await (const { type, data } of events) {
    if (type !== 'test:start' && type !== 'test:pass' && type !== 'test:fail') continue;
    const names = openNames.get(data.file) ?? [];
    openNames.set(data.file, names);
    names.length = data.nesting;
    names[data.nesting] = data.name;
    if (type === 'test:start' || data.details?.type === 'suite') continue;
    const record = {
      file: data.file === undefined ? '' : relative(process.cwd(), data.file),
      name: names.join(nameSeparator),
      outcome: outcome(type, data),
      duration_ms: Math.round(data.details?.duration_ms ?? 0),
    };
    yield `${JSON.stringify(record)}\n`;
  }
}

function outcome(type, data) {
  if (data.skip !== undefined) return 'skipped';
  if (data.todo !== undefined) return 'todo';
  return type === 'test:pass' ? 'passed' : 'failed';
}
