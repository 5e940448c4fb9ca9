"""API Gateway, as far as the functions need it: HTTP routes, the WebSocket, and @connections.

Routes, functions and which of them need a token are template.yaml's. Each user of the load may have
an address of their own, as phones do: `ADDRESS_HEADER` names it, which no gateway would believe.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.load_orders import ADDRESS_HEADER
from benchmarks.load_workers import Workers
from local import template as sam
from local.front_door import HUB_PATH
from tests.support.gateway import http_event
from tests.support.websocket import event_of

STAGE = "/live"
CONNECTION = "/{connection_id}"


@dataclass(frozen=True)
class Route:
    """One of template.yaml's."""

    method: str
    path: str
    module: str
    is_public: bool


def routes() -> Iterator[Route]:
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        for event in function.get("Events", {}).values():
            found = event.get("Properties", {})
            if event["Type"] == "HttpApi" and "Path" in found:
                yield Route(
                    found["Method"].upper(),
                    found["Path"],
                    function["Handler"].removesuffix(".handler"),
                    found.get("Auth", {}).get("Authorizer") == "NONE",
                )


class Gateway:
    """Handlers over the workers; `sent` of the workers counts what AWS would bill."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._sockets: dict[str, web.WebSocketResponse] = {}

    def add_to(self, app: web.Application) -> None:
        for route in routes():
            app.router.add_route(route.method, route.path, self._handler(route))
        app.router.add_get(HUB_PATH, self.serve)
        app.router.add_post(f"{STAGE}/@connections{CONNECTION}", self.post)
        app.router.add_delete(f"{STAGE}/@connections{CONNECTION}", self.hang_up)

    def _handler(self, route: Route) -> Any:
        async def answer(request: web.Request) -> web.Response:
            self._workers.sent["HTTP requests"] += 1
            event = await self._event(route, request)
            result = await self._workers.invoke(route.module, event)
            text = result.get("body") or ""
            body = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
            self._workers.sent["bytes to phones"] += len(body)
            headers = {
                name: str(value)
                for name, value in result.get("headers", {}).items()
                if name.lower() != "content-length"
            }
            return web.Response(status=result["statusCode"], headers=headers, body=body)

        return answer

    async def _event(self, route: Route, request: web.Request) -> dict[str, Any]:
        headers = dict(request.headers)
        path, _, query = request.raw_path.partition("?")
        event = http_event(
            *(route.method, path, query, headers, await request.read() or None),
            route=f"{route.method} {route.path}",
        )
        if address := request.headers.get(ADDRESS_HEADER):
            event["requestContext"]["http"]["sourceIp"] = address
        if not route.is_public:
            asked = http_event("GET", path, headers=headers)
            asked |= {"type": "REQUEST", "identitySource": [], "routeArn": "arn:aws:execute-api:x"}
            found = await self._workers.invoke("identity.authorize", asked)
            event["requestContext"]["authorizer"] = {"lambda": found["context"]}
        return event

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve a WebSocket until it ends."""
        connection_id = f"{uuid.uuid4().hex[:14]}="
        asked = event_of("CONNECT", connection_id)
        asked |= {"headers": dict(request.headers), "methodArn": "arn:aws:execute-api:x"}
        policy = await self._workers.invoke("identity.authorize_connection", asked)
        connect = event_of("CONNECT", connection_id, authorizer=policy["context"])
        answer = await self._workers.invoke("realtime.on_connect", connect)
        if answer["statusCode"] != 200:
            return web.Response(status=403)
        self._workers.sent["WebSocket messages"] += 1
        socket = self._sockets[connection_id] = web.WebSocketResponse(compress=False)
        try:
            with suppress(ConnectionError):  # who has gone already
                await socket.prepare(request)
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self._converse(socket, connection_id, message.data)
        finally:
            self._sockets.pop(connection_id, None)
            gone = event_of("DISCONNECT", connection_id)
            await asyncio.shield(self._workers.invoke("realtime.on_disconnect", gone))
        return socket

    async def _converse(self, socket: web.WebSocketResponse, connection_id: str, text: str) -> None:
        event = event_of("MESSAGE", connection_id, body=text)
        answer = await self._workers.invoke("realtime.on_message", event)
        self._workers.sent["WebSocket messages"] += 1
        if answer.get("body"):
            self._workers.sent["WebSocket messages"] += 1
            await socket.send_str(answer["body"])

    async def post(self, request: web.Request) -> web.Response:
        """Send a frame to a connection, as the fan-out asks."""
        socket = self._sockets.get(request.match_info["connection_id"])
        if socket is None or socket.closed or not socket.prepared:
            return web.json_response({"message": "Gone"}, status=410)
        self._workers.sent["WebSocket messages"] += 1
        try:
            await socket.send_str((await request.read()).decode())
        except ConnectionError:
            return web.json_response({"message": "Gone"}, status=410)
        return web.Response(text=json.dumps({}))

    async def hang_up(self, request: web.Request) -> web.Response:
        """Close a connection, as the functions ask."""
        if socket := self._sockets.get(request.match_info["connection_id"]):
            await socket.close()
        return web.Response(status=204)
