"""How often, how long, how much: every number of sending, and where it comes from."""

from dataclasses import dataclass
from typing import Self

from tenacity import RetryCallState, wait_random_exponential

from fieldgate_client.answers import Fields

# The default of POST /uploads: what one cut costs at most on each connection.
CHUNK_BYTES = 512 * 1024
# Contract, POST /uploads: what the server may make of that wish.
MIN_CHUNK_BYTES = 100 * 1024
MAX_CHUNK_BYTES = 5 * 1024 * 1024
# A chunk that takes longer is sent again. 512 KiB in 60 s is 70 kbit/s, EDGE.
PART_TIMEOUT_SECONDS = 60.0
# The first try, and three more: a network that is worse than that is better waited for.
MAX_RETRIES = 3
# So many chunks failed in a row, each with all its retries, is a failed upload, as for the server.
MAX_CONSECUTIVE_FAILURES = 10
# Contract, POST /uploads/{id}/urls: 1 to 32 chunks in a request.
URLS_PER_REQUEST = 32
# What the server's `policy` may say and still make sense; beyond these it is an answer of nobody's.
MIN_POLICY_PART_TIMEOUT_SECONDS = 1.0
MAX_POLICY_PART_TIMEOUT_SECONDS = 600.0
MAX_POLICY_RETRIES = 20
MAX_POLICY_CONSECUTIVE_FAILURES = 100
MAX_POLICY_INITIAL_SECONDS = 60.0
MAX_POLICY_FACTOR = 10.0
MAX_POLICY_BACKOFF_SECONDS = 600.0
# One answer of the API; longer than its functions are allowed to take (template.yaml: 29 s is the
# gateway's own limit).
API_TIMEOUT_SECONDS = 30.0
# Whoever is told to wait longer than this is better told so than kept waiting.
MAX_RETRY_AFTER_SECONDS = 60.0
# How a chunk is handed to the network: the grain of the progress bar.
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And
    Jitter"): before retry n a random time from 0 to initial x factor^(n-1), at most `max_seconds`.
    """  # noqa: D205 the source is part of the sentence

    initial_seconds: float = 1.0
    factor: float = 2.0
    max_seconds: float = 30.0

    def longest(self, retry: int) -> float:
        """Return the most that is waited before a retry; the first is number 1."""
        # A count that has grown for days must not make a number of it that no float can hold.
        return min(self.initial_seconds * self.factor ** min(retry - 1, 100), self.max_seconds)

    def pause(self, state: RetryCallState) -> float:
        """Return how long to wait after the attempt that just failed, for tenacity."""
        jitter = wait_random_exponential(self.initial_seconds, self.max_seconds, self.factor)
        return jitter(state)


@dataclass(frozen=True)
class Policy:
    """How chunks are to be sent; the server answers it to POST /uploads."""

    part_timeout_seconds: float = PART_TIMEOUT_SECONDS
    max_retries: int = MAX_RETRIES
    max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES
    backoff: Backoff = Backoff()

    @classmethod
    def of(cls, answer: Fields) -> Self:
        """Read the contract's `policy`, within what makes sense of each; raises NetworkError."""
        backoff = answer.within("backoff")
        return cls(
            part_timeout_seconds=answer.number(
                "partTimeoutSeconds",
                MIN_POLICY_PART_TIMEOUT_SECONDS,
                MAX_POLICY_PART_TIMEOUT_SECONDS,
            ),
            max_retries=answer.whole("maxRetries", 0, MAX_POLICY_RETRIES),
            max_consecutive_failures=answer.whole(
                "maxConsecutiveFailures", 1, MAX_POLICY_CONSECUTIVE_FAILURES
            ),
            backoff=Backoff(
                backoff.number("initialSeconds", 0, MAX_POLICY_INITIAL_SECONDS),
                backoff.number("factor", 1, MAX_POLICY_FACTOR),
                backoff.number("maxSeconds", 0, MAX_POLICY_BACKOFF_SECONDS),
            ),
        )
