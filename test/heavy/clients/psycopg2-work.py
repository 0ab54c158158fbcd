"""The demo's work with psycopg2: `psycopg2-work.py CSV`, the address in libpq's PG* variables.

Prints what it got, so that a run through a gateway can be compared with a run against a plain server.
"""
import datetime
import decimal
import io
import os
import sys

import psycopg2
import psycopg2.extras

here = os.path.dirname(os.path.abspath(__file__))
connection = psycopg2.connect("")
cursor = connection.cursor()


def show(statement, parameters=None):
    cursor.execute(statement, parameters)
    print(cursor.statusmessage, [column.name + ":" + str(column.type_code) for column in cursor.description or []])
    for row in cursor.fetchall() if cursor.description else []:
        print("  ", row)


def fails(statement, parameters=None):
    cursor.execute("SAVEPOINT mistake")
    try:
        cursor.execute(statement, parameters)
        print("no error", cursor.statusmessage)
    except psycopg2.Error as error:
        names = error.diag
        print(type(error).__name__, error.pgcode, names.message_primary, names.table_name, names.column_name)
        print("  ", names.constraint_name, names.statement_position, names.severity)
    cursor.execute("ROLLBACK TO SAVEPOINT mistake")


with open(os.path.join(here, "tables.sql"), encoding="utf8") as tables:
    cursor.execute(tables.read())
with open(sys.argv[1], encoding="utf8") as lines:
    cursor.copy_expert("COPY covid_test FROM STDIN WITH (FORMAT csv, HEADER)", lines)
print("copied", cursor.rowcount)
connection.commit()

show("SELECT count(*) FROM covid_test")
show("SELECT * FROM covid_test WHERE fake_last_name = %s ORDER BY rownames LIMIT 3", ("targaryen",))
show("SELECT rownames, age, ct_result FROM covid_test WHERE subject_id IN %s ORDER BY rownames", ((1412, 533),))
show("SELECT count(*) FROM covid_test WHERE subject_id = ANY(%s)", ([1412, 533, 9134],))
psycopg2.extras.execute_values(
    cursor,
    "INSERT INTO follow_up (id, subject_id, due, remark) VALUES %s",
    [(number, 1000 + number, datetime.date(2020, 1, 1) + datetime.timedelta(number), None) for number in range(250)],
)
print("execute_values", cursor.rowcount)
cursor.executemany("INSERT INTO follow_up VALUES (%s, %s, %s, %s)", [(900, 1412, None, "it's"), (901, 533, None, "ü\\")])
show("SELECT id, subject_id, due, remark FROM follow_up WHERE subject_id = %s", (1007,))
show("SELECT id, remark FROM follow_up WHERE id >= 900 ORDER BY id")
show(
    "SELECT t.rownames, t.fake_first_name, f.remark FROM covid_test t, follow_up f"
    " WHERE f.subject_id = t.subject_id AND f.id >= 900 ORDER BY t.rownames, f.id"
)
show("UPDATE covid_test SET result = %s, age = %s WHERE rownames = 2", ("positive", decimal.Decimal("7.25")))
show("SELECT result, age FROM covid_test WHERE rownames = 2")
connection.rollback()
show("SELECT result, age FROM covid_test WHERE rownames = 2")
show("SELECT count(*) FROM follow_up")
fails("SELECT no_such_column FROM covid_test")
fails("INSERT INTO covid_test (rownames, subject_id, fake_first_name, fake_last_name) VALUES (1, 1, 'a', 'b')")
fails("INSERT INTO covid_test (rownames, subject_id, fake_first_name) VALUES (0, 1, 'a')")
fails("SELECT * FROM covid_test WHERE subject_id = 'abc'")
output = io.StringIO()
cursor.copy_expert("COPY covid_test TO STDOUT WITH (FORMAT csv, HEADER)", output)
print("copied out", len(output.getvalue().splitlines()))
print("\n".join(sorted(output.getvalue().splitlines())[:3]))
cursor.execute("DROP TABLE covid_test, follow_up")
connection.commit()
connection.close()
