import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startupSettings } from './startup-settings.js';

const settings = (entries: Record<string, string>) => startupSettings(new Map(Object.entries(entries)));

test('the database is the user when none is named', () => {
  assert.equal(settings({ user: 'ann' }).database, 'ann');
  assert.equal(settings({ user: 'ann', database: 'hospital' }).database, 'hospital');
});

test('application_name never reaches the settings for servers, whichever way it came', () => {
  for (const entries of [
    { application_name: 'secret' },
    { options: '-c application_name=secret' },
    { options: '-capplication_name=secret' },
    { options: '--application-name=secret' },
    { options: '-c Application_Name=secret -c geqo=off' },
    { options: '-c application_name=se\\ cret' },
  ]) {
    const result = settings({ user: 'ann', ...entries });
    assert.match(result.applicationName ?? '', /^se ?cret$/);
    assert.ok(!JSON.stringify([...result.settings]).includes('cret'), JSON.stringify([...result.settings]));
  }
});

test('other options stay as they are', () => {
  const { settings: kept } = settings({
    user: 'ann',
    options: '-c geqo=off --work-mem=1MB',
    DateStyle: 'German',
  });
  assert.deepEqual(
    [...kept],
    [
      ['options', '-c geqo=off --work-mem=1MB'],
      ['DateStyle', 'German'],
    ],
  );
});

test('replication is refused', () => {
  assert.throws(() => settings({ user: 'ann', replication: 'database' }), { code: '0A000' });
  assert.equal(settings({ user: 'ann', replication: 'false' }).settings.size, 0);
});
