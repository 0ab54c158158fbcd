// drizzle-orm over node-postgres: migrations from a folder, the query builder, relational queries, transactions.
// What drizzle-kit reads of the schema is the last step (`drizzle-kit introspect`, run by the suite's own cache).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { and, asc, count, desc, eq, gt, ilike, inArray, relations, sql, sum } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import {
  boolean,
  date,
  integer,
  numeric,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  varchar,
} from 'drizzle-orm/pg-core';
import pg from 'pg';
import { address, errorOf, run } from './steps.mjs';

const customers = pgTable('customers', {
  id: serial().primaryKey(),
  name: varchar({ length: 80 }).notNull(),
  email: text().notNull().unique(),
  birthday: date(),
  active: boolean().notNull().default(true),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
});
const orders = pgTable('orders', {
  id: serial().primaryKey(),
  customerId: integer('customer_id')
    .notNull()
    .references(() => customers.id, { onDelete: 'cascade' }),
  amount: numeric({ precision: 12, scale: 2 }).notNull(),
  state: text().notNull().default('new'),
  notes: text(),
});
const tags = pgTable('tags', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  label: text().notNull().unique(),
});
const orderTags = pgTable(
  'order_tags',
  {
    orderId: integer('order_id')
      .notNull()
      .references(() => orders.id),
    tagId: integer('tag_id')
      .notNull()
      .references(() => tags.id),
  },
  table => [primaryKey({ columns: [table.orderId, table.tagId] })],
);
const ofCustomers = relations(customers, ({ many }) => ({ orders: many(orders) }));
const ofOrders = relations(orders, ({ one, many }) => ({
  customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
  tags: many(orderTags),
}));
const ofOrderTags = relations(orderTags, ({ one }) => ({
  order: one(orders, { fields: [orderTags.orderId], references: [orders.id] }),
  tag: one(tags, { fields: [orderTags.tagId], references: [tags.id] }),
}));

/** What drizzle-kit generates for these tables. */
const migration = `CREATE TABLE "customers" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" varchar(80) NOT NULL,
	"email" text NOT NULL,
	"birthday" date,
	"active" boolean DEFAULT true NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "customers_email_unique" UNIQUE("email")
);
--> statement-breakpoint
CREATE TABLE "order_tags" (
	"order_id" integer NOT NULL,
	"tag_id" integer NOT NULL,
	CONSTRAINT "order_tags_order_id_tag_id_pk" PRIMARY KEY("order_id","tag_id")
);
--> statement-breakpoint
CREATE TABLE "orders" (
	"id" serial PRIMARY KEY NOT NULL,
	"customer_id" integer NOT NULL,
	"amount" numeric(12, 2) NOT NULL,
	"state" text DEFAULT 'new' NOT NULL,
	"notes" text
);
--> statement-breakpoint
CREATE TABLE "tags" (
	"id" integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "tags_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1),
	"label" text NOT NULL,
	CONSTRAINT "tags_label_unique" UNIQUE("label")
);
--> statement-breakpoint
ALTER TABLE "order_tags" ADD CONSTRAINT "order_tags_order_id_orders_id_fk" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
ALTER TABLE "order_tags" ADD CONSTRAINT "order_tags_tag_id_tags_id_fk" FOREIGN KEY ("tag_id") REFERENCES "public"."tags"("id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
ALTER TABLE "orders" ADD CONSTRAINT "orders_customer_id_customers_id_fk" FOREIGN KEY ("customer_id") REFERENCES "public"."customers"("id") ON DELETE cascade ON UPDATE no action;`;

