"""What storage is asked, request by request: counted at the gate, and broken there on purpose."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

from local.faults import FaultMode, Faults


@dataclass
class Traffic:
    """What has passed the gate. Bytes are those of HTTP, headers included, either way."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    @property
    def count(self) -> int:
        return self.requests.total()

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.requests.most_common())


def _nothing(_request: web.Request) -> None:
    return None


class FaultyRequests(Faults):
    """Faults that befall single requests: `choose` is asked once about each, by its S3 name."""

    def __init__(self) -> None:
        super().__init__()
        self.choose: Callable[[web.Request], FaultMode | None] = _nothing
        self._chosen: ContextVar[FaultMode | None] = ContextVar("chosen", default=None)

    @contextmanager
    def chosen_by(self, choose: Callable[[web.Request], FaultMode | None]) -> Iterator[None]:
        """Let `choose` say what befalls each request, until the block is left."""
        self.choose = choose
        try:
            yield
        finally:
            self.choose = _nothing

    def active(self, target: str) -> FaultMode | None:  # noqa: ARG002 there is but storage
        return self._chosen.get()

    def befall(self, request: web.Request) -> FaultMode | None:
        """Decide what befalls the request that this task serves."""
        self._chosen.set(mode := self.choose(request))
        return mode


class Counting:
    """aiohttp middleware before the gate.

    `acknowledged` has the paths of objects whose PUT was answered 200, for the client to see.
    """

    def __init__(self, faults: FaultyRequests) -> None:
        self._faults = faults
        self.traffic = Traffic()
        self.acknowledged: Counter[str] = Counter()

    def restart(self) -> None:
        """Count from zero."""
        self.traffic = Traffic()
        self.acknowledged = Counter()

    def middleware(self) -> Callable[..., object]:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = self._faults.befall(request)
            name = operation(request)
            self.traffic.requests[name] += 1
            response = await handler(request)
            self.traffic.bytes += _received(request) + _sent(response)
            if name == "PutObject" and response.status == 200 and fault is None:
                self.acknowledged[request.path] += 1
            return response

        return count


def operation(request: web.Request) -> str:
    """Return S3's name for a request."""
    names = _OPERATIONS.get(request.method, {})
    known = next((name for parameter, name in names.items() if parameter in request.query), None)
    return known or f"{request.method.capitalize()}Object"


# By method, and by the parameter of the query that makes it another one.
_OPERATIONS = {
    "PUT": {"partNumber": "UploadPart"},
    "POST": {
        "uploads": "CreateMultipartUpload",
        "uploadId": "CompleteMultipartUpload",
        "delete": "DeleteObjects",
    },
    "GET": {"list-type": "ListObjects", "uploads": "ListMultipartUploads", "uploadId": "ListParts"},
    "DELETE": {"uploadId": "AbortMultipartUpload"},
}


def _received(request: web.Request) -> int:
    head = len(request.method) + len(request.raw_path) + len("  HTTP/1.1\r\n\r\n")
    head += sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)
    return head + (request.content_length or 0)


def _sent(response: web.StreamResponse) -> int:
    if response.prepared:
        return response.body_length  # aiohttp's is with the headers
    body = response.body if isinstance(response, web.Response) else None
    return len(body) if isinstance(body, bytes) else 0
