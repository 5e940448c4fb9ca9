"""A snapshot of an initialized function may be restored many times (SnapStart): nothing in it may
be open, be known already, or make two restored environments think of the same secret.

Initialization is the import of the function's module, so one process imports them all, is looked
through, and forks: its children are what is restored. A fork gives `random` a new seed, which a
restore doesn't; so that is undone.
"""

import ast
import json
import os
import subprocess
import sys
from itertools import combinations
from typing import Any

from local import template as sam
from local.template import ROOT

FUNCTIONS, LAYER = ROOT / "functions", ROOT / "layers/common"
HANDLERS = sorted(
    properties["Handler"].removesuffix(".handler")
    for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
)
SOURCES = sorted([*FUNCTIONS.rglob("*.py"), *(LAYER / "fieldgate").rglob("*.py")])

IMPORT = f"""
import importlib, sys
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket.") else None)
for handler in {HANDLERS!r}:
    importlib.import_module(handler)
ours = [module for module in list(sys.modules.values())
    if str(getattr(module, "__file__", "")).startswith(({str(FUNCTIONS)!r}, {str(LAYER)!r}))]
"""

LOOK = """
import functools, gc, json, os, threading
names = {module.__name__ for module in ours}
files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
    if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}")]
known = [f"{one.__module__}.{one.__qualname__}" for one in gc.get_objects()
    if isinstance(one, functools._lru_cache_wrapper)
    and one.__module__ in names and one.cache_info().currsize]
kept = [f"{module.__name__}.{name}" for module in ours for name, value in vars(module).items()
    if name.startswith("_") and name.islower() and not name.startswith("__")
    and isinstance(value, dict | list | set) and value]
print(json.dumps({"modules": len(names), "sockets": opened, "files": files, "known": known,
    "kept": kept, "threads": [thread.name for thread in threading.enumerate()]}))
"""

RESTORE = """
import json, os, random, traceback, uuid
from fieldgate import request_id, tokens
from fieldgate.push import Outcome
from push.device_tokens import encrypt_token
from fieldgate.two_level_cache import versions
from identity.sessions import RefreshToken
from push import judging

snapshot = random.getstate()

def restored():
    random.setstate(snapshot)
    subject = tokens.Subject(uuid.UUID(int=1), [], [], 1, uuid.UUID(int=2))
    return {
        "request id": request_id.adopt(),
        "refresh token": RefreshToken.first(uuid.UUID(int=1)).text,
        "access token": tokens.issue(subject).text,
        "device token, encrypted": encrypt_token("of a phone").hex(),
        "pause before another try": judging._pause(1, [Outcome("passing", "unavailable")]),
    }

for number in range(3):
    reader, writer = os.pipe()
    if not os.fork():
        try:
            with os.fdopen(writer, "w") as file:
                json.dump(restored(), file)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        print(file.read())
    os.wait()
"""


def run(*program: str, **environment: str) -> list[Any]:
    """Run a program that knows nothing of any environment; return what it printed, as JSON."""
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        env={"PYTHONPATH": os.pathsep.join(map(str, (FUNCTIONS, LAYER, ROOT))), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_a_snapshot_holds_nothing_open_and_knows_nothing_yet() -> None:
    (found,) = run(IMPORT, LOOK)
    assert found.pop("modules") > len(HANDLERS)
    assert found == {
        "sockets": [],
        "files": [],
        "known": [],
        # The functions that keep something once they are called.
        "kept": ["fieldgate.settings._kept_once"],
        "threads": ["MainThread"],
    }


def test_no_two_restored_environments_think_of_the_same(signing_keys: tuple[str, str]) -> None:
    clones = run(
        IMPORT,
        RESTORE,
        PEPPER="a-pepper-for-tests-and-nothing-else",
        JWT_ISSUER="https://api.fieldgate.test",
        JWT_AUDIENCE="fieldgate-app",
        JWT_SIGNING_KEY=signing_keys[0],
    )
    assert len(clones) == 3
    for one, other in combinations(clones, 2):
        assert one.keys() == other.keys()
        assert not [name for name in one if one[name] == other[name]]


def test_chance_comes_from_the_system() -> None:
    """`random` goes on from where it was in the snapshot; what asks the system does not."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert "random" not in {alias.name for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom) and node.module == "random":
                assert {alias.name for alias in node.names} == {"SystemRandom"}, path
