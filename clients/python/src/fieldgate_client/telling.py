"""What commands tell: who is signed in, how the network is, what waits and what came of it."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from fieldgate_client.assembled import Client, ExitCode, Wanted
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import State
from fieldgate_client.errors import ClientError, SignedOut
from fieldgate_client.outbox import Entry
from fieldgate_client.progress_bar import sent, set_aside

REACH = {
    Reach.ONLINE: "online",
    Reach.CAPTIVE: "behind a network's login page, which a browser shows",
    Reach.OFFLINE: "offline",
}


def report(its: Client, wanted: Sequence[Wanted], told: set[int], out: Console) -> ExitCode:
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
    tell_how_to_go_on(its, [left[each.id] for each in wanted if each.id in left], out)
    return ExitCode.DONE if all_arrived else ExitCode.REFUSED


def refused_among(its: Client, entries: Iterable[Entry]) -> set[int]:
    """Return the entries whose file itself was refused: trying again is no use."""
    resumable = {pending.id for pending in its.uploads.pending()}
    return {
        entry.id
        for entry in entries
        if entry.set_aside and entry.upload is not None and entry.upload not in resumable
    }


def tell_how_to_go_on(its: Client, entries: Sequence[Entry], out: Console) -> None:
    refused = refused_among(its, entries)
    again = [str(entry.id) for entry in entries if entry.set_aside and entry.id not in refused]
    if again:
        out.print(f"To try again: fieldgate retry {' '.join(again)}")
    if refused:
        out.print(how_to_forget(sorted(refused)))


def how_to_forget(refused: Sequence[int]) -> str:
    which = "The file itself was" if len(refused) == 1 else "The files themselves were"
    return f"{which} refused; to forget: fieldgate drop {' '.join(map(str, refused))}"


def list_entries(its: Client, out: Console) -> None:
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
    tell_how_to_go_on(its, entries, out)


def described(state: State) -> str:
    advice = f"{state.network.suitable_for_large_uploads} for large uploads"
    network = f"{state.network}: {advice}" if state.reach is Reach.ONLINE else state.network
    return f"{REACH[state.reach]} ({network})"


async def name_of(its: Client) -> str:
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
