"""`fieldgate` as people type it, against the real functions, storage and assembler."""

import builtins
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate_client import assembled, cli, upload_run
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database
from fieldgate_client.network import NetworkType
from fieldgate_client.offline_queue import LOCK, Drained, OfflineQueue
from fieldgate_client.outbox import Outbox
from fieldgate_client.process_lock import process_lock
from fieldgate_client.tokens import TokenStore
from identity.passwords import hash_password
from tests.support.one_time_codes import code_of, rows
from tests.support.people import Person, register
from tests.support.phone import Field
from tests.support.s3 import ORIGINALS
from tests.support.sender import some_bytes

PASSWORD = "maize & beans"
GROWER = Person(PASSWORD, hash_password(PASSWORD))
# In a session of its own, whose terminal is its input: Ctrl-C is a character that is typed there.
PROGRAM = """
import fcntl, sys, termios
from fieldgate_client.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main())
"""
CTRL_C = b"\x03"
SECONDS = 20.0


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """Where `fieldgate` is typed, and what is answered when it asks."""

    place: Field
    home: Path
    capture: pytest.CaptureFixture[str]
    answers: list[str] = field(default_factory=list)

    def type(self, *arguments: str) -> Ran:
        self.capture.readouterr()
        code = cli.main(arguments)
        said = self.capture.readouterr()
        # The functions, which run in this process, write their metrics there.
        out = "".join(line for line in said.out.splitlines(True) if not line.startswith("{"))
        assert "Traceback" not in said.err
        self.assert_no_secret_in(out + said.err)
        return Ran(code, out, said.err)

    def sign_in(self) -> None:
        self.answers.append(PASSWORD)
        assert self.type("login", str(GROWER.phone)).code == ExitCode.DONE

    def write(self, name: str, content: bytes = b"some text") -> str:
        path = self.home.parent / name
        path.write_bytes(content)
        return str(path)

    def readline(self, size: int = -1) -> str:
        """Answer what is asked, as standard input does when it is a pipe."""
        return f"{self.answers.pop(0)}\n" if self.answers else ""

    def isatty(self) -> bool:
        return False

    def media_of(self, path: str) -> str:
        """Return the media that the last upload of a file has become, as `Sent:` is to say."""
        with Database(self.home / "client.db") as database:
            known = database.rows(
                "SELECT media_id FROM uploads WHERE path = ? AND state = 'completed'"
                " ORDER BY rowid DESC",
                [path],
            )
        return str(known[0]["media_id"])

    def sent(self, *paths: str) -> str:
        return "".join(f"Sent: {path} (media {self.media_of(path)})\n" for path in paths)

    def assert_no_secret_in(self, text: str) -> None:
        assert PASSWORD not in text
        with Database(self.home / "client.db") as database:
            tokens = TokenStore(database).load(self.place.server.url)
        if tokens is not None:
            assert tokens.access_token not in text
            assert tokens.refresh_token not in text


@pytest.fixture
def terminal(
    field: Field,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    field.server.run(lambda: register(field.database, GROWER))
    here = Terminal(field, tmp_path / "home", capsys)
    monkeypatch.setenv("FIELDGATE_URL", field.server.url)
    monkeypatch.setenv("FIELDGATE_HOME", str(here.home))
    monkeypatch.setattr(sys, "stdin", here)
    # The assembler has done its work before the next request comes.
    monkeypatch.setattr(upload_run, "POLL_FIRST_SECONDS", 0.0)
    return here


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembled, "network_towards", lambda server: NetworkType.NONE)


def test_sign_in_by_password(terminal: Terminal) -> None:
    terminal.answers = [PASSWORD]

    assert terminal.type("login", str(GROWER.phone)) == Ran(
        ExitCode.DONE, "Signed in as Grower One, +254711000009.\n", ""
    )


def test_a_wrong_password_is_said_plainly(terminal: Terminal) -> None:
    terminal.answers = ["another"]

    ran = terminal.type("login", str(GROWER.phone))

    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
    assert "INVALID_CREDENTIALS" in ran.err


def test_sign_in_by_a_code_that_is_texted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda: code_that_was_texted(terminal.place))

    ran = terminal.type("login", "--code", str(GROWER.phone))

    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out.endswith("Signed in as Grower One, +254711000009.\n")


def code_that_was_texted(field: Field) -> str:
    def find() -> str:
        (challenge,) = rows(field.database, "SELECT id FROM otp_challenges")
        return code_of(challenge["id"], str(GROWER.phone))

    return field.server.run(find)


