"""How far an upload is, for a progress bar."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """All in bytes but `retries`, `speed` (bytes a second) and `remaining` (seconds).

    `acknowledged` is what storage has confirmed. `sent` is all that went out for this upload, in
    every run, `resent_bytes` of it more than once: sent - resent_bytes never passes size, and is
    size at the end. What was in flight when a process was killed counts as sent. `speed` and
    `remaining` are None until there is something to measure.
    """

    size: int
    acknowledged: int
    sent: int
    resent_bytes: int
    retries: int
    speed: float | None
    remaining: float | None
