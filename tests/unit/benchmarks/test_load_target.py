"""Agents of the load sign in, and leave what they send: only where both are wanted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from benchmarks.load_target import checked


@contextmanager
def answering(content: Any) -> Iterator[str]:
    """Have a server answer whatever it is asked with this; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_environment_of_ours_is_worked_on() -> None:
    with answering({"environment": "staging"}) as url:
        assert checked(f"{url}/") == (url, "")
        assert checked(url, "wss://w.example.org/live/") == (url, "wss://w.example.org/live")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"environment": "production"}, "is production"),
        ({"status": "fine"}, "none of ours"),
        (["another's"], "which environment"),
    ],
    ids=str,
)
def test_production_and_what_is_not_ours_are_left_alone(content: Any, words: str) -> None:
    with answering(content) as url, pytest.raises(SystemExit, match=words):
        checked(url)


def test_nobody_signs_in_in_the_clear() -> None:
    with pytest.raises(SystemExit, match="in the clear"):
        checked("http://api.example.org")
    with pytest.raises(SystemExit, match="in the clear"):
        checked("https://api.example.org", "ws://api.example.org/hubs/permissions")
