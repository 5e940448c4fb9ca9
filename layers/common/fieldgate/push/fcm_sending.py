"""Messages by the hundred to Firebase Cloud Messaging, on a few threads, within a time."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING

from fieldgate.observability import logger
from fieldgate.push import Outcome, PushMessage
from fieldgate.push.fcm_messages import build
from fieldgate.push.fcm_verdicts import (
    BAD_MESSAGE,
    NO_ANSWER,
    NOT_TRIED,
    NOT_UNDERSTOOD,
    SENT,
    TIME_OUT,
    verdict_of,
)

if TYPE_CHECKING:
    from firebase_admin import App

# How much longer than its time-outs a request may take. They are for each step, and one that gives
# its answer byte by byte has as many as it likes.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Waits:
    """The seconds that are waited for a connection, and for an answer."""

    connect: float = 2.0
    answer: float = 5.0


class Sending:
    """One run: `messages` that are begun before `ends` (monotonic), each once.

    When as many in a row as there are threads got no answer at all, no other is begun.
    """

    def __init__(
        self,
        app: "App",
        messages: Sequence[PushMessage],
        ends: float,
        waits: Waits,
        threads: int,
    ) -> None:
        self._app = app
        self._messages = messages
        self._ends = ends
        self._waits = waits
        self._threads = threads
        # At any time true: not tried, without an answer yet, or what was said.
        self._outcomes = [NOT_TRIED for _ in messages]
        self._lock = Lock()
        self._next = 0
        self._unanswered = 0
        self._stumbled_over: set[str] = set()

    def run(self) -> list[Outcome]:
        """Return an outcome for each message, at the latest a time-out after the end."""
        number = min(self._threads, len(self._messages))
        # Daemons, since one that is not waited for any more must not keep the process either.
        threads = [Thread(target=self._work, name="fcm", daemon=True) for _ in range(number)]
        with suppress(RuntimeError):  # The system has no more of them.
            for thread in threads:
                thread.start()
        latest = self._ends + self._waits.connect + self._waits.answer + GRACE_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, latest - time.monotonic()))
        with self._lock:
            self._next = len(self._messages)
            if self._stumbled_over:
                kinds = sorted(self._stumbled_over)
                logger().warning("answers to pushes not understood", extra={"kinds": kinds})
            return list(self._outcomes)

    def _work(self) -> None:
        while (place := self._begin()) is not None:
            outcome = self._send(self._messages[place])
            with self._lock:
                self._outcomes[place] = outcome
                is_unanswered = outcome.reason in NO_ANSWER
                self._unanswered = self._unanswered + 1 if is_unanswered else 0

    def _begin(self) -> int | None:
        """Return the place of the next message, None when there is none to begin."""
        with self._lock:
            place = self._next
            if (
                place == len(self._messages)
                or self._unanswered >= self._threads
                or time.monotonic() >= self._ends
            ):
                return None
            self._next += 1
            self._outcomes[place] = TIME_OUT
            return place

    def _send(self, message: PushMessage) -> Outcome:
        """Hand over one message; whatever is raised is an outcome."""
        from firebase_admin import messaging
        from firebase_admin.exceptions import FirebaseError

        try:
            built = build(message)
        except ValueError:
            return BAD_MESSAGE
        try:
            messaging.send(built, app=self._app)
        except FirebaseError as error:
            return verdict_of(error)
        except Exception as error:  # noqa: BLE001 the SDK trips over answers that are not Google's
            self._stumbled_over.add(type(error).__name__)
            return NOT_UNDERSTOOD
        return SENT
