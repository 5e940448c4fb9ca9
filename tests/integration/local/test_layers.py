"""The layers as they are built: small enough, and with all that is imported from them."""

import subprocess
import sys
from pathlib import Path

import pytest

from local import template as sam
from local.layers import build_layers
from local.template import ROOT

# AWS takes 250 MB; an image of the environment starts the sooner, the less there is.
MAX_BYTES = 150 * 10**6
COMMON = "CommonLayer"

# What the worker does first, h2 of its second client included.
FIREBASE = """
import sys
import firebase_admin
from firebase_admin import messaging
from google.auth.credentials import AnonymousCredentials

app = firebase_admin.initialize_app(AnonymousCredentials(), {"projectId": "fieldgate"})
messaging._get_messaging_service(app)
assert messaging.Message(fid="an app", notification=messaging.Notification("Rain")).fid
print(sys.modules.keys() & {"grpc", "google.cloud", "google.api_core"} or "lean")
"""


@pytest.fixture(scope="session")
def layers() -> dict[str, Path]:
    """Where each layer's content is, built as the local stack builds it."""
    directory = ROOT / ".local/layers"
    found = [
        (name, layer["ContentUri"]) for name, layer in sam.resources(sam.read_template(), sam.LAYER)
    ]
    build_layers(found, directory)
    return {name: directory / name / "python" for name, _ in found}


def test_each_function_stays_small_with_its_layers(layers: dict[str, Path]) -> None:
    functions = bytes_in(ROOT / "functions")
    sizes = {name: bytes_in(path) for name, path in layers.items()}
    beside = {name for name in sizes if name != COMMON}
    too_big = {
        name: total
        for name in beside
        if (total := sizes[name] + sizes[COMMON] + functions) > MAX_BYTES
    }
    assert not too_big


def test_messages_need_nothing_of_firebase_that_its_layer_leaves_out(
    layers: dict[str, Path],
) -> None:
    said = subprocess.run(
        # Nothing but the layers: not this environment's packages, where all of it is.
        [sys.executable, "-S", "-c", FIREBASE],
        env={"PYTHONPATH": f"{layers[COMMON]}:{layers['PushLayer']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout.strip(), said.stderr) == ("lean", "")


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
