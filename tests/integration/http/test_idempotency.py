"""A request that comes twice is done once, and answered twice alike."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends
from sqlalchemy import Connection, func, insert, select, text

from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import users
from fieldgate.db.tables.requests import idempotency_keys
from fieldgate.db.url import parse_url
from fieldgate.errors import BusinessRule
from fieldgate.http import (
    ApiModel,
    Envelope,
    create_app,
    entry_point,
    envelope,
)
from fieldgate.http.envelope import UtcTime
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.parallel import at_once

KEY = "01989f3c-7a5e-7b7e-8a34-52b1c0a9d001"


class NewField(ApiModel):
    name: str
    area: float = 1


class FieldView(ApiModel):
    id: uuid.UUID
    name: str
    area: float
    made_at: UtcTime
    labels: dict[str, str]


app = create_app("fields", limit=None)
public = create_app("public fields", limit=None, public=True)
# What happens inside the transaction, before its end.
_within: list[Callable[[], None]] = []


def add_field(connection: Connection, body: NewField) -> FieldView:
    """Write something: a user stands for a field."""
    values = {"name": body.name, "email": f"{uuid.uuid4()}@farm.example.org"}
    statement = insert(users).values(values).returning(users.c.id, users.c.created_at)
    row = connection.execute(statement).one()
    for happens in _within:
        happens()
    labels = {"zebra": "1", "a": "2", "Longer-Than-That": "\0\N{SNOWMAN}"}
    return FieldView(
        id=row.id, name=body.name, area=body.area, made_at=row.created_at, labels=labels
    )


@app.post("/fields", status_code=201)
@app.post("/fields/{number}", status_code=201)
@public.post("/fields", status_code=201)
async def make(
    body: NewField, request: Annotated[IdempotentRequest, Depends(idempotent_request)]
) -> Envelope[FieldView]:
    return envelope(
        request.transact(
            engine.database(), lambda connection: add_field(connection, body), FieldView
        )
    )


@pytest.fixture
def within() -> Iterator[list[Callable[[], None]]]:
    yield _within
    _within.clear()


@pytest.fixture
def caller(live_database: Database) -> dict[str, Any]:
    return signed_in(uuid.uuid4())


def send(
    caller: dict[str, Any] | None,
    key: str | None = KEY,
    *,
    path: str = "/fields",
    body: str | None = None,
    **content: Any,
) -> Answer:
    return call(
        entry_point(public if caller is None else app),
        "POST",
        path,
        headers={} if key is None else {"Idempotency-Key": key},
        content=None if body else {"name": "Plot 3"} | content,
        body=body,
        authorizer=caller,
        route="POST /fields/{number}" if path != "/fields" else None,
    )


def names(database: Database) -> list[str]:
    query = select(users.c.name).order_by(users.c.created_at)
    return list(database.read(lambda connection: connection.scalars(query).all()))


def records(database: Database) -> int:
    query = select(func.count()).select_from(idempotency_keys)
    return int(database.read(lambda connection: connection.scalar(query)) or 0)


def data_of(answer: Answer) -> bytes:
    """Return the answer's data, byte by byte."""
    return answer.body.partition(b'"data":')[2].rpartition(b',"meta":')[0]


def refused(answer: Answer, status: int, code: str) -> Answer:
    assert (answer.status, answer.error["code"]) == (status, code)
    assert "idempotency-replayed" not in answer.headers
    return answer


def test_the_same_again_is_answered_alike_and_not_done_again(
    caller: dict[str, Any], live_database: Database
) -> None:
    first, second, third = (send(caller, name="\N{SNOWMAN} \U0001f33d", area=2.50) for _ in "123")

    assert data_of(first) == data_of(second) == data_of(third) != b""
    assert [answer.status for answer in (first, second, third)] == [201, 201, 201]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json()["meta"]["requestId"] != second.json()["meta"]["requestId"]
    assert names(live_database) == ["\N{SNOWMAN} \U0001f33d"]


