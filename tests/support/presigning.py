"""Requests for a URL to upload to, and how they are refused."""

import hashlib
from typing import Any

from tests import photos
from tests.support.gateway import Answer, call
from uploads import presign_upload

PATH = "/api/v1/uploads/presign"
PHOTO = photos.small_jpeg()
GOOD: dict[str, Any] = {
    "folder": "farmers",
    "filename": "leaf.jpg",
    "contentType": "image/jpeg",
    "size": len(PHOTO),
}
DIGEST = hashlib.sha256(PHOTO)


def presign(caller: dict[str, Any] | None, *, key: str | None = None, **changes: Any) -> Answer:
    content = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    headers = {"Idempotency-Key": key} if key else {}
    return call(
        presign_upload.handler, "POST", PATH, headers=headers, content=content, authorizer=caller
    )


def refused(answer: Answer, status: int, code: str) -> Any:
    """Check that it is the documented error, in the envelope; return its details."""
    assert (answer.status, answer.error["code"]) == (status, code)
    assert set(answer.json()) == {"success", "error", "meta"}
    assert "X-Amz-Signature" not in answer.body.decode()
    return answer.error["details"]
