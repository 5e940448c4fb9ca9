"""Lambda's side of a function's process: starts it, gives it events, and takes the time.

The process is AWS's runtime interface client, as in Lambda, with the function's own folders before
it. What it polls is the Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html),
answered here, on loopback.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks.lambda_artifacts import Function
from benchmarks.resident_memory import resident_mib

SECONDS = 60  # that a function has for anything
# Of Lambda's environment, what makes no call to anywhere.
SURROUNDINGS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_REGION": "af-south-1",
    "AWS_DEFAULT_REGION": "af-south-1",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "POWERTOOLS_SERVICE_NAME": "fieldgate",
    "LANG": "en_US.UTF-8",
    # /var/task and /opt can't be written to, so nothing that is compiled there is kept.
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Usage:
    """Of a process since its start: seconds by the clock and of processor, memory at most in MiB.

    The processor's are those of the main thread, or of all threads, to ten milliseconds, where that
    is more. The memory is what is resident.
    """

    seconds: float
    processor: float
    memory: float


class RunningFunction:
    """A function's process: it polls, and then answers one event after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]", api: "_RuntimeApi") -> None:
        self._process = process
        self._api = api
        self._began = api.began

    def polled(self) -> Usage:
        """Wait until it asks for an event; return what it took to get there.

        Raises:
            RuntimeError: it ended, or could not be imported.

        """
        return self._usage(self._api.polled.get(timeout=SECONDS))

    def answers(self, event: Any) -> tuple[Any, Usage]:
        """Give it an event; return its answer and what was used by then, its start included."""
        self._api.events.put(event)
        at, answer = self._api.answers.get(timeout=SECONDS)
        return answer, self._usage(at)

    def _usage(self, at: float) -> Usage:
        process = Path("/proc") / str(self._process.pid)
        if self._api.failed:
            raise RuntimeError(self._api.failed)
        main_thread = int((process / "schedstat").read_text().split()[0]) / 1e9
        in_user, in_kernel = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
        all_threads = (int(in_user) + int(in_kernel)) / os.sysconf("SC_CLK_TCK")
        processor = max(main_thread, all_threads)
        memory = resident_mib("VmHWM", self._process.pid)
        return Usage(at - self._began, processor, memory)


@contextmanager
def started(function: Function, environment: Mapping[str, str] = {}) -> Iterator[RunningFunction]:
    """Start a function as Lambda does, and end it when the block is left."""
    api = _RuntimeApi()
    server = threading.Thread(target=api.serve_forever, args=(0.01,))
    server.start()
    surroundings = SURROUNDINGS | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "LAMBDA_TASK_ROOT": str(function.path[0]),
        "PYTHONPATH": ":".join(map(str, function.path)),
    }
    api.began = time.perf_counter()
    process = subprocess.Popen(
        [_interpreter(), "-S", "-m", "awslambdaric", function.handler],
        cwd=function.path[0],
        env={**surroundings, **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield RunningFunction(process, api)
    finally:
        process.kill()
        process.wait()
        api.shutdown()
        server.join()
        api.server_close()


def _interpreter() -> str:
    """Return the Python below the virtual environment, which is bare with -S, as Lambda's is."""
    return str(sys._base_executable)  # type: ignore[attr-defined]


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True
    # Those of a process that was killed wait for events that don't come.
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.began = 0.0
        self.failed = ""
        self.polled: SimpleQueue[float] = SimpleQueue()
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.answers: SimpleQueue[tuple[float, Any]] = SimpleQueue()

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: a process that is killed breaks its connection off."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RuntimeApi

    def do_GET(self) -> None:
        """Give the next event, once there is one."""
        self.server.polled.put(time.perf_counter())
        event = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + SECONDS) * 1000)))
        arn = "arn:aws:lambda:af-south-1:111122223333:function:fieldgate"
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
        # The client reads it whether it is there or not.
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        """Take an answer, or why there is none."""
        at = time.perf_counter()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/response"):
            self.server.failed = content.decode()
            self.server.polled.put(at)
        self.server.answers.put((at, json.loads(content)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""
