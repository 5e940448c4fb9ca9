"""ministack, the local cloud, as a child process; and clients that speak to it."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, build_opener

import boto3
import psutil
from botocore.config import Config

from local.child import Server, ServerFailed, spawn, wait_until_ready
from local.template import REGION, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

# In an environment of its own: it pins its dependencies.
MINISTACK = [str(ROOT / ".venvs/ministack/bin/python"), "-m", "ministack"]
ACCOUNT = "000000000000"
# What the local cloud gives its functions; known to the storage gate as well.
SECRET = "test"  # noqa: S105 a local server's word, not a secret


@dataclass
class Cloud(Server):
    """A running local cloud; its functions run as its children."""

    # It keeps nothing, so there is nothing to wait for.
    stop_seconds = 3

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it and its functions' processes, which notice a little later by themselves."""
        if self.process.poll() is None:
            functions = psutil.Process(self.process.pid).children(recursive=True)
            super().stop()
            _, left = psutil.wait_procs(functions, timeout=self.stop_seconds)
            for function in left:
                function.kill()

    def client(self, service: str) -> Any:
        """Make a boto3 client of the cloud's `service`."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )


def start_cloud(directory: Path, port: int) -> Cloud:
    """Start the local cloud on 127.0.0.1:`port`; `directory` gets its log and working files.

    Raises:
        ServerFailed: it did not come up.

    """
    temporary = directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    log = directory / "cloud.log"
    environment: Mapping[str, str] = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",  # else it listens for MQTT on a port of its own
        "TMPDIR": str(temporary),
        "PATH": os.environ["PATH"],
        # Nothing of the person's own AWS set-up reaches the functions.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = spawn(MINISTACK, log=log, environment=environment)
    cloud = Cloud(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(process, lambda: _answers(cloud.url), log)
    except BaseException as error:
        cloud.stop()
        if isinstance(error, ServerFailed):
            raise ServerFailed(f"The local cloud did not start on port {port}: {error}") from None
        raise
    return cloud


def _answers(url: str) -> bool:
    # Without the environment's proxies: it is on this machine.
    opener = build_opener(ProxyHandler({}))
    with suppress(OSError), opener.open(f"{url}/_ministack/health", timeout=1) as response:
        return bool(response.status == 200)
    return False
