// pg-boss: makes its schema, queues with payloads, works them off, retries, completes.

import pg from 'pg';
import PgBoss from 'pg-boss';
import { address, run } from './steps.mjs';

const boss = new PgBoss({ ...address, schema: 'pgboss', supervise: false, schedule: false, max: 3 });
boss.on('error', error => process.stderr.write(`${error.message}\n`));
const pool = new pg.Pool({ ...address, max: 1 });
let id;

await run({
  start: async () => {
    await boss.start();
  },
  'make a queue': async () => {
    await boss.createQueue('mail', { retryLimit: 2 });
  },
  send: async () => {
    id = await boss.send('mail', { to: 'mail@lanternmoor.test', text: 'a message by pg-boss' });
    return typeof id;
  },
  'send many': async () => {
    await boss.insert([{ name: 'mail', data: { to: 'more@lanternmoor.test' }, priority: -1 }]);
  },
  fetch: async () => (await boss.fetch('mail')).map(({ name, data }) => ({ name, data })),
  complete: async () => {
    await boss.complete('mail', id, { done: true });
  },
  'fetch and fail': async () => {
    const [job] = await boss.fetch('mail');
    await boss.fail('mail', job.id, { reason: 'no such address' });
    return job.data;
  },
  look: async () => {
    const { state, data, output } = await boss.getJobById('mail', id);
    return { state, data, output };
  },
  size: () => boss.getQueueSize('mail'),
  queues: async () => (await boss.getQueues()).map(({ name, retryLimit }) => ({ name, retryLimit })),
  work: async () => {
    const seen = new Promise(resolve => {
      boss.work('mail', { pollingIntervalSeconds: 0.5 }, async ([job]) => resolve(job.data)).catch(resolve);
    });
    await boss.send('mail', { to: 'work@lanternmoor.test' });
    return Promise.race([seen, new Promise(resolve => setTimeout(resolve, 8_000, 'nothing came'))]);
  },
  maintain: async () => {
    await boss.maintain();
  },
  purge: async () => {
    await boss.purgeQueue('mail');
  },
  stop: async () => {
    await boss.stop({ graceful: false, wait: true });
  },
  drop: async () => {
    await pool.query('DROP SCHEMA pgboss CASCADE');
  },
});
await pool.end();
process.exit(0);
