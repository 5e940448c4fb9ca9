"""The layers, built for this machine by the makefiles that sam build runs for Lambda."""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from local.template import ROOT

# What a layer's third-party content follows from. The package fieldgate and the migrations are
# read from the source tree instead, so that a change of theirs needs no build.
INPUTS = ("uv.lock", "pyproject.toml", "layers/build.mk")


def build_layers(layers: Iterable[tuple[str, str]], directory: Path) -> bool:
    """Build each (logical id, content folder) under `directory` unless that is up to date.

    Returns:
        Whether anything had to be built.

    Raises:
        subprocess.CalledProcessError: with the makefile's output as `stdout`.

    """
    built = False
    for name, content in layers:
        target = directory / name
        stamp = target / "inputs.sha256"
        wanted = _digest([*INPUTS, f"{content}/Makefile"])
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        target.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        subprocess.run(
            ["make", "-s", "-C", content, f"build-{name}", f"DEST={target}", "PLATFORM="],  # noqa: S607
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stamp.write_text(wanted)
        built = True
    return built


def _digest(paths: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()
