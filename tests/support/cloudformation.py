"""What waits for a custom resource's answer, on loopback.

with run_cloudformation() as waiting:
    event["ResponseURL"] = waiting.url
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class CloudFormation:
    """`answers` are what it got."""

    url: str
    answers: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def run_cloudformation() -> Iterator[CloudFormation]:
    """Take answers until the block is left."""

    class Receiver(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            waiting.answers.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test run quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        waiting = CloudFormation(f"http://127.0.0.1:{server.server_port}/answer")
        thread = threading.Thread(target=server.serve_forever, args=[0.01], name="cloudformation")
        thread.start()
        try:
            yield waiting
        finally:
            server.shutdown()
            thread.join()
