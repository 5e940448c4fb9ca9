"""What is told to the app: in order, each thing until the app is through with it, then no more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from fieldgate_client.answers import strange
from fieldgate_client.errors import ClientError, NetworkError, RealtimeRefused, is_passing
from fieldgate_client.realtime_frames import News, PermissionsUpdate, Refetch, Resumed, Update
from fieldgate_client.realtime_position import Bookmark
from fieldgate_client.realtime_session import Session

log = logging.getLogger(__name__)


class RealtimeState(StrEnum):
    """How it is with the connection; the README draws it."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    WAITING = "waiting"
    SIGNED_OUT = "signed_out"
    ENDED = "ended"


@dataclass(frozen=True)
class Status:
    """A state; why, where there is something to say; and in how many seconds the next try is."""

    state: RealtimeState
    reason: str = ""
    retry_in: float | None = None


class AppFailed(ClientError):
    """The app is not through with what it was told: it is told again, on the next connection."""


async def nothing(*_: object) -> None:
    """Do nothing with it."""


@dataclass(frozen=True)
class App:
    """The app's callbacks. They run one at a time, and nothing is told while one runs.

    The first three have dealt with what they were told when they return. One that raises has not.
    """

    update: Callable[[Update], Awaitable[object]] = nothing
    refetch: Callable[[], Awaitable[object]] = nothing
    permissions: Callable[[PermissionsUpdate], Awaitable[object]] = nothing
    state: Callable[[Status], Awaitable[object]] = nothing
    refused: Callable[[str, RealtimeRefused], Awaitable[object]] = nothing

    async def hear(self, news: News) -> None:
        """Have the app deal with it; raises AppFailed."""
        match news:
            case Update():
                await _call(self.update, news)
            case PermissionsUpdate():
                await _call(self.permissions, news)
            case Refetch():
                await _call(self.refetch)

    async def tell(self, status: Status) -> None:
        with suppress(AppFailed):  # it is logged, and nothing depends on it
            await _call(self.state, status)

    async def tell_refused(self, channel: str, error: RealtimeRefused) -> None:
        log.info("The channel %r was refused: %s", channel, error)
        with suppress(AppFailed):
            await _call(self.refused, channel, error)


async def _call[*Ts](callback: Callable[[*Ts], Awaitable[object]], *told: *Ts) -> None:
    try:
        await callback(*told)
    except (Exception, asyncio.CancelledError) as error:
        _end_if_we_are_to()
        raise _failed(error) from error
    _end_if_we_are_to()


def _end_if_we_are_to() -> None:
    """Go on with our own cancellation, whatever the callback has made of it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _failed(error: BaseException) -> AppFailed:
    """Log what a callback has raised, and return the words for it."""
    if isinstance(error, ClientError) and is_passing(error):
        log.info("A callback could not do its work now: %s", error)  # no bug of the app's
        return AppFailed(f"the app could not do its work now: {error}")
    if isinstance(error, asyncio.CancelledError):
        log.error("The work of a callback was cancelled", exc_info=error)
        return AppFailed("the app failed: its work was cancelled")
    log.error("A callback failed", exc_info=error)
    return AppFailed(f"the app failed: {type(error).__name__}")


@dataclass(frozen=True)
class Delivery:
    """Takes to the app what comes over one connection, from where the app is."""

    session: Session
    bookmark: Bookmark
    app: App

    async def run(self) -> NoReturn:
        """Tell the app what it missed, then what comes. Raises AppFailed, and what ends it."""
        while True:
            await self.app.tell(Status(RealtimeState.CATCHING_UP))
            while await self._page():
                pass
            await self.app.tell(Status(RealtimeState.LIVE))
            await self._follow()

    async def _page(self) -> bool:
        """Have the app deal with what it missed, up to a page of it; say whether there is more."""
        # What has come until now will be in this page or in one of the next.
        self.session.inbox.clear()
        before = self.bookmark.position
        page = await self._resumed()
        if self.bookmark.position is None or not page.recovered:
            await self.app.hear(Refetch(page.position))
        elif not page.position.covers(self.bookmark.position):
            raise strange("it goes back.")
        else:
            for news in sorted(page.events, key=lambda each: each.position.offset):
                if not page.position.covers(news.position):
                    raise strange("something from beyond what was missed.")
                await self._deal_with(news)
        self.bookmark.move(page.position)
        if page.more and page.position == before:
            raise strange("more of nothing.")
        return page.more

    async def _resumed(self) -> Resumed:
        try:
            return await self.session.resume(self.bookmark.position)
        except RealtimeRefused as error:
            if is_passing(error) or self.bookmark.position is None:
                raise NetworkError(str(error)) from error
            log.info("The position was refused, and is forgotten: %s", error)
        self.bookmark.forget()
        return await self._resumed()

    async def _follow(self) -> None:
        """Have the app deal with what comes, until something may be missing in it."""
        while (news := await self.session.inbox.get()) is not None:
            if self.bookmark.position is None or (
                news.position.epoch != self.bookmark.position.epoch
            ):
                return  # the stream has begun anew, or it was never ours: the server knows
            await self._deal_with(news)

    async def _deal_with(self, news: News) -> None:
        # Sent again by a server that died before it noted it, or told by a page already.
        if not self.bookmark.covers(news.position):
            await self.app.hear(news)
            self.bookmark.move(news.position)
