/** The servers of a run: one that is asked directly, and one behind Clarus. */
import pg from 'pg';
import type { RegressionSuite } from '../regress/suite.js';
import { closeLater } from '../support/closing.js';
import { startCluster } from '../support/cluster.js';
import { Installation } from '../support/installation.js';
import type { Side } from './run.js';

/** @param policy lines of clarus.yaml after `users` */
export async function startSides(
  suite: RegressionSuite,
  policy: string,
  workers: number,
): Promise<readonly [Side, Side]> {
  const [direct, cloud, trusted] = await Promise.all([
    suite.startServer(),
    suite.startServer(),
    startCluster({ programs: suite.programs, env: suite.env, superuser: 'keeper' }),
  ]);
  for (const server of [direct, cloud, trusted]) closeLater(server, it => it.stop());
  const installation = await Installation.make({ cloud, trusted, database: 'regression', workers, policy });
  closeLater(installation, it => it.end().finally(() => it.remove()));
  const gateway = await installation.start();
  return [
    { target: { ...direct, database: 'regression' }, isBlocked: await locksOf(direct) },
    { target: gateway, isBlocked: await locksOf(cloud) },
  ];
}

async function locksOf({
  host,
  port,
  user,
  password,
}: Omit<Side['target'], 'database'>): Promise<Side['isBlocked']> {
  const client = new pg.Client({ host, port, user, password, database: 'regression' });
  await client.connect();
  closeLater(client, it => it.end());
  return async (pid, others) => {
    const { rows } = await client.query(
      'SELECT pg_catalog.pg_isolation_test_session_is_blocked($1, $2) AS blocked',
      [pid, others],
    );
    return (rows[0] as { blocked: boolean }).blocked;
  };
}
