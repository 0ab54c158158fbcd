// TypeORM: synchronisation and migrations, repositories, relations, query builder, transactions, its own introspection.
import { DataSource, EntitySchema, ILike, In, LessThan } from 'typeorm';
import { address, errorOf, run } from './steps.mjs';

const Customer = new EntitySchema({
  name: 'Customer',
  tableName: 'customers',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    name: { type: 'varchar', length: 80 },
    email: { type: 'varchar', unique: true },
    birthday: { type: 'date', nullable: true },
    active: { type: 'boolean', default: true },
    createdAt: { type: 'timestamptz', createDate: true, name: 'created_at' },
  },
  relations: { orders: { type: 'one-to-many', target: 'Order', inverseSide: 'customer', cascade: true } },
});
const Order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    amount: { type: 'numeric', precision: 12, scale: 2 },
    state: { type: 'varchar', default: 'new' },
    notes: { type: 'text', nullable: true },
    version: { type: 'int', version: true },
  },
  indices: [{ name: 'orders_state', columns: ['state'] }],
  relations: {
    customer: {
      type: 'many-to-one',
      target: 'Customer',
      inverseSide: 'orders',
      joinColumn: { name: 'customer_id' },
      onDelete: 'CASCADE',
    },
    tags: {
      type: 'many-to-many',
      target: 'Tag',
      joinTable: {
        name: 'order_tags',
        joinColumn: { name: 'order_id' },
        inverseJoinColumn: { name: 'tag_id' },
      },
      cascade: true,
    },
  },
});
const Tag = new EntitySchema({
  name: 'Tag',
  tableName: 'tags',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    label: { type: 'varchar', unique: true },
  },
});
class AddCourier1700000000001 {
  name = 'AddCourier1700000000001';
  async up(runner) {
    await runner.query('ALTER TABLE "orders" ADD "courier" character varying(40)');
    await runner.query('CREATE INDEX "orders_courier" ON "orders" ("courier")');
  }
  async down(runner) {
    await runner.query('DROP INDEX "public"."orders_courier"');
    await runner.query('ALTER TABLE "orders" DROP COLUMN "courier"');
  }
}
const { user: username, ...rest } = address;
const source = new DataSource({
  type: 'postgres',
  ...rest,
  username,
  entities: [Customer, Order, Tag],
  migrations: [AddCourier1700000000001],
  poolSize: 3,
});
const repository = entity => source.getRepository(entity);

/** What may be refused leaves nothing, so that later steps see the same either way. */
async function takenBack(work) {
  const runner = source.createQueryRunner();
  await runner.startTransaction();
  try {
    return await work(runner.manager);
  } finally {
    await runner.rollbackTransaction();
    await runner.release();
  }
}