def test_without_a_key_it_is_done_each_time(
    caller: dict[str, Any], live_database: Database
) -> None:
    assert send(caller, None).data["id"] != send(caller, None).data["id"]
    assert records(live_database) == 0


@pytest.mark.parametrize(
    "other", [{"name": "Plot 4"}, {"area": 1.0}, {"body": '{"name":"Plot 3"}'}]
)
def test_another_body_with_the_same_key_is_refused(
    caller: dict[str, Any], live_database: Database, other: dict[str, Any]
) -> None:
    first = send(caller)
    refused(send(caller, **other), 409, "IDEMPOTENCY_KEY_REUSED")

    assert data_of(send(caller)) == data_of(first)
    assert names(live_database) == ["Plot 3"]


def test_another_path_of_the_route_with_the_same_key_is_refused(caller: dict[str, Any]) -> None:
    assert send(caller, path="/fields/1").status == 201
    refused(send(caller, path="/fields/2"), 409, "IDEMPOTENCY_KEY_REUSED")


def test_another_callers_key_is_another_key(caller: dict[str, Any]) -> None:
    answers = [send(caller), send(signed_in(uuid.uuid4())), send(None), send(caller, KEY.upper())]

    assert [answer.status for answer in answers] == [201] * 4
    assert len({answer.data["id"] for answer in answers}) == 4


def test_another_routes_key_is_another_key(caller: dict[str, Any]) -> None:
    assert send(caller).data["id"] != send(caller, path="/fields/1").data["id"]


def test_on_a_public_route_everybody_is_one(live_database: Database) -> None:
    assert data_of(send(None)) == data_of(send(None))
    assert names(live_database) == ["Plot 3"]


@pytest.mark.parametrize(
    "key", ["", " ", "two words", "x" * 256, "tab\t", "\N{SNOWMAN}", "caf\u00e9", "\x7f", "a\0b"]
)
def test_a_key_is_visible_ascii_and_not_too_long(
    caller: dict[str, Any], live_database: Database, key: str
) -> None:
    answer = refused(send(caller, key), 400, "VALIDATION_ERROR")

    assert [detail["field"] for detail in answer.error["details"]] == ["Idempotency-Key"]
    assert names(live_database) == []


@pytest.mark.parametrize("key", ["!", "~" * 255, '"quoted"', "a,b"])
def test_any_other_key_is_good(caller: dict[str, Any], key: str) -> None:
    assert data_of(send(caller, key)) == data_of(send(caller, key))


@pytest.mark.parametrize(
    ("error", "status"), [(BusinessRule("Not this field."), 422), (RuntimeError("a bug"), 500)]
)
def test_what_failed_left_nothing_and_may_be_sent_again(
    caller: dict[str, Any],
    live_database: Database,
    within: list[Callable[[], None]],
    error: Exception,
    status: int,
) -> None:
    def fail() -> None:
        raise error

    within.append(fail)
    assert send(caller).status == status
    assert (names(live_database), records(live_database)) == ([], 0)
    within.clear()

    assert send(caller).status == 201
    assert names(live_database) == ["Plot 3"]


def test_an_invalid_body_leaves_nothing(caller: dict[str, Any], live_database: Database) -> None:
    refused(send(caller, name=5), 400, "VALIDATION_ERROR")

    assert send(caller).status == 201


@pytest.mark.parametrize(("age", "alike"), [("23:59:50", True), ("24:00:00", False)])
def test_after_a_day_a_key_is_new(
    caller: dict[str, Any], live_database: Database, age: str, alike: bool
) -> None:
    def grow_old(connection: Connection) -> None:
        moved = f"created_at - interval '{age}'"
        connection.execute(text(f"UPDATE idempotency_keys SET created_at = {moved}"))

    first = send(caller)
    live_database.transact(grow_old)

    second = send(caller)
    assert (data_of(first) == data_of(second)) is alike
    assert data_of(send(caller)) == data_of(second), "and counts from then on"
    assert records(live_database) == 1


