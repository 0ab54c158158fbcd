"""asyncpg: everything binary and prepared, its own look at types, COPY of records, cursors as portals."""
import asyncio
import datetime
import decimal

import asyncpg
from schema import DROP, INTROSPECTION, MIGRATIONS
from steps import told


async def taken_back(connection, statement, *parameters):
    """What may be refused leaves nothing, so that later steps see the same either way."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        return await connection.fetchval(statement, *parameters)
    finally:
        await transaction.rollback()


async def migrate(connection):
    async with connection.transaction():
        for statement in MIGRATIONS:
            await connection.execute(statement)


async def introspect(connection):
    return [[list(row.values()) for row in await connection.fetch(query)] for query in INTROSPECTION]


async def types(connection):
    await connection.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    try:
        return [await connection.fetchval("SELECT $1::mood", "glad"), await connection.fetchval("SELECT $1::mood[]", ["sad", "glad"])]
    finally:
        await connection.execute("DROP TYPE mood")


async def insert(connection):
    await connection.executemany(
        "INSERT INTO customers (name, email, birthday) VALUES ($1, $2, $3)",
        [("Quillfeather Ada", "ada@quillfeather.test", datetime.date(1961, 12, 9)), ("Brambleworth Grace", "grace@brambleworth.test", None)],
    )
    return [list(row.values()) for row in await connection.fetch("SELECT id, name, email, birthday FROM customers ORDER BY id")]


async def related(connection):
    async with connection.transaction():
        customer = await connection.fetchval("SELECT id FROM customers WHERE email = $1", "ada@quillfeather.test")
        row = await connection.fetchrow(
            "INSERT INTO orders (customer_id, amount, notes) VALUES ($1, $2, $3) RETURNING *",
            customer, decimal.Decimal("48151623.42"), "sentinel note by asyncpg",
        )
        return dict(row)


async def by_array(connection):
    return [row["name"] for row in await connection.fetch("SELECT name FROM customers WHERE email = ANY($1::text[])", ["ada@quillfeather.test"])]


async def search(connection):
    return [dict(row) for row in await connection.fetch("SELECT id, name FROM customers WHERE name LIKE $1 AND birthday < $2", "Quill%", datetime.date(1970, 1, 1))]


async def prepared(connection):
    statement = await connection.prepare("SELECT amount, notes FROM orders WHERE id = $1")
    return [[a.name for a in statement.get_attributes()], [p.name for p in statement.get_parameters()], dict(await statement.fetchrow(1))]


async def cursor(connection):
    seen = []
    async with connection.transaction():
        async for row in connection.cursor("SELECT name FROM customers ORDER BY name", prefetch=1):
            seen.append(row["name"])
    return seen


async def copy(connection):
    tag = await connection.copy_records_to_table("customers", records=[("Copied One", "one@copied.test")], columns=["name", "email"])
    return [tag, await connection.fetchval("SELECT count(*) FROM customers")]


async def update(connection):
    return await connection.execute("UPDATE customers SET name = $1 WHERE email = $2", "Quillfeather Augusta", "ada@quillfeather.test")


async def update_with_an_expression(connection):
    return await taken_back(connection, "UPDATE orders SET amount = amount + $1 RETURNING amount", decimal.Decimal(1))


async def upsert(connection):
    return await taken_back(
        connection,
        "INSERT INTO customers (name, email) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING name",
        "Quillfeather Upserted", "ada@quillfeather.test",
    )


async def violated_key(connection):
    try:
        await connection.execute("INSERT INTO customers (name, email) VALUES ('Other', 'grace@brambleworth.test')")
    except asyncpg.PostgresError as error:
        return [type(error).__name__, error.table_name, error.constraint_name]


async def rolled_back(connection):
    try:
        async with connection.transaction():
            await connection.execute("DELETE FROM orders")
            raise ValueError("back")
    except ValueError:
        return await connection.fetchval("SELECT count(*) FROM orders")


async def delete(connection):
    return [await connection.execute("DELETE FROM customers WHERE email = $1", "ada@quillfeather.test"), await connection.fetchval("SELECT count(*) FROM orders")]


async def drop(connection):
    await connection.execute(DROP)


async def main():
    connection = await asyncpg.connect()
    for step in (migrate, introspect, types, insert, related, by_array, search, prepared, cursor, copy, update,
                 update_with_an_expression, upsert, violated_key, rolled_back, delete, drop):
        name = step.__name__.replace("_", " ")
        try:
            told(name, await step(connection))
        except Exception as error:
            told(name, error=error)
    await connection.close()


asyncio.run(main())