def test_a_second_factor_is_asked_for_after_the_password(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    ask(terminal, "PUT", "/auth/two-factor", {"enabled": True})
    monkeypatch.setattr(builtins, "input", lambda: code_that_was_texted(terminal.place))
    terminal.answers = [PASSWORD]

    ran = terminal.type("login", str(GROWER.phone))

    assert ran.code == ExitCode.DONE
    assert "A code is on its way" in ran.out


def test_where_nobody_can_answer_it_says_so(terminal: Terminal) -> None:
    ran = terminal.type("login", str(GROWER.phone))

    assert ran.code == ExitCode.REFUSED
    assert "nobody to answer" in ran.err


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


def test_after_signing_out_nothing_is_sent_and_all_is_kept(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    with monkeypatch.context() as offline:
        no_network(offline)
        path = terminal.write("notes.txt")
        terminal.type("upload", path)

    assert terminal.type("logout").code == ExitCode.DONE
    for command in (["upload"], ["upload", path], ["logout"], ["drop", "1"]):
        ran = terminal.type(*command)
        assert ran.code == ExitCode.SIGNED_OUT
        assert "fieldgate login" in ran.err
    terminal.sign_in()
    assert terminal.type("upload").out == terminal.sent(path)


def test_a_session_that_was_ended_elsewhere_is_told_and_all_is_kept(terminal: Terminal) -> None:
    terminal.sign_in()
    ask(terminal, "POST", "/auth/logout", {})
    path = terminal.write("notes.txt")

    ran = terminal.type("upload", path)

    assert ran.code == ExitCode.SIGNED_OUT
    assert "fieldgate login" in ran.err
    terminal.sign_in()
    assert terminal.type("upload").out == terminal.sent(path)


def ask(terminal: Terminal, method: str, path: str, content: object) -> None:
    """Ask the server by the token that `fieldgate` has, past it."""
    url = terminal.place.server.url
    with Database(terminal.home / "client.db") as database:
        tokens = TokenStore(database).load(url)
    assert tokens is not None
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    httpx.request(method, f"{url}/api/v1{path}", json=content, headers=bearer).raise_for_status()


@dataclass
class Running:
    """A process at a terminal."""

    process: subprocess.Popen[bytes]
    master: int
    said: str = ""

    def until(self, text: str) -> None:
        """Wait for a text, and forget what was said before it."""
        while text not in self.said:
            ready, _, _ = select.select([self.master], [], [], SECONDS)
            assert ready, f"{text!r} was not said; this was: {self.said}"
            self.said += os.read(self.master, 65536).decode(errors="replace")
            assert "Traceback" not in self.said
        self.said = self.said.partition(text)[2]

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def code(self) -> int:
        return self.process.wait(SECONDS)


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[Running]:
    """Run `fieldgate` in a process of its own, at a terminal."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        ) as process:
            try:
                yield Running(process, master)
            finally:
                process.kill()
    finally:
        os.close(slave)
        os.close(master)


def test_ctrl_c_ends_it_with_130_and_the_next_run_goes_on(terminal: Terminal) -> None:
    terminal.sign_in()
    content = some_bytes(3 * 512 * 1024)
    path = terminal.write("notes.txt", content)
    terminal.place.s3.faults.set("s3", "hang", 60)
    with on_a_terminal("upload", path) as running:
        running.until("0.0/1.5 MiB")
        running.press(CTRL_C)
        running.until("Stopped. What has arrived is kept; to go on: fieldgate upload")
        assert running.code() == ExitCode.STOPPED
    terminal.place.s3.faults.set("s3", "hang", 0)

    ran = terminal.type("upload", path)
    assert ran == Ran(ExitCode.DONE, terminal.sent(path), "")
    assert list(terminal.place.s3.stored(ORIGINALS).values()) == [content]


def test_ctrl_c_at_the_password_ends_it_at_once(terminal: Terminal) -> None:
    with on_a_terminal("login", "+254711000009") as running:
        running.until("Password")
        running.press(CTRL_C)
        running.until("Stopped.")
        assert running.code() == ExitCode.STOPPED


@pytest.mark.parametrize(
    ("name", "says", "code"),
    [
        ("notes.txt", "Sent: {path} (media ", ExitCode.DONE),
        ("setup.exe", "Set aside (1): {path}: UNSUPPORTED_MEDIA_TYPE: ", ExitCode.REFUSED),
    ],
)
def test_of_two_at_once_each_tells_what_came_of_its_own_files(
    terminal: Terminal, name: str, says: str, code: ExitCode
) -> None:
    terminal.sign_in()
    path = terminal.write(name)
    with ExitStack() as other:
        assert other.enter_context(process_lock(terminal.home / LOCK))
        with on_a_terminal("upload", path) as running:
            running.until("Waiting: Another process is sending the queue.")
            other.close()
            # It sends the other's file as well, while that one pauses.
            assert terminal.type("upload").code == code

            running.until(says.format(path=path))
            assert running.code() == code


def test_on_a_terminal_a_bar_shows_how_it_goes(terminal: Terminal) -> None:
    terminal.sign_in()
    with on_a_terminal("upload", terminal.write("notes.txt", some_bytes(2_000_000))) as running:
        running.until("notes.txt")
        running.until("1.9/1.9 MiB")
        running.until("Sent: ")
        assert running.code() == ExitCode.DONE
