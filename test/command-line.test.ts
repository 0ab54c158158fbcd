/** What the command line says of what it could not see, and of secrets that are wrong. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Workplace } from './support/command-line.js';
import { freePort } from './support/server.js';

let place: Workplace;

before(async () => {
  place = new Workplace();
  chmodSync(place.directory, 0o755);
  place.write('root.key', `${'ab'.repeat(32)}\n`);
  place.write(
    'clarus.yaml',
    `clarus: 1
trusted: { database: embedded, directory: ./data, key: { file: ./root.key } }
clouds: { main: { postgres: "postgres://app@127.0.0.1:${await freePort()}/hospital", password: "env:CLOUD_PASSWORD" } }
listen: { postgres: "127.0.0.1:${await freePort()}" }
tls: off
users: { app: { password: "env:APP_PASSWORD" } }
tables: { public.patient: { columns: { id: { protect: none }, name: { class: identifier, protect: encrypt } } } }
`,
  );
});

after(() => place.remove());

test('check of a cloud that is not reached does not say what stands there in the clear', async () => {
  const { code, output } = await place.run(['check']);
  assert.equal(code, 1, output);
  const [, ending] = output.split('In the clear:\n');
  assert.match(ending!, /^ {2}cloud "main": not known, because it was not reached\n/);
  assert.match(ending!, /\n1 problem:\n/);
  assert.doesNotMatch(output, /nothing/);
  const asJson = await place.run(['check', '--json']);
  assert.deepEqual(JSON.parse(asJson.output).inTheClear, [
    'cloud "main": not known, because it was not reached',
  ]);
});

test('a file that holds no root key is named', async () => {
  place.write('other.key', 'ab\n');
  const { code, errors } = await place.run(['key', 'rotate', '--new-key', 'file:./other.key']);
  assert.equal(code, 1, errors);
  assert.match(
    errors,
    /^clarus: \.\/other\.key holds no root key, which is 64 hexadecimal digits; take the key/m,
  );
  place.write('root.key', 'cd\n');
  const checked = await place.run(['check']);
  assert.match(
    checked.errors,
    /^clarus: \/\S+\/root\.key holds no root key, which is 64 hexadecimal digits; take/m,
  );
});
