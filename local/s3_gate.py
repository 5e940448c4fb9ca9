"""The gate before the local S3 server: refuses what AWS refuses and local servers let through.

Signature, expiry, signed headers, length, checksums, conditions and sizes of parts are checked, and
the body is held back until all of it is, so that nothing refused is ever stored.

Faults: `down` cuts connections unanswered, `slow` delays, `error` is 503, `hang` answers when the
fault is over, to whoever still waits; `cut` cuts the connection in the middle of a body that is
put, `lost` once the request is done and before it is answered; to `expired` every presigned URL has
expired.
"""

import asyncio
import base64
import hashlib
import io
import re
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from yarl import URL

from local.faults import FaultMode, Faults
from local.s3_signature import MAX_EXPIRES_SECONDS, Received, Refused, head_by_signer, verify
from local.s3_writes import Writes

MAX_OBJECT_BYTES = 5 * 1024**3
# More than any file of this system; the gate holds a body in memory to check it before it passes.
MAX_SPOOL_BYTES = 64 * 1024**2
SLOW_SECONDS = 2.0
# Of one connection, so neither passed on nor back.
_HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "upgrade"}) | {
    "proxy-connection",
    "transfer-encoding",
}
_UPSTREAM = web.AppKey("upstream", aiohttp.ClientSession)


def create_gate(
    upstream: str,
    secret_of: Callable[[str], str | None],
    *,
    faults: Faults,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    region: str | None = None,
    slow_seconds: float = SLOW_SECONDS,
) -> web.Application:
    """Return the gate before the S3 server at `upstream` (http://host:port).

    Args:
        upstream: where requests go that are in order.
        secret_of: the secret of an access key, None for an unknown one; a mapping's `get` will do.
        faults: of target `s3`, as above.
        clock: the time, in UTC.
        region: that of the buckets; requests signed for another are refused. None takes any.
        slow_seconds: how slow `slow` is.

    """

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            fault = await _suffer(request, faults, slow_seconds)
            received = _received(request)
            # A browser's preflight carries no signature, on AWS either.
            if received.method != "OPTIONS":
                verify(received, secret_of, _time_for(received, clock(), fault), region)
            _check_length(received)
            if fault == "cut" and received.method == "PUT":
                await _cut(request)
            body = await request.read()
            _check_body(received, body)
            async with writes.turn(received):
                await writes.check(received, body)
                async with await _forward(request, upstream, body) as answer:
                    if answer.ok:
                        writes.passed(received, body)
                    return await _pass_back(request, answer, fault)
        except Refused as refusal:
            return _answer(refusal, request.rel_url.raw_path)
        except ConnectionResetError:
            return _answer(_hung_up(request, "nobody waits for the answer"), "")

    gate = web.Application(client_max_size=MAX_SPOOL_BYTES)
    writes = _writes(gate, upstream, secret_of)
    gate.cleanup_ctx.append(_upstream_session)
    gate.router.add_route("*", r"/{path:[\s\S]*}", handle)
    return gate