await run({
  connect: async () => {
    await source.initialize();
  },
  synchronise: async () => {
    await source.synchronize();
  },
  'synchronise again': async () =>
    (await source.driver.createSchemaBuilder().log()).upQueries.map(({ query }) => query),
  migrate: async () => (await source.runMigrations()).map(({ name }) => name),
  introspect: async () => {
    const runner = source.createQueryRunner();
    const tables = await runner.getTables(['customers', 'orders', 'order_tags']);
    await runner.release();
    return tables
      .map(table => ({
        name: table.name,
        columns: table.columns.map(
          ({ name, type, isNullable, default: value, isUnique, length, precision, scale }) => ({
            name,
            type,
            isNullable,
            value,
            isUnique,
            length,
            precision,
            scale,
          }),
        ),
        indices: table.indices
          .map(({ name, columnNames, isUnique }) => ({ name, columnNames, isUnique }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
        foreignKeys: table.foreignKeys
          .map(({ name, columnNames, referencedTableName, onDelete }) => ({
            name,
            columnNames,
            referencedTableName,
            onDelete,
          }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  },
  insert: async () => {
    const made = await repository(Customer).save([
      { name: 'Quillfeather Ada', email: 'ada@quillfeather.test', birthday: '1961-12-09' },
      { name: 'Brambleworth Grace', email: 'grace@brambleworth.test' },
    ]);
    return made.map(({ id, name, active }) => ({ id, name, active }));
  },
  related: async () => {
    const customer = await repository(Customer).findOneByOrFail({ email: 'ada@quillfeather.test' });
    const order = await repository(Order).save({
      amount: '48151623.42',
      notes: 'sentinel note by TypeORM',
      customer,
      tags: [{ label: 'express' }, { label: 'gift' }],
    });
    return { id: order.id, version: order.version, tags: order.tags.map(({ label }) => label) };
  },
  'with relations': async () => {
    const found = await repository(Order).find({
      relations: { customer: true, tags: true },
      order: { id: 'ASC', tags: { label: 'ASC' } },
    });
    return found.map(({ customer: { createdAt, ...customer }, ...order }) => ({
      ...order,
      customer,
      dated: createdAt instanceof Date,
    }));
  },
  'find by': () =>
    repository(Customer).find({
      where: [
        { name: ILike('%quill%') },
        { birthday: LessThan('1970-01-01') },
        { email: In(['grace@brambleworth.test']) },
      ],
      select: { id: true, name: true },
      order: { name: 'DESC' },
    }),
  'find and count': () =>
    repository(Customer).findAndCount({
      select: { id: true, name: true },
      order: { name: 'ASC' },
      take: 1,
      skip: 1,
    }),
  'paged with relations': async () =>
    (await repository(Customer).find({ relations: { orders: true }, order: { name: 'ASC' }, take: 1 })).map(
      ({ name, orders }) => ({ name, orders: orders.length }),
    ),
  'query builder': () =>
    repository(Order)
      .createQueryBuilder('o')
      .innerJoin('o.customer', 'c')
      .select('c.name', 'name')
      .addSelect('SUM(o.amount)', 'total')
      .groupBy('c.name')
      .having('SUM(o.amount) > :least', { least: 10 })
      .getRawMany(),
  update: async () => {
    const customer = await repository(Customer).findOneByOrFail({ email: 'ada@quillfeather.test' });
    customer.name = 'Quillfeather Augusta';
    await repository(Customer).save(customer);
    return (
      await repository(Customer).update({ email: 'grace@brambleworth.test' }, { birthday: '1962-01-02' })
    ).affected;
  },
  'update with a version': async () => {
    const order = await repository(Order).findOneByOrFail({ state: 'new' });
    order.notes = 'sentinel note by TypeORM, changed';
    return (await repository(Order).save(order)).version;
  },
  increment: () =>
    takenBack(async manager => (await manager.increment(Order, { state: 'new' }, 'amount', 5)).affected),
  upsert: () =>
    takenBack(
      async manager =>
        (
          await manager.upsert(Customer, { name: 'Quillfeather Upserted', email: 'ada@quillfeather.test' }, [
            'email',
          ])
        ).identifiers.length,
    ),
  'violated key': () =>
    errorOf(() => repository(Customer).insert({ name: 'Other', email: 'grace@brambleworth.test' })),
  'rolled back': async () => {
    const failed = await errorOf(() =>
      source.transaction(async manager => {
        await manager.delete(Tag, { label: 'nobody' });
        throw new Error('back');
      }),
    );
    return [failed.message, await repository(Tag).count()];
  },
  'locked read': () =>
    source.transaction(
      async manager =>
        (await manager.findOneOrFail(Order, { where: { state: 'new' }, lock: { mode: 'pessimistic_write' } }))
          .notes,
    ),
  remove: async () => {
    const customer = await repository(Customer).findOneByOrFail({ email: 'ada@quillfeather.test' });
    await repository(Customer).remove(customer);
    return repository(Order).count();
  },
  'undo the migration': async () => {
    await source.undoLastMigration();
  },
  drop: async () => {
    await source.dropDatabase();
  },
});
await source.destroy();
