"""What each command of the command line does; `cli` reads the arguments and explains errors."""

import argparse
import getpass
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
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
from fieldgate_client.outbox import Entry
from fieldgate_client.progress_bar import ProgressBar, sent, set_aside
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

    database: Database
    api: Api
    tokens: TokenStore
    uploads: UploadManager
    queue: OfflineQueue
    connectivity: Connectivity


@dataclass(frozen=True)
class Wanted:
    """An entry of the queue whose end a command has to tell, whoever sends it."""

    id: int
    upload: str | None
    title: str


@asynccontextmanager
async def client(options: argparse.Namespace) -> AsyncIterator[Client]:
    """Put the parts together."""
    network = partial(network_towards, options.server)
    with Database(options.home / "client.db") as database:
        tokens = TokenStore(database)
        async with Api(options.server, tokens) as api:
            uploads = UploadManager(api, database, parallel=lambda: network().parallel_parts)
            yield Client(
                database,
                api,
                tokens,
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
        out.print(f"Signed in as {await _name(its)}.")
    return ExitCode.DONE


async def logout(options: argparse.Namespace, out: Console) -> ExitCode:
    """End the session; what waits is kept until its owner signs in again."""
    async with client(options) as its:
        await its.api.logout()
    out.print("Signed out. What was not sent is kept until you sign in again.")
    return ExitCode.DONE


async def upload(options: argparse.Namespace, out: Console) -> ExitCode:
    """Keep the files to be sent, and send all that waits, if there is a network.

    Without files, what was set aside and may be resumed is sent as well.
    """
    all_kept = True
    wanted = []
    async with client(options) as its:
        _find_again(its)
        for path in (path.resolve() for path in options.paths):
            if not options.again and its.uploads.has_arrived(path, options.folder):
                out.print(f"Sent before: {path}")
                continue
            try:
                local_id = await its.uploads.add(path, options.folder, options.type)
            except FileChanged as error:
                out.print(str(error))
                all_kept = False
            else:
                entry = its.queue.keep_upload(local_id)
                wanted.append(Wanted(entry, local_id, str(path)))
        if not options.paths:
            wanted = _take_up(its)
        code = await _send(its, out, wanted)
    return code if all_kept else code or ExitCode.REFUSED


async def retry(options: argparse.Namespace, out: Console) -> ExitCode:
    """Send again what was set aside."""
    wanted = []
    async with client(options) as its:
        entries = {entry.id: entry for entry in its.queue.entries() if entry.set_aside}
        refused = _refused(its, entries.values())
        for number in options.entries:
            entry = entries.get(number)
            if entry is None:
                out.print(f"There is no entry {number} that was set aside.")
            elif number in refused:
                out.print(set_aside(entry, entry.reason))
                out.print(_to_forget([number]))
            else:
                its.queue.retry(number)
                wanted.append(Wanted(number, entry.upload, entry.title))
        code = await _send(its, out, wanted) if wanted else ExitCode.DONE
    return code if len(wanted) == len(options.entries) else code or ExitCode.REFUSED


async def drop(options: argparse.Namespace, out: Console) -> ExitCode:
    """Give up what waits or was set aside."""
    code = ExitCode.DONE
    async with client(options) as its:
        entries = {entry.id: entry for entry in its.queue.entries()}
        for number in options.entries:
            entry = entries.get(number)
            if entry is None or not await its.queue.drop(number):
                out.print(f"There is no entry {number} that waits or was set aside.")
                code = ExitCode.REFUSED
            elif media_id := entry.upload and its.uploads.media_id(entry.upload):
                out.print(f"It had arrived before. {sent(entry.title, media_id)}")
            else:
                out.print(f"Given up: {entry.title}")
    return code


async def status(options: argparse.Namespace, out: Console) -> ExitCode:
    """Say who is signed in, how the network is, and what waits."""
    async with client(options) as its:
        state = await its.connectivity.check()
        out.print(f"Server     {options.server}")
        out.print(f"Network    {_described(state)}")
        try:
            name = await _name(its) if state.reach is Reach.ONLINE else remembered_name(its)
            out.print(f"Signed in  {name}")
            _list(its, out)
        except SignedOut:
            out.print("Signed in  nobody")
    return ExitCode.DONE


async def _send(its: Client, out: Console, wanted: Sequence[Wanted]) -> ExitCode:
    """Send all that waits, and tell what came of what is wanted."""
    waiting = sum(not entry.set_aside for entry in its.queue.entries())
    if not waiting and not wanted:
        out.print("Nothing waits to be sent.")
        return ExitCode.DONE
    told: set[int] = set()
    if waiting:
        async with its.connectivity as connectivity:
            state = await connectivity.check()
            if state.reach is not Reach.ONLINE:
                how = _described(state).capitalize()
                out.print(f"{how}. {waiting} kept; to send: fieldgate upload")
                return ExitCode.NO_NETWORK
            if state.network.suitable_for_large_uploads is Advice.CAUTION:
                out.print("This is a cellular network: what is sent may cost money.")
            with ProgressBar(out, its.uploads.media_id) as bar:
                connectivity.listen(lambda state: bar.say(_described(state).capitalize()))
                drained = await its.queue.drain_when_online(connectivity, bar)
        if drained.stopped_by is not None:
            raise drained.stopped_by
        told = bar.told
    return _report(its, wanted, told, out)


def _report(its: Client, wanted: Sequence[Wanted], told: set[int], out: Console) -> ExitCode:
    """Tell what came of each, but for the `told`: another process may have sent or dropped it."""
    left = {entry.id: entry for entry in its.queue.entries()}
    all_arrived = True
    for each in wanted:
        entry = left.get(each.id)
        media_id = each.upload and its.uploads.media_id(each.upload)
        arrived = entry is None and (each.upload is None or media_id is not None)
        all_arrived &= arrived
        if each.id in told:
            continue
        if arrived:
            out.print(sent(each.title, media_id))
        elif entry is None:
            out.print(f"Given up: {each.title}")
        elif entry.set_aside:
            out.print(set_aside(entry, entry.reason))
        else:
            out.print(f"Waits ({entry.id}): {entry.title}")
    _tell_how_to_go_on(its, [left[each.id] for each in wanted if each.id in left], out)
    return ExitCode.DONE if all_arrived else ExitCode.REFUSED


def _find_again(its: Client) -> None:
    """Keep what an `upload` had added when it was killed before it was in the queue."""
    known = {entry.upload for entry in its.queue.entries()}
    for pending in its.uploads.pending():
        if pending.id not in known:
            its.queue.keep_upload(pending.id)


def _take_up(its: Client) -> list[Wanted]:
    """Have what was set aside sent again where that makes sense; return all that there is."""
    entries = its.queue.entries()
    refused = _refused(its, entries)
    for entry in entries:
        if entry.upload is not None and entry.id not in refused:
            its.queue.retry(entry.id)
    return [Wanted(entry.id, entry.upload, entry.title) for entry in entries]


def _refused(its: Client, entries: Iterable[Entry]) -> set[int]:
    """Return the entries whose file itself was refused: trying again is no use."""
    resumable = {pending.id for pending in its.uploads.pending()}
    return {
        entry.id
        for entry in entries
        if entry.set_aside and entry.upload is not None and entry.upload not in resumable
    }


def _tell_how_to_go_on(its: Client, entries: Sequence[Entry], out: Console) -> None:
    refused = _refused(its, entries)
    again = [str(entry.id) for entry in entries if entry.set_aside and entry.id not in refused]
    if again:
        out.print(f"To try again: fieldgate retry {' '.join(again)}")
    if refused:
        out.print(_to_forget(sorted(refused)))


def _to_forget(refused: Sequence[int]) -> str:
    which = "The file itself was" if len(refused) == 1 else "The files themselves were"
    return f"{which} refused; to forget: fieldgate drop {' '.join(map(str, refused))}"


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
    _tell_how_to_go_on(its, entries, out)


def _described(state: State) -> str:
    advice = f"{state.network.suitable_for_large_uploads} for large uploads"
    network = f"{state.network}: {advice}" if state.reach is Reach.ONLINE else state.network
    return f"{REACH[state.reach]} ({network})"


async def _name(its: Client) -> str:
    """Return who is signed in, as the server knows them; else as it is remembered."""
    try:
        profile = (await its.api.request("GET", "/auth/me")).fields
        known = (profile.text_or_none("name"), profile.text_or_none("phone"))
    except SignedOut:
        raise
    except ClientError:
        return remembered_name(its)
    return ", ".join(filter(None, known))


def remembered_name(its: Client) -> str:
    """Return who is signed in, without asking the server; raises SignedOut."""
    user_id = its.api.user_id
    tokens = its.tokens.load(its.api.server)
    return tokens.name or user_id if tokens else user_id


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    # Piped: nobody sees it, and getpass would warn of that.
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def _asked(question: Callable[[], str]) -> str:
    """Ask, and let Ctrl-C end the asking: asyncio's own handler waits for the next await."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return question()
    finally:
        signal.signal(signal.SIGINT, before)
