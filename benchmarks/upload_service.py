"""The upload service in this process: real functions, PostgreSQL, and storage behind the gate.

As `make up`, but for what measuring needs: functions run here, in threads, storage counts its
requests, any request may be broken, and rate limits are asked but never reached: a phone that
doesn't wait between its tries soon has had its share.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from logging import StreamHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

from benchmarks.function_settings import function_settings
from benchmarks.server_thread import entered, event_loop
from benchmarks.traffic import Counting, FaultyRequests
from benchmarks.upload_assembler import assembling
from benchmarks.upload_gateway import ApiFault, serving_api
from fieldgate import settings
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
from tests.support.listening import listening
from tests.support.ports import free_port

ORIGINALS = "originals"
STAGING = "staging"
LIMITLESS = (1_000_000, 1_000_000)  # requests a minute, and at once


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
        loop = stack.enter_context(event_loop())
        stack.enter_context(entered(loop, _serving_storage(service)))
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
        stack.enter_context(entered(loop, _serving_api(service)))
        sqs = cloud.client("sqs")
        stack.enter_context(assembling(sqs, queue, service.assembly_seconds))
        yield service


def _log_to(log: TextIO, stack: ExitStack) -> None:
    handler = logger().registered_handler
    assert isinstance(handler, StreamHandler)
    stack.callback(handler.setStream, handler.setStream(log))


def _set_environment(
    service: Service, database_url: str, cache_url: str, queue: str, media_queue: str
) -> None:
    os.environ |= function_settings(service.cloud.url, service.storage_url) | {
        "DATABASE_URL": database_url,
        "CACHE_URL": cache_url,
        "ASSEMBLY_QUEUE_URL": queue,
        "MEDIA_QUEUE_URL": media_queue,
        "STORAGE_BUCKET": ORIGINALS,
        "STAGING_BUCKET": STAGING,
    }
    settings.forget()


@asynccontextmanager
async def _serving_storage(service: Service) -> AsyncIterator[None]:
    gate = create_gate(
        service.cloud.url, {ACCOUNT: SECRET}.get, faults=service.faults, region=sam.REGION
    )
    gate.middlewares.append(service.counting.middleware())  # type: ignore[arg-type]
    async with listening(gate, auto_decompress=False) as service.storage_url:
        yield


@asynccontextmanager
async def _serving_api(service: Service) -> AsyncIterator[None]:
    def choose_fault() -> ApiFault | None:
        return service.choose_api_fault()  # the one of now: the benchmarks change it

    async with serving_api(choose_fault) as service.url:
        yield
