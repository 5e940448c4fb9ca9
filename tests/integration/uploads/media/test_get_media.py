"""GET /media/{id}, as an app meets it, and who may do what with media."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media as table
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.media import Darkroom, add_user, row_of, sha256
from tests.support.media_requests import BASE, OWN, ROUTES, delete, develop, get, listed, refused
from tests.support.ports import free_port
from tests.support.s3 import ORIGINALS, refusal
from tests.support.sender import Sender
from uploads.store import Media

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
