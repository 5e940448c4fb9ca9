"""Removing what uploads leave behind, and finding those that were forgotten.

A lifecycle rule of the buckets is the second net, some days later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from fieldgate import deadline, queues, request_id
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from fieldgate.storage import StorageError, UnfinishedParts
from uploads import cleaning_store, staged_chunks, store
from uploads.assembling import Places
from uploads.cleaning_store import Original
from uploads.file_rules import PHOTO_TYPES
from uploads.processing import withdraw
from uploads.upload_store import Upload

BATCH = 1_000
ACTOR = "system:cleanup_uploads"
# No assembly takes that long, and none goes on with another's parts.
PARTS_ARE_LEFT = timedelta(hours=3)


@dataclass
class Round:
    """What a round works on, and how far it is with a duty.

    `ask_for_assembly` puts up to `queues.BATCH` ids of uploads on the assembler's queue, and says
    how many it took.
    """

    places: Places
    ask_for_assembly: Callable[[Sequence[str]], int]
    done: int = 0
    errors: int = 0


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


def clean_up(places: Places, ask_for_assembly: Callable[[Sequence[str]], int]) -> dict[str, int]:
    """Do each duty until nothing is left of it, or its share of the time is up.

    Says how much of each was done; the next round does the rest. What can't be done keeps nothing
    else from being done. Two rounds at once do some things twice, which is harmless.

    Raises:
        Unavailable: something could not be done, though there was time; the log says what.

    """
    done: dict[str, int] = {}
    errors = 0
    for number, (name, duty) in enumerate(_DUTIES.items()):
        work = Round(places, ask_for_assembly)
        if deadline.is_left():
            with deadline.within(deadline.seconds_left() / (len(_DUTIES) - number)):
                _attempt(work, name, partial(duty, work))
        done[name] = work.done
        errors += work.errors
        gauge("UploadsCleanedUp", work.done, duty=name)
    logger().info("cleaned up", extra={"done": done, "errors": errors})
    if errors:
        raise Unavailable(f"The clean-up failed {errors} times.")
    return done


def _expire(work: Round) -> None:
    _until_none_is_left(work, cleaning_store.expire)


def _ask_again(work: Round) -> None:
    """Have those put together that a lost message, or a killed run, left behind."""
    forgotten = _all(work, cleaning_store.forgotten)
    for some in batched(forgotten, queues.BATCH, strict=False):
        work.done += work.ask_for_assembly([str(upload.id) for upload in some])


def _clean_ended(work: Round) -> None:
    _each(work, _all(work, cleaning_store.ended), _clean)


def _clean(work: Round, upload: Upload) -> None:
    """Remove all that is in storage of an upload that is over, but the file if it is complete."""
    places = work.places
    staged_chunks.discard(places.staging, upload.id)
    if upload.multipart_id is not None:
        places.originals.abort_parts(upload.object_key, upload.multipart_id)
    if upload.state in {"aborted", "expired"}:
        withdraw(places.originals, places.published, upload.object_key)
    _transact(work, partial(cleaning_store.mark_cleaned, upload_id=upload.id))
    work.done += 1


def _remove_orphans(work: Round) -> None:
    """Remove chunks of uploads that are cleaned up or forgotten.

    Whoever sends a chunk has had a row before, so an upload that is seen in storage and not in the
    database will not be.
    """
    folders = work.places.staging.list_folders(staged_chunks.PREFIX)
    for some in batched(folders, BATCH, strict=False):
        ids = [upload_id for name in some if (upload_id := _upload_id(name))]
        uncleaned = work.places.database.read(partial(cleaning_store.uncleaned, upload_ids=ids))
        orphans = [upload_id for upload_id in ids if upload_id not in uncleaned]
        _each(work, orphans, _remove_orphan)


def _remove_orphan(work: Round, upload_id: UUID) -> None:
    staged_chunks.discard(work.places.staging, upload_id)
    work.done += 1


def _upload_id(folder: str) -> UUID | None:
    try:
        found = UUID(folder)
    except ValueError:
        found = None
    if str(found) != folder:
        logger().warning("not a folder of ours", extra={"folder": ascii(folder)})
        return None
    return found


def _give_parts_up(work: Round) -> None:
    """Give up the parts of runs that ended before anybody knew of these."""
    long_ago = datetime.now(UTC) - PARTS_ARE_LEFT
    unfinished = work.places.originals.unfinished_parts()
    left = (parts for parts in unfinished if parts.began_at < long_ago)
    _each(work, left, _give_up)


def _give_up(work: Round, parts: UnfinishedParts) -> None:
    work.places.originals.abort_parts(parts.key, parts.multipart_id)
    work.done += 1


def _settle_never_sent(work: Round) -> None:
    _each(work, _all(work, cleaning_store.never_sent), _settle)


def _settle(work: Round, original: Original) -> None:
    """Delete a media that nothing came of; a photo that is there only needs to be processed."""
    places = work.places
    is_photo = original.content_type in PHOTO_TYPES.values()
    if is_photo and places.originals.head(original.object_key) is not None:
        places.announce(original.object_key)
        work.done += 1
    elif _transact(work, partial(cleaning_store.drop, media_id=original.id)):
        withdraw(places.originals, places.published, original.object_key)
        work.done += 1


def _finish_deletions(work: Round) -> None:
    _each(work, _all(work, cleaning_store.half_deleted), _delete)


def _delete(work: Round, original: Original) -> None:
    withdraw(work.places.originals, work.places.published, original.object_key)
    _transact(work, partial(store.remove, media_id=original.id))
    work.done += 1


def _forget(work: Round) -> None:
    _until_none_is_left(work, cleaning_store.forget)


_DUTIES: dict[str, Callable[[Round], None]] = {
    "expire": _expire,
    "ask_again": _ask_again,
    "clean_ended": _clean_ended,
    "remove_orphans": _remove_orphans,
    "give_parts_up": _give_parts_up,
    "settle_never_sent": _settle_never_sent,
    "finish_deletions": _finish_deletions,
    "forget": _forget,
}


def _until_none_is_left(work: Round, change: Callable[[Connection, int], int]) -> None:
    rows = BATCH
    while rows == BATCH:
        rows = _transact(work, lambda connection: change(connection, BATCH))
        work.done += rows


def _all[T: _Identified](
    work: Round, find: Callable[[Connection, UUID, int], list[T]]
) -> Iterator[T]:
    """Find what there is to do, in batches, by id: what fails is not met again in this round."""
    after = UUID(int=0)

    def next_batch(connection: Connection) -> list[T]:
        return find(connection, after, BATCH)

    while found := work.places.database.read(next_batch):
        yield from found
        after = found[-1].id


def _each[T](work: Round, items: Iterable[T], clean: Callable[[Round, T], None]) -> None:
    for item in items:
        if not deadline.is_left():
            return
        _attempt(work, str(item), partial(clean, work, item))


def _attempt(work: Round, name: str, do: Callable[[], None]) -> None:
    try:
        do()
    except (Unavailable, StorageError):
        # What there is no time left for, the next round does.
        if deadline.is_left():
            work.errors += 1
            logger().exception("not cleaned up", extra={"what": name})


def _transact[T](work: Round, change: Callable[[Connection], T]) -> T:
    return work.places.database.transact(change, actor=ACTOR, request_id=request_id.current())
