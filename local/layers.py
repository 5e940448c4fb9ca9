"""The layers, built for this machine by the makefiles that sam build runs for Lambda."""

import fcntl
import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from local.child import ServerFailed
from local.template import ROOT

# What a layer's third-party content follows from. The package fieldgate and the migrations are
# read from the source tree instead, so that a change of theirs needs no build.
INPUTS = ("uv.lock", "pyproject.toml", "layers/build.mk")


def build_layers(layers: Iterable[tuple[str, str]], directory: Path) -> None:
    """Build each (logical id, content folder) under `directory` unless that is up to date.

    Of several stacks that start at once one builds and the others wait for it.

    Raises:
        ServerFailed: with what the makefile said.

    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(layers, directory)


def _build(layers: Iterable[tuple[str, str]], directory: Path) -> None:
    for name, content in layers:
        target = directory / name
        stamp = target / "inputs.sha256"
        wanted = _digest([*INPUTS, f"{content}/Makefile"])
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        target.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        made = subprocess.run(
            ["make", "-s", "-C", content, f"build-{name}", f"DEST={target}", "PLATFORM="],  # noqa: S607
            cwd=ROOT,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if made.returncode:
            raise ServerFailed(f"The layer {name} could not be built:\n{made.stdout}")
        stamp.write_text(wanted)


def _digest(paths: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()
