/** What the demonstration keeps in its one directory: configuration, keys, passwords, both servers' data. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The demonstration's table, as an application would make it. */
export const tableSql = `CREATE TABLE covid_test (
  rownames integer PRIMARY KEY,
  subject_id integer NOT NULL,
  fake_first_name text,
  fake_last_name text,
  gender text,
  pan_day integer,
  test_id text,
  clinic_name text,
  result text,
  demo_group text,
  age numeric,
  drive_thru_ind integer,
  ct_result numeric,
  orderset integer,
  payor_group text,
  patient_class text,
  col_rec_tat numeric,
  rec_ver_tat numeric
)`;

/** No tags on gender and result: with so few values a tag would give them away. */
const policy = `unlisted: refuse
tables:
  public.covid_test:
    columns:
      rownames:        { protect: none }
      subject_id:      { class: identifier, protect: encrypt, queries: [equality], domain: person }
      fake_first_name: { class: identifier, protect: encrypt, queries: [equality] }
      fake_last_name:  { class: identifier, protect: encrypt, queries: [equality] }
      gender:          { class: quasi-identifier, protect: encrypt }
      age:             { class: quasi-identifier, protect: encrypt }
      result:          { class: confidential, protect: encrypt }
      ct_result:       { class: confidential, protect: encrypt }
      payor_group:     { class: quasi-identifier, protect: encrypt }
      pan_day:         { protect: none }
      test_id:         { protect: none }
      clinic_name:     { protect: none }
      demo_group:      { protect: none }
      drive_thru_ind:  { protect: none }
      orderset:        { protect: none }
      patient_class:   { protect: none }
      col_rec_tat:     { protect: none }
      rec_ver_tat:     { protect: none }
`;

/** Paths of the demonstration's directory and configuration, and the passwords kept there. */
export interface DemoFiles {
  readonly directory: string;
  readonly config: string;
  readonly cloudPassword: string;
  readonly appPassword: string;
}

/** Makes what is missing. */
export function demoFiles(directory: string): DemoFiles {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const secret = (name: string): string => {
    const file = join(directory, name);
    if (!existsSync(file)) writeFileSync(file, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
    return readFileSync(file, 'utf8').trim();
  };
  const key = join(directory, 'root.key');
  if (!existsSync(key)) writeFileSync(key, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return {
    directory,
    config: join(directory, 'clarus.yaml'),
    cloudPassword: secret('cloud.password'),
    appPassword: secret('app.password'),
  };
}

/** Writes clarus.yaml for this start: the ports may be others than last time. */
export function writeDemoConfig(files: DemoFiles, cloudPort: number, port: number): void {
  writeFileSync(
    files.config,
    `# Written anew by each start of the demonstration.
clarus: 1
trusted:
  database: embedded
  directory: ./trusted
  key: { file: ./root.key }
clouds:
  main: { postgres: "postgres://hospital@127.0.0.1:${cloudPort}/hospital", password: "file:./cloud.password" }
listen:
  postgres: 127.0.0.1:${port}
tls: off # this machine only
workers: 1
users:
  app: { password: "file:./app.password" }
${policy}`,
  );
}
