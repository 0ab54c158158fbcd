/** Reads how a PostgreSQL server is reached: URL, password, TLS. */
import { rejectName } from './names.js';
import type { SecretReference, ServerConfig, ServerPassword } from './policy.js';
import type { Findings } from './problems.js';
import type { Path, Source } from './source.js';

/** What a file says of a server, checked against the schema. */
export interface RawServer {
  readonly password?: string;
  readonly tls?: 'verify' | 'off';
  readonly ca?: string;
}

/** What reading a part of a file needs. */
export interface Reading {
  readonly source: Source;
  readonly findings: Findings;
  /** an absolute path, resolved against the file's directory */
  resolvePath(path: string): string;
}

/** `env:NAME` or `file:PATH`, which the schema has checked. */
export function readSecret(text: string, reading: Reading): SecretReference {
  return text.startsWith('env:')
    ? { kind: 'env', name: text.slice('env:'.length) }
    : { kind: 'file', path: reading.resolvePath(text.slice('file:'.length)) };
}

/** Whether a host is this machine by its name alone: nothing on the network can answer for it. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/iu.test(host);
}

/**
 * Reads a server, or reports why it cannot be reached safely.
 * @param url text of the URL; its words are never repeated, there may be a password in it
 * @param urlPath where the URL stands
 * @param path where `password`, `tls` and `ca` stand
 */
export function readServer(
  url: string,
  urlPath: Path,
  raw: RawServer,
  path: Path,
  reading: Reading,
): ServerConfig | undefined {
  const { source, findings } = reading;
  const at = source.valueAt(urlPath);
  const parsed = parseServerUrl(url);
  if ('problem' in parsed) {
    findings.problem(
      at,
      `the URL ${parsed.problem}`,
      parsed.suggestion ?? 'write postgres://USER@HOST:PORT/DATABASE',
    );
    return undefined;
  }
  const { host, port, user, database } = parsed;
  return {
    host,
    port,
    user,
    database,
    password: readPassword(parsed, urlPath, raw, path, reading),
    tls: readTls(parsed, urlPath, raw, path, reading),
    ca: raw.ca === undefined ? undefined : reading.resolvePath(raw.ca),
  };
}

/** The parts of a URL `postgres://user:password@host:port/database?sslmode=...`, decoded. */
export interface ServerUrl {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  readonly sslmode: string | undefined;
}

/** Takes a server's URL apart; a problem is worded without any part of the URL. */
export function parseServerUrl(
  text: string,
): ServerUrl | { readonly problem: string; readonly suggestion?: string } {
  if (!/^postgres(ql)?:\/\//u.test(text) || !URL.canParse(text)) return { problem: 'cannot be read' };
  const url = new URL(text);
  if (url.hash !== '') return { problem: 'holds a #', suggestion: 'write %23 for # in a name' };
  const [host, user, database, password] = [
    url.hostname.replace(/^\[(.*)\]$/u, '$1'),
    url.username,
    url.pathname.slice(1),
    url.password,
  ].map(decode);
  if (host === undefined || user === undefined || database === undefined || password === undefined) {
    return { problem: 'holds a % that begins no character', suggestion: 'write %25 for % in a name' };
  }
  if (host === '') return { problem: 'names no host' };
  if (!/^[A-Za-z0-9._:-]+$/u.test(host)) {
    return { problem: 'names a host that is neither a name nor an address' };
  }
  if (user === '') return { problem: 'names no user' };
  if (database === '') return { problem: 'names no database' };
  const rejected = rejectName(user) ?? rejectName(database);
  if (rejected !== undefined) return { problem: `names a user or database that cannot be: ${rejected}` };
  const unknown = [...url.searchParams.keys()].find(name => name !== 'sslmode');
  if (unknown !== undefined) {
    return { problem: 'has a parameter other than sslmode', suggestion: 'write tls: and ca: beside the URL' };
  }
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    database,
    password: password === '' ? undefined : password,
    sslmode: url.searchParams.get('sslmode') ?? undefined,
  };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function readPassword(
  url: ServerUrl,
  urlPath: Path,
  raw: RawServer,
  path: Path,
  reading: Reading,
): ServerPassword | undefined {
  const { source, findings } = reading;
  const reference = raw.password === undefined ? undefined : readSecret(raw.password, reading);
  if (url.password === undefined) return reference;
  const at = source.valueAt(urlPath);
  const byReference = 'take it out of the URL and write password: "env:NAME" or "file:PATH"';
  if (reference !== undefined) {
    findings.problem(
      source.valueAt([...path, 'password']),
      'the password is given twice, here and in the URL',
      byReference,
    );
    return reference;
  }
  if (!isLoopback(url.host)) {
    findings.problem(at, 'the URL of a remote host holds a password in the clear', byReference);
    return undefined;
  }
  findings.warning(at, `the URL holds a password in the clear: ${byReference}`);
  return { kind: 'url', password: url.password };
}

const sslmodes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** Plain only to this machine, or when the file says `tls: off`; everything else is verified. */
function readTls(
  url: ServerUrl,
  urlPath: Path,
  raw: RawServer,
  path: Path,
  { source, findings }: Reading,
): 'verify' | 'off' {
  const local = isLoopback(url.host);
  const urlAt = source.valueAt(urlPath);
  if (url.sslmode !== undefined && !sslmodes.includes(url.sslmode)) {
    findings.problem(urlAt, 'the URL has an unknown sslmode', `known: ${sslmodes.join(', ')}`);
  }
  const plain = ['disable', 'allow', 'prefer'].includes(url.sslmode ?? '');
  if (raw.tls === 'off') {
    const tlsAt = source.valueAt([...path, 'tls']);
    if (raw.ca !== undefined) {
      findings.problem(source.valueAt([...path, 'ca']), 'ca has no use with tls: off', 'remove one of them');
    }
    if (url.sslmode !== undefined && !plain) {
      findings.problem(tlsAt, 'tls: off contradicts the sslmode of the URL', 'remove one of them');
    }
    if (!local) {
      findings.warning(
        tlsAt,
        `the connection to ${url.host} is plain: whoever is on the way reads and changes it`,
      );
    }
    return 'off';
  }
  if (raw.tls === 'verify' || raw.ca !== undefined) return 'verify';
  if (plain && !local) {
    findings.problem(
      urlAt,
      'the sslmode of the URL allows a plain connection to a remote host',
      'remove it (TLS is verified by default), or write tls: off beside the URL',
    );
  }
  return local && (plain || url.sslmode === undefined) ? 'off' : 'verify';
}
