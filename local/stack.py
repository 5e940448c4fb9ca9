"""The whole of Fieldgate on one machine: servers, cloud, deployment and front door.

Every start is a fresh one: the data of the run before is removed, so that storage, queues and
database always belong together.
"""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import watchfiles
from aiohttp import web

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.tokens import new_signing_key
from identity.passwords import hash_password
from local import template as sam
from local.accounts import PASSWORD, create_accounts
from local.child import ServerFailed
from local.cloud import ACCOUNT, SECRET, Cloud, start_cloud
from local.deploy import Deployment, Places, deploy, replace_code
from local.fault_proxy import serve_proxy
from local.faults import Faults
from local.front_door import FrontDoor
from local.layers import build_layers
from local.postgres import start_postgres
from local.s3_gate import create_gate
from local.template import ROOT
from local.valkey import start_valkey

HOST = "127.0.0.1"
WATCHED = ("functions", "layers/common/fieldgate", "migrations")


@dataclass(frozen=True)
class StackSettings:
    """`port` is the front door's; storage answers on the next one. `data` holds everything."""

    port: int
    data: Path

    @classmethod
    def from_environment(cls) -> "StackSettings":
        """Read `PORT` (8080) and `DATA_DIR` (.local/<port>).

        Raises:
            ServerFailed: PORT is not a port.

        """
        text = os.environ.get("PORT") or "8080"
        if not text.isdecimal() or not 1 <= int(text) < 65535:
            raise ServerFailed(f"PORT={text} is not a port; give a number from 1 to 65534.")
        default = ROOT / ".local" / text
        return cls(int(text), Path(os.environ.get("DATA_DIR") or default).resolve())

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def storage_url(self) -> str:
        return f"http://{HOST}:{self.port + 1}"


@asynccontextmanager
async def running(settings: StackSettings) -> AsyncIterator[None]:
    """Start everything, in order, saying how long each step took; stop everything at the end."""
    _claim(settings)
    places = Places(
        layers=ROOT / ".local/layers",
        log=settings.data / "functions.log",
        invocations=settings.data / "invocations.jsonl",
    )
    faults = Faults()
    async with AsyncExitStack() as stack:
        with _step("layers"):
            build_layers(_layers(), places.layers)
        with _step("PostgreSQL"):
            postgres = start_postgres(settings.data / "postgres", _free_port(), durable=False)
            stack.callback(postgres.stop)
        with _step("Valkey"):
            valkey = start_valkey(settings.data / "valkey", _free_port())
            stack.callback(valkey.stop)
        with _step("local cloud"):
            cloud = start_cloud(settings.data, _free_port())
            stack.callback(cloud.stop)
        with _step("storage gate, fault switches"):
            gate = create_gate(cloud.url, {ACCOUNT: SECRET}.get, faults=faults, region=sam.REGION)
            await _serve(stack, gate, settings.port + 1)
            database_port = await _proxy(stack, faults, "database", _port_of(postgres.url))
            await _proxy(stack, faults, "cache", _port_of(valkey.url))
        with _step("deployment of template.yaml, migrations"):
            proxied = postgres.url.replace(f":{_port_of(postgres.url)}/", f":{database_port}/")
            parameters = await asyncio.to_thread(_parameters, settings, cloud, proxied)
            # In a thread: the migrating function reaches the database through our proxy.
            deployment = await asyncio.to_thread(deploy, cloud, parameters, places)
        with _step("accounts"):
            database = Database(lambda: parse_url(postgres.url, "the local stack"))
            create_accounts(database, hash_password(PASSWORD))
            database.close()
        front_door = FrontDoor(cloud, deployment, places, faults)
        await _serve(stack, front_door.application(), settings.port)
        _describe(settings, cloud, proxied, valkey.url)
        watcher = asyncio.create_task(_follow_sources(cloud, deployment))
        stack.push_async_callback(_cancelled, watcher)
        yield


async def serve(settings: StackSettings) -> None:
    """Run the stack until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_hold(settings, stop))
    stopping = asyncio.create_task(stop.wait())
    # A Ctrl-C while things start cancels the starting, which stops what had started.
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        _say("stopping")
        starting.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting


async def _hold(settings: StackSettings, stop: asyncio.Event) -> None:
    began = time.monotonic()
    async with running(settings):
        _say(f"started in {time.monotonic() - began:.1f} s; Ctrl-C stops it")
        _say(f"functions' log: tail -f {_shown(settings.data / 'functions.log')}")
        print(f"ready {settings.url}", flush=True)
        await stop.wait()


def _claim(settings: StackSettings) -> None:
    """See that the two fixed ports are free and the data directory is empty.

    Raises:
        ServerFailed: something listens there already.

    """
    for port in (settings.port, settings.port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                raise ServerFailed(
                    f"Port {port} is not free. Does the stack run already? Another one can run "
                    f"beside it: PORT={settings.port + 100} make up"
                ) from None
    shutil.rmtree(settings.data, ignore_errors=True)
    settings.data.mkdir(parents=True)


def _layers() -> list[tuple[str, str]]:
    template = sam.read_template()
    return [(name, layer["ContentUri"]) for name, layer in sam.resources(template, sam.LAYER)]


def _parameters(settings: StackSettings, cloud: Cloud, database_url: str) -> dict[str, str]:
    """Put the secrets where functions look for them; return the template's parameters."""
    signing_key, public_key = new_signing_key()
    vault = cloud.client("secretsmanager")
    database_secret = vault.create_secret(Name="fieldgate/database", SecretString=database_url)
    signing_secret = vault.create_secret(Name="fieldgate/signing-key", SecretString=signing_key)
    jwks_parameter = "/fieldgate/local/jwks"
    cloud.client("ssm").put_parameter(
        Name=jwks_parameter, Value=f'{{"keys": [{public_key}]}}', Type="String"
    )
    return sam.read_parameters("local") | {
        "DatabaseSecretArn": database_secret["ARN"],
        "SigningKeySecretArn": signing_secret["ARN"],
        "PublicKeysParameter": jwks_parameter,
        "TokenIssuer": settings.url,
        "StorageEndpoint": settings.storage_url,
        "CommitSha": _commit(),
        "BuildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _describe(settings: StackSettings, cloud: Cloud, database_url: str, cache_url: str) -> None:
    """Leave the servers' addresses for whoever wants a look with a client of their own."""
    description = {
        "url": settings.url,
        "storage": settings.storage_url,
        "cloud": cloud.url,
        "database": database_url,
        "cache": cache_url,
    }
    file = settings.data / "stack.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(description, indent=2))


async def _serve(stack: AsyncExitStack, app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, port, shutdown_timeout=1).start()


async def _proxy(stack: AsyncExitStack, faults: Faults, target: str, port: int) -> int:
    server = await serve_proxy(0, port, faults, target)
    stack.callback(server.close)
    stack.callback(server.abort_clients)
    return int(server.sockets[0].getsockname()[1])


async def _follow_sources(cloud: Cloud, deployment: Deployment) -> None:
    """Deploy the functions' source again whenever it changes."""
    folders = [ROOT / folder for folder in WATCHED]
    async for _ in watchfiles.awatch(*folders, watch_filter=watchfiles.PythonFilter()):
        await asyncio.to_thread(replace_code, cloud, deployment)
        _say("source changed; functions start anew")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextmanager
def _step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    _say(f"{name:<42}{time.monotonic() - began:6.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
