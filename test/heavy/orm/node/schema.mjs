// The plain application's migrations and introspection, for drivers that bring neither.

export const migrations = [
  {
    name: '001 customers and orders',
    statements: [
      `CREATE TABLE customers (
        id serial PRIMARY KEY,
        name varchar(80) NOT NULL,
        email text NOT NULL UNIQUE,
        birthday date,
        active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now()
      )`,
      `CREATE TABLE orders (
        id bigserial PRIMARY KEY,
        customer_id integer NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
        amount numeric(12, 2) NOT NULL,
        state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'paid', 'sent')),
        notes text,
        placed timestamp NOT NULL DEFAULT '2026-01-01 00:00:00'
      )`,
      'CREATE INDEX orders_customer ON orders (customer_id)',
      "COMMENT ON TABLE orders IS 'what customers ordered'",
      "COMMENT ON COLUMN orders.amount IS 'in euros'",
    ],
  },
  {
    name: '002 tags',
    statements: [
      'CREATE TABLE tags (id serial PRIMARY KEY, label text NOT NULL UNIQUE)',
      `CREATE TABLE order_tags (
        order_id bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
        tag_id integer NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
        PRIMARY KEY (order_id, tag_id)
      )`,
      'ALTER TABLE customers ADD COLUMN phone text',
      'CREATE INDEX customers_name ON customers (name)',
    ],
  },
];

export const introspection = {
  columns: `SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length,
      numeric_precision, numeric_scale, ordinal_position
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
  keys: `SELECT tc.table_name, tc.constraint_type, tc.constraint_name, kcu.column_name, ccu.table_name AS refers_to
    FROM information_schema.table_constraints tc
    JOIN information_schema.key_column_usage kcu USING (constraint_schema, constraint_name)
    JOIN information_schema.constraint_column_usage ccu USING (constraint_schema, constraint_name)
    WHERE tc.table_schema = 'public' ORDER BY 1, 2, 3, 4, 5`,
  indexes: "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
  comments: `SELECT c.relname, a.attname, d.description FROM pg_description d
    JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' ORDER BY 1, 2`,
};

export const drop = 'DROP TABLE order_tags, tags, orders, customers, migrations';
