"""What the server says of an upload; all raise NotUnderstood for what isn't the contract's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fieldgate_client.answers import Answer, not_understood
from fieldgate_client.errors import ApiError
from fieldgate_client.policy import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, Policy

# docs/api.md, "Files in chunks".
STATES = frozenset(
    {"created", "uploading", "assembling", "completed", "failed", "aborted", "expired"}
)
# Of these it is said which chunks are there and which are not.
BEING_SENT = frozenset({"created", "uploading"})
# Of a media: its bytes are at the server. Before that it is `pending`, which says nothing of them.
ARRIVED = frozenset({"stored", "processing", "ready"})


@dataclass(frozen=True)
class Terms:
    """What the server has agreed to; `policy` in the contract's words."""

    upload_id: str
    media_id: str
    chunk_size: int
    policy: Mapping[str, Any]

    @classmethod
    def of(cls, answer: Answer, size: int) -> Self:
        """Read the answer to POST /uploads for a file of so many bytes."""
        found = answer.fields
        chunk_size = found.whole("chunkSize", MIN_CHUNK_BYTES, MAX_CHUNK_BYTES)
        count = -(-size // chunk_size)
        found.whole("chunkCount", count, count)
        Policy.of(found.within("policy"))
        return cls(found.name("uploadId"), found.name("mediaId"), chunk_size, found.any("policy"))


@dataclass(frozen=True)
class View:
    """How an upload is. Which chunks are there and which are not is said while it is being sent."""

    state: str
    received: list[int]
    missing: list[int]
    failure_reason: str

    @classmethod
    def of(cls, answer: Answer, count: int) -> Self:
        """Read an answer about an upload of so many chunks."""
        found = answer.fields
        state = found.text("state")
        if state not in STATES:
            raise not_understood("an upload in no state.")
        is_sent = state in BEING_SENT
        return cls(
            state,
            found.numbers("received", count) if is_sent else [],
            found.numbers("missing", count) if is_sent else [],
            found.text("failureReason") if state == "failed" else "",
        )

    @classmethod
    def without(cls, missing: set[int], count: int) -> Self:
        """Return how an upload is of which just these chunks are missing."""
        return cls("uploading", sorted({*range(1, count + 1)} - missing), sorted(missing), "")


def missing_in(refusal: ApiError, count: int) -> set[int]:
    """Read which chunks the server misses; none where it refused for another reason."""
    numbers = {str(number): number for number in range(1, count + 1)}
    said = {each["message"] for each in refusal.details if each["field"] == "missing"}
    if not said <= numbers.keys():
        raise not_understood("chunks missing that there are not.")
    return {numbers[number] for number in said}


def is_there(media: Answer, sha256: str) -> bool:
    """Say whether a media, as GET /media/{id} answers it, is this very file, arrived."""
    found = media.fields
    return found.text("state") in ARRIVED and found.text_or_none("sha256") == sha256
