import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PostgresError } from '../wire/diagnostic.js';
import { describeCause } from './failure.js';

test('why a connection could not begin is one line without frames', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
  assert.equal(describeCause(refused), 'connect ECONNREFUSED 127.0.0.1:5432');
  const answered = new PostgresError({
    severity: 'FATAL',
    code: '53300',
    message: 'sorry, too many clients',
  });
  assert.equal(describeCause(answered), 'sorry, too many clients (SQLSTATE 53300)');
});
