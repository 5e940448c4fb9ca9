"""Pushes by Firebase Cloud Messaging, through its SDK, firebase-admin.

The SDK by itself waits two minutes for an answer, tries what failed four times more, and takes a
thread a message. Here each message is one request with a short time-out: whoever has it sent tries
again, and knows when. (firebase.google.com/docs/cloud-messaging/scale-fcm)
"""

import json
import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.push import Outcome, PushMessage
from fieldgate.push.fcm_sending import Sending, Waits
from fieldgate.push.fcm_verdicts import (
    BY_CREDENTIALS,
    NOT_REACHED,
    NOT_TRIED,
    NOT_UNDERSTOOD,
    TIME_OUT,
    verdict_of_refusal,
)
from fieldgate.settings import forget_secrets

if TYPE_CHECKING:
    from firebase_admin import App
    from google.auth.transport import Response

THREADS = 32
# Google hangs up on a connection after four minutes, and a frozen environment doesn't hear of it.
IDLE_SECONDS = 200
# google-auth takes an access token that ends within 225 s for one that has ended; and then each
# thread would ask for another.
TOKEN_MARGIN_SECONDS = 300


class FcmPusher:
    """`Pusher` over the SDK.

    `read_credentials` returns the JSON of a service account's key, and raises `Unavailable` when it
    can't now; it is asked anew after Google refused what it returned. `project_id` is "" for the
    key's own, `url` for Google's own address.
    """

    provider = "fcm"

    def __init__(
        self,
        read_credentials: Callable[[], str | None],
        project_id: str = "",
        url: str = "",
        *,
        waits: Waits | None = None,
        threads: int = THREADS,
    ) -> None:
        self._read_credentials = read_credentials
        self._project_id = project_id
        self._url = url.rstrip("/")
        self._waits = waits or Waits()
        self._threads = threads
        self._firebase: _Firebase | None = None
        self._last_used = 0.0
        self.sender = project_id

    def send_each(self, messages: Sequence[PushMessage], seconds: float) -> list[Outcome]:
        """Hand over messages, as `Pusher` says; it is over a time-out after `seconds` at most."""
        ends = time.monotonic() + seconds
        if seconds <= 0 or not messages:
            return [NOT_TRIED for _ in messages]
        refusal = self._make_ready(seconds)
        if refusal:
            outcomes = [refusal for _ in messages]
        else:
            assert self._firebase is not None
            sending = Sending(self._firebase.app, messages, ends, self._waits, self._threads)
            outcomes = sending.run()
        if any(outcome.reason in BY_CREDENTIALS for outcome in outcomes):
            forget_secrets()
            self.close()
        self._last_used = time.time()
        return outcomes

    def close(self) -> None:
        """Close all connections, and forget the credentials; they are read again when needed."""
        firebase, self._firebase = self._firebase, None
        if firebase:
            firebase.close()

    def _make_ready(self, seconds: float) -> Outcome | None:
        """Have an app with an access token; return what is to be said of all messages if not."""
        if self._firebase is None:
            try:
                credentials = json.loads(self._read_credentials() or "")
                self._firebase = _Firebase(
                    credentials, self._project_id, self._url, self._waits, self._threads
                )
                self.sender = str(self._firebase.app.project_id)
            except Unavailable:
                return Outcome("passing", "credentials_not_read")
            except Exception:  # noqa: BLE001 whatever a key's reader raises
                # What was wrong is not logged: it may quote the key.
                logger().error("FIREBASE_CREDENTIALS is no service account's key")
                return Outcome("misconfigured", "credentials")
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        elif time.time() - self._last_used > IDLE_SECONDS:
            self._firebase.disconnect()
        return self._firebase.authorise(seconds)


class _Firebase:
    """An app of the SDK. What is set of it by inner names is set here, and nowhere else."""

    def __init__(
        self, credentials: Any, project_id: str, url: str, waits: Waits, threads: int
    ) -> None:
        """Make it; nobody is asked for anything yet.

        Raises:
            Exception: the credentials are none.

        """
        import firebase_admin
        from firebase_admin import messaging
        from firebase_admin.credentials import Certificate
        from google.auth.transport.requests import Request
        from requests.adapters import HTTPAdapter

        certificate = Certificate(dict(credentials))  # of a text it would read the file
        # The options are all given, or else the SDK reads some from the environment.
        options: dict[str, Any] = {"httpTimeout": (waits.connect, waits.answer)}
        options["projectId"] = project_id or certificate.project_id
        self._waits = waits
        self._credential = certificate.get_credential()
        self.app: App = firebase_admin.initialize_app(certificate, options, f"fieldgate-{uuid4()}")
        # Inner names of firebase-admin 7.7 and google-auth: the service, its address, and its
        # session, which neither tries again what failed, nor asks for another access token.
        service = messaging._get_messaging_service(self.app)
        if url:
            service._fcm_url = f"{url}/v1/projects/{self.app.project_id}/messages:send"
        self._client = service._client
        self._session = self._client.session
        self._session._max_refresh_attempts = 0
        # Each scheme and host that the SDK gave retries of its own has this one instead.
        adapter = HTTPAdapter(pool_maxsize=threads, max_retries=0)
        for prefix in list(self._session.adapters):
            self._session.mount(prefix, adapter)
        self._session.max_redirects = 0
        self._ask = Request()

    def authorise(self, seconds: float) -> Outcome | None:
        """Have an access token that is good for `seconds`; return why there is none.

        It is asked for once: a second try is a matter of the run after this.
        """
        from datetime import UTC, datetime, timedelta

        credential = self._credential
        soonest = datetime.now(UTC) + timedelta(seconds=seconds + TOKEN_MARGIN_SECONDS)
        ends = credential.expiry
        if credential.token and ends and ends > soonest.replace(tzinfo=None):
            return None
        said: list[Outcome | None] = []
        # A name that isn't resolved and an answer byte by byte know nothing of time-outs.
        asking = Thread(target=lambda: said.append(self._refresh()), name="fcm", daemon=True)
        asking.start()
        asking.join(min(seconds, self._waits.connect + self._waits.answer))
        return said[0] if said else TIME_OUT

    def _refresh(self) -> Outcome | None:
        from google.auth.exceptions import GoogleAuthError

        try:
            self._credential.refresh(self._ask_once)
        except _NoToken as error:
            return error.outcome
        except (GoogleAuthError, TypeError, ValueError, AttributeError):
            return NOT_UNDERSTOOD
        return None

    def disconnect(self) -> None:
        """Close connections that nobody uses; the next request opens others."""
        for session in (self._session, self._ask.session):
            for adapter in session.adapters.values():
                adapter.close()

    def close(self) -> None:
        import firebase_admin

        self._session.close()
        self._ask.session.close()
        firebase_admin.delete_app(self.app)

    def _ask_once(self, url: str, **about: Any) -> "Response":
        """Ask for an access token: `google.auth.transport.Request`, which tries nothing again.

        What google-auth would try again is never returned to it.

        Raises:
            _NoToken: there is none.

        """
        from google.auth.exceptions import TransportError

        timeout = (self._waits.connect, self._waits.answer)
        try:
            answer: Response = self._ask(url, **about | {"timeout": timeout})
        except TransportError:
            raise _NoToken(NOT_REACHED) from None
        if answer.status == 200:
            return answer
        raise _NoToken(verdict_of_refusal(answer.status, answer.headers.get("Retry-After", "")))


class _NoToken(Exception):
    """There is no access token; `outcome` says what that means for all messages."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
