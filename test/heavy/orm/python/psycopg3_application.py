"""psycopg 3: parameters apart from the text, binary results, pipelines, COPY by rows, server cursors."""
import psycopg
from psycopg.rows import dict_row
from schema import DROP, INTROSPECTION, MIGRATIONS
from steps import error_of, run

connection = psycopg.connect("", autocommit=True)


def rows(statement, parameters=None, **options):
    return connection.execute(statement, parameters, **options).fetchall()


def migrate():
    with connection.transaction():
        for statement in MIGRATIONS:
            connection.execute(statement)


def introspect():
    return [rows(query) for query in INTROSPECTION]


def insert():
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO customers (name, email, birthday) VALUES (%s, %s, %s) RETURNING id",
            [("Quillfeather Ada", "ada@quillfeather.test", "1961-12-09"), ("Brambleworth Grace", "grace@brambleworth.test", None)],
            returning=True,
        )
        seen = [cursor.fetchone()]
        while cursor.nextset():
            seen.append(cursor.fetchone())
        return seen


def related():
    with connection.transaction():
        (customer,) = connection.execute("SELECT id FROM customers WHERE email = %s", ("ada@quillfeather.test",)).fetchone()
        return rows(
            "INSERT INTO orders (customer_id, amount, notes) VALUES (%s, %s, %s) RETURNING id, amount, notes",
            (customer, "48151623.42", "sentinel note by psycopg"),
        )


def binary():
    return rows("SELECT c.name, c.birthday, o.amount FROM customers c LEFT JOIN orders o ON o.customer_id = c.id ORDER BY c.name", binary=True)


def search():
    return rows("SELECT id FROM customers WHERE name ILIKE %s OR birthday < %s", ("%quill%", "1950-01-01"))


def prepared():
    return [rows("SELECT name FROM customers WHERE email = %s", (email,), prepare=True)
            for email in ("ada@quillfeather.test", "grace@brambleworth.test", "nobody@nowhere.test")]


def pipelined():
    with connection.pipeline():
        first = connection.execute("UPDATE customers SET name = %s WHERE email = %s", ("Quillfeather Augusta", "ada@quillfeather.test"))
        second = connection.execute("SELECT name FROM customers ORDER BY id")
        return [first.rowcount, second.fetchall()]


def update_with_an_expression():
    with connection.transaction(force_rollback=True):
        return rows("UPDATE orders SET amount = amount + %s RETURNING amount", (1,))


def upsert():
    with connection.transaction(force_rollback=True):
        return rows(
            "INSERT INTO customers (name, email) VALUES (%s, %s) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING name",
            ("Quillfeather Upserted", "ada@quillfeather.test"),
        )


def violated_key():
    def nested():
        with connection.transaction():
            connection.execute("INSERT INTO customers (name, email) VALUES ('Other', 'grace@brambleworth.test')")

    with connection.transaction():
        return error_of(nested)


def copy():
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy("COPY customers (name, email) FROM STDIN") as writing:
            writing.write_row(("Copied One", "one@copied.test"))
            writing.write_row(("Copied Two", "two@copied.test"))
        with cursor.copy("COPY (SELECT name, birthday FROM customers ORDER BY id) TO STDOUT (FORMAT BINARY)") as reading:
            reading.set_types(["varchar", "date"])
            return list(reading.rows())


def server_cursor():
    with connection.transaction(), connection.cursor("people") as people:
        people.execute("SELECT name FROM customers ORDER BY id")
        return [people.fetchmany(2), people.fetchall()]


def dictionaries():
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT id, amount, notes FROM orders").fetchall()


def delete():
    with connection.transaction():
        connection.execute("DELETE FROM customers WHERE email = %s", ("ada@quillfeather.test",))
        return rows("SELECT count(*) FROM orders")


def drop():
    with connection.transaction():
        connection.execute(DROP)


run(
    [migrate, introspect, insert, related, binary, search, prepared, pipelined, update_with_an_expression, upsert,
     violated_key, copy, server_cursor, dictionaries, delete, drop],
    connection.rollback,
)
connection.close()
