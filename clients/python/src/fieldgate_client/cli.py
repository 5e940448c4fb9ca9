"""The command line: `fieldgate login`, `upload`, `status`, `retry`, `drop`, `watch`, `logout`.

Nothing that a user can cause shows a traceback. The exit codes are in `assembled.ExitCode`.
"""

import argparse
import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from fieldgate_client import commands
from fieldgate_client.addresses import is_open_to_all
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import default_path
from fieldgate_client.errors import ClientError, NetworkError, SignedOut, is_passing
from fieldgate_client.terminal import Terminal

LOCAL_STACK = "http://127.0.0.1:8080"  # docs/api.md: what `make up` serves
GO_ON = "What has arrived is kept; to go on: fieldgate upload"
# docs/api.md, "Photos"
FOLDERS = ("clients", "client-documents", "crop-demands", "farmers", "uploads")

type _Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    reader = parser(os.environ)
    options = reader.parse_args(arguments)
    if reason := problem(options.server, allow_http=options.allow_http):
        reader.error(reason)
    return _run(options, Terminal(), Terminal(stderr=True))


def _run(options: argparse.Namespace, out: Console, err: Console) -> ExitCode:
    try:
        code: ExitCode = asyncio.run(options.command(options, out))
    except KeyboardInterrupt:
        code, why = ExitCode.STOPPED, f"Stopped. {options.go_on}".rstrip()
    except SignedOut as error:
        code, why = ExitCode.SIGNED_OUT, f"{error} Sign in first: fieldgate login PHONE"
    except NetworkError as error:
        code, why = ExitCode.NO_NETWORK, f"{options.server} can't be reached: {error}"
    except ClientError as error:
        code = ExitCode.NO_NETWORK if is_passing(error) else ExitCode.REFUSED
        why = str(error)
    except EOFError:
        code, why = ExitCode.REFUSED, "There is nobody to answer: run it where you can type."
    except (OSError, sqlite3.Error) as error:
        code, why = ExitCode.REFUSED, f"The folder {options.home} can't be used: {error}"
    else:
        return code
    err.print(why)
    return code


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return what reads the arguments; defaults come from the environment."""
    # Taken before the command and behind it; behind it, what wasn't said must not hide the default.
    behind = _common(argparse.SUPPRESS)
    top = argparse.ArgumentParser(
        "fieldgate",
        description="Uploads that survive the field, and what changes.",
        parents=[_common(None)],
        epilog="Exit codes: "
        + ", ".join(f"{code} {code.name.lower().replace('_', ' ')}" for code in ExitCode),
    )
    top.set_defaults(
        server=environment.get("FIELDGATE_URL") or LOCAL_STACK,
        home=Path(environment.get("FIELDGATE_HOME") or default_path().parent),
        allow_http=False,
        go_on="",
    )
    commands_of = top.add_subparsers(required=True, metavar="COMMAND")
    _add_session_commands(commands_of, behind)
    _add_upload_commands(commands_of, behind)
    return top


def _add_session_commands(of: _Commands, behind: argparse.ArgumentParser) -> None:
    login = of.add_parser("login", parents=[behind], help="sign in, by password or by code")
    login.add_argument("identifier", metavar="PHONE", help="phone number or e-mail address")
    login.add_argument("--code", action="store_true", help="by a code that is sent to the phone")
    login.set_defaults(command=commands.login)

    logout = of.add_parser("logout", parents=[behind], help="end the session on this device")
    logout.set_defaults(command=commands.logout)

    status = of.add_parser(
        "status", parents=[behind], help="who is signed in, the network, what waits"
    )
    status.set_defaults(command=commands.status)

    watch = of.add_parser("watch", parents=[behind], help="print what changes, as it changes")
    watch.add_argument(
        "--channel",
        metavar="CHANNEL",
        dest="channels",
        action="append",
        default=[],
        help="besides what is yours: shipments, shipments:123; may be said again",
    )
    watch.set_defaults(command=_watch)


def _add_upload_commands(of: _Commands, behind: argparse.ArgumentParser) -> None:
    upload = of.add_parser(
        "upload", parents=[behind], help="send files; without PATH: what was not sent yet"
    )
    upload.add_argument("paths", metavar="PATH", nargs="*", type=_path)
    upload.add_argument("--folder", choices=FOLDERS, default="uploads")
    upload.add_argument("--type", metavar="TYPE", help="content type; by the extension unless told")
    upload.add_argument("--again", action="store_true", help="also what was sent before")
    upload.set_defaults(command=commands.upload, go_on=GO_ON)

    for name, command, says in (
        ("retry", commands.retry, "send again what was set aside"),
        ("drop", commands.drop, "give up what waits or was set aside"),
    ):
        each = of.add_parser(name, parents=[behind], help=says)
        each.add_argument("entries", metavar="NUMBER", nargs="+", type=int, help="as in status")
        each.set_defaults(command=command, go_on=GO_ON)


async def _watch(options: argparse.Namespace, out: Console) -> ExitCode:
    # WebSockets take as long to load as HTTP does, and no other command needs them.
    from fieldgate_client.watching import watch  # noqa: PLC0415

    return await watch(options, out)


def _common(default: str | None) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=default)
    common.add_argument("--server", metavar="URL", help=f"or FIELDGATE_URL; else {LOCAL_STACK}")
    common.add_argument(
        "--home", metavar="FOLDER", type=Path, help="where it keeps its memory; or FIELDGATE_HOME"
    )
    common.add_argument(
        "--allow-http",
        action="store_true",
        help="show passwords, tokens and files to everybody on the way",
    )
    return common


def problem(server: str, *, allow_http: bool) -> str | None:
    """Say why this is no server to speak to."""
    try:
        address = urlsplit(server)
        host, _ = address.hostname, address.port
    except ValueError:
        host = None
    if not host or address.scheme not in {"http", "https"}:
        return f"{server!r} is no address of a server: https://api.example.org"
    if address.username or address.query or address.fragment:
        return (
            f"the address of a server ends with its host, port or path: {address.scheme}://{host}"
        )
    if is_open_to_all(server) and not allow_http:
        return (
            f"{server} would show passwords, tokens and files to everybody on the way;"
            " use https://, or say --allow-http"
        )
    return None


def _path(text: str) -> Path:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not a name in UTF-8") from None
    return Path(text)
