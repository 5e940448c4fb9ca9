"""Where the database is and who we are to it, from the settings of this environment.

Which setting goes before which is in docs/configuration.md.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from fieldgate.errors import ConfigurationError
from fieldgate.settings import lookup, read_secret

DEFAULT_PORT = 5432
DOTNET_NAME = "ConnectionStrings__fieldgate"
SECRET_NAME = "DATABASE_SECRET_ARN"  # noqa: S105 - the name of a setting, not a secret

# What Npgsql calls the parts (spaces and case aside), and what we call them.
_DOTNET_KEYS = {
    "host": "host",
    "server": "host",
    "datasource": "host",
    "port": "port",
    "database": "database",
    "db": "database",
    "initialcatalog": "database",
    "username": "username",
    "user": "username",
    "userid": "username",
    "uid": "username",
    "password": "password",
    "pwd": "password",
}
# key = value, the value bare or in quotes, where a doubled quote stands for one.
_DOTNET_PAIR = re.compile(
    r"""\s*([\w ]+?)\s*=\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|((?!["'])[^;]*?))\s*(?:;|$)"""
)


@dataclass(frozen=True)
class DatabaseAddress:
    """One database on one server, and our login there."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, where nobody can listen in on the way."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def resolve_database_address() -> DatabaseAddress:
    """Return the database of this environment.

    Read again at every call (secrets are at most five minutes old), so that a rotated password is
    taken up by the next connection.

    Raises:
        ConfigurationError: nothing names a database, or what does is malformed; the message names
            the setting and never shows its value.
        Unavailable: the secret could not be read.

    """
    if text := lookup("DATABASE_URL"):
        return parse_url(text, "DATABASE_URL")
    if text := lookup(DOTNET_NAME):
        return parse_connection_string(text, DOTNET_NAME)
    if arn := lookup(SECRET_NAME):
        return parse_secret(read_secret(arn), f"the secret of {SECRET_NAME}")
    raise ConfigurationError(
        f"DATABASE_URL is not set (nor {DOTNET_NAME}, nor {SECRET_NAME}): no database to speak to"
    )


def parse_url(text: str, source: str) -> DatabaseAddress:
    """Parse `postgres://` or `postgresql://user:password@host:port/database`.

    User, password and database may be percent-encoded, the host may be an IPv6 address in
    brackets. The query is ignored, `sslmode` too: TLS is verified everywhere but on loopback, and
    a connection string cannot talk us out of it.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        # Their message quotes what they could not read, which may be the password.
        _refuse(source, "is not a URL; percent-encode what is special in the password")
    # SQLAlchemy writes the driver into the scheme: postgresql+pg8000.
    if parts.scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        _refuse(source, "must begin with postgresql:// (or postgres://)")
    return _address(_url_parts(parts, host, port), source)


def parse_connection_string(text: str, source: str) -> DatabaseAddress:
    """Parse a URL, or .NET's `Host=...;Port=...;Database=...;Username=...;Password=...`."""
    if "://" in text.partition("=")[0]:
        return parse_url(text, source)
    parts: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip("; \t\r\n")):
        pair = _DOTNET_PAIR.match(text, position)
        if pair is None:
            _refuse(source, "is neither a URL nor a list of Key=Value; pairs")
        key, double, single, bare = pair.groups()
        name = _DOTNET_KEYS.get(key.replace(" ", "").lower())
        if name:
            parts[name] = _unquoted(double, single, bare)
        position = pair.end()
    return _address(parts, source)


def parse_secret(text: str, source: str) -> DatabaseAddress:
    """Parse a secret: RDS's JSON (username, password, host, port, dbname), or a URL.

    Secrets that RDS manages itself hold user and password only; DATABASE_HOST and DATABASE_NAME
    then say the rest.
    """
    if not text.lstrip().startswith("{"):
        return parse_connection_string(text, source)
    try:
        values = json.loads(text)
    except ValueError:
        _refuse(source, "begins like JSON and is not")
    values["database"] = values.get("dbname") or lookup("DATABASE_NAME")
    values["host"] = values.get("host") or lookup("DATABASE_HOST")
    return _address({key: str(value) for key, value in values.items() if value}, source)


def _url_parts(parts: SplitResult, host: str | None, port: int | None) -> dict[str, str]:
    return {
        "host": host or "",
        "port": str(port or DEFAULT_PORT),
        "database": unquote(parts.path.removeprefix("/")),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }


def _unquoted(double: str | None, single: str | None, bare: str | None) -> str:
    if double is not None:
        return double.replace('""', '"')
    if single is not None:
        return single.replace("''", "'")
    return bare or ""


def _address(parts: Mapping[str, str], source: str) -> DatabaseAddress:
    for name in ("host", "database", "username"):
        if not parts.get(name):
            _refuse(source, f"names no {name}")
    port = parts.get("port", str(DEFAULT_PORT))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        _refuse(source, "names a port that is no port number")
    return DatabaseAddress(
        host=parts["host"],
        port=int(port),
        database=parts["database"],
        username=parts["username"],
        password=parts.get("password", ""),
    )


def _refuse(source: str, fault: str) -> NoReturn:
    raise ConfigurationError(f"{source} {fault}") from None
