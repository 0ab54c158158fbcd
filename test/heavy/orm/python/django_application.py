"""Django: migrations that it makes itself, models with relations, querysets, transactions, `inspectdb`."""
import contextlib
import datetime
import decimal
import io
import os
import sys
import tempfile

import django
from django.conf import settings
from steps import error_of, run

folder = tempfile.mkdtemp()
sys.path.insert(0, folder)
os.makedirs(os.path.join(folder, "shop", "migrations"))
for path in ("shop/__init__.py", "shop/migrations/__init__.py"):
    open(os.path.join(folder, path), "w").close()
MODELS = '''
from django.db import models

class Customer(models.Model):
    name = models.CharField(max_length=80, db_index=True)
    email = models.EmailField(unique=True)
    birthday = models.DateField(null=True)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    class Meta:
        db_table = "customers"
        ordering = ["name"]

class Tag(models.Model):
    label = models.CharField(max_length=40, unique=True)
    class Meta:
        db_table = "tags"

class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=10, default="new")
    notes = models.TextField(blank=True)
    tags = models.ManyToManyField(Tag, db_table="order_tags")
    %s
    class Meta:
        db_table = "orders"
        indexes = [models.Index(fields=["customer", "state"], name="orders_customer_state")]
'''


def models(more=""):
    with open(os.path.join(folder, "shop", "models.py"), "w") as file:
        file.write(MODELS % more)


models()
settings.configure(
    DEBUG=False,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "shop"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"], "PASSWORD": os.environ["PGPASSWORD"],
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
    }},
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import Count, F, Q, Sum  # noqa: E402
from django.db.utils import IntegrityError  # noqa: E402
from shop.models import Customer, Order, Tag  # noqa: E402


def command(*arguments):
    out = io.StringIO()
    call_command(*arguments, stdout=out, no_color=True)
    return out.getvalue().splitlines()


@contextlib.contextmanager
def taken_back():
    """What may be refused leaves nothing, so that later steps see the same either way."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def migrate():
    command("makemigrations", "shop")
    command("migrate", "--verbosity", "0")
    return command("showmigrations", "shop")


def migrate_further():
    with open(os.path.join(folder, "shop", "migrations", "0002_more.py"), "w") as file:
        file.write('''
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("order", "courier", models.CharField(max_length=40, default="post")),
        migrations.AlterField("order", "courier", models.CharField(max_length=60, null=True)),
        migrations.AddIndex("order", models.Index(fields=["courier"], name="orders_courier")),
        migrations.RemoveIndex("order", "orders_courier"),
        migrations.RenameField("order", "courier", "carrier"),
        migrations.RemoveField("order", "carrier"),
    ]
''')
    command("migrate", "shop", "--verbosity", "0")
    return command("showmigrations", "shop")


def inspectdb():
    return command("inspectdb", "customers", "orders", "order_tags")


def introspect():
    with connection.cursor() as cursor:
        look = connection.introspection
        return [
            sorted(look.table_names(cursor)),
            {name: {key: value for key, value in what.items()} for name, what in sorted(look.get_constraints(cursor, "orders").items())},
            look.get_sequences(cursor, "customers"),
            look.get_relations(cursor, "orders"),
        ]


def insert():
    Customer.objects.bulk_create([
        Customer(name="Quillfeather Ada", email="ada@quillfeather.test", birthday=datetime.date(1961, 12, 9)),
        Customer(name="Brambleworth Grace", email="grace@brambleworth.test"),
    ])
    return list(Customer.objects.values_list("id", "name", "email", "birthday"))


def related():
    with transaction.atomic():
        customer = Customer.objects.get(email="ada@quillfeather.test")
        order = Order.objects.create(customer=customer, amount=decimal.Decimal("48151623.42"), notes="sentinel note by Django")
        order.tags.set([Tag.objects.create(label="express"), Tag.objects.create(label="gift")])
    return [order.pk, list(order.tags.order_by("label").values_list("label", flat=True))]


def select_related():
    return [[o.customer.name, o.amount, o.notes] for o in Order.objects.select_related("customer").filter(amount__gt=100)]


def prefetch_related():
    return [[c.name, [[o.amount, sorted(t.label for t in o.tags.all())] for o in c.orders.all()]] for c in Customer.objects.prefetch_related("orders__tags")]


def search():
    return list(Customer.objects.filter(Q(name__icontains="quill") | Q(birthday__lt=datetime.date(1950, 1, 1))).values_list("name", flat=True))


def across():
    return list(Customer.objects.filter(orders__tags__label="gift").distinct().values_list("name", flat=True))


def annotate():
    return list(Customer.objects.annotate(total=Sum("orders__amount"), n=Count("orders")).values_list("name", "total", "n"))


def dates():
    return [list(Customer.objects.filter(birthday__year=1961).values_list("name", flat=True)), list(Customer.objects.dates("birthday", "month"))]


def paged():
    return [Customer.objects.count(), list(Customer.objects.all()[1:2].values_list("name", flat=True)), Customer.objects.filter(email="nobody@nowhere.test").exists()]


def save():
    customer = Customer.objects.get(email="ada@quillfeather.test")
    customer.name = "Quillfeather Augusta"
    customer.save()
    return Customer.objects.filter(pk=customer.pk).values_list("name", flat=True)[0]


def update():
    return Customer.objects.filter(email="ada@quillfeather.test").update(birthday=datetime.date(1961, 12, 10))


def update_with_an_expression():
    with taken_back():
        Order.objects.update(amount=F("amount") + 1)
        return list(Order.objects.values_list("amount", flat=True))


def get_or_create():
    first = Tag.objects.get_or_create(label="gift")[1]
    return [first, Customer.objects.update_or_create(email="new@quillfeather.test", defaults={"name": "Quillfeather New"})[1]]


def bulk_update():
    orders = list(Order.objects.all())
    for order in orders:
        order.notes = "sentinel note by Django, changed"
    with taken_back():
        Order.objects.bulk_update(orders, ["notes"])
        return list(Order.objects.values_list("notes", flat=True))


def violated_key():
    def clash():
        with transaction.atomic():
            Customer.objects.create(name="Other", email="grace@brambleworth.test")
    try:
        clash()
    except IntegrityError as error:
        return error_of(lambda: (_ for _ in ()).throw(error))


def locked():
    with transaction.atomic():
        return list(Order.objects.select_for_update().values_list("notes", flat=True))


def iterated():
    return [c.name for c in Customer.objects.iterator(chunk_size=1)]


def raw():
    return [[c.name, c.total] for c in Customer.objects.raw("SELECT c.*, (SELECT sum(amount) FROM orders o WHERE o.customer_id = c.id) AS total FROM customers c ORDER BY c.id")]


def delete():
    return Customer.objects.filter(email="ada@quillfeather.test").delete()[0]


def back():
    command("migrate", "shop", "zero", "--verbosity", "0")
    return sorted(connection.introspection.table_names())


def drop():
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        cursor.execute("DROP TABLE " + ", ".join('"%s"' % name for name in names) + " CASCADE")


run([migrate, migrate_further, inspectdb, introspect, insert, related, select_related, prefetch_related, search, across, annotate,
     dates, paged, save, update, update_with_an_expression, get_or_create, bulk_update, violated_key, locked, iterated, raw,
     delete, back, drop])
