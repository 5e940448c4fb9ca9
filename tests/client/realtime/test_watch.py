"""`fieldgate watch`, as people type it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldgate_client import cli
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import TOKENS
from tests.client.realtime.hub import EPOCH, Hub, Message, ServerEnd, hub_in_a_thread


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("FIELDGATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Africa/Nairobi")
    with hub_in_a_thread() as hub:
        monkeypatch.setenv("FIELDGATE_URL", hub.url)
        yield hub


@pytest.fixture
def signed_in(hub: Hub, tmp_path: Path) -> None:
    with Database(tmp_path / "client.db") as database:
        TokenStore(database).save(hub.url, TOKENS)


@pytest.mark.usefixtures("signed_in")
def test_what_changes_is_printed_until_the_server_ends_it(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    async def tell(line: ServerEnd) -> None:
        await hub.happens("own:7")
        await hub.happens("own:8", data={"entityType": "media", "entityId": "9", "action": "x"})
        await hub.happens("own:\x1b[31m")
        data = {"userId": "user-1", "permissions": ["media:read", "users:read"]}
        await hub.happens("own:1", event="permissions_updated", data=data)
        await line.say({"type": "refetch", "epoch": EPOCH, "offset": 99})
        await line.say({"type": "close", "reason": "out of order", "reconnect": False})

    def resume(line: ServerEnd, asked: Message) -> Message:
        tasks.append(asyncio.ensure_future(tell(line)))
        return hub.resumed(line, asked)

    tasks: list[asyncio.Task[None]] = []
    hub.answers["resume"] = [resume]
    hub.forbidden = {"users"}

    code = cli.main(["watch", "--channel", "users", "--channel", "lots"])

    said = capsys.readouterr()
    assert code == ExitCode.REFUSED
    assert said.err == "the server closed the connection: out of order\n"
    lines = [line.partition("  ")[2] or line for line in said.out.splitlines()]
    assert lines == [
        "What changes for user-1, until Ctrl-C:",
        "Connecting",
        "Not followed: users: FORBIDDEN: users is not for you.",
        "Asking what was missed",
        "What changed before is not known: fetch anew what you show.",
        "Live",
        "own:7 updated",
        "own:8 updated (media:9)",
        "own:\\x1b[31m updated",
        "permissions are now: media:read, users:read",
        "What changed before is not known: fetch anew what you show.",
    ]


@pytest.mark.usefixtures("signed_in")
def test_a_connection_that_fails_is_told_with_the_reason(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldgate_client.policy.Backoff.longest", lambda *_: 0.0)
    hub.handshakes = [503]
    hub.answers["resume"] = [lambda *_: {"type": "close", "reason": "that will do"}]

    assert cli.main(["watch"]) == ExitCode.REFUSED
    said = capsys.readouterr().out
    assert "Trying again in 0.0 s: the server answers 503\n" in said


def press_ctrl_c(line: ServerEnd, asked: Message) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """What a shell starts in the background is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("signed_in", "heeding_ctrl_c")
def test_ctrl_c_ends_it_at_once(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.answers["resume"] = [press_ctrl_c]

    assert cli.main(["watch"]) == ExitCode.STOPPED
    assert capsys.readouterr().err == "Stopped.\n"


def test_nobody_is_signed_in(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["watch"]) == ExitCode.SIGNED_OUT
    assert "Sign in first: fieldgate login PHONE" in capsys.readouterr().err
    assert hub.shown == []
