"""Rounds of the schedule that cleans up after uploads, and what they find."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func

from tests.support.assembly import Yard, some_text
from uploads.cleaning import clean_up
from uploads.upload_store import Upload

KIB = 1024
TEXT = some_text(150 * KIB)
LONG_AGO = timedelta(hours=2)


def clean(yard: Yard, asked: list[str] | None = None, **other: Any) -> dict[str, int]:
    """Make one round; return what was done of what there is to do."""
    taken: list[str] = [] if asked is None else asked

    def ask(ids: Any) -> int:
        taken.extend(ids)
        return len(ids)

    done = clean_up(replace(yard.places, **other), ask)
    return {name: number for name, number in done.items() if number}


def begin(yard: Yard, **values: Any) -> Upload:
    """An upload with both of its chunks in storage, of which no URL lives any more."""
    old = {"last_signed_at": func.now() - LONG_AGO}
    upload = yard.begin(TEXT, chunk_size=100 * KIB, **(old | values))
    yard.put_all(upload, TEXT)
    return upload


def before(**time: float) -> dict[str, Any]:
    """The columns of a media that nothing has happened to for so long."""
    then = func.now() - timedelta(**time)
    return {"created_at": then, "updated_at": then}
