"""`fieldgate` as people type it, against the real functions, storage and assembler."""

from pathlib import Path

import pytest

from fieldgate_client import assembled
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database
from fieldgate_client.network import NetworkType
from tests.client.uploads.terminal import Ran, Terminal, no_network
from tests.support.s3 import ORIGINALS
from tests.support.sender import some_bytes


def test_files_are_sent_in_turn(terminal: Terminal) -> None:
    terminal.sign_in()
    first = terminal.write("first.txt", some_bytes(600_000))
    second = terminal.write("second.txt", some_bytes(10))

    ran = terminal.type("upload", "--folder", "farmers", first, second)

    assert ran == Ran(ExitCode.DONE, terminal.sent(first, second), "")
    stored = terminal.place.s3.stored(ORIGINALS)
    assert sorted(map(len, stored.values())) == [10, 600_000]
    assert terminal.type("upload").out == "Nothing waits to be sent.\n"


def test_the_same_command_again_sends_only_what_did_not_arrive(terminal: Terminal) -> None:
    terminal.sign_in()
    first = terminal.write("first.txt")
    terminal.type("upload", first)
    second = terminal.write("second.txt")

    ran = terminal.type("upload", first, second)
    assert ran.out == f"Sent before: {first}\n{terminal.sent(second)}"
    assert terminal.type("upload", "--again", first).out == terminal.sent(first)
    assert terminal.type("upload", "--folder", "clients", first).out == terminal.sent(first)
    Path(first).write_bytes(b"some other text")
    assert terminal.type("upload", first).out == terminal.sent(first)
    assert len(terminal.place.s3.stored(ORIGINALS)) == 5


def test_a_file_that_is_refused_is_set_aside_and_the_next_is_sent(terminal: Terminal) -> None:
    terminal.sign_in()
    refused, sent = terminal.write("setup.exe"), terminal.write("notes.txt")

    ran = terminal.type("upload", refused, sent)

    assert ran.code == ExitCode.REFUSED
    assert f"Set aside (1): {refused}: UNSUPPORTED_MEDIA_TYPE: " in ran.out
    assert "The file itself was refused; to forget: fieldgate drop 1\n" in ran.out
    assert f"Sent: {sent}" in ran.out
    status = terminal.type("status")
    assert "0 to send, 1 set aside" in status.out
    assert f"set aside: {refused}" in status.out


@pytest.mark.parametrize("name", ["missing.pdf", ".", "closed.txt/inside.txt"])
def test_a_path_that_is_no_file_does_not_stop_the_others(terminal: Terminal, name: str) -> None:
    terminal.sign_in()
    terminal.write("closed.txt")
    sent = terminal.write("notes.txt")

    ran = terminal.type("upload", str(terminal.home / name), sent)

    assert ran.code == ExitCode.REFUSED
    assert "can't be read" in ran.out
    assert f"Sent: {sent}" in ran.out


def test_without_a_network_files_are_kept_and_sent_later(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    path = terminal.write("notes.txt")
    with monkeypatch.context() as offline:
        no_network(offline)
        asked = len(terminal.place.server.requests)
        ran = terminal.type("upload", path)
        assert ran.code == ExitCode.NO_NETWORK
        assert "1 kept; to send: fieldgate upload" in ran.out
        status = terminal.type("status")
        assert "Network    offline (none)\n" in status.out
        assert "Signed in  Grower One\n" in status.out
        assert "1 to send, 0 set aside" in status.out
        assert len(terminal.place.server.requests) == asked

    ran = terminal.type("upload")
    assert ran == Ran(ExitCode.DONE, terminal.sent(path), "")


def test_an_upload_that_was_cut_off_before_it_was_in_the_queue_is_sent_too(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    path = terminal.write("notes.txt")
    with monkeypatch.context() as offline:
        no_network(offline)
        terminal.type("upload", path)
    with Database(terminal.home / "client.db") as database:
        database.rows("DELETE FROM outbox")

    ran = terminal.type("upload")
    assert ran == Ran(ExitCode.DONE, terminal.sent(path), "")


def test_a_cellular_network_asks_for_caution(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    monkeypatch.setattr(assembled, "network_towards", lambda server: NetworkType.CELLULAR)

    ran = terminal.type("upload", terminal.write("notes.txt"))

    assert ran.code == ExitCode.DONE
    assert "may cost money" in ran.out


def test_status_tells_who_is_signed_in_the_network_and_what_waits(terminal: Terminal) -> None:
    assert "Signed in  nobody" in terminal.type("status").out
    terminal.sign_in()

    ran = terminal.type("status")

    assert ran.code == ExitCode.DONE
    assert ran.out.splitlines() == [
        f"Server     {terminal.place.server.url}",
        "Network    online (wifi: yes for large uploads)",
        "Signed in  Grower One, +254711000009",
        "Queue      0 to send, 0 set aside",
    ]
