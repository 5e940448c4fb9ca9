"""DELETE /media/{id}, as an app meets it."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import change_log
from fieldgate.storage.s3 import S3Storage
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.media import Darkroom, row_of
from tests.support.media_requests import BASE, delete, get, listed, refused
from tests.support.s3 import LocalS3
from uploads import delete_media, store
from uploads.store import Media


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
