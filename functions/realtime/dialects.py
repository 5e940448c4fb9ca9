"""What connections speak, as far as this process has heard: it never changes, nor do ids come back.

Where the database can't be asked, or is not to be, a frame that doesn't tell its dialect is still
answered in its client's. Imports next to nothing, as `frames`.
"""

from functools import cache

from realtime.frames import Dialect

# Remembered at the same time; who comes beyond begins anew with the others.
MAX_KNOWN = 10_000


def known(connection_id: str) -> Dialect | None:
    """Return what a connection speaks, None where that was not heard of."""
    return _known().get(connection_id)


def note(connection_id: str, dialect: Dialect) -> None:
    """Remember what a connection speaks that has begun."""
    if len(_known()) >= MAX_KNOWN:
        _known().clear()
    _known()[connection_id] = dialect


@cache
def _known() -> dict[str, Dialect]:
    return {}
