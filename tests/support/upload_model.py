"""What uploads should be: the states they go through, and what may be done in each."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.sender import SentFile

FAILURES = 10

OPEN = {"created", "uploading"}
EXPIRING = {*OPEN, "failed"}
LIVE = {*EXPIRING, "assembling"}


@dataclass
class Model:
    """What an upload should be. `good` and `bad` are the numbers of the chunks in storage."""

    sent: SentFile
    state: str = "created"
    late: bool = False
    failures: int = 0
    received_at_failure: int = 0
    has_media: bool = True
    good: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)
    # What the phone was told has arrived.
    acknowledged: set[int] = field(default_factory=set)
    # Requests that may still be sent, by number.
    urls: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def numbers(self) -> set[int]:
        return set(range(1, self.sent.count + 1))

    @property
    def seen(self) -> str:
        return "expired" if self.late and self.state in EXPIRING else self.state

    @property
    def received(self) -> set[int]:
        if self.seen in {"assembling", "completed"}:
            return self.numbers
        return self.good | self.bad if self.seen in {"uploading", "failed"} else set()

    def fail(self, received: int) -> None:
        """Count a failure while so many chunks have arrived."""
        self.failures = 1 if received > self.received_at_failure else self.failures + 1
        self.received_at_failure = max(received, self.received_at_failure)
        if self.failures >= FAILURES:
            self.state = "failed"

    def refusal(self) -> tuple[int, str]:
        return (410, "GONE") if self.seen == "expired" else (409, "CONFLICT")

    def give_up(self) -> None:
        self.state, self.has_media = "aborted", False
        self.forget_chunks()

    def forget_chunks(self) -> None:
        self.good, self.bad, self.acknowledged = set(), set(), set()
