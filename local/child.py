"""Servers as children of this process: in a session of their own, and gone when it is gone.

A child is tied to the *thread* that starts it (that is how Linux counts parents): start servers
from the main thread, or from one that lives as long as they should. Elsewhere than on Linux a
child outlives a parent that is killed with SIGKILL; starting again stops it (see postgres.py).

This file is also run as a script, by `spawn`, between fork and exec: a hook of subprocess's in
that place (preexec_fn) is not safe in a process with threads.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pwd import struct_passwd

_PR_SET_PDEATHSIG = 1
LOG_TAIL_LINES = 20


class ServerFailed(Exception):
    """A server did not come up; the message ends in what it had to say about it."""


class Server:
    """A running server; as a context manager it is stopped at the end.

    `stop_signals` are tried in turn, the politest first, each given `stop_seconds`.
    """

    stop_signals: ClassVar[Sequence[signal.Signals]] = (signal.SIGTERM, signal.SIGKILL)
    stop_seconds: ClassVar[float] = 10

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Stop it and wait until it is gone; harmless when it is."""
        for number in self.stop_signals:
            if self.process.poll() is not None:
                return
            self.process.send_signal(number)
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                continue

    def __enter__(self) -> Self:
        """Return the server, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    user: "struct_passwd | None" = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` (its first word a path), its output added to `log`.

    Ctrl-C in our terminal does not reach it, so that we stop things in our order. When we die
    without stopping it, the kernel sends it `stop_signal` (Linux only). `user` is who it runs as
    where we are root; `environment` is all of its environment, ours when not given.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            tied(command, stop_signal=stop_signal, user=user),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


def tied(
    command: Sequence[str],
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    user: "struct_passwd | None" = None,
) -> list[str]:
    """Return the command line under which `command` gets `stop_signal` when we die."""
    launcher = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(stop_signal))]
    launcher += [str(user.pw_uid), str(user.pw_gid)] if user else ["-", "-"]
    return [*launcher, *command]


def wait_until_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, *, seconds: float = 30
) -> None:
    """Wait for `ready`.

    Raises:
        ServerFailed: the process ended, or is not ready after `seconds`.

    """
    give_up = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise ServerFailed(f"it ended with {process.returncode}; {tail(log)}")
        if time.monotonic() > give_up:
            raise ServerFailed(f"it was not ready after {seconds:g} s; {tail(log)}")
        time.sleep(0.01)


def tail(log: Path) -> str:
    """Return the last lines of a log, introduced."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n    ".join([f"the end of {log}:", *lines])


def _become(parent: int, stop_signal: int, uid: str, gid: str, command: list[str]) -> None:
    """Turn this process into `command`, tied to `parent`."""
    # Before setuid: another user may not be able to read our Python.
    import ctypes  # noqa: PLC0415 - of no use to who imports this module

    libc = ctypes.CDLL(None)
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After setuid, which clears it.
        libc.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            sys.exit("the parent died first")
    os.execv(command[0], command)  # noqa: S606 - the point of this script


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
