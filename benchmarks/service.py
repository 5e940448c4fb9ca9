"""The upload service in this process: real functions, PostgreSQL, and storage behind the gate.

As `make up`, but for what measuring needs: functions run here, in threads, storage counts its
requests, any request may be broken, and rate limits are asked but never reached: a phone that
doesn't wait between its tries soon has had its share.
"""

import asyncio
import importlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from logging import StreamHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TextIO

from aiohttp import web

from benchmarks.traffic import Counting, FaultyRequests
from fieldgate import settings, tokens
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from fieldgate.http import limits
from fieldgate.observability import logger
from identity.passwords import hash_password
from local import template as sam
from local.accounts import PASSWORD, PHONES, create_accounts
from local.cloud import ACCOUNT, SECRET, Cloud, start_cloud
from local.postgres import start_postgres
from local.s3_gate import create_gate
from local.valkey import start_valkey
from tests.support.gateway import Handler, LambdaContext, authorized, http_event
from tests.support.ports import free_port

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

ORIGINALS = "originals"
STAGING = "staging"
DOMAINS = ("identity.", "uploads.")
LIMITLESS = (1_000_000, 1_000_000)  # requests a minute, and at once
LAMBDA_MILLISECONDS = 120_000
# What befalls a request to the API: it doesn't arrive, its answer doesn't, or storage is down.
type ApiFault = Literal["cut", "lost", "error"]
# (method, path as in template.yaml, public, handler)
type Route = tuple[str, str, bool, Handler]


@dataclass
class Service:
    """The running service.

    What `choose_api_fault` returns befalls the next request to the API; `assembly_seconds` gets how
    long each run of the assembler took.
    """

    cloud: Cloud
    storage_url: str = ""
    url: str = ""
    faults: FaultyRequests = field(default_factory=FaultyRequests)
    choose_api_fault: Callable[[], ApiFault | None] = lambda: None
    assembly_seconds: SimpleQueue[float] = field(default_factory=SimpleQueue)
    identifier: str = PHONES["agent"]
    password: str = PASSWORD

    def __post_init__(self) -> None:
        self.counting = Counting(self.faults)

    def stored(self, key: str) -> bytes:
        """Return what is stored, past the gate."""
        found = self.cloud.client("s3").get_object(Bucket=ORIGINALS, Key=key)
        content: bytes = found["Body"].read()
        return content


@contextmanager
def running(directory: Path) -> Iterator[Service]:
    """Run the service until the block is left; `directory` gets its data and logs."""
    with ExitStack() as stack:
        postgres = stack.enter_context(
            start_postgres(directory / "postgres", free_port(), durable=False)
        )
        cloud = stack.enter_context(start_cloud(directory, free_port()))
        valkey = stack.enter_context(start_valkey(directory / "valkey", free_port()))
        service = Service(cloud)
        for bucket in (ORIGINALS, STAGING):
            place = {"LocationConstraint": sam.REGION}
            cloud.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        queue, media_queue = (
            cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            for name in ("assembly", "media")
        )
        loop = stack.enter_context(_loop())
        stack.enter_context(_on(loop, _serving_storage(service)))
        _set_environment(service, postgres.url, valkey.url, queue, media_queue)
        stack.callback(settings.forget)
        limits.RATES = dict.fromkeys(limits.RATES, LIMITLESS)
        log = stack.enter_context((directory / "functions.log").open("w"))
        # Metrics are printed.
        stack.enter_context(redirect_stdout(log))
        _log_to(log, stack)
        migrate(lambda: parse_url(postgres.url, "the benchmark"))
        settings.forget()
        database = Database(lambda: parse_url(postgres.url, "the benchmark"))
        create_accounts(database, hash_password(PASSWORD))
        database.close()
        stack.callback(lambda: engine.database().close())
        stack.enter_context(_on(loop, _serving_api(service)))
        stack.enter_context(_assembling(service, queue))
        yield service


def _log_to(log: TextIO, stack: ExitStack) -> None:
    handler = logger().registered_handler
    assert isinstance(handler, StreamHandler)
    stack.callback(handler.setStream, handler.setStream(log))


