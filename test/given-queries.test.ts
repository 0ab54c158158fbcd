/** Queries that run before the statement that they stand in, beside a plain PostgreSQL. */
import { test } from 'node:test';
import { besideEncrypted } from './support/beside-encrypted.js';

const { same } = besideEncrypted(({ code, message }) => ({ code, message }));
test('what a part of a statement returns keeps its collation', () =>
  same(
    'CREATE TABLE a (id int PRIMARY KEY, col text COLLATE "en-x-icu"); CREATE TABLE z (id int, col text COLLATE "en-x-icu")',
    "INSERT INTO a VALUES (1,'b'),(2,'B'),(3,'a'),(4,'Z')",
    "WITH i AS (INSERT INTO z SELECT * FROM a RETURNING id, col) SELECT string_agg(col, ',' ORDER BY col), max(col), min(col) FROM i",
    "WITH i AS (INSERT INTO z SELECT * FROM a RETURNING id, col || 'x' AS y) SELECT max(y), min(y) FROM i",
    "WITH i AS (INSERT INTO z SELECT * FROM a RETURNING id, col) SELECT id FROM i WHERE col < 'C' ORDER BY col",
    'SELECT max(col), min(col) FROM (SELECT col FROM a FOR UPDATE) AS s',
    "SELECT max(y), min(y) FROM (SELECT col || 'x' AS y FROM a FOR UPDATE) AS s",
    'SELECT max(y), min(y) FROM (SELECT col COLLATE "C" AS y FROM a FOR UPDATE) AS s',
    'SELECT col < y FROM (SELECT col, col || \'x\' COLLATE "C" AS y FROM a FOR UPDATE) AS s',
    'DELETE FROM z WHERE id IN (SELECT id FROM (SELECT id, col FROM a FOR UPDATE) AS s ORDER BY col LIMIT 1)',
    'SELECT * FROM z ORDER BY id, col',
  ));
