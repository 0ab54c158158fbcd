import { createHash } from 'node:crypto';

const md5 = (...parts: readonly (Uint8Array | string)[]): string => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/**
 * The answer to AuthenticationMD5Password (PostgreSQL manual, chapter 54.2.1). Only for servers that still ask.
 * @param salt the 4 bytes of the request
 */
export const md5Response = (user: string, password: string, salt: Uint8Array): string =>
  `md5${md5(md5(password, user), salt)}`;
