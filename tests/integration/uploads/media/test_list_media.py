"""GET /media, as an app meets it."""

from typing import Any

import httpx
import pytest

from fieldgate.db.engine import Database
from tests.support.database import count_statements
from tests.support.media import Darkroom
from tests.support.media_requests import delete, listed, refused
from uploads.file_rules import Folder
from uploads.store import Media


def test_a_page_is_newest_first_and_counted(caller: dict[str, Any], darkroom: Darkroom) -> None:
    made = [str(darkroom.announce().id) for _ in range(5)]
    newest_first = made[::-1]
    first, second, third = (listed(caller, f"page={page}&pageSize=2") for page in (1, 2, 3))
    assert [item["id"] for item in first.data] == newest_first[:2]
    assert [item["id"] for item in second.data] == newest_first[2:4]
    assert [item["id"] for item in third.data] == newest_first[4:]
    assert set(first.json()) == {"success", "data", "pagination", "meta"}
    counts = {"pageSize": 2, "total": 5, "totalPages": 3}
    assert first.json()["pagination"] == counts | {
        "page": 1,
        "hasNextPage": True,
        "hasPreviousPage": False,
    }
    assert third.json()["pagination"] == counts | {
        "page": 3,
        "hasNextPage": False,
        "hasPreviousPage": True,
    }


@pytest.mark.parametrize("page", [2, 7, 1_000_000])
def test_a_page_past_the_end_is_empty_and_still_counted(
    caller: dict[str, Any], darkroom: Darkroom, page: int
) -> None:
    darkroom.announce()
    answer = listed(caller, f"page={page}")
    assert (answer.status, answer.data) == (200, [])
    assert answer.json()["pagination"] == {
        "page": page,
        "pageSize": 20,
        "total": 1,
        "totalPages": 1,
        "hasNextPage": False,
        "hasPreviousPage": True,
    }


def test_with_nothing_uploaded_the_page_is_empty(caller: dict[str, Any]) -> None:
    answer = listed(caller)
    assert answer.data == []
    pagination = answer.json()["pagination"]
    assert (pagination["total"], pagination["totalPages"]) == (0, 0)
    assert not pagination["hasNextPage"]


def test_a_page_has_20_unless_told_and_100_at_most(
    caller: dict[str, Any], darkroom: Darkroom
) -> None:
    for _ in range(21):
        darkroom.announce()
    assert len(listed(caller).data) == 20
    assert len(listed(caller, "pageSize=100").data) == 21


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pageSize=0", "pageSize"),
        ("pageSize=101", "pageSize"),
        ("pageSize=abc", "pageSize"),
        ("pageSize=-1", "pageSize"),
        ("pageSize=1.5", "pageSize"),
        ("pageSize=", "pageSize"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=abc", "page"),
        ("page=1000001", "page"),
        ("page=99999999999999999999999", "page"),
        ("folder=secrets", "folder"),
        ("folder=../farmers", "folder"),
        ("folder=", "folder"),
        ("folder=Farmers", "folder"),
        ("folder=farmers%00", "folder"),
        ("surprise=1", "surprise"),
        ("ownerId=0198a5b6-0000-7000-8000-000000000001", "ownerId"),
    ],
)
def test_a_query_that_is_not_the_contracts_is_a_400(
    caller: dict[str, Any], query: str, field: str
) -> None:
    details = refused(listed(caller, query), 400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in details] == [field]


def test_the_folder_narrows_the_page_and_its_count(
    caller: dict[str, Any], darkroom: Darkroom
) -> None:
    clients = darkroom.announce(folder=Folder.CLIENTS)
    darkroom.announce(folder=Folder.FARMERS)
    answer = listed(caller, "folder=clients")
    assert [item["id"] for item in answer.data] == [str(clients.id)]
    assert answer.json()["pagination"]["total"] == 1
    assert listed(caller, "folder=crop-demands").data == []


def test_one_sees_ones_own_only_and_an_admin_all(
    caller: dict[str, Any],
    stranger: dict[str, Any],
    admin: dict[str, Any],
    darkroom: Darkroom,
) -> None:
    media = darkroom.announce()
    assert [item["id"] for item in listed(caller).data] == [str(media.id)]
    assert listed(stranger).data == []
    assert listed(stranger).json()["pagination"]["total"] == 0
    assert [item["id"] for item in listed(admin).data] == [str(media.id)]


def test_a_deleted_media_is_on_no_page(
    caller: dict[str, Any], admin: dict[str, Any], ready: Media
) -> None:
    assert delete(caller, ready.id).status == 204
    for who in (caller, admin):
        assert listed(who).data == []
        assert listed(who).json()["pagination"]["total"] == 0


def test_the_links_of_a_page_are_signed_and_none_is_of_an_original(
    caller: dict[str, Any], ready: Media
) -> None:
    answer = listed(caller)
    assert ready.object_key not in answer.body.decode()
    (item,) = answer.data
    assert httpx.get(item["url"]).status_code == 200
    assert "X-Amz-Signature=" in item["variants"]["ai"]["url"]


@pytest.mark.parametrize("query", ["", "folder=farmers", "page=9"])
def test_a_page_with_its_count_is_one_round_trip(
    caller: dict[str, Any], ready: Media, deployed: Database, query: str
) -> None:
    listed(caller)  # connects
    with count_statements(deployed) as traffic:
        assert listed(caller, query).status == 200
    assert (traffic.round_trips, len(traffic.statements), traffic.commits) == (1, 1, 0)
