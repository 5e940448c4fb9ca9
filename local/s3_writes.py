"""What S3 holds writers to beyond the request itself: new keys only, and parts of 5 MiB.

(docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and qfacts.html)
"""

from asyncio import Lock
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import unquote
from weakref import WeakValueDictionary
from xml.etree import ElementTree

from local.s3_signature import Received, Refused

MIN_PART_BYTES = 5 * 1024**2


class Writes:
    """The writes that pass the gate. Belongs to one event loop.

    `exists` asks the server behind the gate whether there is an object where a request writes.
    """

    def __init__(self, exists: Callable[[Received], Awaitable[bool]]) -> None:
        self._exists = exists
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        # By the attempt to write an object in parts: the bytes of each part.
        self._parts: defaultdict[str, dict[int, int]] = defaultdict(dict)

    @asynccontextmanager
    async def turn(self, received: Received) -> AsyncIterator[None]:
        """Let the writes of one object pass one by one, so that of two new ones one is not."""
        if not _makes_object(received):
            yield
            return
        path = unquote(received.path)
        lock = self._locks.setdefault(path, Lock())
        async with lock:
            yield

    async def check(self, received: Received, body: bytes) -> None:
        """Return when the write may pass.

        Raises:
            Refused: as S3 would.

        """
        if _completes(received):
            self._check_parts(received, body)
        condition = received.header("if-none-match")
        if condition is None or not _makes_object(received):
            return
        if condition != "*":
            reason = "A header you provided implies functionality that is not implemented"
            raise Refused(501, "NotImplemented", reason, {"Header": "If-None-Match"})
        if await self._exists(received):
            reason = "At least one of the pre-conditions you specified did not hold"
            raise Refused(412, "PreconditionFailed", reason, {"Condition": "If-None-Match"})

    def passed(self, received: Received, body: bytes) -> None:
        """Remember what has been written."""
        query = dict(received.parameters())
        if "uploadId" not in query:
            return
        if received.method == "PUT" and query.get("partNumber", "").isdigit():
            self._parts[query["uploadId"]][int(query["partNumber"])] = len(body)
        elif received.method in {"POST", "DELETE"}:
            self._parts.pop(query["uploadId"], None)

    def _check_parts(self, received: Received, body: bytes) -> None:
        sizes = self._parts.get(dict(received.parameters())["uploadId"], {})
        for number in _listed_parts(body)[:-1]:
            # A part that is not known is the server's to refuse.
            size = sizes.get(number, MIN_PART_BYTES)
            if size < MIN_PART_BYTES:
                raise Refused(
                    400,
                    "EntityTooSmall",
                    "Your proposed upload is smaller than the minimum allowed size",
                    {
                        "ProposedSize": str(size),
                        "MinSizeAllowed": str(MIN_PART_BYTES),
                        "PartNumber": str(number),
                    },
                )


def _makes_object(received: Received) -> bool:
    is_put = received.method == "PUT" and "uploadId" not in dict(received.parameters())
    return is_put or _completes(received)


def _completes(received: Received) -> bool:
    return received.method == "POST" and "uploadId" in dict(received.parameters())


def _listed_parts(body: bytes) -> list[int]:
    """Return the part numbers of a CompleteMultipartUpload, in the order they stand there."""
    try:
        # From this machine and without entities of its own: expat defines none that are external.
        parts = ElementTree.fromstring(body).iterfind("{*}Part/{*}PartNumber")  # noqa: S314
        return [int(part.text or "") for part in parts]
    except (ElementTree.ParseError, ValueError):
        reason = "The XML you provided was not well-formed or did not validate"
        raise Refused(400, "MalformedXML", reason) from None
