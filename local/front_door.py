"""One address for everything, as a custom domain gives in production; and the stack's own routes.

What is not under /_local goes to the deployed HTTP API as it came, WebSockets to the WebSocket API.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError
from yarl import URL

from identity.phone_numbers import normalise
from local.africas_talking import AfricasTalking
from local.cloud import Cloud
from local.deploy import Deployment, Places
from local.fault_orders import FaultOrder
from local.faults import Faults
from local.fcm import Fcm
from local.invocations import summarise
from local.websocket_door import WebSocketDoor

# API Gateway's own limits for HTTP APIs.
MAX_BODY_BYTES = 10 * 1024**2
INTEGRATION_SECONDS = 30
HUB_PATH = "/hubs/permissions"

_HOP_BY_HOP = {"connection", "host", "keep-alive", "te", "transfer-encoding", "upgrade"}
_SESSION = web.AppKey("session", aiohttp.ClientSession)


class FrontDoor:
    """Handlers over one deployment."""

    def __init__(
        self,
        cloud: Cloud,
        deployment: Deployment,
        places: Places,
        faults: Faults,
        africas_talking: AfricasTalking,
        fcm: Fcm,
    ) -> None:
        self._cloud = cloud
        self._deployment = deployment
        self._places = places
        self._faults = faults
        self._africas_talking = africas_talking
        self._fcm = fcm

    def application(self) -> web.Application:
        """Return the aiohttp application to serve."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_for_this_machine])
        app.cleanup_ctx.append(_session)
        app.router.add_get("/_local/functions", self.functions)
        app.router.add_get("/_local/queues", self.queues)
        app.router.add_get("/_local/sms", self.texts)
        app.router.add_get("/_local/push", self.pushes)
        app.router.add_post("/_local/schedules/{logical_id}", self.run_schedule)
        app.router.add_post("/_local/faults", self.break_dependency)
        app.router.add_route("*", r"/_local/{rest:[\s\S]*}", self.unknown)
        api_id = self._deployment.outputs["RealtimeApiId"]
        hub = WebSocketDoor(f"{self._cloud.url}/_aws/execute-api/{api_id}/live")
        hub.add_to(app, HUB_PATH)
        app.router.add_route("*", r"/{path:[\s\S]*}", self.forward)
        return app

    async def functions(self, _request: web.Request) -> web.Response:
        """Say what each function has done so far; those never called have zeros."""
        return web.json_response(summarise(self._places.invocations, self._handlers()))

    async def queues(self, _request: web.Request) -> web.Response:
        """Say what waits in each queue, is being worked on, and lies in its dead letters."""
        return web.json_response(await asyncio.to_thread(self._queue_depths))

    async def texts(self, request: web.Request) -> web.Response:
        """Return what the stand-in for Africa's Talking was given to send, newest first."""
        # A plus that was not encoded comes as a space.
        written = re.sub(r"^ (?=\d)", "+", request.query.get("phone", ""))
        try:
            phone = normalise(written) if written else None
        except ValueError as error:
            return _refuse(400, f"phone {error}")
        return web.json_response(self._africas_talking.inbox(phone))

    async def pushes(self, request: web.Request) -> web.Response:
        """Return what the stand-in for FCM was given to send, newest first."""
        return web.json_response(self._fcm.inbox(request.query.get("token") or None))

    async def run_schedule(self, request: web.Request) -> web.Response:
        """Invoke what the schedule of this logical id invokes, now."""
        logical_id = request.match_info["logical_id"]
        target = self._schedules().get(logical_id)
        if target is None:
            known = ", ".join(self._schedules()) or "none"
            return _refuse(404, f"There is no schedule {logical_id}. There are: {known}.")
        function, payload = target
        client = self._cloud.client("lambda")
        await asyncio.to_thread(
            client.invoke, FunctionName=function, InvocationType="Event", Payload=payload
        )
        return web.json_response({"schedule": logical_id, "started": True}, status=202)

    async def break_dependency(self, request: web.Request) -> web.Response:
        """Break a dependency for a while."""
        try:
            order = FaultOrder.model_validate_json(await request.read())
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
                for fault in error.errors()
            ]
            return _refuse(400, "; ".join(faults))
        self._faults.set(
            order.broken,
            order.mode,
            order.seconds,
            code=order.code,
            retry_after=order.retry_after,
        )
        return web.json_response(order.model_dump(by_alias=True), status=202)

    async def unknown(self, request: web.Request) -> web.Response:
        return _refuse(404, f"The local stack has nothing at {request.path}.")

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on to the deployed API and its answer back."""
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        api_id = self._deployment.outputs["HttpApiId"]
        # Addressed by path: by host name, /health would be the local cloud's own.
        address = f"{self._cloud.url}/_aws/execute-api/{api_id}/$default{request.raw_path}"
        try:
            async with request.app[_SESSION].request(
                request.method,
                URL(address, encoded=True),
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                passed_on = [
                    (name, value)
                    for name, value in answer.headers.items()
                    if name.lower() not in _HOP_BY_HOP | {"content-length"}
                ]
                response = web.Response(status=answer.status, body=await answer.read())
                response.headers.clear()
                response.headers.extend(passed_on)
                return response
        except (aiohttp.ClientError, TimeoutError):
            return web.json_response({"message": "Service Unavailable"}, status=503)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"message": "Request Entity Too Large"}, status=413)

    def _handlers(self) -> list[str]:
        functions = self._deployment.template["Resources"].values()
        return [
            resource["Properties"]["Environment"]["Variables"]["LOCAL_HANDLER"].removesuffix(
                ".handler"
            )
            for resource in functions
            if resource["Type"] == "AWS::Lambda::Function"
        ]

    def _queue_depths(self) -> list[dict[str, Any]]:
        client = self._cloud.client("sqs")
        attributes = {}
        for name, url in self._deployment.of_type("AWS::SQS::Queue"):
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            attributes[name] = answer["Attributes"]
        arns = {values["QueueArn"]: values for values in attributes.values()}
        rows = []
        for name, values in attributes.items():
            redrive = json.loads(values.get("RedrivePolicy", "{}"))
            if not redrive:
                continue  # a dead-letter queue itself, shown with the queue it serves
            dead_letters = arns[redrive["deadLetterTargetArn"]]
            rows.append(
                {
                    "name": name,
                    "visible": int(values["ApproximateNumberOfMessages"]),
                    "inFlight": int(values["ApproximateNumberOfMessagesNotVisible"]),
                    "deadLetters": int(dead_letters["ApproximateNumberOfMessages"]),
                }
            )
        return rows

    def _schedules(self) -> dict[str, tuple[str, str]]:
        """Map each schedule to the function it invokes and the payload it gives."""
        found = {}
        for name, resource in self._deployment.template["Resources"].items():
            if resource["Type"] == "AWS::Scheduler::Schedule":
                target = resource["Properties"]["Target"]
                function = target["Arn"]["Fn::GetAtt"][0]
                found[name] = self._deployment.resources[function], target.get("Input", "{}")
        return found


@web.middleware
async def _for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep web pages that a developer happens to visit away from the stack's own routes.

    A page can send requests to loopback, under its own name (Origin) or, by DNS rebinding, with its
    own host name; neither passes.
    """
    if request.path.startswith("/_local/"):
        host = request.host.rpartition(":")[0] or request.host
        if host not in {"127.0.0.1", "localhost"} or "Origin" in request.headers:
            return _refuse(403, "The stack's own routes are for this machine, not for web pages.")
    return await handler(request)


async def _session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=INTEGRATION_SECONDS)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        app[_SESSION] = session
        yield


def _refuse(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
