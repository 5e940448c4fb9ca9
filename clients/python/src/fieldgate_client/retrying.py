"""When a request is sent again, and how long is waited before."""

from collections.abc import Awaitable, Callable
from functools import partial

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from fieldgate_client.errors import ApiError, is_passing
from fieldgate_client.policy import MAX_RETRY_AFTER_SECONDS, Backoff


def trying(
    attempts: int,
    sleep: Callable[[float], Awaitable[None]],
    most_asked: float = MAX_RETRY_AFTER_SECONDS,
) -> AsyncRetrying:
    """Try so often; not again where the server asks for a longer pause than `most_asked`."""
    return AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=_pause,
        retry=retry_if_exception(partial(_is_worth_waiting, most_asked)),
        sleep=sleep,
        reraise=True,
    )


def _is_worth_waiting(most_asked: float, error: BaseException) -> bool:
    if isinstance(error, ApiError) and (error.retry_after or 0) > most_asked:
        return False
    return isinstance(error, Exception) and is_passing(error)


def _pause(state: RetryCallState) -> float:
    """Return how long to wait: what the server asked for, and our own jitter at least."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ApiError) else None
    return max(asked or 0, Backoff().pause(state))
