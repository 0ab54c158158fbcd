import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClarusError } from '../errors.js';
import { parseConfig } from './parse.js';
import { proposeProtection } from './propose.js';
import { writeConfigTemplate } from './template.js';

test('the file begins with the line that tells an editor the schema', () => {
  assert.match(
    writeConfigTemplate(),
    /^# yaml-language-server: \$schema=\.\/node_modules\/clarus\/dist\/policy\/clarus\.schema\.json\n/u,
  );
  assert.match(
    writeConfigTemplate({ schemaLocation: 'file:///x.json' }),
    /^# yaml-language-server: \$schema=file:\/\/\/x\.json\n/u,
  );
});

test('the file is taken as it is, and refuses what is not listed', () => {
  const config = parseConfig(writeConfigTemplate(), 'clarus.yaml');
  assert.deepEqual(config.policy, { unlisted: 'refuse', declassify: [], tables: [] });
  assert.deepEqual(config.warnings, []);
});

test('the password of a URL is not written', () => {
  const text = writeConfigTemplate({
    cloudUrl: 'postgres://us%40er:hunter2@[2001:db8::1]/hos%20pital?sslmode=require',
  });
  assert.ok(!text.includes('hunter2'));
  const { host, port, user, database, password, tls } = parseConfig(text, 'clarus.yaml').clouds[0]!;
  assert.deepEqual(
    { host, port, user, database, password, tls },
    {
      host: '2001:db8::1',
      port: 5432,
      user: 'us@er',
      database: 'hos pital',
      password: { kind: 'env', name: 'CLOUD_PASSWORD' },
      tls: 'verify',
    },
  );
});

test('a plain connection that the URL asks for is said', () => {
  const text = writeConfigTemplate({ cloudUrl: 'postgres://app@db.example.org/d?sslmode=disable' });
  const config = parseConfig(text, 'clarus.yaml');
  assert.equal(config.clouds[0]?.tls, 'off');
  assert.equal(config.warnings.length, 1);
});

test('a URL that cannot be read is refused without its words', () => {
  assert.throws(
    () => writeConfigTemplate({ cloudUrl: 'postgres://app:hunter2@/d' }),
    (error: unknown) =>
      error instanceof ClarusError &&
      error.code === 'F0000' &&
      !`${error.message}${error.fields.hint}`.includes('hunter2'),
  );
});

test('proposals stand with their reasons, guesses marked', () => {
  const proposals = proposeProtection([
    {
      schema: 'public',
      name: 'patient',
      columns: [
        { name: 'email', type: 'text' },
        { name: 'mystery', type: 'integer' },
      ],
    },
  ]);
  const text = writeConfigTemplate({ proposals });
  assert.ok(
    text.includes(
      '      email: { class: identifier, protect: encrypt, queries: [equality] } # an e-mail address\n',
    ),
  );
  assert.ok(
    text.includes(
      '      mystery: { class: confidential, protect: encrypt } # guess: nothing tells that it is harmless\n',
    ),
  );
});
