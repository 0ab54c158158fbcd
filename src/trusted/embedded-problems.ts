/** Makes one line with cause and remedy of what initdb or postgres printed. */
import { ClarusError } from '../errors.js';

const problems: readonly { readonly pattern: RegExp; readonly code: string; readonly message: (place: string, port?: number) => string; readonly hint: string }[] = [
  { pattern: /No space left on device/, code: '53100', message: place => `the disk of ${place} is full`, hint: 'Free some space, or name another directory.' },
  { pattern: /shared memory|\/dev\/shm|shmget|shm_open/i, code: '53200', message: () => 'PostgreSQL does not get its shared memory', hint: 'Enlarge /dev/shm (in a container: --shm-size=256m).' },
  { pattern: /Address already in use|could not create any TCP\/IP sockets/, code: '55006', message: (_place, port) => `port ${port ?? ''} is in use`, hint: 'Stop what listens there, or name another port.' },
  { pattern: /incompatible with server|initialized by PostgreSQL version/, code: '58P01', message: place => `${place} was made by another version of PostgreSQL`, hint: 'Install the binaries of that version, or name another directory.' },
  { pattern: /Permission denied/, code: '42501', message: place => `PostgreSQL may not use ${place}`, hint: 'Give the directory to the account PostgreSQL runs as, or name another one.' },
];

/** @param said what the program printed */
export function startProblem(said: string, place: string, port?: number): ClarusError {
  for (const { pattern, code, message, hint } of problems) if (pattern.test(said)) return new ClarusError(code, message(place, port), { hint });
  const line = said.split('\n').find(text => /FATAL|PANIC|error/i.test(text))?.replace(/^.*?(FATAL|PANIC|error): */i, '') ?? 'it ended at once';
  return new ClarusError('58000', `PostgreSQL did not start on ${place}: ${line}`, { hint: 'See the directory’s owner, the free disk and memory.' });
}
