"""Speaking to the API: its envelope, its errors, tokens that are renewed, requests sent again.

async with Api("https://api.example.org", TokenStore(database)) as api:
    answer = await api.request("GET", "/auth/me")
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx

from fieldgate_client.answers import UNPACKED, Answer, Fields, body_of, read
from fieldgate_client.errors import ApiError, NetworkError, SignedOut, is_passing
from fieldgate_client.policy import API_TIMEOUT_SECONDS, MAX_RETRIES
from fieldgate_client.reasons import in_words
from fieldgate_client.retrying import trying
from fieldgate_client.tokens import Tokens, TokenStore

PREFIX = "/api/v1"
# Docs, "Identity": a session of the profile `mobile` rests up to 30 days, one of `web` 3 hours.
PROFILE = "mobile"
# Sent again, these do nothing that they haven't done (RFC 9110, 9.2.2).
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
# Renew an access token (an hour's) so much earlier than it ends that no request arrives too late.
RENEW_EARLIER_SECONDS = 60.0
# Docs, "Identity": a refresh token sent again within 30 s gets the same successor; later it ends
# the session. So all tries have to fit into 30 s: 3 x 8 s, and pauses of at most 1 s and 2 s.
REFRESH_TIMEOUT_SECONDS = 8.0
REFRESH_ATTEMPTS = 3
# So a server that wants more time than this is not asked again with the same token.
MAX_REFRESH_PAUSE_SECONDS = 2.0
# A token that is said to live for longer than a year is no token of the server's.
MAX_TOKEN_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True)
class Challenge:
    """A code that was sent, to be typed in."""

    id: str


class Api:
    """One server, and whoever is signed in there.

    Args:
        base_url: the server's address, without the path of the API.
        tokens: where the session is kept.
        transport: httpx's own, unless told.
        timeout: seconds that one answer may take.
        clock: monotonic, in seconds. The phone's wall clock may be a day off: nothing asks it.
        sleep: waits so many seconds.

    """

    def __init__(
        self,
        base_url: str,
        tokens: TokenStore,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = API_TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.server = base_url.rstrip("/")
        self._tokens = tokens
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._renewals: dict[str, asyncio.Task[str]] = {}  # under way, by refresh token
        # When the access token ends that this process was given; of others nobody knows.
        self._known: tuple[str, float] | None = None
        self._http = httpx.AsyncClient(
            base_url=self.server + PREFIX, transport=transport, timeout=timeout, headers=UNPACKED
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A renewal that is cut off may cost the session: it has the time of one try to end.
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_TIMEOUT_SECONDS):
                    await asyncio.gather(*self._renewals.values(), return_exceptions=True)
        finally:
            await self._http.aclose()

    @property
    def user_id(self) -> str:
        """Say who is signed in, or raise SignedOut."""
        return self._session().user_id

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        idempotency_key: str | None = None,
        signed_in: bool = True,
        repeatable: bool | None = None,
    ) -> Answer:
        """Send a request until it is answered; what may not be sent twice is sent once.

        Args:
            method: GET, POST ...
            path: below /api/v1, beginning with a slash.
            json: the body.
            idempotency_key: the request's name, under which the server does it once.
            signed_in: False for a public route: no token is shown.
            repeatable: whether sending it again does no harm; by default the idempotent methods,
                and whatever has a key.

        Raises:
            NetworkError: no answer of the server's, after all tries.
            ApiError: a refusal.
            SignedOut: there is no session, or it was ended.

        """
        if repeatable is None:
            repeatable = idempotency_key is not None or method in IDEMPOTENT_METHODS
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        request = self._http.build_request(method, path.lstrip("/"), json=json, headers=headers)
        send = self._send_signed if signed_in else self._send
        tries = 1 + MAX_RETRIES if repeatable else 1
        answer: Answer = await trying(tries, self._sleep)(send, request)
        return answer

    async def login(self, identifier: str, password: str) -> Challenge | None:
        """Sign in by phone or e-mail address. A challenge means: `verify_code` is to follow."""
        credentials = {"identifier": identifier, "password": password, "profile": PROFILE}
        answer = await self.request("POST", "/auth/login", json=credentials, signed_in=False)
        if answer.fields.truth("twoFactorRequired"):
            return _challenge(answer)
        self._begin_session(answer)
        return None

    async def send_code(self, phone: str) -> Challenge:
        """Have a code sent by text, to sign in with."""
        wish = {"phone": phone, "purpose": "login"}
        key = str(uuid.uuid4())
        return _challenge(
            await self.request("POST", "/otp/send", json=wish, idempotency_key=key, signed_in=False)
        )

    async def verify_code(self, challenge_id: str, code: str) -> None:
        """Sign in by the code of a challenge."""
        typed = {"challengeId": challenge_id, "code": code, "profile": PROFILE}
        self._begin_session(await self.request("POST", "/otp/verify", json=typed, signed_in=False))

    async def logout(self) -> None:
        """End the session here, and at the server if it can be reached."""
        session = self._session()
        try:
            await self.request("POST", "/auth/logout", json={})
        except (NetworkError, ApiError, SignedOut):
            pass  # it ends by itself; what matters is that this device forgets it
        finally:
            session = self._tokens.load(self.server) or session
            self._tokens.forget(self.server, session.refresh_token)

    async def access_token(self) -> str:
        """Return a token that is good as far as anybody here knows.

        Raises SignedOut, and where it had to be renewed what `renewed_access_token` does.
        """
        token = self._session().access_token
        if self._known is None or self._known[0] != token or self._clock() < self._known[1]:
            return token
        return await self.renewed_access_token(token)

    async def renewed_access_token(self, token: str) -> str:
        """Return a token in place of `token`: another task's or process's, or else a new one.

        A renewal that has begun goes on until its tokens are kept, also when whoever waits for it
        is cancelled: the server takes the old ones for 30 s only.

        Raises:
            NetworkError: no answer of the server's, after all tries.
            ApiError: a refusal that passes.
            SignedOut: there is no session, or it was ended.

        """
        session = self._session()
        renewal = self._renewals.get(session.refresh_token)
        if renewal is None:
            if session.access_token != token:
                return session.access_token
            renewal = asyncio.create_task(self._renewed(session))
            self._renewals[session.refresh_token] = renewal
            renewal.add_done_callback(partial(self._is_over, session.refresh_token))
        await asyncio.wait((renewal,))
        return renewal.result()

    async def _renewed(self, session: Tokens) -> str:
        began = self._clock()
        try:
            retrying = trying(REFRESH_ATTEMPTS, self._sleep, MAX_REFRESH_PAUSE_SECONDS)
            answer: Answer = await retrying(self._refresh, session)
        except ApiError as error:
            if is_passing(error):
                raise
            if self._tokens.forget(self.server, session.refresh_token):
                raise SignedOut("The session has ended.") from error
            return self._session().access_token  # another process was faster
        tokens = _tokens(answer)
        self._tokens.succeed(self.server, session.refresh_token, tokens)
        self._know(tokens, began)
        return self._session().access_token

    def _is_over(self, refresh_token: str, renewal: asyncio.Task[str]) -> None:
        del self._renewals[refresh_token]
        if not renewal.cancelled():
            renewal.exception()  # there may be nobody left who wants to know

    async def _send_signed(self, request: httpx.Request) -> Answer:
        token = await self.access_token()
        try:
            return await self._send(request, token)
        except ApiError as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
        token = await self.renewed_access_token(token)
        try:
            return await self._send(request, token)
        except ApiError as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
            raise SignedOut("The server refuses a token that it has just given.") from error

    async def _send(self, request: httpx.Request, token: str | None = None) -> Answer:
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        try:
            # httpx counts its timeout anew with each byte that comes.
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, stream=True)
                try:
                    body = await body_of(response)
                finally:
                    await response.aclose()
        except (httpx.RequestError, TimeoutError) as error:
            raise NetworkError(in_words(error)) from error
        return read(response, body)

    def _session(self) -> Tokens:
        session = self._tokens.load(self.server)
        if session is None:
            raise SignedOut(f"Nobody is signed in at {self.server}.")
        return session

    async def _refresh(self, session: Tokens) -> Answer:
        request = self._http.build_request(
            "POST",
            "auth/refresh",
            json={"refreshToken": session.refresh_token},
        )
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_SECONDS):
                return await self._send(request)
        except TimeoutError as error:
            raise NetworkError("No answer to the refresh token.") from error

    def _begin_session(self, answer: Answer) -> None:
        tokens = _tokens(answer)
        self._tokens.save(self.server, tokens)
        self._know(tokens, self._clock())

    def _know(self, tokens: Tokens, came_at: float) -> None:
        ends_at = came_at + tokens.expires_in - RENEW_EARLIER_SECONDS
        self._known = tokens.access_token, ends_at


def _tokens(answer: Answer) -> Tokens:
    found = Fields(answer.data)  # the session is everybody's who waits: a NetworkError
    return Tokens(
        user_id=found.within("user").name("id"),
        access_token=found.visible("accessToken"),
        refresh_token=found.visible("refreshToken"),
        expires_in=found.whole("expiresIn", 1, MAX_TOKEN_SECONDS),
        name=found.within("user").text_or_none("name"),
    )


def _challenge(answer: Answer) -> Challenge:
    return Challenge(answer.fields.text("challengeId"))
