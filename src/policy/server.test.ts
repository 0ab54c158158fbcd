import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, parseConfig } from './parse.js';
import { formatProblem } from './problems.js';

/** Mistakes in how servers are reached: the cloud's settings, from column 16 of line 2. */
const serverMistakes: readonly (readonly [mistake: string, settings: string, said: string])[] = [
  [
    'no URL',
    '{ password: "env:P" }',
    '2:10: "clouds.main" lacks the key "postgres" (add postgres: "postgres://app@127.0.0.1:5432/hospital")',
  ],
  [
    'another scheme',
    '{ postgres: "mysql://a@b/c" }',
    '2:28: "clouds.main.postgres" must be a URL such as postgres://app@127.0.0.1:5432/hospital',
  ],
  [
    'a URL that cannot be read',
    '{ postgres: "postgres://a@b:x/c" }',
    '2:28: the URL cannot be read (write postgres://USER@HOST:PORT/DATABASE)',
  ],
  [
    'no host',
    '{ postgres: "postgres:///hospital" }',
    '2:28: the URL names no host (write postgres://USER@HOST:PORT/DATABASE)',
  ],
  [
    'no user',
    '{ postgres: "postgres://h/hospital" }',
    '2:28: the URL names no user (write postgres://USER@HOST:PORT/DATABASE)',
  ],
  [
    'no database',
    '{ postgres: "postgres://a@h" }',
    '2:28: the URL names no database (write postgres://USER@HOST:PORT/DATABASE)',
  ],
  [
    'a wrong escape',
    '{ postgres: "postgres://a%zz@h/d" }',
    '2:28: the URL holds a % that begins no character (write %25 for % in a name)',
  ],
  [
    'a parameter',
    '{ postgres: "postgres://a@h/d?options=x" }',
    '2:28: the URL has a parameter other than sslmode (write tls: and ca: beside the URL)',
  ],
  [
    'a password to a remote host',
    '{ postgres: "postgres://a:hunter2@db.example.org/d" }',
    '2:28: the URL of a remote host holds a password in the clear (take it out of the URL and write password: "env:NAME" or "file:PATH")',
  ],
  [
    'a password given twice',
    '{ postgres: "postgres://a:hunter2@localhost/d", password: "env:P" }',
    '2:74: the password is given twice, here and in the URL (take it out of the URL and write password: "env:NAME" or "file:PATH")',
  ],
  [
    'a secret in the clear',
    '{ postgres: "postgres://a@h/d", password: hunter2 }',
    '2:58: "clouds.main.password" must be a reference, "env:NAME" or "file:PATH"; a secret is never written in this file',
  ],
  [
    'a numeric secret in the clear',
    '{ postgres: "postgres://a@h/d", password: 12345 }',
    '2:58: "clouds.main.password" must be a reference, "env:NAME" or "file:PATH"; a secret is never written in this file',
  ],
  [
    'a plain connection to a remote host',
    '{ postgres: "postgres://a@h/d?sslmode=prefer" }',
    '2:28: the sslmode of the URL allows a plain connection to a remote host (remove it (TLS is verified by default), or write tls: off beside the URL)',
  ],
  [
    'an unknown sslmode',
    '{ postgres: "postgres://a@h/d?sslmode=yes" }',
    '2:28: the URL has an unknown sslmode (known: disable, allow, prefer, require, verify-ca, verify-full)',
  ],
  [
    'contradicting words on TLS',
    '{ postgres: "postgres://a@h/d?sslmode=require", tls: off }',
    '2:69: tls: off contradicts the sslmode of the URL (remove one of them)',
  ],
  [
    'an authority without TLS',
    '{ postgres: "postgres://a@localhost/d", tls: off, ca: a.pem }',
    '2:70: ca has no use with tls: off (remove one of them)',
  ],
  [
    'the name of the trusted side',
    '{ postgres: "postgres://a@h/clarus" }',
    '2:28: the database name "clarus" is taken on the trusted side',
  ],
];

for (const [mistake, settings, said] of serverMistakes) {
  test(`a cloud with ${mistake} is told with its place, and never a secret`, () => {
    const problems = problemsOf(`clarus: 1\nclouds: {main: ${settings}}\n`);
    assert.deepEqual(problems, [said]);
    assert.ok(!problems.join().includes('hunter2'));
  });
}

function problemsOf(text: string): readonly string[] {
  try {
    parseConfig(text, 'clarus.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(problem => formatProblem(problem).replace(/^clarus\.yaml:/u, ''));
  }
  return [];
}
