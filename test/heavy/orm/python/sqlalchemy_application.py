"""SQLAlchemy with its mapper: metadata, sessions, relations, loading strategies, reflection by the inspector."""
import datetime
import decimal

from sqlalchemy import (Boolean, CheckConstraint, Column, Date, DateTime, ForeignKey, Index, Integer, MetaData, Numeric, String,
                        Table, Text, create_engine, func, inspect, select, text, update as change)
from sqlalchemy.dialects.postgresql import JSONB, insert as pg_insert
from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload
from sqlalchemy.orm.exc import StaleDataError
from steps import error_of, run

engine = create_engine("postgresql+psycopg2://", future=True)
Base = declarative_base()
order_tags = Table(
    "order_tags", Base.metadata,
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    name = Column(String(80), nullable=False)
    email = Column(String, nullable=False, unique=True)
    birthday = Column(Date)
    active = Column(Boolean, nullable=False, server_default=text("true"))
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    orders = relationship("Order", back_populates="customer", cascade="all, delete-orphan", order_by="Order.id")


class Order(Base):
    __tablename__ = "orders"
    id = Column(Integer, primary_key=True)
    customer_id = Column(ForeignKey("customers.id"), nullable=False, index=True)
    amount = Column(Numeric(12, 2), nullable=False)
    state = Column(String, nullable=False, default="new", comment="new, paid or sent")
    notes = Column(Text)
    details = Column(JSONB)
    version = Column(Integer, nullable=False)
    customer = relationship("Customer", back_populates="orders")
    tags = relationship("Tag", secondary=order_tags, order_by="Tag.label")
    __mapper_args__ = {"version_id_col": version}
    __table_args__ = (CheckConstraint("version > 0", name="orders_version"), Index("orders_state", "state"), {"comment": "what customers ordered"})


class Tag(Base):
    __tablename__ = "tags"
    id = Column(Integer, primary_key=True)
    label = Column(String, nullable=False, unique=True)


def create():
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)


def inspector():
    look = inspect(engine)
    seen = {}
    for table in sorted(look.get_table_names()):
        seen[table] = {
            "columns": [{key: str(value) for key, value in column.items()} for column in look.get_columns(table)],
            "primary key": look.get_pk_constraint(table),
            "foreign keys": look.get_foreign_keys(table),
            "indexes": look.get_indexes(table),
            "unique": look.get_unique_constraints(table),
            "checks": look.get_check_constraints(table),
            "comment": look.get_table_comment(table),
        }
    seen["schemas"] = look.get_schema_names()
    seen["views"] = look.get_view_names()
    seen["enums"] = look.get_enums()
    return seen


def reflect():
    metadata = MetaData()
    metadata.reflect(engine)
    return [[table.name, [str(column.type) for column in table.columns]] for table in metadata.sorted_tables]


def insert():
    with Session(engine) as session:
        session.add_all([
            Customer(name="Quillfeather Ada", email="ada@quillfeather.test", birthday=datetime.date(1961, 12, 9)),
            Customer(name="Brambleworth Grace", email="grace@brambleworth.test"),
        ])
        session.commit()
        return [[c.id, c.name, c.active] for c in session.scalars(select(Customer).order_by(Customer.id))]


def related():
    with Session(engine) as session:
        customer = session.scalars(select(Customer).where(Customer.email == "ada@quillfeather.test")).one()
        order = Order(amount=decimal.Decimal("48151623.42"), notes="sentinel note by SQLAlchemy", details={"fragile": True},
                      tags=[Tag(label="express"), Tag(label="gift")])
        customer.orders.append(order)
        session.commit()
        return [order.id, order.amount, order.version, [tag.label for tag in order.tags]]


def eager():
    with Session(engine) as session:
        query = select(Customer).options(selectinload(Customer.orders).joinedload(Order.tags)).order_by(Customer.name)
        return [[c.name, c.birthday, [[o.amount, o.notes, [t.label for t in o.tags]] for o in c.orders]] for c in session.scalars(query)]


def joined():
    with Session(engine) as session:
        query = select(Order).options(joinedload(Order.customer)).where(Order.amount > 100)
        return [[o.customer.name, o.notes] for o in session.scalars(query)]


def search():
    with Session(engine) as session:
        query = select(Customer.id, Customer.name).where(Customer.name.ilike("%quill%") | Customer.birthday.between("1900-01-01", "1950-01-01"))
        return [tuple(row) for row in session.execute(query)]


def exists():
    with Session(engine) as session:
        return list(session.scalars(select(Customer.name).where(Customer.orders.any(Order.state == "new"))))


def aggregate():
    with Session(engine) as session:
        query = select(Customer.name, func.sum(Order.amount), func.count()).join(Customer.orders).group_by(Customer.name)
        return [tuple(row) for row in session.execute(query)]


def update():
    with Session(engine) as session:
        customer = session.scalars(select(Customer).filter_by(email="ada@quillfeather.test")).one()
        customer.name = "Quillfeather Augusta"
        customer.orders[0].notes = "sentinel note by SQLAlchemy, changed"
        session.commit()
        return [customer.name, customer.orders[0].version]


def stale():
    with Session(engine) as one, Session(engine) as other:
        mine, theirs = one.get(Order, 1), other.get(Order, 1)
        mine.state = "paid"
        one.commit()
        theirs.state = "sent"
        try:
            other.commit()
        except StaleDataError:
            return "stale"


def bulk_update():
    with Session(engine) as session:
        done = session.execute(change(Customer).where(Customer.active.is_(True)).values(birthday=datetime.date(1970, 1, 1)), execution_options={"synchronize_session": False})
        session.commit()
        return done.rowcount


def update_with_an_expression():
    with Session(engine) as session:
        session.execute(change(Order).values(amount=Order.amount + 1), execution_options={"synchronize_session": False})
        seen = list(session.scalars(select(Order.amount)))
        session.rollback()
        return seen


def upsert():
    with engine.connect() as connection:
        query = pg_insert(Customer).values(name="Quillfeather Upserted", email="ada@quillfeather.test")
        query = query.on_conflict_do_update(index_elements=["email"], set_={"name": query.excluded.name}).returning(Customer.name)
        return connection.execute(query).scalar()


def nested():
    with Session(engine) as session:
        def clash():
            with session.begin_nested():
                session.add(Customer(name="Other", email="grace@brambleworth.test"))
        code = error_of(clash)
        return [code, session.scalar(select(func.count()).select_from(Customer))]


def locked():
    with Session(engine) as session:
        return session.scalars(select(Order.notes).with_for_update()).all()


def server_side():
    with engine.connect().execution_options(stream_results=True, max_row_buffer=1) as connection:
        return [tuple(row) for row in connection.execute(select(Customer.name).order_by(Customer.id))]


def delete():
    with Session(engine) as session:
        session.delete(session.scalars(select(Customer).filter_by(email="ada@quillfeather.test")).one())
        session.commit()
        return session.scalar(select(func.count()).select_from(Order))


def drop():
    Base.metadata.drop_all(engine)


run([create, inspector, reflect, insert, related, eager, joined, search, exists, aggregate, update, stale, bulk_update,
     update_with_an_expression, upsert, nested, locked, server_side, delete, drop])
engine.dispose()
