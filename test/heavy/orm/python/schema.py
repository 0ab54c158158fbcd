"""The plain application's migrations and introspection, for drivers that bring neither."""

MIGRATIONS = [
    """CREATE TABLE customers (
        id serial PRIMARY KEY,
        name varchar(80) NOT NULL,
        email text NOT NULL UNIQUE,
        birthday date,
        active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE TABLE orders (
        id bigserial PRIMARY KEY,
        customer_id integer NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
        amount numeric(12, 2) NOT NULL,
        state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'paid', 'sent')),
        notes text
    )""",
    "CREATE INDEX orders_customer ON orders (customer_id)",
    "COMMENT ON COLUMN orders.amount IS 'in euros'",
    "ALTER TABLE customers ADD COLUMN phone text",
]

INTROSPECTION = [
    """SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, column_default::text
       FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position""",
    """SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    """SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
         col_description(c.oid, a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
       ORDER BY 1, a.attnum""",
]

DROP = "DROP TABLE orders, customers"
