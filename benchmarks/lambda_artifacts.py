"""What Lambda would have on its disk: the functions as built, and a reference as most build it.

The layers are those of layers/, built for this machine, and laid over one another as Lambda does in
/opt. AWS's runtime interface client lies apart from both, as it does in /var/runtime.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from local import template as sam
from local.layers import build_layers
from local.template import ROOT

ARTIFACTS = ROOT / ".build/lambda"
REFERENCE = ROOT / "benchmarks/reference"
# What the reference stands on, at the same versions: the groups of uv.lock that our layers are.
REFERENCE_GROUPS = ("common", "imaging", "push")
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


@dataclass(frozen=True)
class Function:
    """A function on the disk. `path`: where its modules are, in the order they are looked for."""

    name: str
    handler: str
    kind: str
    path: tuple[Path, ...]
    memory: int = 512


def functions() -> list[Function]:
    """Build every function of template.yaml, and return them in its order."""
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    ARTIFACTS.mkdir(parents=True)
    template = sam.read_template()
    layers = {name: str(layer["ContentUri"]) for name, layer in sam.resources(template, sam.LAYER)}
    build_layers(layers.items(), ROOT / ".local/layers")
    task = ARTIFACTS / "task"
    _copy(ROOT / "functions", task)
    compiled(task)
    runtime = _runtime()
    found = []
    for name, function in sam.resources(template, sam.FUNCTION):
        own = [layer["Ref"] for layer in function.get("Layers", [])]
        found.append(
            Function(
                str(function["Handler"]).removesuffix(".handler"),
                str(function["Handler"]),
                kind(name, function),
                (task, _opt(("CommonLayer", *own)), runtime),
                function.get("MemorySize", template["Globals"]["Function"]["MemorySize"]),
            )
        )
    return found


def kind(name: str, function: sam.Template) -> str:
    """Say what calls a function of the template: http, websocket, authorizer or queue.

    Whatever waits in no client's way counts as a queue's: schedules, storage's events, deployments.
    """
    if "authorize" in str(function["Handler"]):
        return "authorizer"
    kinds = {event["Type"] for event in function.get("Events", {}).values()}
    if "HttpApi" in kinds or name == "UnknownRoute":
        return "http"
    if str(function["Handler"]).startswith("realtime.on_"):
        return "websocket"
    return "queue"


def reference() -> tuple[Function, Function]:
    """Build the reference, as sam build leaves it and, for comparison, compiled."""
    left = ARTIFACTS / "reference"
    _copy(REFERENCE, left)
    groups = [argument for group in REFERENCE_GROUPS for argument in ("--only-group", group)]
    uv = str(ROOT / ".uv/bin/uv")
    wanted = subprocess.run(
        [uv, "export", "--quiet", "--frozen", "--no-emit-project", "--no-hashes", *groups],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    as_locked = ("--no-deps", "--only-binary", ":all:", "--requirements", "-")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--target", left, "--python", sys.executable, *as_locked],
        input=wanted,
        check=True,
    )
    also_compiled = ARTIFACTS / "reference-compiled"
    shutil.copytree(left, also_compiled, copy_function=os.link)
    compiled(also_compiled)
    made, runtime = "reference_function.handler", ARTIFACTS / "runtime"
    return (
        Function("reference", made, "reference", (left, runtime)),
        Function("reference, compiled", made, "reference", (also_compiled, runtime)),
    )


def compiled(folder: Path) -> None:
    """Compile what is in `folder` as the build does (layers/build.mk)."""
    # olefile2 is for Python 2, in the reference only: the layer leaves it out. One process: ended
    # by Ctrl-C, several leave semaphores in /dev/shm, and are no faster on two cores.
    how = ("-qqf", "-x", "olefile2", "--invalidation-mode", "unchecked-hash")
    subprocess.run([sys.executable, "-m", "compileall", *how, str(folder)], check=True)


def _opt(layers: Sequence[str]) -> Path:
    """Lay these layers over one another, with the package fieldgate as it is now."""
    opt = ARTIFACTS / "-".join(layers)
    if not opt.exists():
        for layer in layers:
            shutil.copytree(
                ROOT / ".local/layers" / layer / "python",
                opt,
                copy_function=os.link,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("fieldgate", ".lock"),
            )
        _copy(ROOT / "layers/common/fieldgate", opt / "fieldgate")
        compiled(opt / "fieldgate")
    return opt


def _runtime() -> Path:
    runtime = ARTIFACTS / "runtime"
    for package in RUNTIME:
        for file in metadata.files(package) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = runtime / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    compiled(runtime)
    return runtime


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
