"""firebase-admin, with the time-outs of somebody who has a queue to come back to.

By itself it waits two minutes for an answer, tries again four times while its caller waits (a 429
for as long as it is told), and lets every thread ask for an access token.
"""

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fieldgate.push import Outcome
from fieldgate.push.fcm_verdicts import UNANSWERED, outcome_of_refusal

if TYPE_CHECKING:
    from requests import PreparedRequest, Session

# Google hangs up on a connection after four minutes, and a frozen environment doesn't hear of it.
IDLE_SECONDS = 200

type Timeout = tuple[float, float]
"""Seconds to connect, and between the bytes of an answer."""


class FcmApp:
    """What an environment sends with, kept from run to run: an access token, and connections.

    Raises:
        ValueError: `account` is no service account.

    """

    def __init__(
        self, account: Mapping[str, Any], project: str, url: str, threads: int, timeout: Timeout
    ) -> None:
        from firebase_admin import credentials, initialize_app

        credential = credentials.Certificate(dict(account))
        self._google: Any = credential.get_credential()
        self._timeout = timeout
        self._last_used = time.time()
        self._session = self._open_session(threads)
        self._app = initialize_app(credential, {"projectId": project}, name=f"push {uuid4()}")
        try:
            self._rewire(project, url)
        except BaseException:
            self.close()
            raise

    def _rewire(self, project: str, url: str) -> None:
        """Have the SDK send by our session, and to `url`.

        All its inner names that we use stand here. It has no settings for them.
        """
        from firebase_admin import _http_client, messaging

        service = messaging._get_messaging_service(self._app)
        service._client = _http_client.JsonHttpClient(
            session=self._session, retries=None, timeout=self._timeout
        )
        if url:
            service._fcm_url = f"{url.rstrip('/')}/v1/projects/{project}/messages:send"

    def _open_session(self, threads: int) -> "Session":
        """Return a session that signs, and asks once: neither later, nor elsewhere."""
        import requests
        from requests.adapters import HTTPAdapter

        session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=threads, max_retries=0)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        session.max_redirects = 0
        session.auth = self._sign
        return session

    def _sign(self, request: "PreparedRequest") -> "PreparedRequest":
        self._google.apply(request.headers)
        return request

    def send(self, message: Any) -> None:
        """Send a message of the SDK's; raises what the SDK does."""
        from firebase_admin import messaging

        messaging.send(message, app=self._app)

    def wake(self) -> None:
        """Drop the connections that stood still for long. Before each run."""
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        if time.time() - self._last_used > IDLE_SECONDS:
            self._session.close()  # it opens others
        self._last_used = time.time()

    def has_access(self) -> bool:
        """Say whether there is an access token that lasts longer than a run."""
        from google.auth.credentials import TokenState

        return bool(self._google.token_state == TokenState.FRESH)

    def ask_for_access(self) -> Outcome | None:
        """Get an access token; returns what all messages come to when there is none to be had."""
        from google.auth.exceptions import TransportError

        try:
            self._google.refresh(_asking_once(self._timeout))
        except _Refused as refused:
            return refused.outcome
        except TransportError:
            return UNANSWERED
        except Exception:  # noqa: BLE001 Google's client takes any answer for one of its own
            return Outcome("passing", "access_token_not_understood")
        return None

    def close(self) -> None:
        from firebase_admin import delete_app

        self._session.close()
        with contextlib.suppress(Exception):  # it is forgotten first, and its other client closed
            delete_app(self._app)


class _Refused(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def _asking_once(timeout: Timeout) -> Any:
    """Return what Google's client makes requests by, which raises at any answer but a good one.

    The client would ask again, after pauses, where it takes a fault for a passing one.
    """
    from google.auth.transport.requests import Request

    class AskingOnce(Request):
        def __call__(self, *args: Any, **options: Any) -> Any:
            response = super().__call__(*args, **options | {"timeout": timeout})
            if response.status != 200:
                raise _Refused(outcome_of_refusal(response.status, response.headers))
            return response

    return AskingOnce()
