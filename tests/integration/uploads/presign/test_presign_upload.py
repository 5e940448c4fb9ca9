"""POST /uploads/presign, as a phone meets it: the answer, and who gets one."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import IntegrityError

from fieldgate import configuration
from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media
from fieldgate.db.tables.requests import idempotency_keys
from fieldgate.storage.s3 import S3Storage
from local.valkey import ValkeyServer
from tests.conftest import empty_valkey
from tests.support.database import count_statements
from tests.support.gateway import signed_in
from tests.support.media import UNNAMED, all_rows, put, row_of
from tests.support.ports import free_port
from tests.support.presigning import DIGEST, PHOTO, presign, refused
from tests.support.s3 import ORIGINALS, LocalS3
from uploads.file_rules import PHOTO_TYPES, DeclaredFile, Folder
from uploads.presigning import presign_photo

OBJECT_KEY = re.compile(
    r"(clients|client-documents|crop-demands|farmers|uploads)"
    r"/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.(jpg|jpeg|png|webp)"
)


# The answer


def test_the_answer_is_the_contracts(caller: dict[str, Any], s3: LocalS3) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = presign(caller)
    assert answer.status == 201
    content = answer.json()
    assert set(content) == {"success", "data", "meta"}
    assert set(content["meta"]) == {"timestamp", "version", "requestId"}
    assert answer.headers["x-request-id"] == content["meta"]["requestId"]
    data = answer.data
    assert set(data) == {"mediaId", "method", "url", "headers", "expiresAt"}
    assert UUID(data["mediaId"]).version == 7
    assert data["method"] == "PUT"
    assert data["url"].startswith(f"{s3.endpoint}/{ORIGINALS}/farmers/{data['mediaId']}.jpg?")
    assert data["headers"] == {"Content-Type": "image/jpeg", "Content-Length": str(len(PHOTO))}
    lifetime = datetime.fromisoformat(data["expiresAt"]) - before
    assert data["expiresAt"].endswith("Z")
    assert timedelta(minutes=60) <= lifetime < timedelta(minutes=61)


def test_the_media_is_pending_and_the_callers(
    caller: dict[str, Any], deployed: Database, owner_id: UUID
) -> None:
    data = presign(caller, filename="Plot 3.JPG", sha256=DIGEST.hexdigest()).data
    row = row_of(deployed, UUID(data["mediaId"]))
    assert row is not None
    expected = {
        "owner_id": owner_id,
        "state": "pending",
        "folder": "farmers",
        "filename": "Plot 3.JPG",
        "content_type": "image/jpeg",
        "size": len(PHOTO),
        "sha256": DIGEST.hexdigest(),
        "object_key": f"farmers/{data['mediaId']}.jpg",
        "variants": {},
        "deleted_at": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_it_costs_one_transaction_of_one_statement(
    caller: dict[str, Any], deployed: Database
) -> None:
    configuration.values()  # which is asked for once in a quarter of an hour
    with count_statements(deployed) as traffic:
        assert presign(caller).status == 201
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 1)
    # BEGIN and the settings of the transaction ride with the INSERT; then COMMIT.
    assert traffic.round_trips == 2


@pytest.mark.parametrize("folder", list(Folder))
def test_every_folder_of_the_contract_is_open(caller: dict[str, Any], folder: Folder) -> None:
    assert f"/{ORIGINALS}/{folder}/" in presign(caller, folder=folder).data["url"]


def test_the_same_request_twice_makes_two_media(caller: dict[str, Any]) -> None:
    assert presign(caller).data["mediaId"] != presign(caller).data["mediaId"]


# The same request again


def test_with_a_key_the_same_request_is_one_media_and_one_answer(
    caller: dict[str, Any], deployed: Database, s3: LocalS3
) -> None:
    first, second = (presign(caller, key="a", sha256=DIGEST.hexdigest()) for _ in range(2))
    assert (second.status, second.data) == (201, first.data)
    assert second.headers["idempotency-replayed"] == "true"
    assert len(all_rows(deployed)) == 1
    assert put(second.data, PHOTO).status_code == 200


def let_answers_expire(database: Database) -> None:
    """Write into the first answers that their URLs have ended."""

    def expire(connection: Connection) -> None:
        answer = json.loads(connection.scalars(select(idempotency_keys.c.answer)).one())
        answer |= {"url": "https://ended.example.org", "expiresAt": "2026-01-10T10:00:00.000Z"}
        connection.execute(update(idempotency_keys).values(answer=json.dumps(answer)))

    database.transact(expire)


def test_when_the_first_url_has_ended_the_same_media_gets_another(
    caller: dict[str, Any], deployed: Database, s3: LocalS3
) -> None:
    first = presign(caller, key="a", sha256=DIGEST.hexdigest()).data
    let_answers_expire(deployed)
    second = presign(caller, key="a", sha256=DIGEST.hexdigest()).data
    assert second["mediaId"] == first["mediaId"]
    assert datetime.fromisoformat(second["expiresAt"]) > datetime.now(UTC)
    assert put(second, PHOTO).status_code == 200
    assert list(s3.stored(ORIGINALS)) == [f"farmers/{first['mediaId']}.jpg"]


def test_when_the_media_is_deleted_by_then_it_is_gone(
    caller: dict[str, Any], deployed: Database
) -> None:
    presign(caller, key="a")
    let_answers_expire(deployed)
    deployed.transact(lambda connection: connection.execute(delete(media)))
    refused(presign(caller, key="a"), 410, "GONE")


def test_a_key_costs_two_round_trips(caller: dict[str, Any], deployed: Database) -> None:
    configuration.values()
    with count_statements(deployed) as traffic:
        assert presign(caller, key="a").status == 201
    assert traffic.round_trips == 4


# Who may


def test_without_a_token_it_is_a_401(caller: dict[str, Any], deployed: Database) -> None:
    refused(presign(None), 401, "UNAUTHORIZED")
    refused(presign({"failure": "UNAUTHORIZED"}), 401, "UNAUTHORIZED")
    refused(presign({"failure": "TOKEN_EXPIRED"}), 401, "TOKEN_EXPIRED")
    assert all_rows(deployed) == []


def test_without_the_permission_it_is_a_403(deployed: Database, owner_id: UUID) -> None:
    reader = signed_in(owner_id, roles=["admin"], permissions=["media:read", "media:read_all"])
    refused(presign(reader), 403, "FORBIDDEN")
    assert all_rows(deployed) == []


def test_an_owner_that_no_longer_exists_is_a_401(deployed: Database) -> None:
    ghost = signed_in(uuid4(), permissions=["media:write"])
    refused(presign(ghost), 401, "UNAUTHORIZED")
    assert all_rows(deployed) == []


def test_with_the_database_down_it_is_a_503_and_nothing_is_signed(
    deployed: Database,
    environment: pytest.MonkeyPatch,
    owner_id: UUID,
) -> None:
    signed: list[str] = []
    deployed.close()
    environment.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{free_port()}/nothing")
    environment.setattr(
        S3Storage, "presign_put", lambda _self, key, **_: signed.append(key), raising=True
    )
    answer = presign(signed_in(owner_id, permissions=["media:write"]))
    refused(answer, 503, "UNAVAILABLE")
    assert signed == []
    assert "127.0.0.1" not in answer.body.decode()


# Whatever the name


def test_whatever_the_name_the_object_is_named_by_us(
    caller: dict[str, Any], deployed: Database, valkey: ValkeyServer
) -> None:
    stems = st.text() | st.from_regex(r"[\w .'()-]{1,40}", fullmatch=True)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(stems, st.sampled_from([*PHOTO_TYPES, ""]), st.sampled_from(Folder))
    @example("leaf", ".jpg", Folder.FARMERS)
    def check(stem: str, extension: str, folder: Folder) -> None:
        content_type = PHOTO_TYPES.get(extension, "image/jpeg")
        empty_valkey(valkey.url)  # the caller may send more than these
        answer = presign(caller, filename=stem + extension, contentType=content_type, folder=folder)
        if answer.status != 201:
            assert (answer.status, answer.error["code"]) in {
                (400, "VALIDATION_ERROR"),
                (415, "UNSUPPORTED_MEDIA_TYPE"),
            }
            return
        row = row_of(deployed, UUID(answer.data["mediaId"]))
        assert row is not None
        assert OBJECT_KEY.fullmatch(row["object_key"])
        assert row["object_key"].startswith(f"{folder}/{row['id']}.")
        assert f"/{ORIGINALS}/{row['object_key']}?" in answer.data["url"]

    check()
    assert all_rows(deployed)


def test_a_row_that_the_database_refuses_for_another_reason_is_not_taken_for_a_lost_account(
    database: Database, originals: S3Storage, owner_id: UUID
) -> None:
    impossible = DeclaredFile("leaf.jpg", ".jpg", "image/jpeg", size=0)
    with pytest.raises(IntegrityError):
        presign_photo(UNNAMED, database, originals, owner_id, Folder.FARMERS, impossible, None)
