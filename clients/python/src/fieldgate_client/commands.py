"""What each command of the command line does; `cli` reads the arguments and explains errors."""

import argparse
import getpass
import signal
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from fieldgate_client.api import Challenge
from fieldgate_client.assembled import Client, ExitCode, Wanted, client
from fieldgate_client.captive_portal import Reach
from fieldgate_client.errors import FileChanged, SignedOut
from fieldgate_client.network import Advice
from fieldgate_client.progress_bar import ProgressBar, sent, set_aside
from fieldgate_client.telling import (
    described,
    how_to_forget,
    list_entries,
    name_of,
    refused_among,
    remembered_name,
    report,
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
        out.print(f"Signed in as {await name_of(its)}.")
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
        refused = refused_among(its, entries.values())
        for number in options.entries:
            entry = entries.get(number)
            if entry is None:
                out.print(f"There is no entry {number} that was set aside.")
            elif number in refused:
                out.print(set_aside(entry, entry.reason))
                out.print(how_to_forget([number]))
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
        out.print(f"Network    {described(state)}")
        try:
            name = await name_of(its) if state.reach is Reach.ONLINE else remembered_name(its)
            out.print(f"Signed in  {name}")
            list_entries(its, out)
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
                how = described(state).capitalize()
                out.print(f"{how}. {waiting} kept; to send: fieldgate upload")
                return ExitCode.NO_NETWORK
            if state.network.suitable_for_large_uploads is Advice.CAUTION:
                out.print("This is a cellular network: what is sent may cost money.")
            with ProgressBar(out, its.uploads.media_id) as bar:
                connectivity.listen(lambda state: bar.say(described(state).capitalize()))
                drained = await its.queue.drain_when_online(connectivity, bar)
        if drained.stopped_by is not None:
            raise drained.stopped_by
        told = bar.told
    return report(its, wanted, told, out)


def _find_again(its: Client) -> None:
    """Keep what an `upload` had added when it was killed before it was in the queue."""
    known = {entry.upload for entry in its.queue.entries()}
    for pending in its.uploads.pending():
        if pending.id not in known:
            its.queue.keep_upload(pending.id)


def _take_up(its: Client) -> list[Wanted]:
    """Have what was set aside sent again where that makes sense; return all that there is."""
    entries = its.queue.entries()
    refused = refused_among(its, entries)
    for entry in entries:
        if entry.upload is not None and entry.id not in refused:
            its.queue.retry(entry.id)
    return [Wanted(entry.id, entry.upload, entry.title) for entry in entries]


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
