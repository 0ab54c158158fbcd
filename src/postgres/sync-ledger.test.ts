import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SyncLedger } from './sync-ledger.js';

test('a session is idle when every Query and Sync is answered', () => {
  const ledger = new SyncLedger();
  assert.ok(ledger.idle);
  ledger.query();
  ledger.message();
  ledger.sync();
  assert.ok(!ledger.idle);
  ledger.ready();
  assert.ok(!ledger.idle);
  ledger.ready();
  assert.ok(ledger.idle);
});

test('messages without a Sync keep it busy', () => {
  const ledger = new SyncLedger();
  ledger.message();
  assert.ok(!ledger.idle);
  assert.ok(!ledger.betweenBatches);
});

test('COPY by Query: its one ReadyForQuery comes after the data', () => {
  const ledger = new SyncLedger();
  ledger.query();
  ledger.copyBegan();
  ledger.sync();
  ledger.copyEnded();
  ledger.ready();
  assert.ok(ledger.idle);
});

test('COPY by Execute: a Sync sent with it is ignored by the server, the one after the data counts', () => {
  const ledger = new SyncLedger();
  ledger.message();
  ledger.sync();
  ledger.copyBegan();
  ledger.copyEnded();
  ledger.sync();
  ledger.ready();
  assert.ok(ledger.idle);
});

test('COPY sent blindly, data and all, before the server answered', () => {
  const ledger = new SyncLedger();
  ledger.message();
  ledger.sync();
  ledger.copyEnded();
  ledger.sync();
  ledger.copyBegan();
  ledger.ready();
  assert.ok(ledger.idle);
});

test('after an error in COPY a Sync counts again', () => {
  const ledger = new SyncLedger();
  ledger.message();
  ledger.copyBegan();
  ledger.failed();
  assert.ok(!ledger.idle);
  ledger.sync();
  ledger.ready();
  assert.ok(ledger.idle);
});
