"""Speaking to one connection at once, from a function that lives for one frame at a time.

The workers of the fan-out, which speak to hundreds, have a way of their own (posting.py). This one
is the standard library alone: botocore would add 280 ms to the first frame of an environment.
"""

import http.client
import select
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from fieldgate.credentials import role_credentials
from fieldgate.deadline import seconds_left
from fieldgate.errors import Gone, Unavailable
from fieldgate.settings import load, once
from fieldgate.sigv4 import Credentials
from realtime.endpoint import IDLE_SECONDS, RealtimeSettings, signed_request

# To connect, and to be answered.
WAIT_SECONDS = 2
SENTENCE = "Connections cannot be spoken to right now."


class ConnectionGone(Gone):
    """Nobody is at the other end any more."""


class ConnectionsApi:
    """The management side of the WebSocket API, by one connection that is kept between uses."""

    def __init__(self, settings: RealtimeSettings, credentials: Callable[[], Credentials]) -> None:
        """Keep what is needed; nothing is opened yet. `credentials` are asked at each call."""
        self._settings = settings
        self._credentials = credentials
        self._kept: http.client.HTTPConnection | None = None
        self._last_used = 0.0

    def post(self, connection_id: str, frame: str) -> None:
        """Send a frame.

        Raises:
            ConnectionGone: there is nobody to get it.
            Unavailable: it wasn't taken, as far as one can tell.

        """
        status = self._ask("POST", connection_id, frame.encode())
        if status == HTTPStatus.GONE:
            raise ConnectionGone("The connection is closed.")
        _expect(status)

    def close(self, connection_id: str) -> None:
        """Close a connection, if it is still there; raises Unavailable when that failed."""
        status = self._ask("DELETE", connection_id, b"")
        if status != HTTPStatus.GONE:
            _expect(status)

    def hang_up(self) -> None:
        """Close the connection that is kept; the next use opens another."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _ask(self, method: str, connection_id: str, body: bytes) -> int:
        url, headers = signed_request(
            self._settings, self._credentials(), method, connection_id, body
        )
        kept = self._usable()
        try:
            if kept is not None:
                try:
                    return self._exchange(kept, method, url, body, headers)
                except ConnectionError:
                    # The other end hung up just before; nobody read what was sent.
                    kept.close()
            self._kept = self._open()
            return self._exchange(self._kept, method, url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            raise Unavailable(SENTENCE) from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        body: bytes,
        headers: dict[str, str],
    ) -> int:
        connection.timeout = min(WAIT_SECONDS, seconds_left())
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.request(method, urlsplit(url).path, body, headers)
        answer = connection.getresponse()
        try:
            answer.read()
        except (OSError, http.client.HTTPException):
            # All that matters is known, and to ask again would be to send twice.
            connection.close()
        self._last_used = time.time()
        return answer.status

    def _usable(self) -> http.client.HTTPConnection | None:
        """Return the kept connection, unless the other end hung up, or may have been forgotten."""
        kept = self._kept
        if kept is None or kept.sock is None:
            return None
        poll = select.poll()
        poll.register(kept.sock, select.POLLIN)
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        if time.time() - self._last_used > IDLE_SECONDS or poll.poll(0):
            self.hang_up()
            return None
        return kept

    def _open(self) -> http.client.HTTPConnection:
        place = urlsplit(self._settings.realtime_endpoint)
        if place.scheme == "http":
            return http.client.HTTPConnection(place.netloc)
        return http.client.HTTPSConnection(place.netloc, context=_tls_context())


@once
def connections_api() -> ConnectionsApi:
    """Return the API by the settings of this function; raises ConfigurationError without them."""
    return ConnectionsApi(load(RealtimeSettings), role_credentials)


@once
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _expect(status: int) -> None:
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise Unavailable(SENTENCE) from RuntimeError(f"API Gateway answered {status}")
