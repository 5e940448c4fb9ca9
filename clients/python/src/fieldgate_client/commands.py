"""What each command of the command line does; `cli` reads the arguments and explains errors."""

import argparse
import getpass
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from rich.console import Console

from fieldgate_client.api import Api, Challenge
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import Connectivity, Probes, State, network_towards
from fieldgate_client.database import Database
from fieldgate_client.errors import ClientError, FileChanged, SignedOut
from fieldgate_client.network import Advice
from fieldgate_client.offline_queue import OfflineQueue
from fieldgate_client.progress_bar import ProgressBar
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager


class ExitCode(IntEnum):
    """How a command ended. 2 is argparse's, 130 the shell's for Ctrl-C."""

    DONE = 0
    REFUSED = 1
    WRONG_ARGUMENTS = 2
    SIGNED_OUT = 3
    NO_NETWORK = 4
    STOPPED = 130


REACH = {
    Reach.ONLINE: "online",
    Reach.CAPTIVE: "behind a network's login page, which a browser shows",
    Reach.OFFLINE: "offline",
}


@dataclass(frozen=True)
class Client:
    """The client's parts, put together for one server and one folder."""

    api: Api
    uploads: UploadManager
    queue: OfflineQueue
    connectivity: Connectivity


@asynccontextmanager
async def client(options: argparse.Namespace) -> AsyncIterator[Client]:
    """Put the parts together."""
    network = partial(network_towards, options.server)
    with Database(options.home / "client.db") as database:
        async with Api(options.server, TokenStore(database)) as api:
            uploads = UploadManager(api, database, parallel=lambda: network().parallel_parts)
            yield Client(
                api,
                uploads,
                OfflineQueue(database, api, uploads),
                Connectivity(Probes.of(options.server), network=network),
            )


async def login(options: argparse.Namespace, out: Console) -> ExitCode:
    """Sign in by password or by code; an account with a second factor is asked for both."""
    async with client(options) as its:
        challenge: Challenge | None
        if options.code:
            challenge = await its.api.send_code(options.identifier)
        else:
            password = _asked(_password)
            challenge = await its.api.login(options.identifier, password)
        if challenge is not None:
            out.print("A code is on its way to the phone.")
            code = _asked(lambda: out.input("Code: "))
            await its.api.verify_code(challenge.id, code.strip())
        out.print(f"Signed in as {await _name(its.api)}.")
    return ExitCode.DONE


async def logout(options: argparse.Namespace, out: Console) -> ExitCode:
    """End the session; what waits is kept until its owner signs in again."""
    async with client(options) as its:
        await its.api.logout()
    out.print("Signed out. What was not sent is kept until you sign in again.")
    return ExitCode.DONE


async def upload(options: argparse.Namespace, out: Console) -> ExitCode:
    """Keep the files to be sent, and send all that waits, if there is a network."""
    all_kept = True
    async with client(options) as its:
        for path in (path.resolve() for path in options.paths):
            if not options.again and its.uploads.has_arrived(path, options.folder):
                out.print(f"Sent before: {path}")
                continue
            try:
                await its.queue.add_upload(path, options.folder, options.type)
            except FileChanged as error:
                out.print(str(error))
                all_kept = False
        code = await _send(its, out)
    return code if all_kept else code or ExitCode.REFUSED


async def retry(options: argparse.Namespace, out: Console) -> ExitCode:
    """Send again what was set aside."""
    async with client(options) as its:
        unknown = [entry for entry in options.entries if not its.queue.retry(entry)]
        _complain("was set aside", unknown, out)
        code = await _send(its, out)
    return code or (ExitCode.REFUSED if unknown else ExitCode.DONE)


async def drop(options: argparse.Namespace, out: Console) -> ExitCode:
    """Give up what waits or was set aside."""
    async with client(options) as its:
        unknown = [entry for entry in options.entries if not await its.queue.drop(entry)]
        _complain("waits or was set aside", unknown, out)
    return ExitCode.REFUSED if unknown else ExitCode.DONE


async def status(options: argparse.Namespace, out: Console) -> ExitCode:
    """Say who is signed in, how the network is, and what waits."""
    async with client(options) as its:
        state = await its.connectivity.check()
        out.print(f"Server     {options.server}")
        out.print(f"Network    {_described(state)}")
        try:
            name = await _name(its.api) if state.reach is Reach.ONLINE else its.api.user_id
            out.print(f"Signed in  {name}")
            _list(its, out)
        except SignedOut:
            out.print("Signed in  nobody")
    return ExitCode.DONE


async def _send(its: Client, out: Console) -> ExitCode:
    known = {entry.upload for entry in its.queue.entries()}
    for pending in its.uploads.pending():
        if pending.id not in known:  # killed between the two steps of adding it
            its.queue.keep_upload(pending.id)
    waiting = sum(not entry.set_aside for entry in its.queue.entries())
    if not waiting:
        out.print("Nothing waits to be sent.")
        return ExitCode.DONE
    async with its.connectivity as connectivity:
        state = await connectivity.check()
        if state.reach is not Reach.ONLINE:
            out.print(
                f"{_described(state).capitalize()}. {waiting} kept; to send: fieldgate upload"
            )
            return ExitCode.NO_NETWORK
        if state.network.suitable_for_large_uploads is Advice.CAUTION:
            out.print("This is a cellular network: what is sent may cost money.")
        with ProgressBar(out) as bar:
            connectivity.listen(lambda state: bar.say(_described(state).capitalize()))
            drained = await its.queue.drain_when_online(connectivity, bar)
    if drained.stopped_by is not None:
        raise drained.stopped_by
    return ExitCode.REFUSED if drained.set_aside else ExitCode.DONE


def _list(its: Client, out: Console) -> None:
    entries = its.queue.entries()
    uploads = {pending.id: pending for pending in its.uploads.pending()}
    waiting = sum(not entry.set_aside for entry in entries)
    out.print(f"Queue      {waiting} to send, {len(entries) - waiting} set aside")
    for entry in entries:
        pending = uploads.get(entry.upload or "")
        there = f"{100 * pending.acknowledged // max(1, pending.size)}% there" if pending else ""
        how = "set aside" if entry.set_aside else "waits"
        out.print(f"{entry.id:>5}  {', '.join(filter(None, (how, there)))}: {entry.title}")
        if entry.reason:
            out.print(f"       {entry.reason}")


def _described(state: State) -> str:
    advice = f"{state.network.suitable_for_large_uploads} for large uploads"
    return f"{REACH[state.reach]} ({state.network}: {advice})"


async def _name(api: Api) -> str:
    """Return who is signed in, as the server knows them; else by their id."""
    try:
        profile = (await api.request("GET", "/auth/me")).data
    except SignedOut:
        raise
    except ClientError:
        return api.user_id
    return ", ".join(filter(None, (profile["name"], profile["phone"])))


def _complain(what: str, unknown: Sequence[int], out: Console) -> None:
    for entry in unknown:
        out.print(f"There is no entry {entry} that {what}.")


def _password() -> str:
    with warnings.catch_warnings():
        # Where there is no terminal; it says so itself, and this would show a line of its source.
        warnings.simplefilter("ignore", getpass.GetPassWarning)
        return getpass.getpass("Password: ")


def _asked(question: Callable[[], str]) -> str:
    """Ask, and let Ctrl-C end the asking: asyncio's own handler waits for the next await."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return question()
    finally:
        signal.signal(signal.SIGINT, before)
