import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { serverEndPoint } from './channel-binding.js';

/** Self-signed certificates of `CN=t`, made by OpenSSL; by the hash that RFC 5929 demands. */
const certificates: readonly (readonly [string, string | undefined, string])[] = [
  [
    'ecdsa-with-SHA384',
    'sha384',
    'MIIBcDCCARWgAwIBAgIUM5thQLoGvXevnUnfjzK3NXeOLIIwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjQxNjI2MzBaGA8yMTI2MTAzMTE2MjYzMFowDDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABG+hBAN8eKV6lA8JUOJ4MtJZ1X4YOiVNk5ULjtupUMJJP6w0rwOU61VQFQBW0A57v79fx8pWHlanVl48dL+VtzyjUzBRMB0GA1UdDgQWBBSbPEoatmcd/Gvf9/lSheoK96y7KzAfBgNVHSMEGDAWgBSbPEoatmcd/Gvf9/lSheoK96y7KzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMDA0kAMEYCIQCayxsj/3cGcQX977zXSL/IOElW93w90EKcFUQCdQsfjwIhALc1bq7rKGNCeHJuDz4QqpD/uyytvzpZsyhrurIzTE1H',
  ],
  [
    'ecdsa-with-SHA1',
    'sha256',
    'MIIBbjCCARSgAwIBAgIUegnz/rFcTvvsSxEiDaitcB/wEWowCQYHKoZIzj0EATAMMQowCAYDVQQDDAF0MCAXDTI2MTEyNDE2MjYzMFoYDzIxMjYxMDMxMTYyNjMwWjAMMQowCAYDVQQDDAF0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtH0WsX90ke8eH03Fkvw/CYMU4Iug2w2Kgd/67/pa2eZyeTXMLP4AyDIVx4gWtMZ8O/wwAcWID9HDMLViT7LwjaNTMFEwHQYDVR0OBBYEFG78+OmPn8kZRFvgtuwbYyJVPx12MB8GA1UdIwQYMBaAFG78+OmPn8kZRFvgtuwbYyJVPx12MA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0EAQNJADBGAiEAn9un0qTmwNQptlMNrdBKjbqbnuVMgf68mJrJYe4/lIECIQD7yGGkcas5SkjZ68vERnn2g+lUiOZ25QahNbR3FzzE7w==',
  ],
  [
    'sha256WithRSAEncryption',
    'sha256',
    'MIIB9jCCAV+gAwIBAgIULgo2Rk87pwfhQrhn5jYzMAU/paAwDQYJKoZIhvcNAQELBQAwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjQxNjI2MzBaGA8yMTI2MTAzMTE2MjYzMFowDDEKMAgGA1UEAwwBdDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA0gHCHFxpDP/SJx/Ge5PWmQf5TFQYM26+iR7x2AN+H7oJmrQKFjcE9T9dlMw6l7FyaZ5z23Rs7+tJ2hL29MPR5dVRz6FLNVbNOWTXQX0sQ64/pVaObovY61WJBaMLfcZppTnyl9mZGQhK1LC94r6A6roFVuCU/AWbumk/kwOWfb0CAwEAAaNTMFEwHQYDVR0OBBYEFCLa5VOWYjTf3AyuMzavuhw1hg+OMB8GA1UdIwQYMBaAFCLa5VOWYjTf3AyuMzavuhw1hg+OMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEAnMLDI06mjDKJpaJSjDHJ8Jij3jZhOwEAaX8S0Fw8Ub+d/4ZWbS2VjUAkM7oB4LiPsBi3kYfqXLa1MUaVms3dz7pPvE3kkwl5l8aqr2sz9mUe2KuLRF5bbGyW5eFa4wLtQStQytq5JsUKE3+oficJKQaDxr+U0JV5u+nhF3VjmGk=',
  ],
  [
    'RSASSA-PSS with SHA-384',
    'sha384',
    'MIICXjCCAZOgAwIBAgIUMao0KEOlX79q5h/VTw5UmLK3XyEwQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgIFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgIFAKIDAgFOMAwxCjAIBgNVBAMMAXQwIBcNMjYxMTI0MTYyNjMwWhgPMjEyNjEwMzExNjI2MzBaMAwxCjAIBgNVBAMMAXQwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBANIBwhxcaQz/0icfxnuT1pkH+UxUGDNuvoke8dgDfh+6CZq0ChY3BPU/XZTMOpexcmmec9t0bO/rSdoS9vTD0eXVUc+hSzVWzTlk10F9LEOuP6VWjm6L2OtViQWjC33GaaU58pfZmRkIStSwveK+gOq6BVbglPwFm7ppP5MDln29AgMBAAGjUzBRMB0GA1UdDgQWBBQi2uVTlmI039wMrjM2r7ocNYYPjjAfBgNVHSMEGDAWgBQi2uVTlmI039wMrjM2r7ocNYYPjjAPBgNVHRMBAf8EBTADAQH/MEEGCSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAICBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAICBQCiAwIBTgOBgQCNpadaryB8bTxbcvC0ILMeT5qoPdlwL/06LOQIvol9ze8MbpbVZJyCaTVsUk8OGNqz9/OHmLNPOD743+DjJLjjoNt/zh8FzHp0+Z/Um1YHp02T71r69UwirOzKVEvf3HMck2vH8eFQtbbirCEQLIbWsWJLPQt9xUufXaXtH2uueQ==',
  ],
  [
    'Ed25519',
    undefined,
    'MIIBLjCB4aADAgECAhQjlihponyIC/0VOYub0LhxACOP7jAFBgMrZXAwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjQxNjI2MzBaGA8yMTI2MTAzMTE2MjYzMFowDDEKMAgGA1UEAwwBdDAqMAUGAytlcAMhAIEz9tWHKKo83RDMeb75VbuV6wlIs5uIN4n5R2q4Bhlio1MwUTAdBgNVHQ4EFgQU0oPQuTEWtYJUQTh1Cv1OQnFk+DswHwYDVR0jBBgwFoAU0oPQuTEWtYJUQTh1Cv1OQnFk+DswDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQARuluFjwqpgKFpsdP9teL65FUAF8i1tgceLijUFqXNmlXGO7YueioNeAHjCg7PPuQVddYHC9HltLX7tyn4XD8A',
  ],
];

test('a certificate is hashed as its signature algorithm demands', () => {
  for (const [name, hash, encoded] of certificates) {
    const der = Buffer.from(encoded, 'base64');
    const expected = hash === undefined ? undefined : createHash(hash).update(der).digest();
    assert.deepEqual(serverEndPoint(der), expected, name);
  }
});

test('bytes that are no certificate have no channel binding', () => {
  const der = Buffer.from(certificates[0]![2], 'base64');
  for (let end = 0; end < der.length; end++) assert.equal(serverEndPoint(der.subarray(0, end)), undefined);
});
