"""A stand-in for Sentry on loopback: takes envelopes as its endpoint does, or fails to."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sentry:
    """What arrived: `events` as JSON, `paths` and authentication of the requests."""

    def __init__(self, port: int) -> None:
        self.dsn = f"http://public@127.0.0.1:{port}/42"
        self.events: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.authentication: list[str] = []
        # Whether requests are answered; those that aren't are kept waiting until the end.
        self.answers = True
        self.over = threading.Event()


@contextmanager
def run_sentry() -> Iterator[Sentry]:
    sentry: Sentry

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sentry.paths.append(self.path)
            sentry.authentication.append(self.headers["X-Sentry-Auth"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not sentry.answers:
                sentry.over.wait()
                return
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            sentry.events += _events(body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        sentry = Sentry(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield sentry
        finally:
            sentry.over.set()
            server.shutdown()
            thread.join()


def _events(envelope: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of an envelope: lines of JSON, a header before each item."""
    lines = envelope.splitlines()[1:]
    for header, item in zip(lines[::2], lines[1::2], strict=True):
        assert json.loads(header)["type"] == "event"
        yield json.loads(item)
