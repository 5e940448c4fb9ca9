"""`fieldgate watch`: what changes, as it changes."""

import argparse
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from rich.console import Console

from fieldgate_client.addresses import is_loopback
from fieldgate_client.assembled import ExitCode, client
from fieldgate_client.errors import RealtimeRefused
from fieldgate_client.realtime import PermissionsUpdate, Realtime, RealtimeState, Status, Update
from fieldgate_client.telling import remembered_name

# The others are the command's end, which is told by what it ends with.
STATES = {
    RealtimeState.OFFLINE: "Offline",
    RealtimeState.CONNECTING: "Connecting",
    RealtimeState.CATCHING_UP: "Asking what was missed",
    RealtimeState.LIVE: "Live",
    RealtimeState.WAITING: "Trying again",
}


@dataclass(frozen=True)
class Watcher:
    """Prints what the realtime client tells."""

    out: Console

    async def update(self, update: Update) -> None:
        what = f"{update.channel} {update.event}"
        thing = f"{update.entity_type}:{update.entity_id}"
        self._say(update.at, what if thing == update.channel else f"{what} ({thing})")

    async def permissions(self, update: PermissionsUpdate) -> None:
        self._say(update.at, f"permissions are now: {', '.join(update.permissions) or 'none'}")

    async def refetch(self) -> None:
        self.out.print("What changed before is not known: fetch anew what you show.")

    async def state(self, status: Status) -> None:
        if status.state not in STATES:
            return
        when = "" if status.retry_in is None else f" in {status.retry_in:.1f} s"
        self.out.print(": ".join(filter(None, (f"{STATES[status.state]}{when}", status.reason))))

    async def refused(self, channel: str, error: RealtimeRefused) -> None:
        self.out.print(f"Not followed: {channel}: {error}")

    def _say(self, at: datetime, what: str) -> None:
        self.out.print(f"{at.astimezone():%H:%M:%S}  {what}")


async def watch(options: argparse.Namespace, out: Console) -> ExitCode:
    """Print what changes until somebody stops it, or the server does for good."""
    watcher = Watcher(out)
    # There is always a network to this very machine: a server there that is down is only that.
    is_near = is_loopback(urlsplit(options.server).hostname or "")
    async with client(options) as its, its.connectivity as connectivity:
        out.print(f"What changes for {remembered_name(its)}, until Ctrl-C:")
        realtime = Realtime(
            its.api,
            its.database,
            channels=options.channels,
            on_update=watcher.update,
            on_refetch=watcher.refetch,
            on_permissions=watcher.permissions,
            on_state=watcher.state,
            on_refused=watcher.refused,
            connectivity=None if is_near else connectivity,
        )
        async with realtime:
            await realtime.ended()
    return ExitCode.DONE
