"""What is known for a short while: Valkey, and without it (not configured, or down) this process.

Nothing here raises: who finds nothing in the cache asks the database, and nobody waits long for a
cache. Once it did not answer it is left alone for some seconds; meanwhile, and where there is none,
values are kept in this process for `LOCAL_SECONDS` at most, because nobody else can delete them.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger
from fieldgate.settings import Settings, forget_secrets, load, lookup, once

if TYPE_CHECKING:
    from valkey import Valkey

REST_SECONDS = 5
LOCAL_SECONDS = 30
LOCAL_ENTRIES = 4096

# Networks forget a connection that was silent for 350 s without telling its ends, and what is sent
# on it then waits for nothing.
IDLE_SECONDS = 300


class CacheSettings(Settings):
    """How long Valkey is waited for, and whom to trust.

    Where it is stands in `CACHE_URL` (or `REDIS_URL`): `redis://` or, with TLS, `rediss://`.
    """

    cache_connect_seconds: float = Field(default=0.3, gt=0, le=5)
    cache_answer_seconds: float = Field(default=0.25, gt=0, le=5)
    # Path or PEM text of the authorities to trust besides the system's.
    cache_ca_cert: str = ""


def get_many(keys: Iterable[str]) -> dict[str, str]:
    """Return those of `keys` that are known, in one round trip."""
    wanted = list(keys)
    found = in_one_trip([("GET", key) for key in wanted])
    if found is None:
        found = [_kept_here().get(key) for key in wanted]
    return {key: value for key, value in zip(wanted, found, strict=True) if value is not None}


def set_many(values: Mapping[str, str], seconds: int, *, only_new: bool = False) -> None:
    """Keep `values` for so many seconds, in one round trip; `only_new` leaves what is there."""
    how = ["EX", str(seconds), *(["NX"] if only_new else [])]
    if in_one_trip([("SET", key, value, *how) for key, value in values.items()]) is None:
        for key, value in values.items():
            if not (only_new and _kept_here().get(key)):
                _kept_here().set(key, value, seconds)


def delete(*keys: str) -> None:
    """Forget `keys`, in one round trip.

    While Valkey is down only this process forgets them: others may go by what they know until its
    time is over.
    """
    for key in keys:
        _kept_here().delete(key)
    in_one_trip([("DEL", key) for key in keys])


def in_one_trip(commands: Sequence[tuple[str, ...]]) -> list[Any] | None:
    """Send commands of one key each, as a server in cluster mode wants them; return the answers.

    None when there is no Valkey to answer, or one that refuses a command: others may have been run.
    """
    if not commands:
        return []

    def run(valkey: Any) -> list[Any]:
        with valkey.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute()
            return answers

    return _server().ask(run)


def evaluate(script: str, key: str, *arguments: int) -> Any:
    """Run a Lua script on `key`, in one round trip; None when there is no Valkey to run it.

    The connection may break after the script ran: then it runs again.
    """

    def run(valkey: Any) -> Any:
        from valkey.exceptions import NoScriptError

        try:
            digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
            return valkey.evalsha(digest, 1, key, *arguments)
        except NoScriptError:
            return valkey.eval(script, 1, key, *arguments)

    return _server().ask(run)


class _Server:
    """The way to Valkey: one client, made anew after each failure, and not before a rest."""

    def __init__(self) -> None:
        self._client: Valkey | None = None
        self._last_used = 0.0
        self._rests_until = 0.0
        self._is_down = False

    def ask[T](self, question: "Callable[[Valkey], T]") -> T | None:
        """Return the answer, or None when there is none to be had (soon)."""
        if time.monotonic() < self._rests_until:
            return None
        try:
            client = self._connected()
        except (ConfigurationError, Unavailable) as error:
            self._rest(error)
            return None
        if client is None:
            return None
        return self._answer(client, question)

    def _answer[T](self, client: "Valkey", question: "Callable[[Valkey], T]") -> T | None:
        from valkey import exceptions

        try:
            try:
                answer = question(client)
            except exceptions.ConnectionError:
                # It may only have been this connection: the server was started anew, say.
                answer = question(client)
        except exceptions.ValkeyError as error:
            if isinstance(error, exceptions.AuthenticationError):
                # The password may have been changed. The next client reads it anew.
                forget_secrets()
            self._rest(error)
            return None
        self._last_used = time.time()
        if self._is_down:
            self._is_down = False
            logger().info("cache is back")
        return answer

    def _connected(self) -> "Valkey | None":
        if self._client is None:
            self._client = _client()
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        elif time.time() - self._last_used > IDLE_SECONDS:
            self._client.connection_pool.disconnect(inuse_connections=False)
        return self._client

    def _rest(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS
        # Also because its connection may lead to a server that is no longer the one to ask.
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=False)
        if not self._is_down:
            self._is_down = True
            logger().warning("cache does not answer; going without", extra={"reason": str(error)})


class _Local:
    """Values of this process, at most `LOCAL_ENTRIES`: the oldest go first."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, float]] = {}

    def get(self, key: str) -> str | None:
        value, ends = self._values.get(key, ("", 0.0))
        # Wall-clock time: a frozen environment grows old as well.
        return value if time.time() < ends else None

    def set(self, key: str, value: str, seconds: int) -> None:
        self.delete(key)
        while len(self._values) >= LOCAL_ENTRIES:
            self.delete(next(iter(self._values)))
        self._values[key] = value, time.time() + min(seconds, LOCAL_SECONDS)

    def delete(self, key: str) -> None:
        self._values.pop(key, None)


@once
def _server() -> _Server:
    return _Server()


@once
def _kept_here() -> _Local:
    return _Local()


def _client() -> "Valkey | None":
    """Return a client of the configured server, which connects at first use; None without one.

    The query of the URL is ignored: TLS is verified, and a URL cannot talk us out of it.

    Raises:
        ConfigurationError: the settings are malformed.
        Unavailable: the secret that holds the URL can't be read.

    """
    url = lookup("CACHE_URL") or lookup("REDIS_URL")
    if not url:
        return None
    from valkey import Valkey

    settings = load(CacheSettings)
    url = url.strip().partition("?")[0]
    tls: dict[str, Any] = {}
    if url.lower().startswith(("rediss:", "valkeys:")):
        is_text = "-----BEGIN" in settings.cache_ca_cert
        tls = {
            "ssl_check_hostname": True,
            "ssl_ca_data": settings.cache_ca_cert if is_text else None,
            "ssl_ca_certs": None if is_text else settings.cache_ca_cert or None,
        }
    try:
        return Valkey.from_url(
            url,
            socket_connect_timeout=settings.cache_connect_seconds,
            socket_timeout=settings.cache_answer_seconds,
            decode_responses=True,
            # What isn't text is nothing of ours.
            encoding_errors="replace",
            # They would be told to the server in round trips of their own.
            lib_name=None,
            lib_version=None,
            **tls,
        )
    except ValueError:
        # Its message may quote what it could not read, which may be the password.
        raise ConfigurationError("CACHE_URL is no URL like rediss://host:6379/0") from None
