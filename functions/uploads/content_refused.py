"""Why a file that was put together is refused."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a file is refused: stored and shown to apps as those of photos, so the values stay."""

    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    NOT_TEXT = "NOT_TEXT"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    ENCRYPTED = "ENCRYPTED"
    TOO_COMPLEX = "TOO_COMPLEX"
    CORRUPT = "CORRUPT"


class ContentRefused(Exception):
    """The file is not one that is taken; `reason` is a stable code."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason.value
