"""Ways to use PostgreSQL: through our layer, by psycopg 3, by SQLAlchemy's ORM over pg8000.

All do the same: rows come as objects of Python (UUID, Decimal, date, datetime), and a transaction
begins with telling the change log who it is for, as every one of ours does.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
    create_engine,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url

ACTOR, REQUEST_ID = "user:7", "a-request"
PAGE = 50
COLUMNS = ("product", "warehouse", "unit", "received", "quantity", "expires_on", "created_by")

SCHEMA = """
    CREATE TABLE {name} (
        id uuid PRIMARY KEY DEFAULT uuidv7(), product text NOT NULL, warehouse text NOT NULL,
        unit text NOT NULL, received numeric(14, 3) NOT NULL, quantity numeric(14, 3) NOT NULL,
        expires_on date NOT NULL, created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON {name} (created_at DESC, id DESC)"""
_TELL = (
    "SELECT set_config('fieldgate.actor', %s, true), set_config('fieldgate.request_id', %s, true)"
)
_ONE = "SELECT * FROM lots WHERE id = %s"
_NEWEST = "SELECT * FROM lots ORDER BY created_at DESC, id DESC LIMIT %s"
_INSERT = "INSERT INTO new_lots ({}) VALUES ({})".format(
    ", ".join(COLUMNS), ", ".join(["%s"] * len(COLUMNS))
)
_COPY = f"COPY new_lots ({', '.join(COLUMNS)}) FROM STDIN"
# As the stores insert many: one statement with one parameter, whatever their number.
_INSERT_MANY = f"""
    INSERT INTO new_lots ({", ".join(COLUMNS)})
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        product text, warehouse text, unit text, received numeric, quantity numeric,
        expires_on date, created_by uuid)"""

type Row = dict[str, Any]


class Way(Protocol):
    """One connection and what is done with it; it is opened by the first `read`."""

    name: str

    def read(self, lot_id: UUID) -> Any: ...
    def page(self) -> Sequence[Any]: ...
    def insert(self, row: Row) -> None: ...
    def insert_many(self, rows: Sequence[Row]) -> None: ...
    def close(self) -> None: ...


def _table(name: str) -> Table:
    return Table(
        name,
        MetaData(),
        Column("id", Uuid, primary_key=True, server_default=func.uuidv7()),
        *(Column(text_column, Text) for text_column in ("product", "warehouse", "unit")),
        Column("received", Numeric(14, 3)),
        Column("quantity", Numeric(14, 3)),
        Column("expires_on", Date),
        Column("created_by", Uuid),
        Column("created_at", DateTime(timezone=True), server_default=func.now()),
    )


LOTS, NEW_LOTS = _table("lots"), _table("new_lots")


class Ours:
    name = "ours"

    def __init__(self, url: str) -> None:
        self._database = Database(lambda: parse_url(url, "the benchmark"))

    def read(self, lot_id: UUID) -> Any:
        query = select(LOTS).where(LOTS.c.id == lot_id)
        return self._database.read(lambda c: c.execute(query).mappings().one())

    def page(self) -> Sequence[Any]:
        query = select(LOTS).order_by(LOTS.c.created_at.desc(), LOTS.c.id.desc()).limit(PAGE)
        return self._database.read(lambda c: c.execute(query).mappings().all())

    def insert(self, row: Row) -> None:
        statement = insert(NEW_LOTS).values(row)
        self._transact(lambda c: c.execute(statement))

    def insert_many(self, rows: Sequence[Row]) -> None:
        parameter = {"rows": json.dumps(rows, default=str)}
        self._transact(lambda c: c.execute(text(_INSERT_MANY), parameter))

    def _transact(self, work: Any) -> None:
        self._database.transact(work, actor=ACTOR, request_id=REQUEST_ID)

    def close(self) -> None:
        self._database.close()


class Psycopg:
    """As its documentation has it: autocommit for reads, `executemany` for many rows."""

    name = "psycopg"

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def read(self, lot_id: UUID) -> Any:
        return self._connection.execute(_ONE, (lot_id,)).fetchone()

    def page(self) -> list[Row]:
        return list(self._connection.execute(_NEWEST, (PAGE,)))

    def insert(self, row: Row) -> None:
        with self._told():
            self._connection.execute(_INSERT, list(row.values()))

    def insert_many(self, rows: Sequence[Row]) -> None:
        with self._told(), self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, [list(row.values()) for row in rows])

    @contextmanager
    def _told(self) -> Iterator[None]:
        with self._connection.transaction():
            self._connection.execute(_TELL, (ACTOR, REQUEST_ID))
            yield

    def close(self) -> None:
        self._connection.close()


class PsycopgAtItsBest(Psycopg):
    """What may be sent at once goes at once, by hand; many rows by COPY."""

    name = "psycopg: pipeline, COPY"

    def insert(self, row: Row) -> None:
        with self._connection.pipeline():
            self._connection.execute("BEGIN")
            self._connection.execute(_TELL, (ACTOR, REQUEST_ID))
            self._connection.execute(_INSERT, list(row.values()))
            self._connection.execute("COMMIT")

    def insert_many(self, rows: Sequence[Row]) -> None:
        with self._told(), self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(list(row.values()))


class _Base(DeclarativeBase):
    pass


class _LotColumns:
    # Made here, as it has to be for many rows to go in one statement.
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    product: Mapped[str]
    warehouse: Mapped[str]
    unit: Mapped[str]
    received: Mapped[Decimal] = mapped_column(Numeric(14, 3))
    quantity: Mapped[Decimal] = mapped_column(Numeric(14, 3))
    expires_on: Mapped[date]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class _Lot(_LotColumns, _Base):
    __tablename__ = "lots"


class _NewLot(_LotColumns, _Base):
    __tablename__ = "new_lots"


class Orm:
    """As SQLAlchemy's tutorial has it; a connection is asked whether it lives when taken."""

    name = "ORM, pg8000"
    _tell: ClassVar = text(_TELL.replace("%s", ":actor", 1).replace("%s", ":request", 1))

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url.replace("postgresql://", "postgresql+pg8000://"), pool_pre_ping=True
        )

    def read(self, lot_id: UUID) -> Any:
        with Session(self._engine) as session:
            return session.get_one(_Lot, lot_id)

    def page(self) -> Sequence[Any]:
        query = select(_Lot).order_by(_Lot.created_at.desc(), _Lot.id.desc()).limit(PAGE)
        with Session(self._engine) as session:
            return session.scalars(query).all()

    def insert(self, row: Row) -> None:
        self.insert_many([row])

    def insert_many(self, rows: Sequence[Row]) -> None:
        with Session(self._engine) as session, session.begin():
            session.execute(self._tell, {"actor": ACTOR, "request": REQUEST_ID})
            session.add_all([_NewLot(**row) for row in rows])

    def close(self) -> None:
        self._engine.dispose()


WAYS = (Ours, Psycopg, PsycopgAtItsBest, Orm)
