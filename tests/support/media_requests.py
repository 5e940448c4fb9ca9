"""What an app asks of media."""

from collections.abc import Mapping
from typing import Any

from tests.support.gateway import Answer, Handler, call
from tests.support.media import Darkroom
from uploads import delete_media, get_media, list_media
from uploads.processing import process_upload
from uploads.store import Media

BASE = "/api/v1/media"
OWN = ["media:read", "media:write"]
ADMIN = [*OWN, "media:read_all", "media:write_all"]
ROUTES: dict[str, tuple[Handler, str]] = {
    "get": (get_media.handler, "GET"),
    "delete": (delete_media.handler, "DELETE"),
}


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
