"""What the smoke test is to look at, and what it says to those who ask for something else."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

SETTLE_SECONDS = 20.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
HELP = """\
make smoke BASE_URL=https://api.example.org [NAME=value ...]

  COMMIT            the commit that is to answer, as /health/version shows it
  REALTIME_URL      the WebSocket's address, where it isn't BASE_URL/hubs/permissions
                    (the stack's output RealtimeUrl)
  WEB_ORIGIN        the web app's origin, where it isn't the one in samconfig.toml
  SETTLE_SECONDS    how long a failing check is tried again, 20 unless told

and in the environment, for the checks of somebody signed in (no second factor):

  SMOKE_IDENTIFIER  phone number or e-mail address
  SMOKE_PASSWORD"""


class Misuse(Exception):
    """What was asked can't be done; the message says what to write instead."""


@dataclass(frozen=True)
class Settings:
    """What is looked at. `base_url` has no slash at its end."""

    base_url: str
    realtime_url: str
    commit: str = ""
    web_origin: str = ""
    identifier: str = ""
    password: str = field(default="", repr=False)
    settle_seconds: float = SETTLE_SECONDS

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what HELP names.

        Raises:
            Misuse: something is missing, or isn't what it should be.

        """
        given = {name: value.strip() for name, value in environment.items()}
        if not given.get("BASE_URL"):
            raise Misuse(f"Which environment? BASE_URL says where it answers.\n\n{HELP}")
        base_url = address("BASE_URL", given["BASE_URL"], encrypted="https", open_="http")
        realtime_url = f"ws{base_url.removeprefix('http')}/hubs/permissions"
        if given.get("REALTIME_URL"):
            realtime_url = address("REALTIME_URL", given["REALTIME_URL"], "wss", "ws", path=True)
        identifier, password = given.get("SMOKE_IDENTIFIER", ""), given.get("SMOKE_PASSWORD", "")
        if bool(identifier) != bool(password):
            raise Misuse("SMOKE_IDENTIFIER and SMOKE_PASSWORD are needed both, or neither.")
        return cls(
            base_url,
            realtime_url,
            given.get("COMMIT", ""),
            given.get("WEB_ORIGIN", "").rstrip("/"),
            identifier,
            password,
            _seconds(given.get("SETTLE_SECONDS") or str(SETTLE_SECONDS)),
        )

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK


def address(name: str, given: str, encrypted: str, open_: str, *, path: bool = False) -> str:
    """Return an address without a slash at its end.

    Raises:
        Misuse: it is none, or tokens would go over the network in the clear.

    """
    example = f"{name}={encrypted}://api.example.org"
    # Without a password that is in it: what is said here stands in logs.
    said = f"{name}={re.sub('//.*@', '//', given)}"
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Misuse(f"{said} is no address. It looks like {example}.") from None
    if parts.scheme not in {encrypted, open_} or not host:
        raise Misuse(f"{said} is no address with {encrypted}://. It looks like {example}.")
    if parts.username or parts.query or parts.fragment or (parts.path.strip("/") and not path):
        raise Misuse(
            f"{said} has more than scheme, host and port, which is all that is wanted: "
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        )
    if parts.scheme == open_ and host not in LOOPBACK:
        raise Misuse(
            f"{said} would send tokens in the clear: {encrypted}://, for all but this machine."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise Misuse("SETTLE_SECONDS is a number of seconds.")
    return min(max(seconds, 0), 600)
