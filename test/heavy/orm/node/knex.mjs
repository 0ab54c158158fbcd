// knex: schema builder, migrations with their lock table, seeds, query builder, transactions, introspection.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import knex from 'knex';
import { address, errorOf, run } from './steps.mjs';

const directory = mkdtempSync(fileURLToPath(new URL('knex-', import.meta.url)));
writeFileSync(
  join(directory, '001_first.mjs'),
  `export async function up(knex) {
    await knex.schema.createTable('customers', table => {
      table.increments('id');
      table.string('name', 80).notNullable();
      table.string('email').notNullable().unique();
      table.date('birthday');
      table.boolean('active').notNullable().defaultTo(true);
      table.timestamps(true, true);
    });
    await knex.schema.createTable('orders', table => {
      table.increments('id');
      table.integer('customer_id').unsigned().notNullable().references('id').inTable('customers').onDelete('CASCADE');
      table.decimal('amount', 12, 2).notNullable();
      table.enu('state', ['new', 'paid', 'sent']).defaultTo('new');
      table.text('notes').comment('what the customer said');
      table.index(['customer_id', 'state']);
    });
  }
  export async function down(knex) {
    await knex.schema.dropTable('orders');
    await knex.schema.dropTable('customers');
  }`,
);
writeFileSync(
  join(directory, '002_more.mjs'),
  `export async function up(knex) {
    await knex.schema.alterTable('orders', table => {
      table.jsonb('details');
      table.string('courier', 40);
      table.index('courier');
    });
    await knex.schema.alterTable('orders', table => {
      table.string('courier', 60).alter();
      table.renameColumn('courier', 'carrier');
    });
  }
  export async function down(knex) {
    await knex.schema.alterTable('orders', table => {
      table.dropColumn('details');
      table.dropColumn('carrier');
    });
  }`,
);
const db = knex({
  client: 'pg',
  connection: address,
  pool: { min: 0, max: 3 },
  migrations: { directory, loadExtensions: ['.mjs'] },
});

/** What may be refused leaves nothing, so that later steps see the same either way. */
async function takenBack(work) {
  const trx = await db.transaction();
  try {
    return await work(trx);
  } finally {
    await trx.rollback();
  }
}

await run({
  migrate: () => db.migrate.latest().then(([batch, names]) => ({ batch, names: names.length })),
  status: () => db.migrate.currentVersion(),
  introspect: async () => ({
    orders: await db('orders').columnInfo(),
    has: [
      await db.schema.hasTable('customers'),
      await db.schema.hasTable('nothing'),
      await db.schema.hasColumn('orders', 'carrier'),
    ],
  }),
  insert: () =>
    db('customers')
      .insert([
        { name: 'Quillfeather Ada', email: 'ada@quillfeather.test', birthday: '1961-12-09' },
        { name: 'Brambleworth Grace', email: 'grace@brambleworth.test' },
      ])
      .returning(['id', 'email']),
  related: () =>
    db.transaction(async trx => {
      const customer = await trx('customers').where({ email: 'ada@quillfeather.test' }).first('id');
      return trx('orders')
        .insert({
          customer_id: customer.id,
          amount: '48151623.42',
          notes: 'sentinel note by knex',
          details: { fragile: true },
        })
        .returning('*');
    }),
  'read first': () => db('customers').where('email', 'ada@quillfeather.test').first('id', 'name'),
  join: () =>
    db('orders as o')
      .join('customers as c', 'c.id', 'o.customer_id')
      .select('c.name', 'o.amount', 'o.notes')
      .where('o.amount', '>', 100)
      .orderBy('c.name'),
  'where in': () =>
    db('customers').whereIn('name', ['Quillfeather Ada', 'Nobody']).andWhere('active', true).pluck('id'),
  search: () =>
    db('customers').whereILike('name', '%quill%').orWhereNull('birthday').orderBy('id').select('id', 'name'),
  subquery: () =>
    db('customers')
      .whereExists(db('orders').select(db.raw(1)).whereRaw('orders.customer_id = customers.id'))
      .select('name'),
  aggregate: () =>
    db('orders')
      .sum('amount as total')
      .avg('amount as mean')
      .countDistinct('customer_id as customers')
      .first(),
  paged: () => db('customers').orderBy('name', 'desc').limit(1).offset(1).select('name'),
  update: () =>
    db('customers')
      .where({ email: 'ada@quillfeather.test' })
      .update({ name: 'Quillfeather Augusta' }, ['id', 'name']),
  increment: () =>
    takenBack(trx => trx('orders').where({ id: 1 }).increment('amount', 5).returning('amount')),
  upsert: () =>
    takenBack(trx =>
      trx('customers')
        .insert({ name: 'Quillfeather Upserted', email: 'ada@quillfeather.test' })
        .onConflict('email')
        .merge(['name'])
        .returning('name'),
    ),
  'upsert nothing': () =>
    db('customers').insert({ name: 'Nobody', email: 'ada@quillfeather.test' }).onConflict('email').ignore(),
  'violated key': () =>
    errorOf(() => db('customers').insert({ name: 'Other', email: 'grace@brambleworth.test' })),
  'rolled back': async () => {
    const failed = await errorOf(() =>
      db.transaction(async trx => {
        await trx('orders').del();
        throw new Error('back');
      }),
    );
    return [failed.message, await db('orders').count('* as n')];
  },
  'batch insert': () =>
    db
      .batchInsert(
        'orders',
        [1, 2, 3, 4, 5].map(n => ({ customer_id: 2, amount: n, notes: `sentinel note ${n} by knex` })),
        2,
      )
      .returning('id'),
  stream: async () => {
    const seen = [];
    for await (const row of db('orders').select('id', 'amount').orderBy('id').stream()) seen.push(row);
    return seen;
  },
  delete: () => db('customers').where({ email: 'ada@quillfeather.test' }).del(),
  'roll back migrations': () => db.migrate.rollback(undefined, true).then(([, names]) => names.length),
  drop: () =>
    db.schema
      .dropTableIfExists('knex_migrations')
      .dropTableIfExists('knex_migrations_lock')
      .then(() => null),
});
await db.destroy();
rmSync(directory, { recursive: true, force: true });
