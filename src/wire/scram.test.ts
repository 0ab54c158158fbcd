import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClarusError } from '../errors.js';
import { MessageWriter } from './message-writer.js';
import { md5Response } from './password.js';
import { formatVerifier, makeVerifier, mockVerifier, parseVerifier } from './scram.js';
import { ScramClient, writeSaslInitialResponse } from './scram-client.js';
import { decodeSaslInitialResponse, ScramServer } from './scram-server.js';

/** RFC 7677 section 3 */
const example = {
  user: 'user',
  password: 'pencil',
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};

test('the exchange of RFC 7677 comes out byte for byte on both sides', async () => {
  const { user, password, clientNonce, serverNonce, salt } = example;
  const client = new ScramClient({ password, mechanisms: ['SCRAM-SHA-256'], user, nonce: clientNonce });
  assert.equal(client.first().toString(), example.clientFirst);
  assert.equal((await client.respond(Buffer.from(example.serverFirst))).toString(), example.clientFinal);
  client.verify(Buffer.from(example.serverFinal));

  const server = new ScramServer(makeVerifier(password, { salt }), { nonce: serverNonce });
  const challenge = server.first('SCRAM-SHA-256', Buffer.from(example.clientFirst));
  assert.equal(challenge.toString(), example.serverFirst);
  assert.equal(server.final(Buffer.from(example.clientFinal))?.toString(), example.serverFinal);
});

const exchange = async (client: ScramClient, server: ScramServer): Promise<boolean> => {
  const writer = new MessageWriter();
  writeSaslInitialResponse(writer, client.mechanism, client.first());
  const initial = decodeSaslInitialResponse(writer.take().subarray(5));
  const response = await client.respond(server.first(initial.mechanism, initial.data));
  const proof = server.final(response);
  if (proof === undefined) return false;
  client.verify(proof);
  return true;
};

test('the right password passes and every other fails, with and without channel binding', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'grapheme' }),
      fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }),
      async (password, other, channelBinding) => {
        const verifier = makeVerifier(password, { iterations: 2 });
        const attempt = (tried: string): Promise<boolean> => {
          const server = new ScramServer(verifier, { channelBinding });
          return exchange(
            new ScramClient({ password: tried, mechanisms: server.mechanisms, channelBinding }),
            server,
          );
        };
        assert.ok(await attempt(password));
        if (other.normalize('NFKC') !== password.normalize('NFKC')) {
          const same = makeVerifier(other, { iterations: 2, salt: verifier.salt }).storedKey;
          assert.equal(await attempt(other), same.equals(verifier.storedKey));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('a channel bound to another certificate, or a downgrade, is refused', async () => {
  const verifier = makeVerifier('x', { iterations: 2 });
  const server = new ScramServer(verifier, { channelBinding: randomBytes(32) });
  const middle = new ScramClient({
    password: 'x',
    mechanisms: server.mechanisms,
    channelBinding: randomBytes(32),
  });
  await assert.rejects(exchange(middle, server), /channel binding check failed/);
  const downgraded = new ScramClient({
    password: 'x',
    mechanisms: ['SCRAM-SHA-256'],
    channelBinding: randomBytes(32),
  });
  await assert.rejects(
    exchange(downgraded, new ScramServer(verifier, { channelBinding: randomBytes(32) })),
    /negotiation error/,
  );
});

test('a user who does not exist looks like one who does, and no password fits', async () => {
  const secret = randomBytes(16);
  const first = mockVerifier('ghost', secret);
  assert.deepEqual(mockVerifier('ghost', secret).salt, first.salt);
  assert.notDeepEqual(mockVerifier('other', secret).salt, first.salt);
  assert.equal(first.salt.length, makeVerifier('x').salt.length);
  assert.equal(first.iterations, makeVerifier('x').iterations);
  const server = new ScramServer(makeVerifier('x'), { doomed: true });
  assert.equal(
    await exchange(new ScramClient({ password: 'x', mechanisms: server.mechanisms }), server),
    false,
  );
});

test('a server that does not know the password is noticed', async () => {
  const client = new ScramClient({ password: 'x', mechanisms: ['SCRAM-SHA-256'] });
  const server = new ScramServer(makeVerifier('y'));
  const response = await client.respond(server.first('SCRAM-SHA-256', client.first()));
  assert.equal(server.final(response), undefined);
  assert.throws(() => client.verify(Buffer.from('v=AAAA')), /did not prove/);
  assert.throws(() => client.verify(Buffer.from('e=other-error')), /did not prove/);
  const early = new ScramClient({ password: 'x', mechanisms: ['SCRAM-SHA-256'] });
  assert.throws(() => early.verify(Buffer.from(example.serverFinal)), /did not prove/);
  await assert.rejects(client.respond(Buffer.from(`${client.first()}`)), /malformed/);
  const greedy = `r=${client.first().toString().split('r=')[1]}x,s=AAAA,i=2000000000`;
  await assert.rejects(client.respond(Buffer.from(greedy)), /iterations/);
});

test('hostile messages are refused with an error of the protocol', () => {
  const refused = (act: () => unknown): void => {
    try {
      act();
    } catch (error) {
      assert.ok(error instanceof ClarusError, String(error));
    }
  };
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.stringMatching(/^[nyp](=[a-z-]*)?,(a=x)?,(m=1,)?n=[a-z]*,r=[a-z, ]*$/),
        fc.stringMatching(/^c=(biws)?,r=[a-z]*,p=[A-Za-z0-9]*=*$/),
      ),
      text => {
        const server = new ScramServer(makeVerifier('x', { iterations: 1 }));
        refused(() => decodeSaslInitialResponse(Buffer.from(text)));
        refused(() => server.first('SCRAM-SHA-256', Buffer.from(text)));
        refused(() => server.final(Buffer.from(text)));
        refused(() => server.first('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc')));
        refused(() => assert.equal(server.final(Buffer.from(text)), undefined));
      },
    ),
  );
});

test('verifiers are written and read as PostgreSQL stores them', () => {
  const salt = example.salt;
  const text = formatVerifier(makeVerifier('pencil', { salt }));
  assert.equal(
    text,
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  );
  assert.deepEqual(parseVerifier(text), makeVerifier('pencil', { salt }));
  assert.equal(parseVerifier('md5abc'), undefined);
  assert.equal(parseVerifier('SCRAM-SHA-256$4096:AAAA$AAAA:AAAA'), undefined);
});

test('the answer to an MD5 request is that of libpq', () => {
  assert.equal(
    md5Response('postgres', 'secret', Buffer.from([1, 2, 3, 4])),
    'md5bb41a296aab6baccb36ff243a562abff',
  );
});
