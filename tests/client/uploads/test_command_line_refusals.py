"""What `fieldgate` says of files that are refused, and what becomes of them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database
from fieldgate_client.offline_queue import Drained, OfflineQueue
from fieldgate_client.outbox import Outbox
from tests.client.uploads.terminal import Ran, Terminal
from tests.support.sender import some_bytes

REFUSALS = {
    "an empty file": (
        "empty.txt",
        b"",
        "VALIDATION_ERROR: The file is not valid: size must be at least 1 byte.",
    ),
    "two extensions": (
        "photo.jpg.txt",
        b"text",
        "VALIDATION_ERROR: The file is not valid: filename has two extensions.",
    ),
    "a program": ("setup.exe", b"MZ", "UNSUPPORTED_MEDIA_TYPE: These kinds of files are taken: "),
    "not what it says": (
        "contract.pdf",
        b"<html>",
        "TYPE_MISMATCH: Its content is of another kind than its name says, or it has macros.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_why_a_file_is_refused_is_said_each_time(terminal: Terminal, case: str) -> None:
    name, content, why = REFUSALS[case]
    terminal.sign_in()
    path = terminal.write(name, content)

    for command in (["upload", path], ["retry", "1"], ["upload"]):
        ran = terminal.type(*command)
        assert ran.code == ExitCode.REFUSED
        assert f"Set aside (1): {path}: {why}" in ran.out
        assert ran.out.endswith("The file itself was refused; to forget: fieldgate drop 1\n")
    status = terminal.type("status")
    assert why in status.out
    assert "fieldgate drop 1" in status.out


def test_what_was_set_aside_can_be_dropped(terminal: Terminal) -> None:
    terminal.sign_in()
    path = terminal.write("setup.exe")
    terminal.type("upload", path)

    assert terminal.type("drop", "1") == Ran(ExitCode.DONE, f"Given up: {path}\n", "")
    assert "0 to send, 0 set aside" in terminal.type("status").out
    for command in ("retry", "drop"):
        ran = terminal.type(command, "1")
        assert ran.code == ExitCode.REFUSED
        assert "There is no entry 1" in ran.out


def test_dropped_after_it_arrived_it_is_not_called_given_up(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    path = terminal.write("notes.txt")
    terminal.type("upload", path)
    with Database(terminal.home / "client.db") as database:
        # Killed between the last answer and the deletion of the entry.
        (upload,) = database.rows("SELECT id FROM uploads")
        entry = Outbox(database).add_upload(upload["id"], datetime.now(UTC))

    ran = terminal.type("drop", str(entry))

    assert ran == Ran(ExitCode.DONE, f"It had arrived before. {terminal.sent(path)}", "")


@pytest.fixture
def broken_storage(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Storage that cuts every connection, and a client that doesn't wait between its tries."""
    with monkeypatch.context() as broken:
        broken.setattr("fieldgate_client.policy.Backoff.pause", lambda *_: 0.0)
        terminal.place.s3.faults.set("s3", "cut", 60)
        yield
    terminal.place.s3.faults.set("s3", "cut", 0)


def set_aside_by_broken_storage(terminal: Terminal) -> str:
    terminal.sign_in()
    path = terminal.write("notes.txt", some_bytes(3 * 512 * 1024))

    ran = terminal.type("upload", path)

    assert ran.code == ExitCode.REFUSED
    said, how = ran.out.splitlines()
    assert said.startswith(f"Set aside (1): {path}: TOO_MANY_FAILURES: Too many chunks in a row")
    assert "storage can't be reached: the connection was cut" in said
    assert how == "To try again: fieldgate retry 1"
    assert "To try again: fieldgate retry 1" in terminal.type("status").out
    return path


@pytest.mark.usefixtures("broken_storage")
@pytest.mark.parametrize("command", [["upload"], ["retry", "1"]])
def test_what_was_set_aside_for_storage_is_taken_up_again(
    terminal: Terminal, command: list[str]
) -> None:
    path = set_aside_by_broken_storage(terminal)
    assert terminal.type(*command).code == ExitCode.REFUSED
    terminal.place.s3.faults.set("s3", "cut", 0)

    ran = terminal.type(*command)

    assert ran == Ran(ExitCode.DONE, terminal.sent(path), "")
    assert terminal.type("upload").out == "Nothing waits to be sent.\n"


def test_what_another_process_gave_up_is_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    own = terminal.write("notes.txt")
    real = OfflineQueue.drain_when_online

    async def given_up(self: OfflineQueue, *args: Any) -> Drained:
        await self.drop(1)
        return await real(self, *args)

    monkeypatch.setattr(OfflineQueue, "drain_when_online", given_up)

    assert terminal.type("upload", own) == Ran(ExitCode.REFUSED, f"Given up: {own}\n", "")


def test_an_old_refusal_is_not_the_failure_of_another_file(terminal: Terminal) -> None:
    terminal.sign_in()
    terminal.type("upload", terminal.write("setup.exe"))
    path = terminal.write("notes.txt")

    ran = terminal.type("upload", path)

    assert ran == Ran(ExitCode.DONE, terminal.sent(path), "")
