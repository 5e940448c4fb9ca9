"""The local stack as a tool: started twice, interrupted, killed, edited under its feet."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from local.template import ROOT
from tests.e2e.conftest import (
    START_SECONDS,
    Stack,
    environment,
    running_stack,
    start,
    wait_for,
)
from tests.support.ports import free_port_pair


def left_behind(port: int) -> list[str]:
    """Return the command lines that still name a stack's data directory."""
    mark = f"test-{port}"
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if any(mark in word for word in process.info["cmdline"] or [])
    ]


def run_demo(port: int, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        env=os.environ | environment(port) | extra | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_its_routes_say_what_runs(stack: Stack) -> None:
    rows = httpx.get(f"{stack.url}/_local/functions").json()
    names = {row["name"] for row in rows}
    assert {"identity.login", "uploads.on_media_uploaded", "operations.migrate"} <= names
    migrate = stack.function("operations.migrate")
    assert migrate["invocations"] == 1
    assert migrate["errors"] == 0
    assert migrate["coldStarts"] == 1
    assert migrate["initMs"] > 0
    assert migrate["maxMemoryMb"] > 10
    queues = httpx.get(f"{stack.url}/_local/queues").json()
    assert {row["name"] for row in queues} == {
        *("AssemblyQueue", "MediaUploadedQueue", "SmsQueue", "RelayQueue", "FanOutQueue"),
        "PushQueue",
    }
    assert all(row.keys() == {"name", "visible", "inFlight", "deadLetters"} for row in queues)
    answer = httpx.post(f"{stack.url}/_local/schedules/Nightly")
    assert answer.status_code == 404
    assert "Nightly" in answer.json()["message"]
    assert httpx.get(f"{stack.url}/_local/unknown").status_code == 404


def test_it_listens_on_loopback_only(stack: Stack) -> None:
    processes = [psutil.Process(stack.process.pid)]
    processes += processes[0].children(recursive=True)
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_a_changed_source_is_picked_up_without_a_restart(stack: Stack) -> None:
    httpx.get(f"{stack.url}/health/version")
    before = stack.function("health.get_version")["coldStarts"]
    (ROOT / "functions/health/get_version.py").touch()

    def started_anew() -> bool:
        httpx.get(f"{stack.url}/health/version")
        return bool(stack.function("health.get_version")["coldStarts"] > before)

    wait_for(started_anew)


def test_the_functions_log_can_be_followed(stack: Stack) -> None:
    request_id = "follow-me-123"
    httpx.get(f"{stack.url}/health/version", headers={"X-Request-Id": request_id})
    log = stack.settings.data / "functions.log"
    wait_for(lambda: request_id in log.read_text())


def test_a_second_one_runs_beside_the_first(stack: Stack, tmp_path: Path) -> None:
    with running_stack(tmp_path) as second:
        assert second.url != stack.url
        with second.phone("agent") as agent:
            assert agent.get("/api/v1/auth/me").status_code == 200
            # A token of one is nothing to the other.
            foreign = httpx.get(f"{stack.url}/api/v1/auth/me", headers=agent.headers)
            assert foreign.status_code == 401
    assert second.process.returncode == 0
    assert not left_behind(second.settings.port)


def test_a_taken_port_is_said_plainly(stack: Stack) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT,
        env=os.environ | environment(stack.settings.port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert f"Port {stack.settings.port} is not free" in ran.stderr
    assert "Traceback" not in ran.stderr
    # And the one that runs is none the worse.
    assert httpx.get(f"{stack.url}/health").status_code == 200


@pytest.mark.parametrize("port", ["eighty", "0", "65535", "99999"])
def test_a_port_that_is_none_is_said_plainly(port: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT,
        env=os.environ | environment(1) | {"PORT": port},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert f"PORT={port} is not a port" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_directory_of_somebody_else_is_left_alone_and_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    ran = subprocess.run(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT,
        env=os.environ | environment(free_port_pair()) | {"FIELDGATE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "holds files that no stack wrote" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (tmp_path / "thesis.odt").exists()


@pytest.mark.parametrize("until", ["PostgreSQL", "local cloud", "storage gate"])
def test_ctrl_c_while_it_starts_leaves_nothing_behind(until: str, tmp_path: Path) -> None:
    port = free_port_pair()
    log = tmp_path / "stack.log"
    with log.open("w") as output, start(port, output) as process:
        wait_for(lambda: until in log.read_text())
        process.send_signal(signal.SIGINT)
        process.wait(START_SECONDS)
    assert "Traceback" not in log.read_text()
    assert not left_behind(port)


def test_killed_outright_it_takes_its_servers_with_it(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        stack.process.kill()
        stack.process.wait()
        wait_for(lambda: not left_behind(stack.settings.port))


def test_the_demo_tells_the_whole_story(stack: Stack) -> None:
    ran = run_demo(stack.settings.port)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Using the stack that runs" in ran.stdout
    assert "4000 x 3000" in ran.stdout
    assert "GPS position" in ran.stdout
    assert "375 x 500" in ran.stdout
    # The document, through one trouble after the other.
    assert "the app is killed" in ran.stdout
    assert "It has arrived once, and whole" in ran.stdout
    # Who hears of it all.
    connected, _, back = ran.stdout.partition("The office loses its network")
    assert "told while connected: created" in connected
    assert "told when catching up: created" in back
    assert "told while connected" not in back
    assert "Done. The photo is ready, the document stored." in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_stopped_takes_its_stack_with_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    port = free_port_pair()
    log = tmp_path / "demo.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "demo"],
            cwd=ROOT,
            env=os.environ | environment(port),
            stdout=output,
            stderr=output,
        )
        wait_for(lambda: "local cloud" in log.read_text())
        process.send_signal(number)
        process.wait(START_SECONDS)
    wait_for(lambda: not left_behind(port))
    assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
    assert "Traceback" not in log.read_text()


def test_the_demo_says_what_is_wrong_with_a_photo(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "big.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * (5 * 1024 * 1024))
    (tmp_path / "fake.jpg").write_text("no photo either")
    for name, complaint in [
        ("missing.jpg", "can't be read"),
        ("notes.txt", "UNSUPPORTED_MEDIA_TYPE"),
        ("big.jpg", "PAYLOAD_TOO_LARGE"),
        ("fake.jpg", "The photo was rejected: NOT_AN_IMAGE"),
    ]:
        ran = run_demo(stack.settings.port, PHOTO=str(tmp_path / name))
        assert ran.returncode == 1
        assert complaint in ran.stderr
        assert "Traceback" not in ran.stderr
