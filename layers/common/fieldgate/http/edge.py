"""The outermost layer of every app: what must be true of each answer, whatever happened."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldgate import request_id
from fieldgate.errors import PayloadTooLarge
from fieldgate.http import failures
from fieldgate.http.limits import limit_headers
from fieldgate.observability import logger

# An API that serves JSON only: nothing may be framed, sniffed, cached or referred from.
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


class Edge:
    """ASGI middleware: correlation id, headers, who is let in, body limit, sanitised 500s.

    `admit` raises for a request that is not to be let in; nothing of the body is looked at before.
    """

    def __init__(self, app: ASGIApp, admit: Callable[[Request], None], max_body_bytes: int) -> None:
        self.app = app
        self.admit = admit
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation_id = request_id.adopt(Headers(scope=scope).get(request_id.HEADER))
        event = scope.get("aws.event", {})
        logger().append_keys(
            request_id=correlation_id,
            route=event.get("routeKey", f"{scope['method']} {scope['path']}"),
            # What the authorizer and the gateway's access log know the request by.
            gateway_request_id=event.get("requestContext", {}).get("requestId"),
        )
        started = False

        async def dressed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers[request_id.HEADER] = correlation_id
                too_many = message["status"] == HTTPStatus.TOO_MANY_REQUESTS
                limits = limit_headers(scope, headers.get("retry-after") if too_many else None)
                given = set(headers.keys())
                for name, value in (SECURITY_HEADERS | limits).items():
                    if name.lower() not in given:
                        headers.append(name, value)
                logger().info("request answered", extra={"status_code": message["status"]})
            await send(message)

        try:
            self.admit(Request(scope))
            await self.app(scope, await self._limited(receive), dressed_send)
        except Exception as error:  # noqa: BLE001 none may reach the client as it is
            if started:
                # Too late for another answer, and Mangum would log it with all that it says.
                logger().exception("answer not finished", exc_info=error)
                raise RuntimeError("answer not finished") from None
            await failures.response(error)(scope, receive, dressed_send)

    async def _limited(self, receive: Receive) -> Receive:
        """Refuse a body over the limit before anything parses it.

        The gateway hands over the whole body at once, so reading it first costs nothing.
        """
        first = await receive()
        if len(first.get("body", b"")) > self.max_body_bytes:
            raise PayloadTooLarge(f"The body may be {self.max_body_bytes} bytes at most.")
        replayed = [first]

        async def receive_again() -> Message:
            return replayed.pop() if replayed else await receive()

        return receive_again
