"""The whole of Fieldgate on one machine: servers, cloud, deployment and front door.

Every start is a fresh one: the data of the run before is removed, so that storage, queues and
database always belong together.
"""

import asyncio
import contextlib
import json
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import watchfiles
from aiohttp import web
from botocore.exceptions import BotoCoreError

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from identity.passwords import hash_password
from local import template as sam
from local.accounts import PASSWORD, create_accounts
from local.africas_talking import AfricasTalking
from local.claim import claimed, free_port
from local.cloud import ACCOUNT, SECRET, Cloud, start_cloud
from local.deploy import Deployment, Places, deploy, invoke, replace_code
from local.fault_proxy import serve_proxy
from local.faults import Faults
from local.fcm import PROJECT_ID, Fcm
from local.front_door import FrontDoor
from local.layers import build_layers
from local.parameters import FirebaseAccess, SmsAccess, create_parameters
from local.postgres import start_postgres
from local.s3_gate import create_gate
from local.stack_settings import HOST, StackSettings
from local.template import ROOT
from local.valkey import start_valkey

WATCHED = ("functions", "layers/common/fieldgate", "migrations")


@asynccontextmanager
async def running(settings: StackSettings) -> AsyncIterator[None]:
    """Start everything, in order, saying how long each step took; stop everything at the end."""
    places = Places(
        layers=ROOT / ".local/layers",
        log=settings.data / "functions.log",
        invocations=settings.data / "invocations.jsonl",
    )
    faults = Faults()
    async with AsyncExitStack() as stack:
        stack.enter_context(claimed(settings))
        with _step("layers"):
            # In a thread, since it may have to wait for another stack that builds them.
            await asyncio.to_thread(build_layers, _layers(), places.layers)
        with _step("PostgreSQL"):
            postgres = start_postgres(
                settings.data / "postgres", free_port(settings), durable=False
            )
            stack.callback(postgres.stop)
        with _step("Valkey"):
            valkey = start_valkey(settings.data / "valkey", free_port(settings))
            stack.callback(valkey.stop)
        with _step("local cloud"):
            cloud = start_cloud(settings.data, free_port(settings))
            stack.callback(cloud.stop)
        with _step("storage gate, fault switches"):
            gate = create_gate(cloud.url, {ACCOUNT: SECRET}.get, faults=faults, region=sam.REGION)
            await _serve(stack, gate, settings.port + 1)
            database_url = await _proxy(stack, faults, "database", postgres.url)
            cache_url = await _proxy(stack, faults, "cache", valkey.url)
        with _step("stand-in for Africa's Talking"):
            africas_talking, sms = await _stand_in_for_africas_talking(stack, settings, faults)
        with _step("stand-in for Firebase Cloud Messaging"):
            fcm, firebase = await _stand_in_for_firebase(stack, settings, faults)
        with _step("deployment of template.yaml, migrations"):
            parameters = await asyncio.to_thread(
                create_parameters, settings, cloud, database_url, cache_url, sms, firebase
            )
            # In a thread: the migrating function reaches the database through our proxy.
            deployment = await asyncio.to_thread(deploy, cloud, parameters, places)
        with _step("accounts"):
            database = Database(lambda: parse_url(postgres.url, "the local stack"))
            create_accounts(database, hash_password(PASSWORD))
            database.close()
        front_door = FrontDoor(cloud, deployment, places, faults, africas_talking, fcm)
        await _serve(stack, front_door.application(), settings.port)
        _describe(settings, cloud, database_url, cache_url)
        watcher = asyncio.create_task(_follow_sources(cloud, deployment))
        stack.push_async_callback(_cancelled, watcher)
        yield


async def _stand_in_for_africas_talking(
    stack: AsyncExitStack, settings: StackSettings, faults: Faults
) -> tuple[AfricasTalking, SmsAccess]:
    key, report_secret = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    report_url = f"{settings.url}/api/v1/otp/delivery-reports/{report_secret}"
    stand_in, port = AfricasTalking(key, report_url, faults), free_port(settings)
    await _serve(stack, stand_in.application(), port)
    return stand_in, SmsAccess(f"http://{HOST}:{port}", key, report_secret)


async def _stand_in_for_firebase(
    stack: AsyncExitStack, settings: StackSettings, faults: Faults
) -> tuple[Fcm, FirebaseAccess]:
    stand_in, port = Fcm(faults), free_port(settings)
    await _serve(stack, stand_in.application(), port)
    url = f"http://{HOST}:{port}"
    return stand_in, FirebaseAccess(url, PROJECT_ID, stand_in.service_account(url))


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


def _layers() -> list[tuple[str, str]]:
    template = sam.read_template()
    return [(name, layer["ContentUri"]) for name, layer in sam.resources(template, sam.LAYER)]


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
    # Bodies pass as they came, packed or not, and a client that hangs up is nobody's error.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, port, shutdown_timeout=1).start()


async def _proxy(stack: AsyncExitStack, faults: Faults, target: str, url: str) -> str:
    """Put a proxy that can be broken before the server at `url`; returns the address through it."""
    port = urlsplit(url).port
    assert port is not None
    server = await serve_proxy(0, port, faults, target)
    stack.callback(server.close)
    stack.callback(server.abort_clients)
    return url.replace(f":{port}/", f":{server.sockets[0].getsockname()[1]}/")


async def _follow_sources(cloud: Cloud, deployment: Deployment) -> None:
    """Deploy the functions' source again whenever it changes."""
    folders = [ROOT / folder for folder in WATCHED]
    async for changes in watchfiles.awatch(*folders, watch_filter=watchfiles.PythonFilter()):
        await asyncio.to_thread(replace_code, cloud, deployment)
        _say("source changed; functions start anew")
        if any(Path(path).is_relative_to(ROOT / "migrations") for _, path in changes):
            try:
                said = await asyncio.to_thread(invoke, cloud, deployment, "Migrate")
            except BotoCoreError as error:
                said = str(error)
            _say(f"migrations changed; Migrate says {said}")


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
