"""psycopg2: its parameters in the text, execute_values, COPY, named cursors, context managers."""
import io

import psycopg2
import psycopg2.extras
from schema import DROP, INTROSPECTION, MIGRATIONS
from steps import error_of, run

connection = psycopg2.connect("")
cursor = connection.cursor()


def rows(statement, parameters=None):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def migrate():
    with connection:
        for statement in MIGRATIONS:
            cursor.execute(statement)


def introspect():
    return [rows(query) for query in INTROSPECTION]


def insert():
    with connection:
        return psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO customers (name, email, birthday) VALUES %s RETURNING id, email",
            [("Quillfeather Ada", "ada@quillfeather.test", "1961-12-09"), ("Brambleworth Grace", "grace@brambleworth.test", None)],
            fetch=True,
        )


def related():
    with connection:
        cursor.execute("SELECT id FROM customers WHERE email = %s", ("ada@quillfeather.test",))
        (customer,) = cursor.fetchone()
        return rows(
            "INSERT INTO orders (customer_id, amount, notes) VALUES (%s, %s, %s) RETURNING id, amount, notes",
            (customer, "48151623.42", "sentinel note by psycopg2"),
        )


def join():
    return rows(
        "SELECT c.name, c.birthday, o.amount FROM customers c LEFT JOIN orders o ON o.customer_id = c.id ORDER BY c.name"
    )


def search():
    return rows("SELECT id FROM customers WHERE name ILIKE %(part)s OR birthday < %(day)s", {"part": "%quill%", "day": "1950-01-01"})


def update():
    with connection:
        cursor.execute("UPDATE customers SET name = %s WHERE email = %s", ("Quillfeather Augusta", "ada@quillfeather.test"))
        return cursor.rowcount


def update_with_an_expression():
    cursor.execute("UPDATE orders SET amount = amount + %s", (1,))
    seen = rows("SELECT amount FROM orders")
    connection.rollback()
    return seen


def upsert():
    seen = rows(
        "INSERT INTO customers (name, email) VALUES (%s, %s) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING name",
        ("Quillfeather Upserted", "ada@quillfeather.test"),
    )
    connection.rollback()
    return seen


def violated_key():
    with connection.cursor() as own:
        code = error_of(lambda: own.execute("INSERT INTO customers (name, email) VALUES ('Other', 'grace@brambleworth.test')"))
    connection.rollback()
    return code


def copy():
    with connection:
        cursor.copy_expert(
            "COPY customers (name, email) FROM STDIN WITH (FORMAT csv)",
            io.StringIO("Copied One,one@copied.test\nCopied Two,two@copied.test\n"),
        )
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT name, email FROM customers ORDER BY id) TO STDOUT WITH CSV HEADER", out)
        return out.getvalue().splitlines()


def named_cursor():
    with connection.cursor("people") as people:
        people.itersize = 2
        people.execute("SELECT name FROM customers ORDER BY id")
        seen = [name for (name,) in people]
    connection.commit()
    return seen


def dictionaries():
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as own:
        own.execute("SELECT id, amount, notes FROM orders")
        return own.fetchall()


def savepoints():
    with connection:
        cursor.execute("SAVEPOINT before")
        code = error_of(lambda: cursor.execute("INSERT INTO orders (customer_id, amount) VALUES (99, 1)"))
        cursor.execute("ROLLBACK TO SAVEPOINT before")
        return [code, rows("SELECT count(*) FROM orders")]


def delete():
    with connection:
        cursor.execute("DELETE FROM customers WHERE email = %s", ("ada@quillfeather.test",))
        return [cursor.rowcount, rows("SELECT count(*) FROM orders")]


def drop():
    with connection:
        cursor.execute(DROP)


run(
    [migrate, introspect, insert, related, join, search, update, update_with_an_expression, upsert, violated_key, copy,
     named_cursor, dictionaries, savepoints, delete, drop],
    connection.rollback,
)
connection.close()
