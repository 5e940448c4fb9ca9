"""What comes back of a statement, whatever it holds."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fieldgate.db.engine import Database


def value(database: Database, expression: str, **parameters: object) -> Any:
    return database.read(lambda c: c.scalar(text(f"SELECT {expression}"), parameters))


@pytest.mark.parametrize("given", [{}, {"unused": 1}], ids=["simple", "with a parameter"])
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("timestamptz '2026-11-28 19:48:29+03'", datetime(2026, 11, 28, 16, 48, 29, tzinfo=UTC)),
        ("timestamptz '2026-11-28 19:48:29.12Z'", datetime(2026, 11, 28, 19, 48, 29, 120_000, UTC)),
        ("timestamptz '0001-01-01 00:00:00Z'", datetime(1, 1, 1, tzinfo=UTC)),
        ("timestamp '2026-11-28 19:48:29'", datetime(2026, 11, 28, 19, 48, 29)),  # noqa: DTZ001
        ("date '2026-11-28'", date(2026, 11, 28)),
        ("timestamptz 'infinity'", "infinity"),
        ("timestamptz '12026-11-28 00:00:00Z'", "12026-11-28 00:00:00+00"),
        ("date '0044-03-15 BC'", "0044-03-15 BC"),
    ],
)
def test_times_come_as_they_are(
    database: Database, expression: str, expected: object, given: dict[str, object]
) -> None:
    condition = " WHERE :unused = 1" if given else ""

    assert value(database, expression + condition, **given) == expected


def test_a_statement_is_told_from_what_it_quotes(database: Database) -> None:
    expression = "CAST(:name AS text) || '%s ''%' || 7 %% 4"

    for name in ("Amina", "%s", "$1"):
        assert value(database, expression, name=name) == f"{name}%s '%3"


def test_a_connection_survives_a_statement_that_is_none(database: Database) -> None:
    with pytest.raises(DBAPIError):
        value(database, "CAST(:number AS integer) FROM", number=1)

    assert value(database, "CAST(:number AS integer)", number=1) == 1


# Nothing is written, so one database is for all.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
@example(["a,b", "{", "}", "", " ", '"', "\\", "NULL", "null", "NULLS"])
@example([None, "null"])
@example([])
@example(["one", "other"])
def test_an_array_of_texts_is_what_it_was(
    database: Database, texts: list[str | None] | None
) -> None:
    assert value(database, "CAST(:texts AS text[])", texts=texts) == texts
    assert value(database, "CAST(:texts AS varchar[])", texts=texts) == texts


def test_an_array_of_arrays_is_one(database: Database) -> None:
    assert value(database, "ARRAY[['a', 'b'], ['c', 'd']]") == [["a", "b"], ["c", "d"]]
