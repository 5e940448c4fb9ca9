"""`fieldgate` on a terminal: Ctrl-C, a bar, and two at once."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from fieldgate_client.assembled import ExitCode
from fieldgate_client.offline_queue import LOCK
from fieldgate_client.process_lock import process_lock
from tests.client.uploads.terminal import Ran, Terminal
from tests.support.s3 import ORIGINALS
from tests.support.sender import some_bytes

# In a session of its own, whose terminal is its input: Ctrl-C is a character that is typed there.
PROGRAM = """
import fcntl, sys, termios
from fieldgate_client.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main())
"""
CTRL_C = b"\x03"
SECONDS = 20.0


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
