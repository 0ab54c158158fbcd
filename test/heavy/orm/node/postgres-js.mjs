// postgres.js: tagged templates, arrays and objects as parameters, nested transactions, portals in parts.
import postgres from 'postgres';
import { drop, introspection, migrations } from './schema.mjs';
import { address, errorOf, run } from './steps.mjs';

const sql = postgres({ ...address, username: address.user, max: 3, onnotice: () => undefined });

/** What may be refused leaves nothing, so that later steps see the same either way. */
async function takenBack(work) {
  let gave;
  const back = new Error('back');
  await sql
    .begin(async inside => {
      gave = await work(inside);
      throw back;
    })
    .catch(error => {
      if (error !== back) throw error;
    });
  return gave;
}

await run({
  async migrate() {
    await sql`CREATE TABLE migrations (name text PRIMARY KEY)`;
    for (const { name, statements } of migrations)
      await sql.begin(async inside => {
        await inside.unsafe(statements.join(';\n'));
        await inside`INSERT INTO migrations ${inside({ name })}`;
      });
    return sql`SELECT name FROM migrations ORDER BY name`;
  },
  async introspect() {
    const seen = {};
    for (const [what, query] of Object.entries(introspection)) seen[what] = await sql.unsafe(query);
    return seen;
  },
  insert: () => {
    const people = [
      { name: 'Quillfeather Ada', email: 'ada@quillfeather.test', birthday: '1961-12-09' },
      { name: 'Brambleworth Grace', email: 'grace@brambleworth.test', birthday: null },
    ];
    return sql`INSERT INTO customers ${sql(people)} RETURNING id, name, email`;
  },
  related: () =>
    sql.begin(async inside => {
      const [customer] = await inside`SELECT id FROM customers WHERE email = ${'ada@quillfeather.test'}`;
      const order = {
        customer_id: customer.id,
        amount: '48151623.42',
        notes: 'sentinel note by postgres.js',
      };
      const [made] = await inside`INSERT INTO orders ${inside(order)} RETURNING *`;
      const tags =
        await inside`INSERT INTO tags ${inside([{ label: 'express' }, { label: 'gift' }])} RETURNING id`;
      await inside`INSERT INTO order_tags ${inside(tags.map(({ id }) => ({ order_id: made.id, tag_id: id })))}`;
      return made;
    }),
  'read by a list': () =>
    sql`SELECT id, name FROM customers WHERE email IN ${sql(['ada@quillfeather.test', 'grace@brambleworth.test'])} ORDER BY id`,
  'read by an array': () =>
    sql`SELECT id, name FROM customers WHERE name = ANY(${['Quillfeather Ada']}) ORDER BY id`,
  join: () => sql`SELECT c.name, o.amount, o.notes, json_agg(t.label ORDER BY t.label) AS tags
    FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_tags ot ON ot.order_id = o.id
    JOIN tags t ON t.id = ot.tag_id GROUP BY c.id, o.id`,
  fragments: () => {
    const filter = sql`WHERE name LIKE ${'Qu%'} AND birthday < ${'1970-01-01'}`;
    return sql`SELECT id, name FROM customers ${filter} ORDER BY ${sql('name')}`;
  },
  update: () =>
    sql`UPDATE customers SET ${sql({ name: 'Quillfeather Augusta' }, 'name')} WHERE id = 1 RETURNING id, name`,
  'return an expression': () =>
    takenBack(inside => inside`UPDATE customers SET name = 'Nobody' RETURNING birthday::text`),
  'update by a list of values': () =>
    takenBack(
      inside =>
        inside`UPDATE customers SET name = u.name FROM (VALUES ${sql([[1, 'Quillfeather Third']])}) AS u (id, name) WHERE customers.id = u.id::int RETURNING customers.id, customers.name`,
    ),
  nested: async () => {
    await sql.begin(async inside => {
      await inside`UPDATE orders SET state = 'paid' WHERE id = 1`;
      await inside
        .savepoint(async deeper => {
          await deeper`UPDATE orders SET state = 'sent' WHERE id = 1`;
          throw new Error('back to the savepoint');
        })
        .catch(() => undefined);
    });
    return sql`SELECT state, amount FROM orders`;
  },
  'violated key': () =>
    errorOf(() => sql`INSERT INTO customers ${sql({ name: 'Other', email: 'grace@brambleworth.test' })}`),
  'portal in parts': async () => {
    const seen = [];
    await sql`SELECT name FROM customers ORDER BY id`.cursor(1, ([row]) => {
      seen.push(row.name);
    });
    return seen;
  },
  delete: () => sql`DELETE FROM customers WHERE email = ${'ada@quillfeather.test'} RETURNING id, email`,
  left: () =>
    sql`SELECT (SELECT count(*) FROM customers) AS customers, (SELECT count(*) FROM orders) AS orders`,
  drop: async () => {
    await sql.unsafe(drop);
  },
});
await sql.end();
