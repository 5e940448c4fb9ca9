"""Pages and times have the shape of the contract."""

import pytest
from pydantic import ValidationError

from fieldgate.db.paging import MOST_COUNTED
from fieldgate.http import (
    ApiModel,
    PageQuery,
    page,
)
from fieldgate.http.envelope import UtcTime
from tests.support.gateway import call
from tests.support.orders_app import handler


def test_a_page_has_the_shape_of_the_contract() -> None:
    content = call(handler, "GET", "/orders", query={"page": "2"}).json()

    assert content["data"] == list(range(20, 40))
    assert content["pagination"] == {
        "page": 2,
        "pageSize": 20,
        "total": 45,
        "totalPages": 3,
        "hasNextPage": True,
        "hasPreviousPage": True,
    }
    assert set(content) == {"success", "data", "pagination", "meta"}


@pytest.mark.parametrize(
    ("number", "size", "rows", "before", "after"),
    [
        (1, 20, 20, False, True),
        (3, 20, 5, True, False),
        (1, 100, 45, False, False),
        (9, 20, 0, True, False),
    ],
)
def test_a_page_knows_its_neighbours(
    number: int, size: int, rows: int, before: bool, after: bool
) -> None:
    query = {"page": str(number), "pageSize": str(size)}
    content = call(handler, "GET", "/orders", query=query).json()

    assert len(content["data"]) == rows
    assert content["pagination"]["hasPreviousPage"] is before
    assert content["pagination"]["hasNextPage"] is after


def test_a_page_of_nothing_has_no_pages() -> None:
    pagination = page([], PageQuery(), 0).pagination

    assert (pagination.total_pages, pagination.has_next_page) == (0, False)


@pytest.mark.parametrize(
    ("size", "rows", "after"), [(20, 20, True), (20, 19, False), (20, 0, False)]
)
def test_where_counting_ended_there_may_be_another_page(size: int, rows: int, after: bool) -> None:
    beyond = PageQuery.model_validate({"page": MOST_COUNTED // size + 7, "pageSize": size})
    assert page([0] * rows, beyond, MOST_COUNTED).pagination.has_next_page is after


def test_a_time_is_written_in_utc_and_needs_its_zone() -> None:
    class Meeting(ApiModel):
        starts_at: UtcTime

    meeting = Meeting.model_validate({"startsAt": "2026-01-10T13:00:00.5+03:00"})
    assert meeting.model_dump(mode="json", by_alias=True) == {
        "startsAt": "2026-01-10T10:00:00.500Z"
    }

    with pytest.raises(ValidationError, match="a time needs its zone"):
        Meeting.model_validate({"startsAt": "2026-01-10T13:00:00"})
