/** `names: hidden` of partitioned tables: their indexes, and that the cloud is told no name. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `names: hidden
unlisted: encrypt
tables:
  public.zqvisit:
    columns:
      zqday: { protect: none }
      zqward: { protect: none }
      zqname: { class: identifier, protect: encrypt, queries: [equality] }`;

const steps: readonly Step[] = [
  'CREATE TABLE zqvisit (zqday date, zqward int, zqname text, zqnote text) PARTITION BY RANGE (zqday)',
  "CREATE TABLE zqearly PARTITION OF zqvisit FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
  'CREATE TABLE zqrest PARTITION OF zqvisit DEFAULT',
  'CREATE INDEX zqbyday ON zqvisit (zqday)',
  'CREATE INDEX zqbyward ON ONLY zqvisit (zqward)',
  'CREATE INDEX zqbyboth ON zqvisit (zqward, zqname)',
  'CREATE UNIQUE INDEX zqonce ON zqvisit (zqday, zqward) WHERE zqward > 0',
  'CREATE INDEX zqearlyward ON zqearly (zqward)',
  'CREATE INDEX zqrestward ON zqrest (zqward)',
  'ALTER INDEX zqbyward ATTACH PARTITION zqearlyward',
  'ALTER INDEX zqbyward ATTACH PARTITION zqrestward',
  "INSERT INTO zqvisit VALUES ('2020-05-05', 1, 'Zaphod', 'a'), ('2022-05-05', 2, 'Ford', 'b')",
  "INSERT INTO zqvisit VALUES ('2022-05-05', 2, 'Arthur', 'c')",
  "CREATE TABLE zqlate PARTITION OF zqvisit FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
  "INSERT INTO zqvisit VALUES ('2023-05-05', 3, 'Marvin', 'd')",
  "INSERT INTO zqvisit VALUES ('2023-05-05', 3, 'Eddie', 'e')",
  'SELECT indexname, indexdef FROM pg_indexes WHERE indexname ~ $$^zq$$ ORDER BY 1',
  'SELECT * FROM zqvisit ORDER BY zqday',
  'ALTER INDEX zqbyday RENAME TO zqbydate',
  'DROP INDEX zqbyboth',
  'DROP INDEX zqbyward',
  'SELECT indexname FROM pg_indexes WHERE indexname ~ $$^zq$$ ORDER BY 1',
  "SELECT zqnote FROM zqvisit WHERE zqname = 'Ford'",
  'DROP TABLE zqvisit',
];

suite('hidden names of partitioned tables', () => {
  const sides = beside(policy);

  test('indexes of a partitioned table come to what they come to in PostgreSQL', async () => {
    assert.deepEqual(await sides.unorderedDifferences(steps), []);
    const sent = sides.recorded.sent();
    // two letters may stand in what is random
    const names = new Set(JSON.stringify(steps).match(/zq\w{2,}/g));
    assert.ok(names.size > 10);
    for (const name of [...names, 'Zaphod', 'Marvin']) assert.ok(!sent.includes(name), name);
    assert.doesNotMatch(sent, /\bFord\b/);
  });
});
