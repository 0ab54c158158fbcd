/** Everything that a server holds, decompressed: long values lie compressed or cut in pieces in its files. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../support/cluster.js';
import { debianPrograms } from '../support/cluster.js';
import { must } from '../support/command.js';

/**
 * Writes every table, catalogue, materialized view and large object of all databases as text, and the tables of
 * users in binary too, into files.
 *
 * @returns how many relations were read
 */
export async function readBack(cluster: Cluster, directory: string): Promise<number> {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o777);
  const databases = await cluster.sql('SELECT datname FROM pg_database WHERE datallowconn');
  let relations = 0;
  for (const database of databases.trim().split('\n')) {
    const listed = await cluster.sql(
      `SELECT c.oid::regclass || E'\\t' || (n.nspname !~ '^(pg_|information_schema)')
       FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'm', 't', 'p') AND relpersistence <> 't'
       UNION ALL SELECT E'pg_stat_activity\\tf' UNION ALL SELECT E'pg_sequences\\tf'`,
      database,
    );
    const script = listed
      .trim()
      .split('\n')
      .flatMap((line, i) => {
        const [name = '', ofUser] = line.split('\t');
        const file = join(directory, `${database}.${i}`);
        relations++;
        return [
          `COPY (SELECT * FROM ${name}) TO '${file}.text';`,
          ...(ofUser === 'true' ? [`COPY (SELECT * FROM ${name}) TO '${file}.binary' (FORMAT binary);`] : []),
        ];
      });
    const path = join(directory, `${database}.sql`);
    writeFileSync(path, `${script.join('\n')}\n`);
    await must(
      join(debianPrograms, 'psql'),
      ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', path],
      {
        env: cluster.env,
      },
    );
  }
  return relations;
}
