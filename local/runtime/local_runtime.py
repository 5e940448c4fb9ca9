"""Runs inside each function's process, around its real handler: counts, measures, keeps the log.

On AWS the Lambda service does this and writes it as REPORT lines; the local cloud does not measure
a function's start or memory. Deployed by local/deploy.py only, with nothing but the standard
library.
"""

import importlib
import io
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class _Log(io.TextIOBase):
    """Writes to the function's own output and, line by line, to the stack's one log file."""

    def __init__(self, output: Any, path: str) -> None:
        self._output = output
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._line = ""

    def write(self, text: str) -> int:
        self._output.write(text)
        *lines, self._line = (self._line + text).split("\n")
        if lines:
            # One write a batch of lines: O_APPEND keeps those of other functions apart.
            os.write(self._file, "".join(f"{line}\n" for line in lines).encode())
        return len(text)

    def flush(self) -> None:
        self._output.flush()


def _peak_memory_mb() -> float:
    # Not getrusage: its peak counts the process that this one was forked from as well.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _record(**values: Any) -> None:
    name = os.environ["LOCAL_HANDLER"].removesuffix(".handler")
    line = json.dumps({"name": name, "pid": os.getpid(), **values})
    file = os.open(os.environ["LOCAL_INVOCATIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


_cloud = sys.stderr
sys.stdout = sys.stderr = _Log(sys.stderr, os.environ["LOCAL_LOG"])
_started = time.perf_counter()
_module, _, _name = os.environ["LOCAL_HANDLER"].rpartition(".")
try:
    _target = getattr(importlib.import_module(_module), _name)
except BaseException as error:
    # On AWS this ends in the function's log as well; the local cloud only answers with it.
    traceback.print_exc()
    _record(event="failedInit", message=repr(error))
    raise
_record(event="init", initMs=(time.perf_counter() - _started) * 1000)


def handler(event: Any, context: Any) -> Any:
    _record(event="start")
    started = time.perf_counter()
    failed = True
    try:
        result = _target(event, context)
        failed = False
        return result
    finally:
        _record(
            event="end",
            error=failed,
            ms=(time.perf_counter() - started) * 1000,
            memoryMb=_peak_memory_mb(),
        )
        # As Lambda writes; without a line the local cloud waits 50 ms for one.
        print("END", file=_cloud, flush=True)