def test_neither_key_nor_body_can_be_read_from_the_table(
    caller: dict[str, Any], live_database: Database
) -> None:
    send(caller, name="hunter2")
    send(caller, KEY.upper(), name="hunter2")
    query = select(idempotency_keys)
    rows = live_database.read(lambda connection: connection.execute(query).mappings().all())

    assert len({row["request_hash"] for row in rows}) == 2, "the same request looks different"
    for row in rows:
        assert KEY not in str({name: value for name, value in row.items() if name != "answer"})
        assert (len(row["key_hash"]), len(row["request_hash"])) == (32, 32)


def test_it_costs_two_round_trips_more_and_a_repeated_one_two_in_all(
    caller: dict[str, Any], live_database: Database
) -> None:
    with count_statements(live_database) as unnamed:
        send(caller, None)
    with count_statements(live_database) as first:
        send(caller)
    with count_statements(live_database) as second:
        send(caller)

    assert (unnamed.round_trips, first.round_trips, second.round_trips) == (2, 4, 2)


# At once


@pytest.fixture
def many_environments(
    live_database: Database, database_url: str, environment: pytest.MonkeyPatch
) -> Iterator[Callable[[int], None]]:
    """Give a thread a database connection of its own: call this in it, with its number."""
    databases = [Database(lambda: parse_url(database_url, "the test")) for _ in range(50)]
    mine = threading.local()
    with environment.context() as each_thread:
        each_thread.setattr(engine, "database", lambda: mine.database)
        yield lambda index: setattr(mine, "database", databases[index])
    for database in databases:
        database.close()


def test_fifty_at_once_are_done_once(
    caller: dict[str, Any], live_database: Database, many_environments: Callable[[int], None]
) -> None:
    def send_one(index: int) -> Answer:
        many_environments(index)
        return send(caller)

    for number in range(1, 6):
        live_database.transact(lambda connection: connection.execute(idempotency_keys.delete()))
        answers = at_once(50, send_one)
        done = [answer for answer in answers if answer.status == 201]
        others = [answer for answer in answers if answer.status != 201]
        assert len({data_of(answer) for answer in done}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in done) == 1
        for answer in others:
            refused(answer, 409, "CONFLICT")
            assert answer.headers["retry-after"] == "1"
        assert len(names(live_database)) == number


def test_while_the_first_runs_the_second_is_told_to_wait(
    caller: dict[str, Any],
    live_database: Database,
    within: list[Callable[[], None]],
    many_environments: Callable[[int], None],
) -> None:
    runs, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        runs.set()
        assert may_end.wait(30)

    def send_one(index: int) -> Answer:
        many_environments(index)
        if index == 0:
            return send(caller)
        assert runs.wait(30)
        try:
            return send(caller)
        finally:
            may_end.set()

    within.append(hold)
    first, second = at_once(2, send_one)

    assert refused(second, 409, "CONFLICT").headers["retry-after"] == "1"
    many_environments(0)
    assert data_of(send(caller)) == data_of(first)
    assert names(live_database) == ["Plot 3"]


def test_what_another_finished_after_we_looked_is_found_in_a_second_look(
    caller: dict[str, Any],
    live_database: Database,
    within: list[Callable[[], None]],
    many_environments: Callable[[int], None],
) -> None:
    """The lock is free again and our snapshot is older: here the other runs without any lock."""
    many_environments(0)
    first = send(caller)
    kept = live_database.read(
        lambda connection: dict(connection.execute(select(idempotency_keys)).mappings().one())
    )
    live_database.transact(lambda connection: connection.execute(idempotency_keys.delete()))

    def finish_meanwhile() -> None:
        within.clear()
        live_database.transact(
            lambda connection: connection.execute(insert(idempotency_keys).values(kept))
        )

    within.append(finish_meanwhile)
    answer = send(caller)

    assert (answer.status, data_of(answer)) == (201, data_of(first))
    assert names(live_database) == ["Plot 3"], "what was done for nothing is undone"
