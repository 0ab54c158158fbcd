/**
 * What Clarus writes back is what it read: every statement of PostgreSQL's regression suite is parsed, written and
 * parsed again. A text whose tree differs is refused by `deparse`; this counts how many are, and of which kinds.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ClarusError } from '../../../src/errors.js';
import { deparse } from '../../../src/sql/raw/deparse.js';
import { kindOf } from '../../../src/sql/raw/node.js';
import { parseStatements } from '../../../src/sql/raw/parse.js';
import { must } from '../support/command.js';
import { statementsOf } from './statements.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
/** Kinds that are written back after rewriting. */
const rewritten = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt']);
const leastExact = 0.99;

test('every statement that is written back parses to the same tree', { timeout: 600_000 }, async t => {
  const fetched = join(checkout, 'build/debian-source');
  const script = fileURLToPath(new URL('../regress/fetch-source.sh', import.meta.url));
  await must('bash', [script, fetched], { cwd: checkout });
  const directory = join(fetched, 'source/src/test/regress/sql');
  const files = readdirSync(directory).filter(name => name.endsWith('.sql'));
  assert.ok(files.length > 200, `${files.length} files`);
  const parses = (text: string): boolean => {
    try {
      parseStatements(text);
      return true;
    } catch {
      return false;
    }
  };
  const counts = { statements: 0, exact: 0, refused: new Map<string, string[]>() };
  for (const file of files) {
    for (const text of statementsOf(readFileSync(join(directory, file), 'utf8'), parses)) {
      for (const { node } of parseStatements(text)) {
        if (!rewritten.has(kindOf(node))) continue;
        counts.statements++;
        try {
          deparse(node);
          counts.exact++;
        } catch (error) {
          assert.ok(error instanceof ClarusError && error.code === '0A000', `${file}: ${text}\n${error}`);
          counts.refused.set(kindOf(node), [...(counts.refused.get(kindOf(node)) ?? []), `${file}: ${text}`]);
        }
      }
    }
  }
  t.diagnostic(`${counts.exact} of ${counts.statements} statements are written back exactly`);
  for (const [kind, texts] of counts.refused)
    t.diagnostic(`refused ${kind}: ${texts.length}, as ${texts[0]}`);
  assert.ok(counts.statements > 10_000, `${counts.statements} statements`);
  assert.ok(counts.exact >= leastExact * counts.statements);
});
