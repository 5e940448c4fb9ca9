"""How a connection begins: whom to ask, with what, and what a refusal means."""

import asyncio
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException

from fieldgate_client.addresses import is_loopback, realtime_url
from fieldgate_client.errors import ClientError, NetworkError
from fieldgate_client.realtime_timing import Timing
from fieldgate_client.reasons import in_words

# So long without an answer to the handshake, or then without any frame (two pings), and nobody is
# there any more.
SILENCE_SECONDS = 30.0
# How long a server may take to say good-bye; nothing is lost without.
CLOSE_SECONDS = 1.0
# API Gateway's messages have 128 KiB at most: what is longer than this isn't the server's.
MAX_FRAME_BYTES = 1024 * 1024
# With these a handshake is refused for the token's sake: API Gateway's own, and its authorizer's.
TOKEN_STATUSES = frozenset({401, 403})


class TokenRefused(ClientError):
    """The handshake was refused for the token's sake."""


class _Connecting(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc  # never followed: only a captive portal wants that


async def open_socket(server: str, token: str, timing: Timing) -> ClientConnection:
    """Connect to the server at this URL; raises TokenRefused, and NetworkError for all else."""
    try:
        return await _opened(realtime_url(server), token, timing)
    except InvalidStatus as error:
        status = error.response.status_code
        if status in TOKEN_STATUSES:
            raise TokenRefused(f"{status}") from error
        raise NetworkError(f"the server answers {status}") from error
    except InvalidMessage as error:
        raise NetworkError("the connection was cut") from error
    except WebSocketException as error:
        raise NetworkError(f"the server speaks no WebSocket there: {error}") from error
    except OSError as error:
        raise NetworkError(in_words(error)) from error


async def _opened(url: str, token: str, timing: Timing) -> ClientConnection:
    connecting = asyncio.ensure_future(
        _Connecting(
            url,
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,  # API Gateway has none; and a little of it may unpack to very much
            proxy=None if is_loopback(urlsplit(url).hostname or "") else True,
            open_timeout=None,  # ours
            ping_interval=None,  # the server's functions see only frames
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_FRAME_BYTES,
        )
    )
    try:
        return await timing.within(SILENCE_SECONDS, connecting)
    except BaseException:
        # Whoever waited for it is gone, and it was there a moment later.
        if not connecting.cancelled() and connecting.exception() is None:
            connecting.result().transport.abort()
        raise
