"""The local stack, started as a person would, driven as a phone would."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import boto3
import httpx
import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from identity.passwords import hash_password
from local.accounts import PASSWORD
from local.cloud import ACCOUNT, SECRET
from local.postgres import start_postgres
from local.stack_settings import StackSettings
from local.template import REGION, ROOT
from tests.support.hub import Node, running_node
from tests.support.people import Person, register
from tests.support.ports import free_port_pair

# Not pytest's directory: where we are root, PostgreSQL runs as a user that can't enter that.
TEST_DATA = ROOT / ".local/tests"
_made: set[Path] = set()
START_SECONDS = 60
WAIT_SECONDS = 40
FOLDER = Path(__file__).parent
# Run last, so that nobody waits for a time that goes by while others are tested.
LAST = "test_a_signalr_connection_lives_on_its_pings"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the last test of this folder behind the others of it."""
    ours = [n for n, item in enumerate(items) if FOLDER in item.path.parents]
    for n, item in zip(ours, sorted((items[n] for n in ours), key=_is_last), strict=True):
        items[n] = item


def _is_last(item: pytest.Item) -> bool:
    return item.name == LAST


def wait_for[T](
    condition: Callable[[], T | None], seconds: float = WAIT_SECONDS, *, every: float = 0.05
) -> T:
    """Ask until there is an answer, and fail when there is none in time."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(every)
    return found


@dataclass
class Stack:
    """A stack that says it is ready; `log` is what it told the terminal."""

    process: subprocess.Popen[str]
    settings: StackSettings
    log: Path
    servers: ExitStack  # what we started in place of its own; they end after it
    tokens: list[str] = field(default_factory=list, repr=False)  # of all who signed in
    refresh_tokens: dict[str, str] = field(default_factory=dict, repr=False)  # by the others

    @property
    def url(self) -> str:
        return self.settings.url

    @contextmanager
    def phone(self, role: str) -> Iterator[httpx.Client]:
        """Yield a client signed in as somebody new with that role, limits and data of their own."""
        person = Person(PASSWORD, password_hash(), phone=next(_numbers), email=None, roles=[role])
        with self.database() as database:
            register(database, person)
        credentials = {"identifier": person.phone, "password": person.password}
        with httpx.Client(base_url=self.url, timeout=30) as client:
            self._take_tokens(client, client.post("/api/v1/auth/login", json=credentials))
            yield client

    def renew(self, phone: httpx.Client) -> str:
        """Have a phone go on with new tokens; returns the one that it is signed in with now."""
        used = {"refreshToken": self.refresh_tokens[bearer(phone)]}
        self._take_tokens(phone, phone.post("/api/v1/auth/refresh", json=used))
        return bearer(phone)

    def _take_tokens(self, phone: httpx.Client, answer: httpx.Response) -> None:
        tokens = answer.json()["data"]
        self.tokens.append(tokens["accessToken"])
        self.refresh_tokens[tokens["accessToken"]] = tokens["refreshToken"]
        phone.headers["Authorization"] = f"Bearer {tokens['accessToken']}"

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Stop PostgreSQL; at the end start it again as it was, but as a child of ours."""
        data = self.settings.data / "postgres"
        lock = data / "postmaster.pid"
        pid, _, _, port, *_ = lock.read_text().splitlines()
        os.kill(int(pid), signal.SIGINT)
        wait_for(lambda: not lock.exists())
        try:
            yield
        finally:
            self.servers.enter_context(start_postgres(data, int(port), durable=False))

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Yield the stack's database, behind the proxy that can break it."""
        database = Database(lambda: parse_url(self.address("database"), "the stack"))
        yield database
        database.close()

    def run_schedule(self, logical_id: str) -> None:
        answer = httpx.post(f"{self.url}/_local/schedules/{logical_id}")
        assert answer.status_code == 202, answer.text

    def break_(self, target: str, mode: str, seconds: float) -> None:
        """Break a dependency, or mend it with 0 seconds."""
        fault = {"target": target, "mode": mode, "seconds": seconds}
        answer = httpx.post(f"{self.url}/_local/faults", json=fault)
        assert answer.status_code == 202, answer.text

    def function(self, name: str) -> dict[str, Any]:
        """Return what the stack measured of one function."""
        rows = httpx.get(f"{self.url}/_local/functions").json()
        return next(row for row in rows if row["name"] == name)

    def queue(self, name: str) -> dict[str, int]:
        rows = httpx.get(f"{self.url}/_local/queues").json()
        return next(row for row in rows if row["name"] == name)

    def address(self, server: str) -> str:
        """Return where `cloud`, `database` or `cache` is, as the stack tells."""
        description = json.loads((self.settings.data / "stack.json").read_text())
        return str(description[server])

    def said(self, message: str) -> int:
        """Count the lines of the functions' log with this message."""
        log = (self.settings.data / "functions.log").read_text()
        return log.count(f'"message":"{message}"')

    def client(self, service: str) -> Any:
        """Return a client of the local cloud, past the gate before its storage."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.address("cloud"),
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
        )


@cache
def password_hash() -> str:
    return hash_password(PASSWORD)


# Each in a range of its own, as the budget of texts goes by the thousand numbers.
_numbers = (f"+2547{11_001_000 + n * 1_000}" for n in itertools.count())


def start(port: int, log: IO[str]) -> subprocess.Popen[str]:
    """Start `make up`'s command."""
    return subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT,
        env=os.environ | environment(port),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