async def _upstream_session(gate: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        gate[_UPSTREAM] = session
        yield


def _writes(gate: web.Application, upstream: str, secret_of: Callable[[str], str | None]) -> Writes:
    async def exists(received: Received) -> bool:
        url = f"{upstream}{received.path}"
        headers = head_by_signer(received, url, secret_of)
        with _reaching_upstream():
            async with gate[_UPSTREAM].head(URL(url, encoded=True), headers=headers) as answer:
                return answer.status == HTTPStatus.OK

    return Writes(exists)


def _time_for(received: Received, now: datetime, fault: FaultMode | None) -> datetime:
    """Return the time that a signature is judged by."""
    is_presigned = "X-Amz-Signature=" in received.query
    late = timedelta(seconds=MAX_EXPIRES_SECONDS)
    return now + late if fault == "expired" and is_presigned else now


async def _suffer(request: web.Request, faults: Faults, slow_seconds: float) -> FaultMode | None:
    """Bear the fault of the moment; return the one that is still to come, further on."""
    if faults.active("s3") == "hang":
        await faults.hold("s3", abandoned=lambda: _has_left(request))
        if _has_left(request):
            raise Refused(503, "ServiceUnavailable", "nobody waits for the answer")
    match fault := faults.active("s3"):
        case "down":
            raise _hung_up(request, "down on purpose")
        case "slow":
            await asyncio.sleep(slow_seconds)
        case "error":
            raise Refused(503, "SlowDown", "Please reduce your request rate.")
    return fault


async def _cut(request: web.Request) -> None:
    """Read half of the body, then hang up."""
    wanted = (request.content_length or 0) // 2
    while wanted > 0 and (chunk := await request.content.read(wanted)):
        wanted -= len(chunk)
    raise _hung_up(request, "cut on purpose")


def _hung_up(request: web.Request, why: str) -> Refused:
    """Cut the connection; return what nobody is there to read any more."""
    if request.transport:
        request.transport.abort()
    return Refused(503, "ServiceUnavailable", why)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _received(request: web.Request) -> Received:
    path, _, query = request.raw_path.partition("?")
    if not path.startswith("/") or not request.raw_path.isascii():
        raise Refused(400, "InvalidURI", "Couldn't parse the specified URI.")
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    return Received(request.method, path, query, headers)


def _check_length(received: Received) -> None:
    length = received.header("content-length")
    if length is None:
        if received.method == "PUT" or received.header("transfer-encoding"):
            reason = "You must provide the Content-Length HTTP header."
            raise Refused(411, "MissingContentLength", reason)
        return
    if int(length) > MAX_OBJECT_BYTES:
        reason = "Your proposed upload exceeds the maximum allowed size"
        raise Refused(400, "EntityTooLarge", reason, {"MaxSizeAllowed": str(MAX_OBJECT_BYTES)})
    if int(length) > MAX_SPOOL_BYTES:
        raise Refused(501, "NotImplemented", "The local gate takes bodies up to 64 MiB.")


def _check_body(received: Received, body: bytes) -> None:
    _check_content_sha256(received, body)
    if (digest := received.header("content-md5")) is not None:
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        claimed = _decode(digest, len(md5))
        if claimed is None:
            raise Refused(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
        if claimed != md5:
            reason = "The Content-MD5 you specified did not match what we received."
            raise Refused(400, "BadDigest", reason)
    for algorithm, digest_of in _CHECKSUMS.items():
        header = f"x-amz-checksum-{algorithm}"
        if (checksum := received.header(header)) is None:
            continue
        computed = digest_of(body)
        claimed = _decode(checksum, len(computed))
        if claimed is None:
            raise Refused(400, "InvalidRequest", f"Value for {header} header is invalid.")
        if claimed != computed:
            reason = f"The {algorithm.upper()} you specified did not match the calculated checksum."
            raise Refused(400, "BadDigest", reason)


def _check_content_sha256(received: Received, body: bytes) -> None:
    claimed = received.header("x-amz-content-sha256")
    if claimed is None or claimed == "UNSIGNED-PAYLOAD":
        return
    if claimed.startswith("STREAMING-"):
        raise Refused(501, "NotImplemented", "The local gate does not take aws-chunked bodies.")
    if not re.fullmatch(r"[0-9a-f]{64}", claimed):
        reason = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value."
        raise Refused(400, "InvalidArgument", reason)
    if claimed != hashlib.sha256(body).hexdigest():
        reason = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise Refused(400, "XAmzContentSHA256Mismatch", reason)


_CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


def _decode(text: str, size: int) -> bytes | None:
    """Return the `size` bytes that `text` holds in base64, None when it does not."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if len(decoded) == size else None


async def _forward(request: web.Request, upstream: str, body: bytes) -> aiohttp.ClientResponse:
    # What the conditions of a write come to has been decided here.
    dropped = _HOP_BY_HOP | {"content-length"}
    if request.method in {"PUT", "POST"}:
        dropped |= {"if-none-match"}
    headers = [
        (name, value) for name, value in request.headers.items() if name.lower() not in dropped
    ]
    with _reaching_upstream():
        return await request.app[_UPSTREAM].request(
            request.method,
            URL(f"{upstream}{request.raw_path}", encoded=True),
            headers=headers,
            data=io.BytesIO(body) if "Content-Length" in request.headers else None,
            allow_redirects=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )


@contextmanager
def _reaching_upstream() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectionError:
        reason = "The local S3 server does not answer."
        raise Refused(503, "ServiceUnavailable", reason) from None


async def _pass_back(
    request: web.Request, answer: aiohttp.ClientResponse, fault: FaultMode | None
) -> web.StreamResponse:
    if fault == "lost":
        await answer.read()
        raise _hung_up(request, "lost on purpose")
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in _HOP_BY_HOP:
            response.headers.add(name, value)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _answer(refusal: Refused, resource: str) -> web.Response:
    request_id = uuid.uuid4().hex[:16].upper()
    elements = {
        "Code": refusal.code,
        "Message": refusal.message,
        **refusal.details,
        "Resource": resource,
        "RequestId": request_id,
    }
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
    return web.Response(
        status=refusal.status,
        body=f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode(),
        content_type="application/xml",
        headers={"x-amz-request-id": request_id},
    )