def _set_environment(
    service: Service, database_url: str, cache_url: str, queue: str, media_queue: str
) -> None:
    private, public = tokens.new_signing_key()
    os.environ |= {
        "ENVIRONMENT": "benchmark",
        "DATABASE_URL": database_url,
        "CACHE_URL": cache_url,
        "AWS_DEFAULT_REGION": sam.REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SQS": service.cloud.url,
        "ASSEMBLY_QUEUE_URL": queue,
        "MEDIA_QUEUE_URL": media_queue,
        "STORAGE_BUCKET": ORIGINALS,
        "STAGING_BUCKET": STAGING,
        "STORAGE_ENDPOINT": service.storage_url,
        "STORAGE_REGION": sam.REGION,
        "STORAGE_ACCESS_KEY": ACCOUNT,
        "STORAGE_SECRET_KEY": SECRET,
        "PEPPER": "a-pepper-for-benchmarks-and-nothing-else",
        "JWT_ISSUER": "https://api.fieldgate.test",
        "JWT_AUDIENCE": "fieldgate-app",
        "JWT_SIGNING_KEY": private,
        "JWT_PUBLIC_KEYS": f'{{"keys": [{public}]}}',
    }
    settings.forget()


@asynccontextmanager
async def _serving_storage(service: Service) -> AsyncIterator[None]:
    gate = create_gate(
        service.cloud.url, {ACCOUNT: SECRET}.get, faults=service.faults, region=sam.REGION
    )
    gate.middlewares.append(service.counting.middleware())  # type: ignore[arg-type]
    async with _listening(gate) as service.storage_url:
        yield


@asynccontextmanager
async def _serving_api(service: Service) -> AsyncIterator[None]:
    with ThreadPoolExecutor(4, "function") as threads:
        app = web.Application()
        for route in _routes():
            answer = partial(_answer, service, threads, route)
            app.router.add_route(route[0], route[1], answer)
        async with _listening(app) as service.url:
            yield


def _routes() -> Iterator[Route]:
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        handler = str(function["Handler"])
        if not handler.startswith(DOMAINS):
            continue
        for event in function.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                found = event["Properties"]
                public = found.get("Auth", {}).get("Authorizer") == "NONE"
                module = importlib.import_module(handler.removesuffix(".handler"))
                yield found["Method"], found["Path"], public, module.handler


async def _answer(
    service: Service, threads: ThreadPoolExecutor, route: Route, request: web.Request
) -> web.Response:
    """Do as the gateway: have the function answer, in a thread as in an environment of its own."""
    method, path, public, handler = route
    fault = service.choose_api_fault()
    try:
        body = await request.read()
    except ConnectionResetError:  # the client was stopped
        return _hung_up(request)

    def invoke() -> dict[str, Any]:
        headers = dict(request.headers)
        authorizer = None if public else authorized(headers.get("Authorization"))
        event = http_event(
            method,
            request.path,
            query=request.query_string,
            headers=headers,
            body=body or None,
            authorizer=authorizer,
            route=f"{method} {path}",
        )
        return handler(event, LambdaContext())

    if fault == "cut":
        return _hung_up(request)
    if fault == "error":
        return web.json_response({"message": "Service Unavailable"}, status=503)
    result = await asyncio.get_running_loop().run_in_executor(threads, invoke)
    if fault == "lost":
        return _hung_up(request)
    return web.Response(
        status=result["statusCode"], headers=result["headers"], text=result.get("body") or None
    )


def _hung_up(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=503)


@contextmanager
def _assembling(service: Service, queue: str) -> Iterator[None]:
    """Run the assembler on what its queue gives, as Lambda does; what fails comes again at once."""
    from uploads import assemble_upload  # noqa: PLC0415 - it reads the environment

    stopped = threading.Event()
    sqs = service.cloud.client("sqs")

    def work(message: "MessageTypeDef") -> None:
        record = {
            "messageId": message["MessageId"],
            "body": message["Body"],
            "receiptHandle": message["ReceiptHandle"],
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        began = time.perf_counter()
        result = assemble_upload.handler({"Records": [record]}, LambdaContext(LAMBDA_MILLISECONDS))
        service.assembly_seconds.put(time.perf_counter() - began)
        if result["batchItemFailures"]:
            sqs.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        else:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def listen() -> None:
        while not stopped.is_set():
            found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                work(message)

    worker = threading.Thread(target=listen, name="assembler")
    worker.start()
    try:
        yield
    finally:
        stopped.set()
        worker.join()


@asynccontextmanager
async def _listening(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stopped = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stopped))
        await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="servers")
    thread.start()
    loop, stopped = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


@contextmanager
def _on(loop: asyncio.AbstractEventLoop, serving: Any) -> Iterator[None]:
    """Enter and leave an asynchronous context in another thread's loop."""

    def wait(work: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, loop)
        done.result()

    wait(serving.__aenter__())
    try:
        yield
    finally:
        wait(serving.__aexit__(None, None, None))
