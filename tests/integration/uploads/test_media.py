"""GET /media/{id}, GET /media and DELETE /media/{id}, as an app meets them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables import change_log
from fieldgate.db.tables import media as table
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.database import count_statements
from tests.support.gateway import Answer, Handler, call, signed_in
from tests.support.media import Darkroom, add_user, row_of, sha256
from tests.support.ports import free_port
from tests.support.s3 import ORIGINALS, LocalS3, refusal
from tests.support.sender import Sender
from uploads import delete_media, get_media, list_media, store
from uploads.file_rules import Folder
from uploads.processing import process_upload
from uploads.store import Media

BASE = "/api/v1/media"
OWN = ["media:read", "media:write"]
ADMIN = [*OWN, "media:read_all", "media:write_all"]
ROUTES: dict[str, tuple[Handler, str]] = {
    "get": (get_media.handler, "GET"),
    "delete": (delete_media.handler, "DELETE"),
}


@pytest.fixture
def caller(deployed: Database, owner_id: UUID) -> dict[str, Any]:
    return signed_in(owner_id, permissions=OWN)


@pytest.fixture
def stranger(deployed: Database, database: Database) -> dict[str, Any]:
    return signed_in(add_user(database, "Brian"), permissions=OWN)


@pytest.fixture
def admin(deployed: Database, database: Database) -> dict[str, Any]:
    return signed_in(add_user(database, "Chebet"), permissions=ADMIN)


@pytest.fixture
def ready(darkroom: Darkroom) -> Media:
    media = darkroom.upload()
    develop(darkroom, media)
    return media


def develop(darkroom: Darkroom, media: Media) -> None:
    process_upload(darkroom.database, darkroom.originals, darkroom.published, media.object_key)


def get(caller: Mapping[str, Any] | None, media_id: object) -> Answer:
    return call(get_media.handler, "GET", f"{BASE}/{media_id}", authorizer=caller)


def listed(caller: Mapping[str, Any] | None, query: str = "") -> Answer:
    return call(list_media.handler, "GET", BASE, query=query, authorizer=caller)


def delete(caller: dict[str, Any] | None, media_id: object) -> Answer:
    return call(delete_media.handler, "DELETE", f"{BASE}/{media_id}", authorizer=caller)


def refused(answer: Answer, status: int, code: str) -> list[dict[str, str]]:
    assert (answer.status, answer.error["code"]) == (status, code)
    details: list[dict[str, str]] = answer.error["details"]
    return details


# One media


def test_a_ready_media_is_shown_as_the_contract_says(caller: dict[str, Any], ready: Media) -> None:
    answer = get(caller, ready.id)
    assert answer.status == 200
    data = answer.data
    variants = data.pop("variants")
    assert data.pop("url") == variants["web"]["url"]
    assert data.pop("createdAt").endswith("Z")
    assert data == {
        "id": str(ready.id),
        "state": "ready",
        "folder": "farmers",
        "filename": "leaf.jpg",
        "contentType": "image/jpeg",
        "size": len(photos.small_jpeg()),
        "sha256": sha256(photos.small_jpeg()),
        "rejectedReason": None,
    }
    assert set(variants) == {"web", "ai"}
    assert all(set(variant) == {"url", "width", "height", "bytes"} for variant in variants.values())


def test_the_links_work_signed_and_only_so_and_never_show_the_original(
    caller: dict[str, Any], ready: Media, darkroom: Darkroom
) -> None:
    answer = get(caller, ready.id)
    assert f"/{ORIGINALS}/" not in answer.body.decode()
    assert ready.object_key not in answer.body.decode()
    for name, variant in answer.data["variants"].items():
        content = httpx.get(variant["url"])
        assert content.status_code == 200
        assert len(content.content) == variant["bytes"]
        assert content.content == darkroom.variants()[f"variants/farmers/{ready.id}/{name}.jpg"]
        assert "X-Amz-Expires=3600&" in variant["url"]
        assert httpx.get(variant["url"].partition("?")[0]).status_code == 403
        to_original = variant["url"].replace(f"/media/variants/farmers/{ready.id}/{name}.jpg", "/X")
        assert refusal(
            httpx.get(to_original.replace("/X", f"/{ORIGINALS}/{ready.object_key}"))
        ) == (403, "SignatureDoesNotMatch")


def test_a_pending_media_has_no_links(caller: dict[str, Any], darkroom: Darkroom) -> None:
    media = darkroom.announce()
    data = get(caller, media.id).data
    assert (data["state"], data["url"]) == ("pending", None)
    assert data["variants"] == {"web": None, "ai": None}


def test_a_rejected_media_says_why_and_has_no_links(
    caller: dict[str, Any], darkroom: Darkroom
) -> None:
    media = darkroom.upload(b"Dear sir, my maize is yellow.")
    develop(darkroom, media)
    answer = get(caller, media.id)
    data = answer.data
    assert (data["state"], data["rejectedReason"]) == ("rejected", "NOT_AN_IMAGE")
    assert (data["url"], data["variants"]) == (None, {"web": None, "ai": None})
    assert "http" not in answer.body.decode()


def test_reading_one_is_one_round_trip(
    caller: dict[str, Any], ready: Media, deployed: Database
) -> None:
    get(caller, ready.id)  # connects
    with count_statements(deployed) as traffic:
        assert get(caller, ready.id).status == 200
    assert (traffic.round_trips, len(traffic.statements), traffic.commits) == (1, 1, 0)


def test_a_stored_document_is_its_original_to_be_saved_under_its_name(
    sender: Sender, originals: S3Storage
) -> None:
    content = b"kilos\n12\n"
    upload = sender.begin(content, filename="Bei ya mahindi, ma\u00efs.csv", contentType="text/csv")
    assert get(sender.caller, upload.media_id).data["url"] is None

    row = sender.row(upload.id)
    statement = update(table).where(table.c.id == upload.media_id).values(state="stored")
    sender.database.transact(lambda connection: connection.execute(statement))
    originals.put(row["object_key"], content, content_type="text/csv", cache_control="private")

    data = get(sender.caller, upload.media_id).data
    assert (data["state"], data["variants"]) == ("stored", {"web": None, "ai": None})
    assert "X-Amz-Expires=3600&" in data["url"]
    answer = httpx.get(data["url"])
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''Bei%20ya%20mahindi%2C%20ma%C3%AFs.csv"
    )
    assert httpx.get(data["url"].partition("?")[0]).status_code == 403
    (listed_one,) = listed(sender.caller).data
    assert httpx.get(listed_one["url"]).content == content


# Whose it is


@pytest.mark.parametrize("route", ROUTES)
def test_another_owners_media_is_not_there(
    stranger: dict[str, Any], ready: Media, darkroom: Darkroom, route: str
) -> None:
    handler, method = ROUTES[route]
    answer = call(handler, method, f"{BASE}/{ready.id}", authorizer=stranger)
    unknown = call(handler, method, f"{BASE}/{uuid4()}", authorizer=stranger)
    refused(answer, 404, "NOT_FOUND")
    assert answer.error == unknown.error
    assert darkroom.row(ready)["deleted_at"] is None
    assert len(darkroom.variants()) == 2


def test_seeing_everybodys_media_is_not_deleting_them(
    deployed: Database, database: Database, ready: Media, darkroom: Darkroom
) -> None:
    reader = signed_in(add_user(database, "Dalila"), permissions=[*OWN, "media:read_all"])
    before = darkroom.row(ready), darkroom.variants(), darkroom.stored_originals()
    assert get(reader, ready.id).status == 200
    refused(delete(reader, ready.id), 404, "NOT_FOUND")
    assert (darkroom.row(ready), darkroom.variants(), darkroom.stored_originals()) == before


def test_deleting_everybodys_media_is_not_seeing_them(
    deployed: Database, database: Database, ready: Media
) -> None:
    sweeper = signed_in(add_user(database, "Ekal"), permissions=[*OWN, "media:write_all"])
    refused(get(sweeper, ready.id), 404, "NOT_FOUND")
    assert delete(sweeper, ready.id).status == 204
    assert row_of(database, ready.id) is None


def test_an_admin_sees_and_deletes_everybodys(
    admin: dict[str, Any], ready: Media, darkroom: Darkroom
) -> None:
    assert get(admin, ready.id).data["state"] == "ready"
    assert [item["id"] for item in listed(admin).data] == [str(ready.id)]
    assert delete(admin, ready.id).status == 204
    assert darkroom.variants() == {}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "media_id",
    ["1", "null", "undefined", "%00", "..%2F..", "0198a5b6-0000-7000-8000-00000000000g", "' OR 1"],
)
def test_an_id_that_is_none_is_a_400(caller: dict[str, Any], route: str, media_id: str) -> None:
    handler, method = ROUTES[route]
    answer = call(handler, method, f"{BASE}/{media_id}", authorizer=caller)
    if "%2F" in media_id:  # the gateway decodes it, and then it is another address
        refused(answer, 404, "NOT_FOUND")
    else:
        assert [d["field"] for d in refused(answer, 400, "VALIDATION_ERROR")] == ["id"]


def test_without_the_permission_it_is_a_403(owner_id: UUID, ready: Media, deployed: None) -> None:
    writer = signed_in(owner_id, permissions=["media:write"])
    reader = signed_in(owner_id, permissions=["media:read"])
    # Seeing everybody's is not yet seeing.
    odd = signed_in(owner_id, permissions=["media:read_all"])
    for caller in (writer, odd):
        refused(get(caller, ready.id), 403, "FORBIDDEN")
        refused(listed(caller), 403, "FORBIDDEN")
    for caller in (reader, odd):
        refused(delete(caller, ready.id), 403, "FORBIDDEN")
    assert get(reader, ready.id).status == 200


def test_without_a_token_it_is_a_401(ready: Media, deployed: None) -> None:
    for answer in (get(None, ready.id), listed(None), delete(None, ready.id)):
        refused(answer, 401, "UNAUTHORIZED")
    expired = {"failure": "TOKEN_EXPIRED"}
    for answer in (get(expired, ready.id), listed(expired), delete(expired, ready.id)):
        refused(answer, 401, "TOKEN_EXPIRED")


def test_with_the_database_down_it_is_a_503(
    caller: dict[str, Any], deployed: Database, environment: pytest.MonkeyPatch
) -> None:
    deployed.close()
    environment.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{free_port()}/nothing")
    for answer in (get(caller, uuid4()), listed(caller), delete(caller, uuid4())):
        refused(answer, 503, "UNAVAILABLE")


# A page


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


# Deleting


def test_deleting_removes_row_original_and_variants(
    caller: dict[str, Any], ready: Media, darkroom: Darkroom
) -> None:
    bystander = darkroom.upload()
    answer = delete(caller, ready.id)
    assert (answer.status, answer.body) == (204, b"")
    assert row_of(darkroom.database, ready.id) is None
    assert darkroom.variants() == {}
    assert set(darkroom.stored_originals()) == {bystander.object_key}


def test_deleting_is_two_transactions(
    caller: dict[str, Any], ready: Media, deployed: Database
) -> None:
    get(caller, ready.id)  # connects
    with count_statements(deployed) as traffic:
        assert delete(caller, ready.id).status == 204
    # An upload to end, the media to hide; then the row.
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (2, 0, 3)
    # BEGIN and its settings go with the first statement of each; then COMMIT.
    assert traffic.round_trips == 5


def test_deleting_twice_is_a_404(caller: dict[str, Any], ready: Media) -> None:
    assert delete(caller, ready.id).status == 204
    refused(delete(caller, ready.id), 404, "NOT_FOUND")
    refused(get(caller, ready.id), 404, "NOT_FOUND")


def test_a_media_that_was_never_uploaded_can_be_deleted(
    caller: dict[str, Any], darkroom: Darkroom
) -> None:
    media = darkroom.announce()
    assert delete(caller, media.id).status == 204
    assert row_of(darkroom.database, media.id) is None


@pytest.mark.parametrize("mode", ["down", "error"])
def test_when_storage_fails_in_between_the_same_call_again_finishes(
    caller: dict[str, Any], ready: Media, darkroom: Darkroom, s3: LocalS3, mode: Any
) -> None:
    s3.faults.set("s3", mode, 60)
    refused(delete(caller, ready.id), 503, "UNAVAILABLE")
    # Nobody sees it any more, though it is still there.
    refused(get(caller, ready.id), 404, "NOT_FOUND")
    assert listed(caller).data == []
    first_hidden = darkroom.row(ready)["deleted_at"]
    assert first_hidden is not None
    assert len(darkroom.variants()) == 2
    refused(delete(caller, ready.id), 503, "UNAVAILABLE")
    assert darkroom.row(ready)["deleted_at"] == first_hidden

    s3.faults.set("s3", mode, 0)
    assert delete(caller, ready.id).status == 204
    assert row_of(darkroom.database, ready.id) is None
    assert (darkroom.variants(), darkroom.stored_originals()) == ({}, {})
    refused(delete(caller, ready.id), 404, "NOT_FOUND")


def test_killed_after_the_objects_went_the_same_call_again_finishes(
    caller: dict[str, Any], ready: Media, darkroom: Darkroom, environment: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the end")

    with environment.context() as patch:
        patch.setattr(store, "remove", fails)
        refused(delete(caller, ready.id), 500, "INTERNAL_ERROR")
    assert delete(caller, ready.id).status == 204
    assert row_of(darkroom.database, ready.id) is None


def test_a_stranger_cannot_finish_a_deletion(
    caller: dict[str, Any], stranger: dict[str, Any], ready: Media, s3: LocalS3
) -> None:
    s3.faults.set("s3", "down", 60)
    refused(delete(caller, ready.id), 503, "UNAVAILABLE")
    refused(delete(stranger, ready.id), 404, "NOT_FOUND")


def test_the_change_log_names_who_deleted_under_which_request(
    owner_id: UUID, caller: dict[str, Any], ready: Media, deployed: Database
) -> None:
    answer = call(
        delete_media.handler,
        "DELETE",
        f"{BASE}/{ready.id}",
        headers={"X-Request-Id": "from-the-phone"},
        authorizer=caller,
    )
    assert answer.headers["x-request-id"] == "from-the-phone"
    columns = [change_log.c[name] for name in ("action", "actor", "request_id")]
    statement = (
        select(*columns)
        .where(change_log.c.entity_id == str(ready.id))
        .order_by(change_log.c.id.desc())
        .limit(2)
    )
    found = deployed.read(lambda connection: connection.execute(statement).all())
    assert [tuple(row) for row in found] == [
        ("delete", str(owner_id), "from-the-phone"),
        ("update", str(owner_id), "from-the-phone"),
    ]


def test_a_permanent_refusal_by_storage_is_a_500_that_shows_nothing(
    caller: dict[str, Any], ready: Media, environment: pytest.MonkeyPatch, darkroom: Darkroom
) -> None:
    from fieldgate.storage import StorageError

    def refuses(*_: object) -> None:
        raise StorageError("AccessDenied arn:aws:iam::123456789012:role/x")

    with environment.context() as patch:
        patch.setattr(S3Storage, "delete", refuses)
        answer = delete(caller, ready.id)
    refused(answer, 500, "INTERNAL_ERROR")
    assert "arn:" not in answer.body.decode()
    assert delete(caller, ready.id).status == 204
