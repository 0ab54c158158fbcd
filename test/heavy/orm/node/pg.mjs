// node-postgres: migrations of its own, parameters, named statements, a pool, transactions.
import pg from 'pg';
import { drop, introspection, migrations } from './schema.mjs';
import { address, errorOf, run } from './steps.mjs';

const pool = new pg.Pool({ ...address, max: 3 });
const rows = async (text, values) => (await pool.query(text, values)).rows;

async function inTransaction(work) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

/** What may be refused leaves nothing, so that later steps see the same either way. */
async function takenBack(text, values) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    return (await client.query(text, values)).rows;
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

await run({
  async migrate() {
    await pool.query(
      'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, ran_at timestamptz DEFAULT now())',
    );
    for (const { name, statements } of migrations)
      await inTransaction(async client => {
        for (const statement of statements) await client.query(statement);
        await client.query('INSERT INTO migrations (name) VALUES ($1)', [name]);
      });
    return rows('SELECT name FROM migrations ORDER BY name');
  },
  async introspect() {
    const seen = {};
    for (const [what, query] of Object.entries(introspection)) seen[what] = await rows(query);
    return seen;
  },
  insert: () =>
    rows(
      'INSERT INTO customers (name, email, birthday) VALUES ($1, $2, $3), ($4, $5, $6) RETURNING id, name, email, active',
      [
        'Quillfeather Ada',
        'ada@quillfeather.test',
        '1961-12-09',
        'Brambleworth Grace',
        'grace@brambleworth.test',
        null,
      ],
    ),
  related: () =>
    inTransaction(async client => {
      const {
        rows: [customer],
      } = await client.query('SELECT id FROM customers WHERE email = $1', ['ada@quillfeather.test']);
      const {
        rows: [order],
      } = await client.query(
        'INSERT INTO orders (customer_id, amount, notes) VALUES ($1, $2, $3) RETURNING *',
        [customer.id, '48151623.42', 'sentinel note by pg: leave at the harbour'],
      );
      await client.query("INSERT INTO tags (label) VALUES ('express'), ('gift')");
      await client.query('INSERT INTO order_tags SELECT $1, id FROM tags', [order.id]);
      return order;
    }),
  'read by a protected column': () =>
    rows({
      name: 'by-email',
      text: 'SELECT * FROM customers WHERE email = $1',
      values: ['ada@quillfeather.test'],
    }).then(found => found.map(({ created_at: at, ...rest }) => ({ ...rest, dated: at instanceof Date }))),
  join: () =>
    rows(`SELECT c.name, o.amount, o.notes, array_agg(t.label ORDER BY t.label) AS tags
      FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_tags ot ON ot.order_id = o.id
      JOIN tags t ON t.id = ot.tag_id GROUP BY c.id, o.id ORDER BY o.id`),
  search: () =>
    rows('SELECT id, name FROM customers WHERE name ILIKE $1 ORDER BY lower(name) LIMIT 10', ['%quill%']),
  aggregate: () =>
    rows(
      'SELECT customer_id, sum(amount) AS total, max(amount), count(*) FROM orders GROUP BY customer_id HAVING sum(amount) > 10 ORDER BY 1',
    ),
  update: () =>
    rows('UPDATE customers SET name = $1, birthday = $2 WHERE email = $3 RETURNING id, name', [
      'Quillfeather Augusta',
      '1961-12-10',
      'ada@quillfeather.test',
    ]),
  'update by key': () =>
    rows('UPDATE orders SET notes = $1, state = $2 WHERE id = $3 RETURNING notes, state', [
      'sentinel note by pg, changed',
      'paid',
      1,
    ]),
  'return an expression': () =>
    takenBack('UPDATE customers SET birthday = $1 WHERE email = $2 RETURNING upper(name), birthday::text', [
      '1961-12-11',
      'ada@quillfeather.test',
    ]),
  'update with an expression': () =>
    takenBack('UPDATE orders SET amount = amount * 2 WHERE id = $1 RETURNING amount', [1]),
  upsert: () =>
    takenBack(
      'INSERT INTO customers (name, email) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING name',
      ['Quillfeather Upserted', 'ada@quillfeather.test'],
    ),
  'upsert nothing': () =>
    rows('INSERT INTO customers (name, email) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id', [
      'Nobody',
      'ada@quillfeather.test',
    ]),
  'violated key': () =>
    errorOf(() =>
      pool.query('INSERT INTO customers (name, email) VALUES ($1, $2)', ['Other', 'grace@brambleworth.test']),
    ),
  'violated check': () =>
    errorOf(() => pool.query("INSERT INTO orders (customer_id, amount, state) VALUES (1, 2, 'lost')")),
  'rolled back': async () => {
    const failed = await errorOf(() =>
      inTransaction(async client => {
        await client.query('DELETE FROM orders');
        await client.query('SELECT nonsense');
      }),
    );
    return [failed, await rows('SELECT count(*) FROM orders')];
  },
  'locked read': () =>
    inTransaction(
      async client => (await client.query('SELECT id, notes FROM orders WHERE id = $1 FOR UPDATE', [1])).rows,
    ),
  cascade: async () => {
    await pool.query('DELETE FROM customers WHERE email = $1', ['ada@quillfeather.test']);
    return rows('SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_tags)');
  },
  drop: async () => {
    await pool.query(drop);
  },
});
await pool.end();
