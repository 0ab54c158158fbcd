import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { deriveKey } from './keys.js';
import { Payloads, payloadMax, sessionSalt } from './payloads.js';

const rootKey = randomBytes(32);
const payloads = new Payloads(rootKey);
const session = sessionSalt();

test('what is sealed opens on its channel only, and not when it was changed', () => {
  for (const payload of ['', 'x', 'Zaphod Ä 🏥', 'y'.repeat(payloadMax)]) {
    const sealed = payloads.seal('ward', payload, { session, number: 1 });
    assert.match(sealed, /^clarus1:[A-Za-z0-9+/]+$/);
    assert.ok(sealed.length < 8_000);
    assert.equal(payloads.open('ward', sealed), payload);
    const bytes = Buffer.from(sealed.slice(8), 'base64');
    bytes[bytes.length >> 1]! ^= 1;
    const changed = `clarus1:${bytes.toString('base64')}`;
    for (const wrong of [changed, sealed.slice(0, -4), 'clarus1:', 'clarus1:AAAA'])
      assert.throws(() => payloads.open('ward', wrong), { code: 'XX001' });
    assert.throws(() => payloads.open('war', sealed), { code: 'XX001' });
    assert.throws(() => new Payloads(randomBytes(32)).open('ward', sealed), { code: 'XX001' });
  }
  assert.throws(() => payloads.seal('ward', 'y'.repeat(payloadMax + 1), { session, number: 1 }), {
    code: '54000',
  });
  assert.equal(payloads.open('ward', 'as it is'), 'as it is');
});

test('a payload is sealed alike within one transaction, and otherwise everywhere else', () => {
  const seal = (channel: string, payload: string, number: number, of = session): string =>
    payloads.seal(channel, payload, { session: of, number });
  const one = seal('ward', 'x', 1);
  assert.equal(seal('ward', 'x', 1), one);
  const others = [
    seal('ward', 'y', 1),
    seal('war', 'dx', 1),
    seal('ward', 'x', 2),
    seal('ward', 'x', 1, sessionSalt()),
  ];
  assert.equal(new Set([one, ...others]).size, 5);
  const nonces = [one, ...others].map(text =>
    Buffer.from(text.slice(8), 'base64').subarray(0, 12).toString('hex'),
  );
  assert.equal(new Set(nonces).size, 5);
});

test('the form is that of docs/spec/notification.md', () => {
  const sealed = Buffer.from(payloads.seal('ä', 'known', { session, number: 7 }).slice(8), 'base64');
  const cipher = createCipheriv(
    'aes-256-gcm',
    deriveKey(rootKey, 'clarus/1 notification'),
    sealed.subarray(0, 12),
  );
  cipher.setAAD(Buffer.from('00000002c3a4', 'hex'));
  const text = Buffer.concat([cipher.update('known'), cipher.final()]);
  assert.deepEqual(sealed.subarray(12), Buffer.concat([text, cipher.getAuthTag()]));
});
