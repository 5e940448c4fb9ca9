import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run
from local.template import ROOT

WAITING = """
import time
try:
    print("begun", flush=True)
    time.sleep(30)
finally:
    print("left")
"""
IN_A_LOOP = """
import asyncio
async def wait():
    try:
        print("begun", flush=True)
        await asyncio.sleep(30)
    finally:
        print("left")
asyncio.run(wait())
"""
# In turns with what is compared, as Mangum is: it runs an application in a loop of its own, and
# takes any exception for a fault of the application.
SWALLOWING = """
import asyncio, time
async def answer():
    try:
        time.sleep(0.1)
    except BaseException:
        print("swallowed")
loop = asyncio.new_event_loop()
try:
    print("begun", flush=True)
    while True:
        loop.run_until_complete(answer())
        time.sleep(0.1)
finally:
    print("left")
"""
# Whoever is called back can't raise.
IN_A_CALLBACK = """
import time, weakref
class Thing: pass
def wait(_):
    print("begun", flush=True)
    time.sleep(30)
try:
    thing = Thing()
    kept = weakref.ref(thing, wait)
    del thing
    time.sleep(30)
finally:
    time.sleep(1.5)  # longer than what was lost is waited for
    print("left")
"""


@pytest.mark.parametrize(
    "code",
    [WAITING, IN_A_LOOP, SWALLOWING, IN_A_CALLBACK],
    ids=["plain", "loop", "mangum", "weakref"],
)
def test_a_benchmark_that_is_told_to_end_leaves_its_blocks_and_prints_no_trace(
    code: str, tmp_path: Path
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/invented.py").write_text(code)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.interruptible", "invented"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)

    assert (out, err, process.returncode) == ("left\n", "", 130)


def test_ctrl_c_says_in_a_line_what_is_kept_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_in_the_second(name: str) -> int:
        if name == "images":
            raise KeyboardInterrupt
        (tmp_path / f"{name}.json").write_text("{}")
        return 0

    (tmp_path / "push.json").write_text("{}")
    os.utime(tmp_path / "push.json", (0, 0))  # of another day
    monkeypatch.setattr(run, "KEPT", tmp_path)
    monkeypatch.setattr(run, "run", interrupted_in_the_second)
    monkeypatch.setattr(sys, "argv", ["run", "load", "images", "push"])

    assert run.main() == 130
    assert capsys.readouterr().err == (
        "Interrupted; kept: load; RESULTS.md is as it was."
        ' To go on: ONLY="images push" make bench\n'
    )


def test_ctrl_c_before_anything_is_found_keeps_nothing_new() -> None:
    assert run.interrupted(["load"], []) == (
        "Interrupted; nothing new is kept; RESULTS.md is as it was."
        ' To go on: ONLY="load" make bench'
    )
