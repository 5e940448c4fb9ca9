"""A stand-in for Firebase Cloud Messaging on loopback: its wire format, and an inbox.

Like the real one it gives access tokens for assertions that a service account signed, takes a
message a request, and says what is wrong in Google's form of errors.
(developers.google.com/identity/protocols/oauth2/service-account and
firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send)
"""

import asyncio
import json
import secrets
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.faults import Fault, Faults
from local.fcm_errors import ERRORS, error_answer

TARGET = "fcm"
PROJECT_ID = "fieldgate-local"
SLOW_SECONDS = 3.0
INBOX_SIZE = 10_000
MAX_PAYLOAD_BYTES = 4096
MAX_COLLAPSE_ID_BYTES = 64
ACCESS_TOKEN_SECONDS = 3600
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
WIDER_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# What Google's client names as audience, wherever it sends the assertion to.
AUDIENCE = "https://oauth2.googleapis.com/token"

# What a message is addressed by, which is one of them.
_ADDRESSES = ("token", "fid")
_KNOWN = {"data", "notification", "android", "apns", "webpush", "fcmOptions", *_ADDRESSES}


def token_target(token: str) -> str:
    """Return what `Faults` calls the one app that is known by `token`."""
    return f"{TARGET}:{token}"


class Fcm:
    """The stand-in: who signs by its service account's key may send to apps of its project.

    `faults`, target `fcm` (all) and `token_target(...)` (one app): `down` cuts connections
    unanswered, `slow` answers after `slow_seconds`, `error` answers 500, or with the error whose
    name it was told, `hang` answers when the fault is over. `choose_answer` is asked at each
    message that would be taken; what it returns is answered instead.
    """

    def __init__(
        self,
        faults: Faults,
        *,
        latency_seconds: float = 0.0,
        slow_seconds: float = SLOW_SECONDS,
        choose_answer: Callable[[str], web.Response | None] = lambda _token: None,
    ) -> None:
        self._faults = faults
        self._slow_seconds = slow_seconds
        self._choose_answer = choose_answer
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._email = f"fieldgate@{PROJECT_ID}.iam.gserviceaccount.com"
        # By access token: until when it is good.
        self._issued: dict[str, float] = {}
        self._inbox: deque[dict[str, Any]] = deque(maxlen=INBOX_SIZE)
        self.latency_seconds = latency_seconds
        # By address: how many requests came, answered or not.
        self.requests: Counter[str] = Counter()
        self.token_requests = 0

    def application(self) -> web.Application:
        """Return the aiohttp application to serve."""
        app = web.Application()
        app.router.add_post("/token", self.issue)
        app.router.add_post(r"/v1/projects/{project}/messages:send", self.send)
        return app

    def service_account(self, url: str) -> str:
        """Return the service account's key as Google gives it, for a stand-in at `url`."""
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT_ID,
                "private_key_id": secrets.token_hex(20),
                "private_key": key.decode(),
                "client_email": self._email,
                "client_id": "100000000000000000000",
                "token_uri": f"{url}/token",
            }
        )

    def inbox(self, token: str | None = None) -> list[dict[str, Any]]:
        """Return the messages that were taken (for `token`), newest first: `{token, message, at}`.

        Installation ids stand under `token`, too.
        """
        return [taken for taken in self._inbox if token in {None, taken["token"]}]

    def expire_access_tokens(self) -> None:
        """Let all access tokens be too old."""
        self._issued.clear()

    async def issue(self, request: web.Request) -> web.Response:
        """POST /token: an access token for an assertion (RFC 7523)."""
        self.token_requests += 1
        broken = await self._suffer(request, TARGET)
        if broken is not None:
            return broken
        form = await request.post()
        if form.get("grant_type") != GRANT:
            return _no_token("unsupported_grant_type", "Invalid grant_type")
        try:
            claims = jwt.decode(
                str(form.get("assertion", "")),
                self._key.public_key(),
                algorithms=["RS256"],
                audience=AUDIENCE,
                issuer=self._email,
                options={"require": ["iss", "aud", "exp", "iat", "scope"]},
            )
        except jwt.PyJWTError as error:
            return _no_token("invalid_grant", f"Invalid JWT: {error}")
        if not {SCOPE, WIDER_SCOPE} & set(str(claims["scope"]).split()):
            return _no_token("invalid_scope", "Not a scope that messages are sent by")
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._issued[token] = time.monotonic() + ACCESS_TOKEN_SECONDS
        return web.json_response(
            {"access_token": token, "expires_in": ACCESS_TOKEN_SECONDS, "token_type": "Bearer"}
        )

    async def send(self, request: web.Request) -> web.Response:
        """POST /v1/projects/{project}/messages:send."""
        try:
            message = (await request.json())["message"]
            (address,) = (message[kind] for kind in _ADDRESSES if kind in message)
            address = str(address)
        except (ValueError, KeyError, TypeError):
            return error_answer("INVALID_ARGUMENT", "Recipient of the message is not set.")
        self.requests[address] += 1
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        for target in (TARGET, token_target(address)):
            broken = await self._suffer(request, target)
            if broken is not None:
                return broken
        refused = self._refuse(request, message) or self._choose_answer(address)
        if refused is not None:
            return refused
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._inbox.appendleft({"token": address, "message": message, "at": at})
        name = f"projects/{PROJECT_ID}/messages/{uuid.uuid4().int % 10**16:016}"
        return web.json_response({"name": name})

    def _refuse(self, request: web.Request, message: dict[str, Any]) -> web.Response | None:
        """Say what is wrong with a message, or with who sends it; None when it is taken."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._issued.get(token, 0.0) < time.monotonic():
            return error_answer("UNAUTHENTICATED")
        if request.match_info["project"] != PROJECT_ID:
            return error_answer("PERMISSION_DENIED")
        fault = _malformed(message)
        return error_answer("INVALID_ARGUMENT", fault) if fault else None

    async def _suffer(self, request: web.Request, target: str) -> web.Response | None:
        """Be broken the way it was asked for; returns the answer that this leads to, if any."""
        await self._faults.hold(target, abandoned=lambda: _has_left(request))
        if _has_left(request):
            return web.Response(status=503)  # which nobody hears
        fault = self._faults.fault(target)
        match fault.mode if fault else None:
            case "down":
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=503)
            case "slow":
                await asyncio.sleep(self._slow_seconds)
            case "error":
                assert fault is not None
                return _told(fault)
        return None


def _told(fault: Fault) -> web.Response:
    code = fault.code if fault.code in ERRORS else "INTERNAL"
    return error_answer(str(code), retry_after=fault.retry_after)


def _malformed(message: dict[str, Any]) -> str | None:
    """Say what is wrong with the shape of a message, as far as it is looked at."""
    unknown = message.keys() - _KNOWN
    if unknown:
        return f"Invalid JSON payload received. Unknown name \"{min(unknown)}\" at 'message'"
    data = message.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        return "Invalid value at 'message.data' (TYPE_STRING)"
    for part in ("notification", "android", "apns", "webpush"):
        if not isinstance(message.get(part, {}), dict):
            return f"Invalid value at 'message.{part}'"
    headers = message.get("apns", {}).get("headers", {})
    if not isinstance(headers, dict):
        return "Invalid value at 'message.apns.headers'"
    if len(str(headers.get("apns-collapse-id", "")).encode()) > MAX_COLLAPSE_ID_BYTES:
        return "Invalid APNS header apns-collapse-id"
    text = json.dumps(
        [message.get("notification", {}), data], ensure_ascii=False, separators=(",", ":")
    )
    return "Message is too big" if len(text.encode()) > MAX_PAYLOAD_BYTES else None


def _no_token(error: str, description: str) -> web.Response:
    answer = {"error": error, "error_description": description}
    return web.json_response(answer, status=400)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
