"""All functions behind a gateway and queues of our own: real PostgreSQL, Valkey and storage.

As the local stack without the local cloud, which takes ten milliseconds for an invocation and would
be what is measured. Storage alone is the local cloud's, behind its gate; providers are stand-ins.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.function_settings import function_settings
from benchmarks.load_gateway import STAGE, Gateway
from benchmarks.load_queues import Queues, mappings, object_created
from benchmarks.load_workers import Workers
from benchmarks.traffic import Counting, FaultyRequests, operation
from fieldgate import settings
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local import template as sam
from local.africas_talking import AfricasTalking
from local.cloud import ACCOUNT, SECRET, start_cloud
from local.fcm import PROJECT_ID, Fcm
from local.postgres import start_postgres
from local.s3_gate import create_gate
from local.valkey import start_valkey
from tests.support.ports import free_port

HOST = "127.0.0.1"
BUCKETS = {
    name: name.removesuffix("_BUCKET").lower()
    for name in ("STORAGE_BUCKET", "STAGING_BUCKET", "MEDIA_BUCKET")
}
CREATING = {"PutObject", "CompleteMultipartUpload", "CopyObject"}
TEXTS_KEY = "a-key-for-benchmarks-and-nothing-else"
# What a queue is called in the functions' environment.
QUEUES = {
    "SmsQueue": "SMS",
    "RelayQueue": "RELAY",
    "FanOutQueue": "FAN_OUT",
    "PushQueue": "PUSH",
    "AssemblyQueue": "ASSEMBLY",
    "MediaUploadedQueue": "MEDIA",
}


@dataclass
class LoadService:
    """The running service."""

    url: str
    database: Database
    workers: Workers
    queues: Queues
    storage: Counting
    texts: AfricasTalking

    async def settle(self) -> None:
        """Wait until nothing is left to do."""
        quiet = 0
        while quiet < 4:
            quiet = quiet + 1 if self.queues.is_idle and not self.workers.running else 0
            await asyncio.sleep(0.04)


@asynccontextmanager
async def running(directory: Path, number: int) -> AsyncIterator[LoadService]:
    """Run the service with so many workers until the block is left."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(
            start_postgres(directory / "postgres", free_port(), durable=True)
        )
        valkey = stack.enter_context(start_valkey(directory / "valkey", free_port()))
        cloud = stack.enter_context(start_cloud(directory, free_port()))
        for bucket in BUCKETS.values():
            place = {"LocationConstraint": sam.REGION}
            cloud.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        workers = Workers(number, directory / "functions.log", [*_modules()])
        stack.callback(workers.stop)
        queues, gateway, faults = Queues(workers), Gateway(workers), FaultyRequests()
        counting, texts, fcm = Counting(faults), AfricasTalking(TEXTS_KEY, "", faults), Fcm(faults)
        gate = create_gate(cloud.url, {ACCOUNT: SECRET}.get, faults=faults, region=sam.REGION)
        gate.middlewares.extend([counting.middleware(), _telling(queues)])  # type: ignore[list-item]
        storage_url = await _serve(stack, gate)
        texts_url = await _serve(stack, texts.application())
        fcm_url = await _serve(stack, fcm.application())
        app = web.Application(client_max_size=10 * 1024**2)
        app.router.add_post("/", queues.answer)
        app.router.add_get("/_local/sms", _inbox(texts))
        gateway.add_to(app)
        url = await _serve(stack, app)
        os.environ |= _environment(url, storage_url, texts_url) | {
            "DATABASE_URL": postgres.url,
            "CACHE_URL": valkey.url,
            "FIREBASE_CREDENTIALS": fcm.service_account(fcm_url),
            "FIREBASE_URL": fcm_url,
        }
        settings.forget()
        await asyncio.to_thread(migrate, lambda: parse_url(postgres.url, "the benchmark"))
        database = Database(lambda: parse_url(postgres.url, "the benchmark"))
        stack.callback(database.close)
        await workers.start()
        queues.start()
        stack.push_async_callback(queues.stop)
        yield LoadService(url, database, workers, queues, counting, texts)


def _modules() -> Iterator[str]:
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        yield str(function["Handler"]).removesuffix(".handler")


def _environment(url: str, storage_url: str, texts_url: str) -> dict[str, str]:
    assert {mapping.queue for mapping in mappings()} == QUEUES.keys()
    queues = {f"{name}_QUEUE_URL": f"{url}/{queue}" for queue, name in QUEUES.items()}
    providers = {
        "AFRICAS_TALKING_USERNAME": "fieldgate",
        "AFRICAS_TALKING_API_KEY": TEXTS_KEY,
        "AFRICAS_TALKING_URL": texts_url,
        "FIREBASE_ENABLED": "true",
        "FIREBASE_PROJECT_ID": PROJECT_ID,
    }
    realtime = {"REALTIME_ENDPOINT": url + STAGE}
    return function_settings(url, storage_url) | BUCKETS | queues | realtime | providers


def _telling(queues: Queues) -> object:
    """Return a middleware that tells of new originals, as S3 does."""
    prefix = f"/{BUCKETS['STORAGE_BUCKET']}/"

    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        is_new = operation(request) in CREATING and response.status == 200
        if is_new and request.path.startswith(prefix):
            queues.put("MediaUploadedQueue", object_created(request.path.removeprefix(prefix)))
        return response

    return tell


def _inbox(texts: AfricasTalking) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(texts.inbox(request.query.get("phone")))

    return answer


async def _serve(stack: AsyncExitStack, app: web.Application) -> str:
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, 0).start()
    return f"http://{HOST}:{runner.addresses[0][1]}"
