"""The servers of the local stack: they start, stop, and never outlive who started them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.child import ServerFailed
from local.postgres import start_postgres
from local.valkey import start_valkey
from tests.conftest import run_sql
from tests.support.ports import free_port

# Starts both and tells their pids; then waits to be killed.
PARENT = """
import sys
from pathlib import Path
from local.postgres import start_postgres
from local.valkey import start_valkey
directory, port, cache_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
postgres = start_postgres(directory / "data", port, durable=False)
valkey = start_valkey(directory / "cache", cache_port)
print(postgres.process.pid, valkey.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not tmp_path: where we are root the server is another user, whom pytest shuts out.
    path = Path(tempfile.mkdtemp(prefix="fieldgate-servers-"))
    yield path
    shutil.rmtree(path)


def test_postgres_keeps_its_data_and_its_password(directory: Path) -> None:
    port = free_port()
    with start_postgres(directory / "data", port, durable=True) as server:
        run_sql(server.url, "CREATE TABLE kept (n int)")
    with start_postgres(directory / "data", port, durable=True) as again:
        assert again.url == server.url
        assert run_sql(again.url, "SELECT n FROM kept") == []
    assert server.process.returncode == again.process.returncode == 0


def test_postgres_wants_the_password(directory: Path) -> None:
    with start_postgres(directory / "data", free_port(), durable=False) as server:
        password = server.url.split(":")[2].partition("@")[0]
        with pytest.raises(Exception, match="password authentication failed"):
            run_sql(server.url.replace(password, "wrong"), "SELECT 1")


def test_a_taken_port_is_told_with_the_log(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match="Address already in use"):
            start_postgres(directory / "data", port, durable=False)
        with pytest.raises(ServerFailed, match="Address already in use"):
            start_valkey(directory / "cache", port)


def test_a_second_server_on_the_same_data_is_refused(directory: Path) -> None:
    with (
        start_postgres(directory / "data", free_port(), durable=False),
        pytest.raises(ServerFailed, match=f"process {os.getpid()} already runs"),
    ):
        start_postgres(directory / "data", free_port(), durable=False)


def test_a_server_whose_owner_is_gone_is_stopped_first(directory: Path) -> None:
    left = start_postgres(directory / "data", free_port(), durable=False)
    owner = directory / "data" / "fieldgate_owner"
    owner.write_text(f"{os.getpid()} 1.0")  # somebody who had our number before
    with start_postgres(directory / "data", free_port(), durable=False) as server:
        assert left.process.wait(5) == 0
        assert run_sql(server.url, "SELECT 1") == [(1,)]


def test_a_lock_file_of_a_process_that_is_no_postgres_is_no_hindrance(directory: Path) -> None:
    start_postgres(directory / "data", free_port(), durable=False).stop()
    (directory / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with start_postgres(directory / "data", free_port(), durable=False) as server:
        assert run_sql(server.url, "SELECT 1") == [(1,)]


def test_valkey_answers_and_stops(directory: Path) -> None:
    port = free_port()
    with start_valkey(directory, port) as server:
        assert server.url == f"redis://127.0.0.1:{port}/0"
    assert server.process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_servers_die_with_their_parent(directory: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(directory), str(free_port()), str(free_port())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(end)
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)
