/** Words for why a PostgreSQL server did not start: the cause in one line and what to do about it. */
import { ClarusError } from '../errors.js';

interface Cause {
  readonly sign: RegExp;
  readonly code: string;
  readonly message: (directory: string, found: RegExpExecArray) => string;
  readonly hint: string;
}

const causes: readonly Cause[] = [
  {
    sign: /lock file "postmaster\.pid" already exists|pre-existing shared memory block/,
    code: '55006',
    message: directory => `another server runs on ${directory}`,
    hint: 'stop the other Clarus first, or choose another directory',
  },
  {
    sign: /No space left on device|ENOSPC|Disk quota exceeded|EDQUOT|wrote only \d+ of \d+ bytes/,
    code: '53100',
    message: directory => `the disk that holds ${directory} is full`,
    hint: 'free some space there, or choose another directory',
  },
  {
    sign: /could not resize shared memory segment|shared memory segment .*: Cannot allocate memory|could not map anonymous shared memory/,
    code: '53200',
    message: () => 'there is too little shared memory for PostgreSQL',
    hint: 'give the machine more memory, or the container a larger /dev/shm (docker run --shm-size=256m)',
  },
  {
    sign: /Address already in use/,
    code: '55006',
    message: () => "PostgreSQL's port or socket is in use",
    hint: 'stop the program that uses it, or choose another port',
  },
  {
    sign: /GLIBC_[\d.]+' not found|error while loading shared libraries: (\S+)/,
    code: '58P01',
    message: (_, found) =>
      `the embedded PostgreSQL does not run on this system (${found[1] ?? 'its C library is too old'})`,
    hint: 'use a newer system, or a PostgreSQL server of your own (trusted.database in clarus.yaml)',
  },
  {
    sign: /could not find the database system|could not locate a valid checkpoint record/,
    code: 'XX001',
    message: directory => `the PostgreSQL data in ${directory} are damaged`,
    hint: 'restore the directory from a backup',
  },
  {
    sign: /invalid value for parameter "([^"]+)"|unrecognized configuration parameter "([^"]+)"/,
    code: '22023',
    message: (_, found) => `PostgreSQL does not take the setting ${found[1] ?? found[2]}`,
    hint: 'correct the setting',
  },
  {
    sign: /EACCES|Permission denied|EPERM|Operation not permitted/,
    code: '42501',
    message: directory => `the system does not let PostgreSQL use ${directory}`,
    hint: 'make the directory and all in it belong to the user that runs the server',
  },
  {
    sign: /EROFS|Read-only file system/,
    code: '58030',
    message: directory => `the file system that holds ${directory} is read-only`,
    hint: 'choose another directory',
  },
  {
    sign: /ENOTDIR|EEXIST: file already exists/,
    code: '58P01',
    message: directory => `${directory} is not a directory`,
    hint: 'choose another directory',
  },
  {
    sign: /invalid locale name "?([^\s"]+)/,
    code: '22023',
    message: (_, found) => `this system has no locale ${found[1]}`,
    hint: 'install the locale, or use the default C.UTF-8',
  },
  {
    sign: /(?:FATAL|PANIC|ERROR|error):\s+(.{1,200})/,
    code: '58000',
    message: (directory, found) => `PostgreSQL does not start on ${directory}: ${found[1]}`,
    hint: 'if the data are damaged, restore the directory from a backup',
  },
];

/**
 * The error to show for what a server or initdb wrote before it gave up, or undefined when it says nothing that
 * we know.
 */
export function startFailure(directory: string, output: string): ClarusError | undefined {
  for (const cause of causes) {
    const found = cause.sign.exec(output);
    if (found !== null)
      return new ClarusError(cause.code, cause.message(directory, found), { hint: cause.hint });
  }
  return undefined;
}