def environment(port: int) -> dict[str, str]:
    """Return what a stack is started with; its directory is removed when all tests are done."""
    _made.add(TEST_DATA / f"test-{port}")
    return {
        "PORT": str(port),
        "FIELDGATE_DATA_DIR": str(TEST_DATA / f"test-{port}"),
        "PYTHONPATH": "functions:layers/common:.",
    }


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """Run a stack of its own, and see that it ends as it should."""
    port = free_port_pair()
    log = directory / f"stack-{port}.log"
    with log.open("w") as output, ExitStack() as servers, start(port, output) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line == f"ready http://127.0.0.1:{port}", log.read_text()
            settings = StackSettings(port, Path(environment(port)["FIELDGATE_DATA_DIR"]))
            yield Stack(process, settings, log, servers)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers() -> Iterator[None]:
    """Remove what the stacks of this run wrote; the terminal's log is in pytest's directory."""
    yield
    for directory in _made:
        shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        TEST_DATA.rmdir()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests that leave it as they found it."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack
    assert stack.process.returncode == 0, stack.log.read_text()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Microsoft's SignalR client, one process for all tests."""
    log = tmp_path_factory.mktemp("signalr") / "errors.log"
    with running_node(log) as node:
        yield node
    assert not log.read_text()


@dataclass
class LongLife:
    """A connection that does nothing; `since` is when it began, by the monotonic clock."""

    name: str
    since: float


@pytest.fixture(scope="session")
def long_life(stack: Stack, node: Node) -> Iterator[LongLife]:
    """Connect at the first test that asks; at the last one it is to be there still."""
    with stack.phone("farmer") as phone:
        life = LongLife("long life", time.monotonic())
        node.start(life.name, stack.url, bearer(phone))
        yield life
        node.stop(life.name)


def bearer(phone: httpx.Client) -> str:
    """Return the token that a phone is signed in with."""
    return phone.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def agent(stack: Stack) -> Iterator[httpx.Client]:
    """A phone on which the agent is signed in."""
    with stack.phone("agent") as client:
        yield client


def presign(phone: httpx.Client, photo: bytes, **wish: Any) -> dict[str, Any]:
    """Ask for leave to send `photo`; returns the answer's data."""
    body = {
        "folder": "farmers",
        "filename": "leaf.jpg",
        "contentType": "image/jpeg",
        "size": len(photo),
    } | wish
    answer = phone.post("/api/v1/uploads/presign", json=body)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def send(upload: dict[str, Any], body: bytes, **headers: str) -> httpx.Response:
    """Send a photo to storage as the answer to `presign` says, headers changed as given."""
    changed = upload["headers"] | {
        name.replace("_", "-").title(): value for name, value in headers.items()
    }
    # A client that sets the length itself, as phones' do.
    changed = {name: value for name, value in changed.items() if name != "Content-Length"}
    return httpx.request(upload["method"], upload["url"], headers=changed, content=body, timeout=30)


def finished(phone: httpx.Client, media_id: str) -> dict[str, Any]:
    """Wait until a media is ready or rejected."""

    def look() -> dict[str, Any] | None:
        media: dict[str, Any] = phone.get(f"/api/v1/media/{media_id}").json()["data"]
        return media if media["state"] in {"ready", "rejected"} else None

    return wait_for(look, every=0.4)  # within the limit of reads
