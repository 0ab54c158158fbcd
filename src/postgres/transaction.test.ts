import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsView } from './settings.js';
import { Transaction } from './transaction.js';

const settings = new SettingsView(new Map()).current;

test('the trusted side joins late with modes, settings and savepoints in their order', () => {
  const transaction = new Transaction();
  transaction.begin('BEGIN ISOLATION LEVEL SERIALIZABLE');
  transaction.set('SET LOCAL a.b = 1');
  transaction.savepoint('s', 'SAVEPOINT s', 0);
  transaction.set('SET a.c = 2');
  assert.deepEqual(transaction.joinSql(), [
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
    'SET LOCAL a.b = 1',
    'SAVEPOINT s',
    'SET a.c = 2',
  ]);
});

test('a rollback to a savepoint forgets what was recorded behind it, and keeps the savepoint', () => {
  const transaction = new Transaction();
  transaction.begin('BEGIN');
  transaction.record('CREATE TABLE a ()', [], settings);
  transaction.savepoint('s', 'SAVEPOINT s', 0);
  transaction.record('CREATE TABLE b ()', [], settings);
  transaction.savepoint('t', 'SAVEPOINT t', 0);
  transaction.rollbackTo('s');
  assert.deepEqual(
    transaction.redo('app').ddl.map(d => d.sql),
    ['CREATE TABLE a ()'],
  );
  assert.deepEqual(transaction.joinSql(), ['BEGIN', 'SAVEPOINT s']);
});

test('of two savepoints of one name the later is meant', () => {
  const transaction = new Transaction();
  transaction.begin('BEGIN');
  transaction.savepoint('s', 'SAVEPOINT s', 0);
  transaction.record('CREATE TABLE a ()', [], settings);
  transaction.savepoint('s', 'SAVEPOINT s', 0);
  transaction.record('CREATE TABLE b ()', [], settings);
  transaction.rollbackTo('s');
  assert.equal(transaction.redo('app').ddl.length, 1);
  transaction.release('s');
  assert.equal(transaction.redo('app').ddl.length, 1);
  transaction.rollbackTo('s');
  assert.ok(!transaction.recorded);
});

test('a chained transaction keeps its modes and nothing else', () => {
  const transaction = new Transaction();
  transaction.begin('BEGIN READ ONLY');
  transaction.joined = true;
  transaction.savepoint('s', 'SAVEPOINT s', 0);
  transaction.end(true);
  assert.ok(transaction.explicit && !transaction.joined);
  assert.deepEqual(transaction.joinSql(), ['BEGIN READ ONLY']);
  transaction.end(false);
  assert.deepEqual(transaction.joinSql(), ['BEGIN']);
});
