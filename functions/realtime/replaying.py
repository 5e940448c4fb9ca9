"""What somebody missed while they were away, in pages."""

from functools import partial
from uuid import UUID

from fieldgate.db.engine import Database
from realtime import stream_store
from realtime.audiences import Viewer
from realtime.events import Replay

PAGE = 100


def replay(
    database: Database, viewer: Viewer, epoch: UUID | None, offset: int, limit: int = PAGE
) -> Replay:
    """Return what came after a position, as far as `viewer` may see it now: one round trip.

    `limit` is 1 to `PAGE`. Whoever has no position yet, `epoch` None, is given the one of now.

    Raises:
        Unavailable: the database is.

    """
    find = partial(
        stream_store.events_after,
        epoch=epoch,
        offset=offset,
        viewer_audiences=viewer.audiences(),
        limit=min(max(limit, 1), PAGE),
    )
    return database.read(find)