const folder = mkdtempSync(fileURLToPath(new URL('drizzle-', import.meta.url)));
mkdirSync(join(folder, 'meta'));
writeFileSync(join(folder, '0000_first.sql'), migration);
writeFileSync(
  join(folder, 'meta', '_journal.json'),
  JSON.stringify({
    version: '7',
    dialect: 'postgresql',
    entries: [{ idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_first', breakpoints: true }],
  }),
);
const pool = new pg.Pool({ ...address, max: 2 });
const db = drizzle(pool, {
  schema: { customers, orders, tags, orderTags, ofCustomers, ofOrders, ofOrderTags },
});

/** What may be refused leaves nothing, so that later steps see the same either way. */
async function takenBack(work) {
  let gave;
  const back = new Error('back');
  await db
    .transaction(async tx => {
      gave = await work(tx);
      throw back;
    })
    .catch(error => {
      if (error !== back) throw error;
    });
  return gave;
}

await run({
  migrate: async () => {
    await migrate(db, { migrationsFolder: folder });
    await migrate(db, { migrationsFolder: folder });
    return (await db.execute(sql`select hash, created_at from drizzle.__drizzle_migrations`)).rows;
  },
  insert: () =>
    db
      .insert(customers)
      .values([
        { name: 'Quillfeather Ada', email: 'ada@quillfeather.test', birthday: '1961-12-09' },
        { name: 'Brambleworth Grace', email: 'grace@brambleworth.test' },
      ])
      .returning({ id: customers.id, email: customers.email, birthday: customers.birthday }),
  related: () =>
    db.transaction(async tx => {
      const [customer] = await tx
        .select({ id: customers.id })
        .from(customers)
        .where(eq(customers.email, 'ada@quillfeather.test'));
      const [order] = await tx
        .insert(orders)
        .values({ customerId: customer.id, amount: '48151623.42', notes: 'sentinel note by drizzle' })
        .returning();
      const made = await tx
        .insert(tags)
        .values([{ label: 'express' }, { label: 'gift' }])
        .returning();
      await tx.insert(orderTags).values(made.map(({ id }) => ({ orderId: order.id, tagId: id })));
      return order;
    }),
  'relational query': () =>
    db.query.customers.findMany({
      columns: { name: true, email: true },
      with: { orders: { with: { tags: { with: { tag: true } } } } },
      orderBy: asc(customers.id),
    }),
  'find first': () =>
    db.query.orders.findFirst({
      where: eq(orders.state, 'new'),
      with: { customer: { columns: { name: true, birthday: true } } },
    }),
  join: () =>
    db
      .select({ name: customers.name, amount: orders.amount })
      .from(orders)
      .leftJoin(customers, eq(orders.customerId, customers.id))
      .where(and(gt(orders.amount, '100'), inArray(customers.email, ['ada@quillfeather.test'])))
      .orderBy(desc(orders.amount)),
  search: () =>
    db
      .select({ id: customers.id })
      .from(customers)
      .where(ilike(customers.name, '%quill%'))
      .limit(5)
      .offset(0),
  aggregate: () =>
    db
      .select({ customer: orders.customerId, total: sum(orders.amount), orders: count() })
      .from(orders)
      .groupBy(orders.customerId),
  update: () =>
    db
      .update(customers)
      .set({ name: 'Quillfeather Augusta' })
      .where(eq(customers.email, 'ada@quillfeather.test'))
      .returning({ name: customers.name }),
  'update with an expression': () =>
    takenBack(tx =>
      tx
        .update(orders)
        .set({ amount: sql`${orders.amount} + 1` })
        .returning({ amount: orders.amount }),
    ),
  upsert: () =>
    takenBack(tx =>
      tx
        .insert(customers)
        .values({ name: 'Quillfeather Upserted', email: 'ada@quillfeather.test' })
        .onConflictDoUpdate({ target: customers.email, set: { name: 'Quillfeather Upserted' } })
        .returning({ name: customers.name }),
    ),
  'upsert nothing': () =>
    db
      .insert(customers)
      .values({ name: 'Nobody', email: 'ada@quillfeather.test' })
      .onConflictDoNothing()
      .returning(),
  'violated key': () =>
    errorOf(() => db.insert(customers).values({ name: 'Other', email: 'grace@brambleworth.test' })),
  'rolled back': async () => {
    const failed = await errorOf(() =>
      db.transaction(async tx => {
        await tx.delete(orderTags);
        tx.rollback();
      }),
    );
    return [failed.message, await db.select({ n: count() }).from(orderTags)];
  },
  delete: async () => {
    await db.delete(orderTags);
    return db
      .delete(customers)
      .where(eq(customers.name, 'Quillfeather Augusta'))
      .returning({ id: customers.id });
  },
  introspect: () => {
    const config = join(folder, 'drizzle.config.json');
    const { host, port, user, password, database } = address;
    writeFileSync(
      config,
      JSON.stringify({
        dialect: 'postgresql',
        out: join(folder, 'out'),
        dbCredentials: { host, port, user, password, database, ssl: false },
      }),
    );
    const kit = fileURLToPath(new URL('node_modules/drizzle-kit/bin.cjs', import.meta.url));
    try {
      execFileSync(process.execPath, [kit, 'introspect', '--config', config], {
        cwd: folder,
        stdio: 'pipe',
        timeout: 60_000,
      });
    } catch (error) {
      throw new Error(`${error.stdout}${error.stderr}`);
    }
    // the catalogue gives tables in no order, nor the columns of a key: drizzle-kit asks without ORDER BY
    const inOrder = key =>
      key.replace(/(?<=primaryKey\(\{ columns: \[)[^\]]+/, names => names.split(', ').sort().join(', '));
    return readFileSync(join(folder, 'out', 'schema.ts'), 'utf8')
      .split('\n')
      .filter(line => !line.startsWith('import'))
      .map(inOrder)
      .sort();
  },
  drop: async () => {
    await pool.query('DROP TABLE order_tags, tags, orders, customers; DROP SCHEMA drizzle CASCADE');
  },
});
await pool.end();
rmSync(folder, { recursive: true, force: true });
