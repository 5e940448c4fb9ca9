"""An S3 server on loopback for tests: moto behind the storage gate, in a thread.

    with run_s3() as s3:
        storage = S3Storage(s3.place("originals"), s3.credentials)

moto is called in process instead of by its own server, which needs Flask and a dozen more.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from aiohttp import web
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from botocore.config import Config
from moto.backends import get_backend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import S3Backend

from fieldgate.sigv4 import Credentials
from fieldgate.storage.settings import Place
from local.faults import Faults
from local.s3_gate import MAX_SPOOL_BYTES, create_gate
from tests.support.listening import listening

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "eu-west-1"
ORIGINALS = "originals"
MEDIA = "media"
STAGING = "staging"


@dataclass
class LocalS3:
    """The running server. `ahead` moves the gate's clock, so that nobody waits for an expiry."""

    endpoint: str
    faults: Faults
    credentials: Credentials
    region: str = REGION
    ahead: timedelta = field(default_factory=timedelta)
    # When each object that is written in parts was begun; moto says the same of all.
    began: dict[str, datetime] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def place(self, bucket: str) -> Place:
        return Place(bucket, self.region, self.endpoint, self.endpoint, path_style=True)

    def environment(self) -> dict[str, str]:
        """Return the settings that make `fieldgate.storage` use this server."""
        return {
            "STORAGE_BUCKET": ORIGINALS,
            "MEDIA_BUCKET": MEDIA,
            "STAGING_BUCKET": STAGING,
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_REGION": self.region,
            "STORAGE_ACCESS_KEY": self.credentials.access_key,
            "STORAGE_SECRET_KEY": self.credentials.secret_key,
        }

    def client(self, **config: Any) -> "S3Client":
        """Return boto3's client, going through the gate; `config` as botocore's Config takes it."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            config=Config(**{"retries": {"total_max_attempts": 1}} | config),
        )

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Return key and bytes of all that is in `bucket`, asking moto itself."""
        return {key: found.value for key, found in _moto().buckets[bucket].keys.items()}

    def reset(self, buckets: Sequence[str] = (ORIGINALS, MEDIA, STAGING)) -> None:
        """Begin anew: empty buckets, no faults, the clock right."""
        self.ahead = timedelta()
        self.faults.set("s3", "down", 0)
        _moto().reset()
        for bucket in buckets:
            _moto().create_bucket(bucket, self.region)


# Else moto reads the module that lists S3's addresses from the disk, twice for each request.
del S3Backend._url_module


@contextmanager
def run_s3() -> Iterator[LocalS3]:
    """Serve the buckets `originals`, `media` and `staging` until the block is left."""
    s3 = LocalS3("", Faults(), Credentials("AKIAFIELDGATE", "a-secret/of+tests"))
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(s3, started)), name="s3-gate")
    thread.start()
    try:
        stop = started.result(timeout=10)
        s3.reset()
        try:
            yield s3
        finally:
            stop()
    finally:
        thread.join()
        _moto().reset()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and S3's error code; the code is empty where there is none."""
    code = re.search("<Code>(.+?)</Code>", answer.text)
    return answer.status_code, code[1] if code else ""


async def _serve(s3: LocalS3, started: "Future[Callable[[], object]]") -> None:
    """Serve until what `started` gets is called."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    secrets = {s3.credentials.access_key: s3.credentials.secret_key}
    upstream = web.Application(client_max_size=MAX_SPOOL_BYTES)
    upstream.router.add_route("*", "/{path:.*}", partial(_answer_as_moto, s3))
    async with listening(upstream) as address:
        gate = create_gate(
            address, secrets.get, faults=s3.faults, clock=s3.now, region=s3.region, slow_seconds=0
        )
        async with listening(gate) as s3.endpoint:
            started.set_result(partial(loop.call_soon_threadsafe, stopped.set))
            await stopped.wait()


async def _answer_as_moto(s3: LocalS3, request: web.Request) -> web.Response:
    """Let moto answer, and mend what it says of objects that are written in parts."""
    body = await request.read()
    if not _has_parts(request.query.get("uploadId")):
        # moto fails.
        gone = "<Error><Code>NoSuchUpload</Code></Error>"
        return web.Response(status=404, text=gone, content_type="application/xml")
    answer = _ask_moto(request, body)
    if "uploads" in request.query:
        text = str(answer.text)
        if request.method == "POST" and (begun := re.search("<UploadId>(.+?)</UploadId>", text)):
            s3.began[begun[1]] = s3.now()
        answer.text = re.sub(
            "(<UploadId>(.+?)</UploadId>.*?<Initiated>)[^<]+",
            lambda found: f"{found[1]}{s3.began[found[2]]:%Y-%m-%dT%H:%M:%S.000Z}",
            text,
            flags=re.DOTALL,
        )
    return answer


def _has_parts(multipart_id: str | None) -> bool:
    buckets = _moto().buckets.values()
    return multipart_id is None or any(multipart_id in bucket.multiparts for bucket in buckets)


def _ask_moto(request: web.Request, body: bytes) -> web.Response:
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        headers[name] = "s3.amazonaws.com" if name == "Host" else value
    url = f"https://s3.amazonaws.com{request.raw_path}"
    prepared = AWSPreparedRequest(request.method, url, headers, body, stream_output=False)
    answer = BotocoreStubber().process_request(prepared)
    assert answer is not None
    status, found, content = answer
    return web.Response(
        status=status,
        body=content.encode() if isinstance(content, str) else content,
        headers={name: str(value) for name, value in found.items()},
    )


def _moto() -> Any:
    return get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]
